"""Reading what a client sends, or does not send."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

import pytest
from aiohttp import web

from elision.accounts.records import NOTHING_TOLD, Report
from elision.proxy.client_body import Pieces, read_up_to
from elision.proxy.errors import RequestError
from elision.proxy.rewriter import Ask, Rewrite
from elision.proxy.server import BoundedServer, ClientLimits
from fakes.raw_upstream import RawUpstream, Received, answer, chunk
from fakes.running import proxy, raw_exchange, read_answer, request_bytes


class LookingInto:
    """A rewriter that wants every body and changes none."""

    def wants(self, ask: Ask) -> bool:
        return True

    def unread(self, ask: Ask, *reasons: str) -> Report:
        return Report(team=ask.team, bypass=reasons)

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        return Rewrite(body, False, NOTHING_TOLD)


async def ok(request: Received) -> AsyncIterator[bytes]:
    """Answer everything with an empty object."""
    yield answer(b"{}")


@asynccontextmanager
async def serving(
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], limits: ClientLimits
) -> AsyncIterator[int]:
    """Run our server around a handler; yield its port."""
    server = BoundedServer(handle, limits)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await server.shutdown(0.1)


@pytest.mark.parametrize(("limit", "whole"), [(5, False), (6, True), (7, True)])
async def test_a_body_up_to_the_limit_is_read_and_a_larger_one_streams(limit: int, whole: bool) -> None:
    """No byte is lost either way."""
    said: list[tuple[bool, bytes]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        body = await read_up_to(request, limit)
        pieces = [body] if isinstance(body, bytes) else [piece async for piece in body]
        said.append((isinstance(body, bytes), b"".join(pieces)))
        return web.Response()

    async with serving(handle, ClientLimits()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("POST", "/", [("Content-Length", "6")]))
        for piece in (b"ab", b"cd", b"ef"):
            writer.write(piece)
            await asyncio.sleep(0.01)
        await read_answer(reader)
        writer.close()
    assert said == [(whole, b"abcdef")]


async def test_a_trickle_uses_up_the_patience_and_a_steady_body_does_not() -> None:
    """A byte now and then is hardly better than none; as many as a modem sends are an upload."""
    left: list[bool] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        pieces = Pieces(request)
        try:
            while await pieces.next():
                pass
        except RequestError as error:
            left.append(error.code == "client_too_slow")
            raise
        left.append(False)
        return web.Response()

    async def upload(port: int, piece: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("POST", "/", [("Content-Length", str(12 * len(piece)))]))
        for _ in range(12):
            writer.write(piece)
            await asyncio.sleep(0.05)
        with suppress(ConnectionError):  # who gave up does not read what still comes
            await reader.read(1)
        writer.close()

    async with serving(handle, ClientLimits(idle_s=0.2)) as port:
        await upload(port, b"a")
        await upload(port, b"a" * 200)
    assert left == [True, False]


@pytest.mark.parametrize("looked_into", [True, False])
@pytest.mark.parametrize("framing", [("Content-Length", "9"), ("Transfer-Encoding", "chunked")])
async def test_a_body_that_does_not_go_on_is_a_408_and_the_upstream_request_is_cut(
    looked_into: bool, framing: tuple[str, str]
) -> None:
    """Nobody holds a handler for ever, nor half a request at the upstream."""
    sent = chunk(b"half") if framing[1] == "chunked" else b"half"
    async with (
        RawUpstream(ok) as upstream,
        proxy(
            upstream.url, LookingInto() if looked_into else None, clients=ClientLimits(idle_s=0.1)
        ) as running,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request_bytes("POST", "/v1/chat/completions", [framing], sent))
        async with asyncio.timeout(5):
            got = await read_answer(reader)
            assert await reader.read() == b""
            if not looked_into:
                await upstream.left_early.wait()
        writer.close()
    error = json.loads(got.body)["error"]
    assert (got.status, error["type"], error["code"]) == (408, "invalid_request_error", "client_too_slow")
    assert got.value("connection") == "close"
    assert (upstream.received, running.records[0].error) == ([], "client_too_slow")


@pytest.mark.parametrize("looked_into", [True, False])
@pytest.mark.parametrize("broken", [b"zz\r\nhalf", b"4\r\nhalfX\r\n", b"-1\r\n", b"5 5\r\nhalf"])
async def test_a_body_with_a_broken_chunk_is_a_400_at_once(looked_into: bool, broken: bytes) -> None:
    """The upstream's request is cut, never ended as if it were whole."""
    head = request_bytes("POST", "/v1/chat/completions", [("Transfer-Encoding", "chunked")])
    async with (
        RawUpstream(ok) as upstream,
        proxy(upstream.url, LookingInto() if looked_into else None) as running,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(head + chunk(b"whole"))
        await asyncio.sleep(0.05)
        writer.write(broken)
        async with asyncio.timeout(5):
            got = await read_answer(reader)
            assert await reader.read() == b""
            if not looked_into:
                await upstream.left_early.wait()
        writer.close()
    error = json.loads(got.body)["error"]
    assert (got.status, error["type"], error["code"]) == (400, "invalid_request_error", "bad_body")
    assert got.value("connection") == "close"
    assert upstream.received == []


class BreaksAsReaderWakes:
    """A body whose reader is woken by the end of a chunk, while what follows breaks the body off."""

    protocol = None

    def __init__(self) -> None:
        self.content = self

    def read_nowait(self) -> bytes:
        return b""

    def is_eof(self) -> bool:
        return False

    async def readany(self) -> bytes:
        return b""

    def exception(self) -> Exception:
        return RequestError(400, "bad_body", "broken")


async def test_a_body_that_breaks_as_its_reader_wakes_is_not_taken_for_whole() -> None:
    """aiohttp's reader then returns the end, and no error."""
    with pytest.raises(RequestError, match="broken"):
        await Pieces(cast(web.BaseRequest, BreaksAsReaderWakes())).next()


async def test_a_request_behind_a_broken_body_is_not_read() -> None:
    """What follows could be a part of the body as well as a request."""
    head = request_bytes("POST", "/v1/x", [("Transfer-Encoding", "chunked")])
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(running.port, head + b"zz\r\n\r\n" + request_bytes("GET", "/v1/smuggled"))
    assert (got.status, upstream.received) == (400, [])


@pytest.mark.parametrize("name", ["X-T", "Authorization"])
async def test_trailers_of_a_request_do_not_reach_the_next_one(name: str) -> None:
    """aiohttp's parser would make the last of them a header of the next request on the connection."""
    head = request_bytes("POST", "/v1/x", [("Transfer-Encoding", "chunked")])
    framed = head + chunk(b"one") + f"0\r\nX-First: 1\r\n{name}: 3\r\n\r\n".encode()
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(framed + request_bytes("GET", "/v1/next"))
        got = await read_answer(reader)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
    assert (got.status, got.value("connection")) == (200, "close")
    [received] = upstream.received
    assert (received.target, received.body, received.values(name)) == ("/v1/x", b"one", [])


async def test_http_1_0_is_not_told_to_continue() -> None:
    """It knows no 100 and would take it for the answer (RFC 9110, section 10.1.1)."""
    request = b"POST /v1/x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(running.port, request)
    assert (got.status, upstream.received[0].body) == (200, b"hi")


async def test_a_coding_that_nobody_undoes_is_refused() -> None:
    """The upstream would take compressed bytes for the body itself."""
    request = request_bytes("POST", "/v1/x", [("Transfer-Encoding", "gzip, chunked")], b"0\r\n\r\n")
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(running.port, request)
    assert (got.status, json.loads(got.body)["error"]["code"]) == (501, "transfer_coding")
    assert upstream.received == []
