"""Which levels a store is made of, by the settings: memory, Redis or a file under it, a seal between.

The only place that chooses them, for serving and for `elision cache`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from elision.config.cache_keys import keys_of
from elision.config.errors import ConfigError
from elision.config.settings import Cache, Settings
from elision.proxy.redis_security import check_redis
from elision.proxy.store import MemoryStore, SharedStore
from elision.proxy.store_disk import DiskStore
from elision.proxy.store_tiers import Figures, Tiers

if TYPE_CHECKING:
    from elision.proxy.store_redis import RedisStore

FILE_NAME = "kept.db"
"""Of the file that workers share for as long as they run, where the settings name none."""

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store and its levels.

    Attributes:
        store: all of them as one.
        memory: the level that answers at once.
        shared: the level that workers share, without its seal; None: there is none.
    """

    store: Tiers
    memory: MemoryStore
    shared: "DiskStore | RedisStore | None"

    def figures(self) -> Figures:
        """Return what has been counted, on every level."""
        figures, shared = self.store.figures(), self.shared
        if shared is None:
            return figures
        if not isinstance(shared, DiskStore):
            told = shared.figures()
            written, waiting = {shared.level: told.written}, {shared.level: told.waiting_bytes}
            return replace(figures, written=written, waiting_bytes=waiting)
        return replace(
            figures,
            held_bytes={**figures.held_bytes, shared.level: shared.held_bytes},
            evictions={**figures.evictions, shared.level: shared.evictions},
            written={shared.level: shared.written},
            waiting_bytes={shared.level: shared.waiting_bytes},
        )

    def state(self) -> Mapping[str, str]:
        """Return how each level that is shared is: `well`, or why the last exchange with it failed."""
        return {level: trouble or "well" for level, trouble in self.store.figures().trouble.items()}


def open_store(settings: Settings) -> OpenStore:
    """Return the store that the settings ask for; to be called within a running loop.

    Raises: ConfigError if a package that it needs is missing, or a certificate cannot be read.
    """
    check_cache(settings.cache)
    memory = MemoryStore(settings.cache.memory_mib * _MIB)
    shared = shared_level(settings)
    used: SharedStore | None = shared
    keys = keys_of(settings.cache)
    if shared is not None and keys:
        from elision.proxy.sealing import Sealed

        used = Sealed(shared, keys)
    return OpenStore(Tiers(memory, used, ttl_s=settings.cache.ttl_s), memory, shared)


def shared_level(settings: Settings) -> "DiskStore | RedisStore | None":
    """Return the level that workers share, without its seal; None where the settings name none."""
    if settings.redis is not None:
        check_redis(settings.redis)
        from elision.proxy.store_redis import RedisStore

        return RedisStore.start(settings.redis)
    if settings.cache.path is not None:
        return DiskStore(settings.cache.path, settings.cache.disk_mib * _MIB)
    return None


def with_shared_file(settings: Settings, folder: Path) -> Settings:
    """Return settings by which several workers share a file in a folder, where they share nothing else."""
    if settings.redis is not None or settings.cache.path is not None:
        return settings
    return replace(settings, cache=replace(settings.cache, path=folder / FILE_NAME))


def check_cache(cache: Cache) -> None:
    """Refuse to begin with a path that cannot be a file, or without the package that the settings need.

    Raises: ConfigError.
    """
    if cache.path is not None and cache.path.is_dir():
        raise ConfigError(
            [f"cache.path: {cache.path} is a folder; name a file in it, {FILE_NAME} for instance"]
        )
    if cache.key_env is not None and find_spec("cryptography") is None:
        remedy = "install it: pip install 'elision[encryption]'"
        raise ConfigError([f"cache.key_env: encryption needs the package cryptography; {remedy}"])
