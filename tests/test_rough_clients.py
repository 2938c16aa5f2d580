"""Many clients at once, and clients that behave badly: nothing leaks, nothing falls over."""

import asyncio
import gc
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import StreamReader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elision.proxy.handler import Exchange
from elision.proxy.relayed import RelayedResponse
from elision.proxy.server import ClientConnection, ClientRequest
from elision.proxy.upstream_connection import Connection
from fakes.raw_upstream import RawUpstream, Received, answer, chunk
from fakes.running import proxy, raw_exchange, request_bytes

STREAMS = 200
EVENTS = 20


async def stream(request: Received) -> AsyncIterator[bytes]:
    """Say twenty events, a few milliseconds apart."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    for number in range(EVENTS):
        yield chunk(f"data: {number}\n\n".encode())
        await asyncio.sleep(0.005)
    yield b"0\r\n\r\n"


async def reader_that_may_leave(port: int, luck: random.Random) -> int:
    """Read a stream, or leave in the middle of it; return the events that were read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_bytes("POST", "/v1/chat/completions", body=b"{}"))
    leaves_after = luck.choice([0, 1, luck.randrange(EVENTS), EVENTS, EVENTS])
    events = 0
    while events < leaves_after:
        await reader.readuntil(b"\n\n")
        events += 1
    if events == EVENTS:
        await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    else:
        writer.transport.abort()
    return events


async def test_two_hundred_streams_with_random_leavers_leave_nothing_behind() -> None:
    """No task, no socket, no object, no request under way; and everyone who stayed got everything."""
    luck = random.Random(7)
    sockets, tasks, objects = open_sockets(), len(asyncio.all_tasks()), living()
    async with RawUpstream(stream) as upstream, proxy(upstream.url) as running:
        async with asyncio.TaskGroup() as clients:
            read = [clients.create_task(reader_that_may_leave(running.port, luck)) for _ in range(STREAMS)]
        async with asyncio.timeout(10):
            while running.handler.active or serving_tasks():
                await asyncio.sleep(0.02)
    async with asyncio.timeout(10):
        while open_sockets() > sockets or len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.02)
    assert living() == objects
    finished = [task for task in read if task.result() == EVENTS]
    assert 0 < len(finished) < STREAMS
    assert len(running.records) <= STREAMS
    assert [record.error for record in running.records].count("") >= len(finished)


def serving_tasks() -> int:
    """Return how many server tasks there are; each client here uses one connection, and closes it."""
    return sum("RequestHandler.start" in repr(task.get_coro()) for task in asyncio.all_tasks())


def living() -> Counter[str]:
    """Return how many objects of a request or a connection there are, by their kind."""
    gc.collect()
    kinds = (ClientConnection, ClientRequest, Connection, Exchange, RelayedResponse, StreamReader)
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in kinds)


def open_sockets() -> int:
    """Return how many sockets this process holds."""
    links = Path("/proc/self/fd").iterdir()
    return sum(link.is_symlink() and str(link.readlink()).startswith("socket:") for link in links)


LINES = st.lists(
    st.sampled_from(
        [
            *(
                b"Host: h",
                b"Content-Length: 5",
                b"Content-Length: x",
                b"Content-Length: -1",
                b"Content-Length: 5, 6",
            ),
            *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Expect: 100-continue"),
            *(b"Connection: close", b"Connection: upgrade", b"Upgrade: websocket", b": empty", b"No-Colon"),
            *(
                b"X-A: \x00",
                b" folded",
                b"X-B: \xff\xfe",
                b"Content-Encoding: gzip",
                b"X-Long: " + b"a" * 9000,
            ),
        ]
    ),
    max_size=6,
)
FIRST = st.sampled_from(
    [
        *(
            b"GET / HTTP/1.1",
            b"POST /v1/chat/completions HTTP/1.1",
            b"POST /v1/x HTTP/1.0",
            b"HEAD * HTTP/1.1",
        ),
        *(
            b"GET http://other.test/v1 HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"CONNECT h:443 HTTP/1.1",
            b"GET  HTTP/1.1",
        ),
        *(b"GET /\xff HTTP/1.1", b"GET /%zz?%% HTTP/1.1", b"G\x00T / HTTP/1.1", b"GET / HTTP/9.9", b""),
    ]
)


