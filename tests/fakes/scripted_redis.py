"""A server that speaks Redis' protocol and says what a test wants to hear."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import hiredis

Answer = Callable[[list[bytes]], bytes | None]
"""From the words of a command to the bytes of the answer; None: none comes."""


def well(words: list[bytes]) -> bytes | None:
    """Answer as an empty Redis."""
    name = words[0].upper()
    if name == b"PING":
        return b"+PONG\r\n"
    if name == b"MGET":
        return b"*%d\r\n" % (len(words) - 1) + b"$-1\r\n" * (len(words) - 1)
    return b"$-1\r\n" if name == b"GET" else b"+OK\r\n"


@dataclass
class Scripted:
    """A running server.

    Attributes:
        answer: may be changed at any time.
        heard: the words of every command.
        greetings: connections that were opened.
        open: those that are.
    """

    port: int = 0
    answer: Answer = well
    heard: list[list[bytes]] = field(default_factory=list)
    greetings: int = 0
    open: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def hang_up(self, which: int | None = None) -> None:
        """End all connections, or one by its number from 0."""
        for writer in self._writers if which is None else [self._writers[which]]:
            writer.transport.abort()
        if which is None:
            self._writers.clear()

    def push(self, data: bytes, which: int | None = None) -> None:
        """Send bytes at a time of ours, on every connection or on one; -1 is the latest."""
        for writer in self._writers if which is None else [self._writers[which]]:
            writer.write(data)

    def count(self, name: bytes) -> int:
        """Return how many commands of a name were heard."""
        return sum(words[0].upper() == name for words in self.heard)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until its end."""
        self.greetings += 1
        self.open += 1
        self._writers.append(writer)
        frames = hiredis.Reader(notEnoughData=self)
        try:
            while data := await reader.read(65536):
                frames.feed(data)
                while (words := frames.gets()) is not self:
                    self.heard.append(words)
                    if (answer := self.answer(words)) is not None:
                        writer.write(answer)
        except ConnectionError:
            pass  # the client went first
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def scripted_redis(answer: Answer = well) -> AsyncIterator[Scripted]:
    """Run such a server until the block ends."""
    scripted = Scripted(answer=answer)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()
        scripted.hang_up()
        async with asyncio.timeout(5):
            while scripted.open:
                await asyncio.sleep(0)
