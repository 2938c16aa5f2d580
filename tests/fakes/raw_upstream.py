"""A scriptable upstream on a real socket, below any HTTP library: it sees and says raw bytes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return all values of a header, in order."""
        return [value for found, value in self.headers if found.lower() == name.lower()]


Script = Callable[[Received], AsyncIterator[bytes]]


def answer(body: bytes, head: str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n") -> bytes:
    """Return a complete response with the body's length stated."""
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    """Return one piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def always(raw: bytes) -> AsyncIterator[bytes]:
    """Say one thing."""
    yield raw


class RawUpstream:
    """Answers each request by its script; remembers all that it received.

    A script that ends without a complete response closes the connection.
    """

    def __init__(self, script: Script, *, close_after: bool = False) -> None:
        self.script = script
        self.received: list[Received] = []
        self.left_early = asyncio.Event()
        self._close_after = close_after
        self.port = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                self.received.append(request)
                await self._say(request, reader, writer)
                if self._close_after:
                    break
        except* ConnectionError:
            self.left_early.set()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _say(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            leaving = tasks.create_task(_left(reader))
            saying = tasks.create_task(self._write(request, writer))
            await asyncio.wait((leaving, saying), return_when=asyncio.FIRST_COMPLETED)
            left = not saying.done()
            leaving.cancel()
            saying.cancel()
        if left:
            raise ConnectionResetError

    async def _write(self, request: Received, writer: asyncio.StreamWriter) -> None:
        async for data in self.script(request):
            writer.write(data)
            await writer.drain()


async def _left(reader: asyncio.StreamReader) -> None:
    """Return when the client closed its side; requests are not pipelined here."""
    while not reader.at_eof():
        await asyncio.sleep(0.005)


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, version = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    known = {name.lower(): value for name, value in headers}
    try:
        if known.get("transfer-encoding", "") == "chunked":
            body = await _read_chunks(reader)
        else:
            body = await reader.readexactly(int(known.get("content-length", "0")))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError("left in the middle of a body") from error
    return Received(method, target, version, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        body += await reader.readexactly(size)
        await reader.readexactly(2)
        if size == 0:
            return body
