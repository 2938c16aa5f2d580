"""Clients that are slow on purpose."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator

import pytest

from elision.proxy.server import ClientLimits
from fakes.raw_upstream import RawUpstream, Received, always, answer, chunk
from fakes.running import proxy, raw_exchange, read_answer, request_bytes


@pytest.mark.parametrize("said", [b"", b"GET /v1/x HTTP/1.1\r\nHost:"])
async def test_a_head_that_does_not_come_in_time_is_not_waited_for(said: bytes) -> None:
    """Whether the client says nothing or a byte a minute."""
    limits = ClientLimits(head_s=0.1)
    async with (
        RawUpstream(lambda _: always(answer(b""))) as upstream,
        proxy(upstream.url, clients=limits) as running,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(said)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_an_idle_connection_is_closed_after_its_time_and_a_busy_one_is_not() -> None:
    """The head's limit does not cut an answer that takes longer."""

    async def slow(request: Received) -> AsyncIterator[bytes]:
        await asyncio.sleep(0.3)
        yield answer(b"late")

    limits = ClientLimits(head_s=0.1, keepalive_s=0.2)
    async with RawUpstream(slow) as upstream, proxy(upstream.url, clients=limits) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        async with asyncio.timeout(5):
            for _ in range(2):
                writer.write(request_bytes("GET", "/v1/x"))
                assert (await read_answer(reader)).body == b"late"
            assert await reader.read() == b""
        writer.close()


async def test_what_is_no_request_is_a_400_in_openais_shape_and_is_not_quoted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """aiohttp would log the bytes; they could be somebody's text."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream, proxy(upstream.url) as running:
        with caplog.at_level(logging.DEBUG):
            got = await raw_exchange(running.port, b"GET / HTTP/1.1\r\nsecret text\r\n\r\n")
    error = json.loads(got.body)["error"]
    assert (got.status, error["type"], error["code"]) == (400, "invalid_request_error", "bad_request")
    assert "secret" not in caplog.text
    [told] = [record for record in caplog.records if "could not be read" in record.getMessage()]
    assert got.value("server") == "elision"
    assert vars(told)["figures"] == {"request_id": got.value("x-elision-request-id")}


ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Pouring:
    """An upstream that says as much as is taken, and counts it."""

    def __init__(self) -> None:
        self.said = 0

    async def __call__(self, request: Received) -> AsyncIterator[bytes]:
        yield ENDLESS
        piece = chunk(b"x" * 65536)
        while True:
            yield piece
            self.said += len(piece)


async def test_a_client_that_reads_nothing_stops_the_upstream_and_is_let_go() -> None:
    """What waits for it is bounded by buffers; then both connections end."""
    pouring = Pouring()
    async with (
        RawUpstream(pouring) as upstream,
        proxy(upstream.url, clients=ClientLimits(stalled_s=0.4)) as running,
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1)
        writer.write(request_bytes("GET", "/v1/x"))
        sizes = []
        async with asyncio.timeout(20):
            while not upstream.left_early.is_set():
                await asyncio.sleep(0.02)
                sizes.append(pouring.said)
            while running.handler.active:
                await asyncio.sleep(0.01)
        writer.close()
    stopped = max(sizes.index(sizes[-1]), 1)
    assert len(sizes) - stopped > 10, "it said nothing for as long as nothing was taken"
    assert pouring.said < 40_000_000
    assert running.records[0].error == "client_disconnected"


async def test_a_client_that_reads_slowly_is_waited_for() -> None:
    """As long as it takes something, however little."""
    pouring = Pouring()
    async with (
        RawUpstream(pouring) as upstream,
        proxy(upstream.url, clients=ClientLimits(stalled_s=0.8)) as running,
    ):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", running.port))
            await loop.sock_sendall(client, request_bytes("GET", "/v1/x"))
            for _ in range(20):
                for _ in range(60):
                    assert await loop.sock_recv(client, 16384)
                await asyncio.sleep(0.1)
            still = running.handler.active
    assert still == 1


async def test_an_answer_that_nobody_takes_does_not_keep_its_connection() -> None:
    """The handler is done long before; the rest waits in a buffer, and not for ever."""
    size = 6_000_000
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode()
    async with (
        RawUpstream(lambda _: always(head + b"x" * size)) as upstream,
        proxy(upstream.url, clients=ClientLimits(stalled_s=0.2, keepalive_s=0.1)) as running,
    ):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", running.port))
            await loop.sock_sendall(client, request_bytes("GET", "/v1/x"))
            async with asyncio.timeout(10):
                while not running.server.connections:
                    await asyncio.sleep(0.01)
                while running.server.connections:
                    await asyncio.sleep(0.01)
    assert [record.status for record in running.records] == [200]


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    """One after the other, bodies and all."""

    async def echo(request: Received) -> AsyncIterator[bytes]:
        await asyncio.sleep(0.05 if request.target == "/v1/0" else 0)
        yield answer(request.target.encode() + request.body)

    async with RawUpstream(echo) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"".join(request_bytes("POST", f"/v1/{n}", body=b"b" * n) for n in range(5)))
        async with asyncio.timeout(5):
            got = [(await read_answer(reader)).body for _ in range(5)]
        writer.close()
    assert got == [f"/v1/{n}".encode() + b"b" * n for n in range(5)]


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]
)
async def test_interim_answers_are_not_taken_for_the_answer(interim: bytes) -> None:
    """They are skipped; the next request on the connection gets its own."""
    async with (
        RawUpstream(lambda _: always(interim + interim + answer(b"final"))) as upstream,
        proxy(upstream.url) as running,
    ):
        got = [await raw_exchange(running.port, request_bytes("GET", "/v1/x")) for _ in range(2)]
    assert [(one.status, one.body, one.value("link")) for one in got] == [(200, b"final", "")] * 2
    assert upstream.connections == 1


async def test_more_than_the_answer_is_nobodys() -> None:
    """What an upstream says beyond its answer never becomes the next one's beginning."""
    smuggled = answer(b"evil")
    async with (
        RawUpstream(lambda _: always(answer(b"good") + smuggled)) as upstream,
        proxy(upstream.url) as running,
    ):
        got = [await raw_exchange(running.port, request_bytes("GET", "/v1/x")) for _ in range(3)]
    assert {one.body for one in got if one.status == 200} <= {b"good"}
    assert upstream.connections == 3


