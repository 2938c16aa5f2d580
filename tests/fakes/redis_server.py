"""Real Redis servers on free ports, started and ended by the test: alone, with Sentinel, as a cluster."""

import asyncio
import os
import random
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hiredis
import pytest

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed: apt-get install redis-server"
)

WAIT_S = 20.0
"""What a test waits for a server; it is only ever this long where something is wrong."""


def free_port() -> int:
    """Return a port that nothing listens on, of those that the kernel gives to no client."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@dataclass
class RedisServer:
    """A server that runs, or ran.

    Attributes:
        options: of its command line, beside those that all have.
    """

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    password: str = ""
    process: asyncio.subprocess.Process | None = None
    _stopped: bool = field(default=False, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """Start, also once more after its end, and wait until it answers."""
        self.process = await asyncio.create_subprocess_exec(
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no", *self.options),
            stdout=asyncio.subprocess.DEVNULL,
        )
        await self.until_it_answers()

    async def until_it_answers(self) -> None:
        """Wait for a PONG, or for its demand of a password."""
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    answer = await self.command("PING")
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                if answer == b"PONG" or "NOAUTH" in str(answer):
                    return
                await asyncio.sleep(0.02)

    async def command(self, *words: str | bytes | int) -> Any:
        """Return the answer to one command, over a connection of its own; errors are values."""
        packed = hiredis.pack_command(words)  # type: ignore[arg-type]
        count = 1
        if self.password:
            packed = hiredis.pack_command(("AUTH", self.password)) + packed  # type: ignore[arg-type]
            count = 2
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(packed)
            frames = hiredis.Reader(notEnoughData=reader)
            while True:
                while (answer := frames.gets()) is not reader:
                    count -= 1
                    if not count:
                        return answer
                data = await reader.read(65536)
                if not data:
                    raise ConnectionResetError
                frames.feed(data)
        finally:
            writer.close()

    def pause(self) -> None:
        """Stop it as a hung machine would stop."""
        self._signal(signal.SIGSTOP)
        self._stopped = True

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self._stopped = False

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)


@asynccontextmanager
async def redis_server(
    folder: Path, port: int = 0, *, options: Sequence[str] = (), password: str = ""
) -> AsyncIterator[RedisServer]:
    """Run Redis, without persistence, until the block ends."""
    login = ("--requirepass", password) if password else ()
    server = RedisServer(folder, port or free_port(), (*options, *login), password)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()


@dataclass
class Watched:
    """A master, its replica, and the sentinel that watches them."""

    servers: tuple[RedisServer, RedisServer]
    sentinel: RedisServer

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/main"


@asynccontextmanager
async def redis_with_sentinel(folder: Path) -> AsyncIterator[Watched]:
    """Run a master, a replica and a sentinel that knows both."""
    async with AsyncExitStack() as stack:
        master = await stack.enter_async_context(redis_server(folder))
        follow = ("--replicaof", f"127.0.0.1 {master.port}", "--repl-diskless-sync-delay", "0")
        replica = await stack.enter_async_context(redis_server(folder, options=follow))
        port = free_port()
        config = folder / f"sentinel-{port}.conf"
        config.write_text(
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 200\n"
            "sentinel failover-timeout main 3000\n"
        )
        sentinel = RedisServer(folder, port)
        sentinel.process = await asyncio.create_subprocess_exec(
            *("redis-server", str(config), "--sentinel", "--port", str(port), "--bind", "127.0.0.1"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        stack.push_async_callback(sentinel.kill)
        await sentinel.until_it_answers()
        async with asyncio.timeout(WAIT_S):
            while not await sentinel.command("SENTINEL", "replicas", "main") or not await _is_linked(replica):
                await asyncio.sleep(0.02)
        yield Watched((master, replica), sentinel)


async def _is_linked(replica: RedisServer) -> bool:
    return b"master_link_status:up" in await replica.command("INFO", "replication")


@dataclass
class Cluster:
    """Three masters that share the slots."""

    nodes: tuple[RedisServer, ...]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    async def owner(self, slot: int) -> RedisServer:
        """Return the node that has a slot."""
        for first, last, (_, port, *_), *_ in await self.nodes[0].command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    async def begin_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Let a slot be on its way, with none of its keys moved."""
        ids = {node.port: (await node.command("CLUSTER", "MYID")).decode() for node in (source, target)}
        assert await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source.port]) == b"OK"
        assert await source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target.port]) == b"OK"

    async def move_keys(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Bring over the keys of a slot that is on its way."""
        for key in await source.command("CLUSTER", "GETKEYSINSLOT", slot, 1000):
            answer = await source.command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
            assert answer == b"OK"

    async def end_move(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Tell every node whose the slot is now."""
        name = (await target.command("CLUSTER", "MYID")).decode()
        for node in (target, source, *self.nodes):
            assert await node.command("CLUSTER", "SETSLOT", slot, "NODE", name) == b"OK"


@asynccontextmanager
async def redis_cluster(folder: Path) -> AsyncIterator[Cluster]:
    """Run a cluster of three masters that goes on without one of them."""
    async with AsyncExitStack() as stack:
        nodes: list[RedisServer] = []
        for number in range(3):
            bus = free_port()
            options = (
                *("--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{number}.conf"),
                *("--cluster-port", str(bus), "--cluster-node-timeout", "1000"),
                *("--cluster-require-full-coverage", "no"),
            )
            node = await stack.enter_async_context(redis_server(folder, options=options))
            first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
            assert await node.command("CLUSTER", "ADDSLOTSRANGE", first, last) == b"OK"
            if nodes:
                assert await nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port, bus) == b"OK"
            nodes.append(node)
        async with asyncio.timeout(WAIT_S):
            while not all([await _is_whole(node) for node in nodes]):
                await asyncio.sleep(0.02)
        yield Cluster(tuple(nodes))


async def _is_whole(node: RedisServer) -> bool:
    info = await node.command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_slots_ok:16384" in info
