"""The cache in a real Redis, and without it."""

import asyncio
import os
import signal
from pathlib import Path

from elision.proxy.cache_redis import RedisCache
from fakes.redis_server import free_port, needs_redis, redis_server


@needs_redis
async def test_two_proxies_share_what_one_has_made(tmp_path: Path) -> None:
    """A value written by one is read by the other; a miss is None."""
    async with redis_server(tmp_path) as server:
        one, other = RedisCache.from_url(server.url), RedisCache.from_url(server.url)
        await one.put_many({b"\x00a": b"1\xff", b"b": b"2"}, 60)
        assert await other.get_many([b"\x00a", b"c", b"b"]) == [b"1\xff", None, b"2"]
        await one.close()
        await other.close()


@needs_redis
async def test_a_value_ends_with_its_time(tmp_path: Path) -> None:
    """Redis forgets it by itself."""
    async with redis_server(tmp_path) as server:
        cache = RedisCache.from_url(server.url)
        await cache.put_many({b"a": b"1"}, 0.001)
        await asyncio.sleep(0.01)
        assert await cache.get_many([b"a"]) == [None]
        await cache.close()


async def test_without_redis_everything_is_a_miss_and_nothing_fails() -> None:
    """Refused connections."""
    cache = RedisCache.from_url(f"redis://127.0.0.1:{free_port()}/0")
    assert await cache.get_many([b"a", b"b"]) == [None, None]
    await cache.put_many({b"a": b"1"}, 60)
    await cache.close()


@needs_redis
async def test_a_hung_redis_is_a_miss_after_the_timeout_and_is_used_again(tmp_path: Path) -> None:
    """Paused by SIGSTOP, then continued."""
    async with redis_server(tmp_path) as server:
        cache = RedisCache.from_url(server.url, timeout_s=0.05)
        await cache.put_many({b"a": b"1"}, 60)
        os.kill(server.process.pid, signal.SIGSTOP)
        assert await cache.get_many([b"a"]) == [None]
        os.kill(server.process.pid, signal.SIGCONT)
        while await cache.get_many([b"a"]) != [b"1"]:
            pass
        await cache.close()
