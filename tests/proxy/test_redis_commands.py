"""Commands to Redis for figures of requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from elision.accounts.archive_redis import PREFIX, TAG, RedisAway
from elision.config.redis import RedisEntry
from elision.proxy.redis_commands import RedisCommands
from elision.proxy.redis_names import SLOTS
from fakes.redis_server import (
    WAIT_S,
    RedisServer,
    free_port,
    needs_redis,
    redis_cluster,
    redis_server,
    redis_with_sentinel,
)

pytestmark = needs_redis

KEY = PREFIX + "test"


@asynccontextmanager
async def opened(url: str, timeout_s: float = WAIT_S, password: str = "") -> AsyncIterator[RedisCommands]:
    commands = RedisCommands(RedisEntry(url, password=password), timeout_s=timeout_s)
    commands.start()
    try:
        yield commands
    finally:
        await commands.aclose()


async def test_answers_come_in_the_order_of_commands(tmp_path: Path) -> None:
    """However many there are; the first waits for the connection."""
    async with redis_server(tmp_path) as server, opened(server.url) as commands:
        asked = [("HINCRBY", KEY, f"field-{number % 3}", 1) for number in range(300)]
        assert await commands.run(asked) == [number // 3 + 1 for number in range(300)]
        [found] = await commands.run([("HGETALL", KEY)])
        assert found == [b"field-0", b"100", b"field-1", b"100", b"field-2", b"100"]


async def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Nothing of its address or login is in the message."""
    async with opened(f"redis://127.0.0.1:{free_port()}", 0.05, "s3cret") as commands:
        with pytest.raises(RedisAway, match="no connection") as raised:
            await commands.run([("PING",)])
    assert "s3cret" not in str(raised.value)


async def test_an_error_is_told_by_its_kind(tmp_path: Path) -> None:
    """Not in the server's words, which may repeat what was sent."""
    async with redis_server(tmp_path) as server, opened(server.url) as commands:
        await commands.run([("SET", KEY, "text")])
        with pytest.raises(RedisAway, match=r"of no use \(protocol"):
            await commands.run([("HINCRBY", KEY, "field", 1)])
        assert await commands.run([("GET", KEY)]) == [b"text"]


async def test_after_a_restart_all_is_well_again(tmp_path: Path) -> None:
    """By itself."""
    async with redis_server(tmp_path) as server, opened(server.url) as commands:
        await commands.run([("PING",)])
        await server.kill()
        await server.start()
        await _until_it_takes(commands)
        assert await server.command("GET", KEY) == b"1"


async def test_the_new_master_is_found(tmp_path: Path) -> None:
    """A replica takes no figures."""
    async with redis_with_sentinel(tmp_path) as watched, opened(watched.url) as commands:
        await commands.run([("SET", KEY, 1)])
        await watched.servers[0].kill()
        await _until_it_takes(commands)
        assert isinstance(watched.servers[1], RedisServer)
        assert await watched.servers[1].command("GET", KEY) == b"1"


async def test_in_a_cluster_all_keys_are_on_one_node(tmp_path: Path) -> None:
    """That which the slot of their tag is on, so that one script may touch them all."""
    async with redis_cluster(tmp_path) as cluster, opened(cluster.url) as commands:
        script = "redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 2) return 3"
        assert await commands.run([("EVAL", script, 2, KEY, PREFIX + "other")]) == [3]
        slot = await cluster.nodes[0].command("CLUSTER", "KEYSLOT", KEY)
        assert slot == await cluster.nodes[0].command("CLUSTER", "KEYSLOT", TAG)
        assert 0 <= slot < SLOTS
        assert await (await cluster.owner(slot)).command("GET", KEY) == b"1"


async def _until_it_takes(commands: RedisCommands) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                assert await commands.run([("SET", KEY, 1)]) == [b"OK"]
            except RedisAway:
                await asyncio.sleep(0.02)
            else:
                return
