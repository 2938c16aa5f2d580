"""The settings choose the levels."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from elision.config.cache_keys import with_cache_keys
from elision.config.errors import ConfigError
from elision.config.redis import RedisEntry
from elision.config.settings import Cache, Settings
from elision.proxy import stores
from elision.proxy.store import Kind, make_key, scope_of
from elision.proxy.stores import check_cache, open_store, shared_level, with_shared_file
from elision.proxy.values import pack
from fakes.redis_server import needs_redis, redis_server

KEY = make_key(scope_of("a"), Kind.MESSAGE, bytes(16))
CONTENT = b"what is kept of a conversation"
VALUE = pack(CONTENT)
SECRET = bytes(range(32)).hex()


def on_disk(folder: Path, **options: object) -> Settings:
    given = {"path": folder / "kept.db", **options}
    return with_cache_keys(Settings(cache=cast(Callable[..., Cache], Cache)(**given)), {"K": SECRET})


async def test_by_default_memory_is_all() -> None:
    """Nothing is written anywhere."""
    opened = open_store(Settings())
    await opened.store.put_many({KEY: VALUE}, 60)
    assert opened.memory.get(KEY) == VALUE
    assert (opened.shared, dict(opened.state())) == (None, {})
    assert shared_level(Settings()) is None
    assert set(opened.figures().held_bytes) == {"memory"}
    await opened.store.close()


async def test_a_file_outlives_the_process(tmp_path: Path) -> None:
    """Its figures are told beside memory's."""
    first = open_store(on_disk(tmp_path))
    await first.store.put_many({KEY: VALUE}, 60)
    await first.store.close()
    second = open_store(on_disk(tmp_path))
    assert await second.store.get_many([KEY]) == [VALUE]
    assert dict(second.state()) == {"disk": "well"}
    figures = first.figures()
    assert figures.held_bytes["disk"] > 0
    assert set(figures.evictions) == {"memory", "disk"}
    assert (figures.written, figures.waiting_bytes) == ({"disk": 1}, {"disk": 0})
    await second.store.close()


async def test_a_key_seals_the_file(tmp_path: Path) -> None:
    """Nothing of it can be read there; with the key all of it can."""
    sealed = on_disk(tmp_path, key_env="K")
    first = open_store(sealed)
    await first.store.put_many({KEY: VALUE}, 60)
    await first.store.close()
    assert CONTENT not in (tmp_path / "kept.db").read_bytes()
    second, plain = open_store(sealed), open_store(on_disk(tmp_path))
    assert await second.store.get_many([KEY]) == [VALUE]
    assert await plain.store.get_many([KEY]) == [None]
    await second.store.close()
    await plain.store.close()


@needs_redis
async def test_redis_takes_the_place_of_the_file(tmp_path: Path) -> None:
    """Sealed or not; nothing is written to the disk."""
    async with redis_server(tmp_path) as server:
        there = Settings(
            redis=RedisEntry(url=server.url), cache=Cache(path=tmp_path / "kept.db", key_env="K")
        )
        sealed = with_cache_keys(there, {"K": SECRET})
        assert with_shared_file(sealed, tmp_path) == sealed
        mine, other = open_store(sealed), open_store(sealed)
        await mine.store.put_many({KEY: VALUE}, 60)
        async with asyncio.timeout(20):
            while await other.store.get_many([KEY]) != [VALUE]:
                await asyncio.sleep(0.02)
        assert dict(other.state()) == {"redis": "well"}
        assert mine.figures().written == {"redis": 1}
        await mine.store.close()
        await other.store.close()
    assert not (tmp_path / "kept.db").exists()


def test_several_workers_share_a_file_where_they_share_nothing_else(tmp_path: Path) -> None:
    """What an operator chose stays."""
    assert with_shared_file(Settings(), tmp_path).cache.path == tmp_path / stores.FILE_NAME
    chosen = on_disk(tmp_path / "mine")
    assert with_shared_file(chosen, tmp_path) == chosen


def test_a_missing_package_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    check_cache(Cache(key_env="K"))
    monkeypatch.setattr(stores, "find_spec", lambda _name: None)
    check_cache(Cache())
    with pytest.raises(ConfigError) as caught:
        check_cache(Cache(key_env="K"))
    assert "pip install 'elision[encryption]'" in caught.value.problems[0]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Said before anything starts, with what to write instead."""
    with pytest.raises(ConfigError) as caught:
        check_cache(Cache(path=tmp_path))
    assert caught.value.problems[0].endswith("is a folder; name a file in it, kept.db for instance")
