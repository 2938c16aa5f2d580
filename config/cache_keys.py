"""The keys that seal what is kept outside the process, from the variables that the settings name.

Errors name a variable, never its value, and the keys are in no repr.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from elision.config.errors import ConfigError
from elision.config.settings import Cache, Settings

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyedCache(Cache):
    """The cache's settings with the keys that `key_env` and `old_key_envs` name.

    Attributes:
        keys: 32 bytes each; the first one seals, all of them are tried when reading.
    """

    keys: tuple[bytes, ...] = field(default=(), repr=False)


def with_cache_keys(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Return the settings with the cache's keys read.

    Raises: ConfigError with a line for each variable that is missing or holds no key.
    """
    cache = settings.cache
    if cache.key_env is None:
        if cache.old_key_envs:
            told = "needs key_env beside it: what old keys sealed is read, and sealed anew by that one"
            raise ConfigError([f"cache.old_key_envs: {told}"])
        return settings
    wrong: list[str] = []
    named = [("key_env", cache.key_env), *(("old_key_envs", name) for name in cache.old_key_envs)]
    keys = tuple(_key(setting, variable, environ, wrong) for setting, variable in named)
    if not wrong and len(set(keys)) < len(keys):
        wrong = ["cache.old_key_envs: two variables hold the same key; leave one out"]
    if wrong:
        raise ConfigError(wrong)
    given = {item.name: getattr(cache, item.name) for item in fields(Cache)}
    return replace(settings, cache=KeyedCache(**given, keys=keys))


def keys_of(cache: Cache) -> tuple[bytes, ...]:
    """Return the keys that `with_cache_keys` read; none where values are not to be sealed."""
    if isinstance(cache, KeyedCache):
        return cache.keys
    if cache.key_env is not None:
        raise ValueError("the cache's keys have not been read")
    return ()


def _key(setting: str, variable: str, environ: Mapping[str, str], wrong: list[str]) -> bytes:
    """Return a variable's key; what is wrong with it is added to `wrong`."""
    text = environ.get(variable, "").strip()
    key = _decoded(text)
    if key is not None:
        return key
    fault = "holds no key" if text else "is not set, or empty"
    remedy = "it must be 32 bytes in hexadecimal or base64, as `openssl rand -hex 32` makes them"
    wrong.append(f"cache.{setting}: the variable {variable} {fault}; {remedy}")
    return b""


def _decoded(text: str) -> bytes | None:
    for decode in (bytes.fromhex, _from_base64):
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    return None


def _from_base64(text: str) -> bytes:
    unpadded = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
