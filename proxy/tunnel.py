"""Upgraded connections (realtime websockets): bytes both ways, unread.

After a 101 the two connections are no longer HTTP. Each direction is a buffer that pauses its
reader when the other side is slow, and a task that empties it; when one side leaves, so does the
other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol

from elision.proxy.headers import Headers, named_by_connection, value_of

BUFFER_BYTES = 65536
UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
"""The hop-by-hop headers that an upgrade needs on the next hop too."""


def wants_upgrade(headers: Headers) -> bool:
    """Return whether a request asks to leave HTTP for a websocket."""
    return value_of(headers, "upgrade").lower() == "websocket" and "upgrade" in named_by_connection(headers)


class RawBytes:
    """Takes an aiohttp connection's bytes as they come, in the place of a websocket parser.

    Args:
        protocol: of the connection; paused while the buffer is full.
    """

    def __init__(self, protocol: BaseProtocol) -> None:
        loop = asyncio.get_running_loop()
        self.stream = StreamReader(protocol, BUFFER_BYTES, loop=loop)

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes; never ends by itself, never leaves a rest."""
        if not self.stream.is_eof():
            self.stream.feed_data(bytes(data))
        return False, b""

    def feed_eof(self) -> None:
        """Take the connection's end."""
        self.stream.feed_eof()


async def pump(read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], Awaitable[None]]) -> None:
    """Hand over one direction's bytes until it ends or either side is gone."""
    try:
        while data := await read():
            await write(data)
    except (ConnectionError, OSError):
        return


async def both_ways(one: Coroutine[None, None, None], other: Coroutine[None, None, None]) -> None:
    """Run both directions until the first of them ends."""
    async with asyncio.TaskGroup() as tasks:
        running = (tasks.create_task(one), tasks.create_task(other))
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
