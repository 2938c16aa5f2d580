"""Answers on their way to the client."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.proxy.errors import UpstreamError
from elision.proxy.relayed import RelayedResponse
from elision.proxy.server import BoundedServer, ClientLimits
from fakes.raw_upstream import RawUpstream, Received, always, answer, chunk
from fakes.running import proxy, raw_exchange, request_bytes

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


async def said_to(request: bytes, upstream_says: bytes) -> bytes:
    """Return every byte that a client gets which sends one request and half-closes nothing."""
    async with RawUpstream(lambda _: always(upstream_says)) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request)
        async with asyncio.timeout(5):
            got = await reader.read()
        writer.close()
    return got


def get(*headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    lines = [f"{method} /v1/x HTTP/{version}", "Host: h", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


CLOSING = get("Connection: close")


async def test_an_answer_keeps_to_the_upstreams_headers() -> None:
    """No `Server`, `Date` or `Content-Type` that the upstream did not send."""
    bare = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with RawUpstream(lambda _: always(bare)) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(running.port, request_bytes("GET", "/v1/models"))
    theirs = {name.lower() for name, _ in got.headers if not name.lower().startswith("x-elision-")}
    assert theirs == {"content-length"}


async def test_every_byte_of_a_head_is_relayed() -> None:
    """UTF-8 or not, in the reason too; case, order, repeats, empty values."""
    lines = b"X-L: caf\xe9\r\nx-l: \xff\xfe\x80\r\nX-U: \xe2\x82\xac\r\nX-Empty: \r\nX-L: a\tb\r\n"
    got = await said_to(
        CLOSING, b"HTTP/1.1 299 \xe9t\xe9 \xe2\x82\xac\r\n" + lines + b"Content-Length: 0\r\n\r\n"
    )
    assert got.startswith(
        b"HTTP/1.1 299 \xe9t\xe9 \xe2\x82\xac\r\n" + lines + b"Content-Length: 0\r\nx-elision-"
    )


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda v: not set(v) & set(b"\r\n\0")), max_size=5))
@settings(max_examples=40, deadline=None)
def test_whatever_bytes_a_value_has_they_arrive_or_the_answer_is_refused(values: list[bytes]) -> None:
    """Never a changed value; white space around one is none of it (RFC 9110, section 5.5)."""
    lines = b"".join(b"X-V: " + value + b"\r\n" for value in values)
    got = asyncio.run(said_to(CLOSING, HEAD + lines + b"Content-Length: 0\r\n\r\n"))
    relayed = [line.partition(b":")[2].strip(b" \t") for line in got.split(b"\r\n") if line[:4] == b"X-V:"]
    if got.startswith(HEAD):
        assert relayed == [value.strip(b" \t") for value in values]
    else:
        assert got.startswith(b"HTTP/1.1 502 ")
        assert relayed == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rb", "a\0b"])
@pytest.mark.parametrize("place", ["name", "value", "reason"])
async def test_a_head_cannot_be_made_into_two(place: str, value: str) -> None:
    """Whoever asks for it: it is refused before a byte of it is sent."""
    refused: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        out = RelayedResponse(200, "OK", [("X", value) if place == "value" else (value, "v")])
        if place == "reason":
            out = RelayedResponse(200, "OK", [])
            out._reason = value  # noqa: SLF001  aiohttp checks for some of it itself
        try:
            await out.prepare(request)
        except UpstreamError as error:
            refused.append(error.code)
            return web.Response(status=502)
        return out

    server = BoundedServer(handle, ClientLimits())
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    got = await raw_exchange(listening.sockets[0].getsockname()[1], CLOSING)
    listening.close()
    await server.shutdown(0.1)
    assert (got.status, refused, got.value("x-evil")) == (502, ["upstream_bad_head"], "")


async def test_trailers_follow_the_last_chunk() -> None:
    """And are announced, if the upstream announced them."""
    said = CHUNKED + b"Trailer: X-Sum\r\n\r\n" + chunk(b"body") + b"0\r\nX-Sum: caf\xe9\r\nx-b: 2\r\n\r\n"
    got = await said_to(CLOSING, said)
    assert b"\r\nTrailer: X-Sum\r\n" in got
    assert got.endswith(b"\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: caf\xe9\r\nx-b: 2\r\n\r\n")


async def test_trailers_of_an_empty_body_arrive_too() -> None:
    """The head has not been sent then."""
    got = await said_to(CLOSING, CHUNKED + b"\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert got.endswith(b"\r\n\r\n0\r\nX-Sum: 1\r\n\r\n")


@pytest.mark.parametrize(
    "name", ["Content-Length", "Transfer-Encoding", "Set-Cookie", "Authorization", "Host"]
)
async def test_what_may_not_trail_is_dropped(name: str) -> None:
    """It would frame, route or authenticate what was read already."""
    said = CHUNKED + b"\r\n" + chunk(b"body") + f"0\r\n{name}: 5\r\nX-Good: 1\r\n\r\n".encode()
    got = await said_to(CLOSING, said)
    if not got.startswith(b"HTTP/1.1 502"):  # the parser refuses some of them by itself
        assert f"{name}: 5".encode() not in got
        assert got.endswith(b"0\r\nX-Good: 1\r\n\r\n") or not got.endswith(END)


async def test_trailers_are_left_out_where_no_chunk_could_carry_them() -> None:
    """HTTP/1.0 has none: the body ends with the connection."""
    got = await said_to(get(version="1.0"), CHUNKED + b"\r\n" + chunk(b"body") + b"0\r\nX-Sum: 1\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"keep-alive" not in head.lower()
    assert body == b"body"


async def test_http_1_0_stays_connected_if_it_asks_and_the_length_is_known() -> None:
    """As curl -0 and benchmarks do."""
    async with RawUpstream(lambda _: always(answer(b"{}"))) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        async with asyncio.timeout(5):
            for _ in range(2):
                writer.write(get("Connection: keep-alive", version="1.0"))
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"\r\nConnection: keep-alive\r\n" in head
                assert await reader.readexactly(2) == b"{}"
            writer.write(get(version="1.0"))
            last = await reader.read()
        writer.close()
    assert last.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"keep-alive" not in last


async def test_http_1_0_cannot_take_half_a_stream_for_a_whole_one() -> None:
    """The end of the connection is the end of the body, so a broken one is reset."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield CHUNKED + b"\r\n" + chunk(b"half")

    async with RawUpstream(script, close_after=True) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(get(version="1.0"))
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(5):
                await reader.read()
        writer.close()
    assert running.records[0].error == "upstream_broke_off"


