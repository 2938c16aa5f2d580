"""What is kept in Redis, counted and cleared."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from elision.config.redis import RedisEntry
from elision.proxy.redis_names import name_of
from elision.proxy.store import Kind, StoreUnreachable, make_key, scope_of
from elision.proxy.store_redis import RedisStore
from fakes.redis_server import RedisServer, free_port, needs_redis, redis_cluster, redis_server
from fakes.scripted_redis import scripted_redis, well

ONE, OTHER = scope_of("one"), scope_of("other")


@asynccontextmanager
async def opened(url: str, reach_s: float = 20.0) -> AsyncIterator[RedisStore]:
    store = RedisStore(RedisEntry(url, timeout_ms=5000), reach_s=reach_s)
    store.connect()
    try:
        yield store
    finally:
        await store.close()


async def fill(server: RedisServer, scope: bytes, kind: Kind, count: int, value: bytes) -> None:
    for number in range(count):
        key = make_key(scope, kind, number.to_bytes(16))
        await server.command("SET", name_of(key), value, "PX", 60_000 + number)


@needs_redis
async def test_what_is_kept_is_counted_by_scope_and_kind(tmp_path: Path) -> None:
    """With the bytes of names and values; what others keep in the same Redis is not looked at."""
    async with redis_server(tmp_path) as server, opened(server.url) as store:
        await fill(server, ONE, Kind.OUTCOME, 30, b"x" * 100)
        await fill(server, OTHER, Kind.MESSAGE, 2, b"y")
        await fill(server, OTHER, Kind.CLEARED, 1, b"notice")
        await server.command("SET", "elision:2:else", "z")
        await server.command("SET", "mine", "z")
        kept = {(found.scope, found.kind): found for found in await store.kept()}
        name = len(name_of(make_key(ONE, Kind.OUTCOME, bytes(16))))
        assert set(kept) == {(ONE, b"o"), (OTHER, b"m")}
        one = kept[ONE, b"o"]
        assert (one.entries, one.held_bytes) == (30, 30 * (100 + name))
        assert 0 < one.first_ends_s <= 60.0
        assert [found.entries for found in await store.kept(OTHER)] == [2]


@needs_redis
async def test_much_is_measured_by_a_sample(tmp_path: Path) -> None:
    """Counted in full, and asked about its size only now and then."""
    async with redis_server(tmp_path) as server, opened(server.url) as store:
        script = "for i=1,3000 do redis.call('SET', ARGV[1]..string.format('%016d', i), 'x', 'PX', 60000) end"
        await server.command("EVAL", script, 0, name_of(make_key(ONE, Kind.SCORES, b"")))
        [found] = await store.kept()
        asked = await server.command("INFO", "commandstats")
        assert (found.scope, found.kind, found.entries) == (ONE, b"s", 3000)
        assert found.held_bytes == 3000 * (1 + len(name_of(make_key(ONE, Kind.SCORES, bytes(16)))))
        calls = next(line for line in asked.split(b"\r\n") if line.startswith(b"cmdstat_strlen:"))
        assert 1000 <= int(calls.split(b"calls=")[1].split(b",")[0]) <= 1200


@needs_redis
async def test_a_scope_is_cleared_alone(tmp_path: Path) -> None:
    """In steps that are told; the notice to workers stays, and so does what others keep."""
    told: list[int] = []
    async with redis_server(tmp_path) as server, opened(server.url) as store:
        await fill(server, ONE, Kind.OUTCOME, 7, b"x")
        await fill(server, ONE, Kind.CLEARED, 1, b"notice")
        await fill(server, OTHER, Kind.OUTCOME, 2, b"x")
        await server.command("SET", "mine", "z")
        assert await store.clear(ONE, told.append) == 7
        assert told[-1] == 7
        assert [(found.scope, found.entries) for found in await store.kept()] == [(OTHER, 2)]
        assert await store.clear(None, told.append) == 2
        assert await server.command("DBSIZE") == 2


@needs_redis
async def test_a_cluster_is_looked_through_node_by_node(tmp_path: Path) -> None:
    """All of them; one command never touches two slots."""
    scopes = [scope_of(str(number)) for number in range(12)]
    async with redis_cluster(tmp_path) as cluster, opened(cluster.url) as store:
        assert await store.until_well(20) is None
        keys = {make_key(scope, Kind.OUTCOME, bytes(16)): b"x" for scope in scopes}
        await store.put_many(keys, 60)
        while None in await store.get_many(list(keys)):
            pass
        assert {found.scope for found in await store.kept()} == set(scopes)
        assert await store.clear(scopes[0], lambda gone: None) == 1
        assert await store.clear(None, lambda gone: None) == 11
        assert await store.kept() == []


async def test_an_operator_is_told_why_there_is_nothing_to_see() -> None:
    """Here trouble is told, unlike on a request's way; a password is not."""
    port = free_port()
    async with opened(f"redis://:hunter2@127.0.0.1:{port}", reach_s=0.2) as store:
        with pytest.raises(StoreUnreachable) as error:
            await store.kept()
        told = f"Redis at 127.0.0.1:{port} is of no use: nothing answers there (down)"
        assert str(error.value) == told
        with pytest.raises(StoreUnreachable):
            await store.clear(None, lambda gone: None)


@pytest.mark.parametrize("answer", [b"+OK\r\n", b"*1\r\n+0\r\n", b"-NOPERM scan\r\n"])
async def test_a_server_that_cannot_be_looked_through_is_trouble(answer: bytes) -> None:
    """It forbids SCAN, or answers with something else."""

    def strange(words: list[bytes]) -> bytes | None:
        return answer if words[0] == b"SCAN" else well(words)

    async with scripted_redis(strange) as server, opened(server.url) as store:
        with pytest.raises(StoreUnreachable):
            await store.kept()