async def test_an_upstream_that_closes_after_its_answer_is_connected_to_again() -> None:
    """Its clients notice nothing: their own connection goes on."""
    closing = answer(b"{}", "HTTP/1.1 200 OK\r\nConnection: close\r\n")
    async with (
        RawUpstream(lambda _: always(closing), close_after=True) as upstream,
        proxy(upstream.url) as running,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        async with asyncio.timeout(5):
            for _ in range(3):
                writer.write(request_bytes("GET", "/v1/x"))
                got = await read_answer(reader)
                assert (got.status, got.value("connection")) == (200, "")
        writer.close()
    assert upstream.connections == 3


@pytest.mark.parametrize("status", ["417 Expectation Failed", "401 Unauthorized"])
async def test_an_answer_before_the_expected_body_is_relayed(status: str) -> None:
    """The upstream may refuse by the head alone; the client need not have sent a byte of the body."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"no", f"HTTP/1.1 {status}\r\n"))
        await reader.read()
        writer.close()

    upstream = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with proxy(f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}") as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = [("Expect", "100-continue"), ("Content-Length", "9")]
        writer.write(request_bytes("POST", "/v1/x", head))
        async with asyncio.timeout(5):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            got = await read_answer(reader)
        writer.close()
    upstream.close()
    assert (f"{got.status} {got.reason}", got.body) == (status, b"no")


async def test_an_unknown_expectation_is_not_an_obstacle() -> None:
    """RFC 9110 leaves it to the server; the upstream does not see it."""
    async with RawUpstream(lambda _: always(answer(b"{}"))) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(
            running.port, request_bytes("POST", "/v1/x", [("Expect", "miracles")], b"{}")
        )
    assert (got.status, upstream.received[0].body, upstream.received[0].values("expect")) == (200, b"{}", [])


async def test_a_body_shorter_than_its_length_reaches_nobody() -> None:
    """The client half-closes; the upstream's request is cut, not ended."""
    async with RawUpstream(lambda _: always(answer(b"{}"))) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request_bytes("POST", "/v1/x", [("Content-Length", "9")], b"half"))
        await asyncio.sleep(0.05)
        writer.write_eof()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
            while running.handler.active:
                await asyncio.sleep(0.01)
        writer.close()
    assert upstream.received == []


async def test_draining_closes_idle_connections_and_ends_busy_ones_with_their_answer() -> None:
    """Who is being answered is told that the connection ends; nobody is cut."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def script(request: Received) -> AsyncIterator[bytes]:
        if request.target == "/v1/late":
            asked.set()
            await may_answer.wait()
        yield answer(b"{}")

    async with RawUpstream(script) as upstream, proxy(upstream.url) as running:
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", running.port)
        busy, busy_writer = await asyncio.open_connection("127.0.0.1", running.port)
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", running.port)
        idle_writer.write(request_bytes("GET", "/v1/x"))
        await read_answer(idle)
        busy_writer.write(request_bytes("GET", "/v1/late"))
        await asked.wait()
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            draining = tasks.create_task(running.server.drain(5, asyncio.Event()))
            assert (await idle.read(), await silent.read()) == (b"", b"")
            assert not draining.done()
            may_answer.set()
            got = await read_answer(busy)
            assert (got.status, got.value("connection"), await busy.read()) == (200, "close", b"")
        for writer in (idle_writer, busy_writer, silent_writer):
            writer.close()
    assert running.server.connections == []


@pytest.mark.parametrize("second_signal", [True, False])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_what_is_late_when_draining_is_cut_as_an_error(version: str, second_signal: bool) -> None:
    """Even where the end of the connection is the end of the answer."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield ENDLESS + chunk(b"first")
        await asyncio.sleep(30)

    at_once = asyncio.Event()
    async with RawUpstream(script) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(f"GET /v1/x HTTP/{version}\r\nHost: h\r\n\r\n".encode())
        async with asyncio.timeout(5):
            await reader.readuntil(b"first")
            if second_signal:
                asyncio.get_running_loop().call_later(0.1, at_once.set)
            await running.server.drain(30 if second_signal else 0.1, at_once)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            await upstream.left_early.wait()
        writer.close()