async def test_head_keeps_the_length_of_what_get_would_answer() -> None:
    """And nothing is chunked, and the connection goes on."""
    async with (
        RawUpstream(lambda _: always(HEAD + b"Content-Length: 1234\r\n\r\n")) as upstream,
        proxy(upstream.url) as running,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        head = b""
        async with asyncio.timeout(5):
            for _ in range(2):
                writer.write(get(method="HEAD"))
                head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert b"\r\nContent-Length: 1234\r\n" in head
    assert b"Transfer-Encoding" not in head


@pytest.mark.parametrize(
    ("said", "length"),
    [
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", b"77"),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
        (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", b"0"),
    ],
)
async def test_answers_that_have_no_body_are_not_given_one(said: bytes, length: bytes) -> None:
    """A length is of what is not sent (304), or forbidden (204)."""
    got = await said_to(CLOSING, said)
    head, _, body = got.partition(b"\r\n\r\n")
    stated = [line[16:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
    assert (body, b"".join(stated)) == (b"", length)
    assert b"Transfer-Encoding" not in head


async def test_a_small_answer_is_one_write_and_a_late_body_does_not_hold_its_head() -> None:
    """A head waits for nobody: clients show status and headers before the first token."""
    said = asyncio.Event()

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield CHUNKED + b"\r\n"
        await said.wait()
        yield chunk(b"late") + END

    async with RawUpstream(script) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(CLOSING)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            said.set()
            rest = await reader.read()
        writer.close()
    assert head.startswith(HEAD)
    assert rest == chunk(b"late") + END


async def test_our_own_errors_still_follow_a_refused_head() -> None:
    """502, in OpenAI's shape, where the upstream's answer cannot be relayed."""
    got = await said_to(CLOSING, HEAD + b"X-A: a\x01b\r\nContent-Length: 0\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 ")
    assert json.loads(body)["error"]["type"] == "upstream_error"