@given(FIRST, LINES, st.binary(max_size=40))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_malformed_requests_are_answered_or_cut_and_the_next_one_is_served(
    first: bytes, lines: list[bytes], body: bytes
) -> None:
    """Whatever comes over the socket."""
    request = b"\r\n".join([first, *lines]) + b"\r\n\r\n" + body

    async def attempt() -> int:
        async with RawUpstream(always_ok) as upstream, proxy(upstream.url) as running:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(request)
            writer.write_eof()
            try:
                async with asyncio.timeout(2):
                    await reader.read()
            except (ConnectionError, TimeoutError):
                pass
            writer.close()
            return (await raw_exchange(running.port, request_bytes("GET", "/v1/models"))).status

    assert asyncio.run(attempt()) == 200


PIECES = st.one_of(
    st.binary(min_size=1, max_size=30).map(chunk),
    st.sampled_from(
        [
            *(b"5;name=value\r\nhello\r\n", b"0000A\r\n0123456789\r\n", b"0\r\n\r\n", b"0\r\nX-T: 1\r\n\r\n"),
            *(
                b"5\nhello\n",
                b"5\r\nhello",
                b"4\r\nhello\r\n",
                b"6\r\nhello\r\n",
                b"-5\r\nhello\r\n",
                b"\r\n",
            ),
            *(b"0x5\r\nhello\r\n", b"5 \r\nhello\r\n", b" 5\r\nhello\r\n", b"+5\r\nhello\r\n", b"g\r\n"),
            *(b"fffffffffffffffff\r\n", b"5\r\nhello\r\n\r\n", b"\r\n", b"5;\x00\r\nhello\r\n"),
            *(b"0\r\nContent-Length: 9\r\n\r\n", b"0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"),
        ]
    ),
)


@given(st.lists(PIECES, max_size=5), st.booleans(), st.lists(st.integers(0, 200), max_size=3))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_chunked_body_arrives_as_it_is_framed_or_not_at_all(
    pieces: list[bytes], ends: bool, cuts: list[int]
) -> None:
    """However it is cut; what is no chunk never becomes a body, a header or a second request."""
    body = b"".join(pieces) + (b"0\r\n\r\n" if ends else b"")
    parts = [body[a:b] for a, b in pairwise([0, *sorted(min(cut, len(body)) for cut in cuts), len(body)])]
    meant = unframed(body)

    async def attempt() -> tuple[list[Received], bytes]:
        async with RawUpstream(always_ok) as upstream, proxy(upstream.url) as running:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(request_bytes("POST", "/v1/x", [("Transfer-Encoding", "chunked")]))
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.001)
            got = b""
            with suppress(OSError, asyncio.IncompleteReadError):
                async with asyncio.timeout(5):
                    if meant is not None:  # who half-closes has left, and gets no answer
                        got = await reader.readuntil(b"\r\n\r\n")
                    await asyncio.sleep(0.01)
                    writer.write_eof()
                    got += await reader.read()
            writer.close()
            async with asyncio.timeout(5):
                while running.handler.active:
                    await asyncio.sleep(0.001)
            return upstream.received, got

    received, got = asyncio.run(attempt())
    assert [request.target for request in received] in ([], ["/v1/x"])
    assert all(request.body == meant for request in received)
    assert not any(request.values(name) for request in received for name in ("x-t", "content-length"))
    if meant is not None and all(CHUNK.fullmatch(piece) for piece in pieces):
        assert [request.body for request in received] == [meant]
        assert got.startswith(b"HTTP/1.1 200")
    if not received:
        assert got.partition(b"\r\n")[0] in (b"", b"HTTP/1.1 400 Bad Request", b"HTTP/1.0 400 Bad Request")


CHUNK = re.compile(rb"(?!0)[0-9a-f]+\r\n.*\r\n", re.DOTALL)


def unframed(body: bytes) -> bytes | None:
    """Return what a chunked body holds, None if it is none or does not end; strict but for trailers."""
    whole = b""
    while found := re.match(rb"([0-9a-fA-F]+)(?:;[^\r\n\x00]*)?\r\n", body):
        size = int(found[1], 16)
        body = body[found.end() :]
        if size == 0:
            return whole
        if body[size : size + 2] != b"\r\n":
            return None
        whole, body = whole + body[:size], body[size + 2 :]
    return None


async def always_ok(request: Received) -> AsyncIterator[bytes]:
    yield answer(b"{}")


@pytest.mark.parametrize("size", [70_000, 10_000_000])
async def test_a_flood_of_headers_is_refused(size: int) -> None:
    """Before it fills the memory."""
    async with RawUpstream(always_ok) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(running.port, request_bytes("GET", "/v1/x", [("X-Flood", "a" * size)]))
    assert (got.status, upstream.received) == (400, [])
