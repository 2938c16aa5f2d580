"""The end of `elision serve` under load: nobody who is being answered notices."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.raw_upstream import RawUpstream, Received, chunk
from fakes.running import read_answer, request_bytes
from fakes.serving import Served, descendants, served

pytestmark = pytest.mark.timeout(120)

STREAMS = 64
EVENTS = 30
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(stream: str, number: int) -> bytes:
    digest = hashlib.sha256(f"{stream} {number}".encode()).hexdigest()
    return f"data: {stream} {number} {digest}\n\n".encode()


@dataclass
class Streams:
    """An upstream whose streams wait in their middle until they are told to go on."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Received) -> AsyncIterator[bytes]:
        yield HEAD
        for number in range(EVENTS):
            if number == EVENTS // 2:
                await self.go_on.wait()
            yield chunk(event(request.target, number))
            await asyncio.sleep(0.01)
        yield b"0\r\n\r\n"


def unframed(framed: bytes) -> bytes:
    """Return what a whole chunked body holds; events that came together may share a chunk."""
    body = b""
    while True:
        size, _, framed = framed.partition(b"\r\n")
        data, framed = framed[: int(size, 16)], framed[int(size, 16) :]
        assert framed.startswith(b"\r\n")
        framed = framed[2:]
        if not data:
            assert framed == b""
            return body
        body += data


async def listening(running: Served, workers: int) -> None:
    """Wait until every worker listens."""
    async with asyncio.timeout(60):
        while len([line for line in running.log if "Listening" in line]) < workers:
            await asyncio.sleep(0.05)


async def refused(port: int) -> bool:
    """Return whether a new connection is refused, or closed before anything is said."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    try:
        writer.write(request_bytes("GET", "/elision/live"))
        return await reader.read() == b""
    except ConnectionError:
        return True
    finally:
        writer.close()


async def closed(port: int) -> None:
    """Wait until no worker accepts connections; each closes its own listening socket when it is told."""
    while not await refused(port):
        await asyncio.sleep(0.01)


async def begun(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Begin a stream; return its connection and what came of it so far."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes("POST", path, body=b"{}"))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    return reader, writer, await reader.readuntil(event(path, 3))


@pytest.mark.parametrize("workers", [1, 2])
async def test_all_streams_end_whole_while_the_port_is_closed(workers: int) -> None:
    """Byte for byte; idle connections are closed at once; the process ends after the last stream."""
    streams = Streams()
    async with (
        RawUpstream(streams) as upstream,
        served("--upstream", upstream.url, "--workers", str(workers)) as running,
        asyncio.timeout(60),
    ):
        await listening(running, workers)
        paths = [f"/v1/{number}" for number in range(STREAMS)]
        open_streams = await asyncio.gather(*(begun(running.port, path) for path in paths))
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", running.port)
        idle_writer.write(request_bytes("GET", "/elision/live"))
        assert (await read_answer(idle)).status == 200
        running.process.send_signal(signal.SIGTERM)
        assert await idle.read() == b""
        await closed(running.port)
        assert running.process.returncode is None
        streams.go_on.set()
        rests = await asyncio.gather(*(reader.read() for reader, _, _ in open_streams))
        assert await running.process.wait() == 0
        for writer in (idle_writer, *(writer for _, writer, _ in open_streams)):
            writer.close()
    for path, (_, _, first), rest in zip(paths, open_streams, rests, strict=True):
        assert unframed(first + rest) == b"".join(event(path, number) for number in range(EVENTS))


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stream_that_outlasts_the_drain_is_cut_as_an_error(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the process ends all the same."""
    monkeypatch.setenv("ELISION_TIMEOUTS__DRAIN_S", "0.3")
    async with (
        RawUpstream(Streams()) as upstream,
        served("--upstream", upstream.url, "--workers", str(workers)) as running,
        asyncio.timeout(60),
    ):
        await listening(running, workers)
        reader, writer, _ = await begun(running.port, "/v1/x")
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert await running.process.wait() == 0
        writer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_second_signal_ends_everything_at_once(workers: int, number: signal.Signals) -> None:
    """Long before the drain's limit, which is half a minute; no process stays behind."""
    async with (
        RawUpstream(Streams()) as upstream,
        served("--upstream", upstream.url, "--workers", str(workers)) as running,
        asyncio.timeout(20),
    ):
        await listening(running, workers)
        reader, writer, _ = await begun(running.port, "/v1/x")
        family = set(descendants(running.process.pid))
        running.process.send_signal(number)
        await closed(running.port)
        assert running.process.returncode is None
        running.process.send_signal(number)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert await running.process.wait() == 0
        writer.close()
        while left := {pid for pid in family if Path(f"/proc/{pid}").exists()}:
            await asyncio.sleep(0.02)
    assert not left


async def test_control_c_reaches_parent_and_workers_and_is_one_signal() -> None:
    """A terminal interrupts the whole group; a worker that the parent tells as well is not told twice."""
    streams = Streams()
    async with (
        RawUpstream(streams) as upstream,
        served("--upstream", upstream.url, "--workers", "2") as running,
        asyncio.timeout(60),
    ):
        await listening(running, 2)
        open_streams = await asyncio.gather(*(begun(running.port, f"/v1/{number}") for number in range(8)))
        for pid in (running.process.pid, *descendants(running.process.pid)):
            os.kill(pid, signal.SIGINT)
        await closed(running.port)
        streams.go_on.set()
        rests = [await reader.read() for reader, _, _ in open_streams]
        assert await running.process.wait() == 0
        for _, writer, _ in open_streams:
            writer.close()
    assert [rest.endswith(b"0\r\n\r\n") for rest in rests] == [True] * 8
