"""The parser's and the socket's side of an exchange, without a socket."""

import asyncio
from collections.abc import AsyncIterator

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.headers import Headers
from elision.proxy.upstream_connection import BUFFER_BYTES, FAILURES, BodyLengthError, Connection
from fakes.raw_upstream import answer, chunk

EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
ANSWERS = {
    "length": EARLY
    + b"HTTP/1.1 200 Tr\xe8s bien\r\nX-A: \xff\xc3\xa9\r\nx-a: 2\r\nContent-Length: 7\r\n\r\nabcdefg",
    "chunked": b"HTTP/1.1 200 OK\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunk(b"abc")
    + chunk(b"\r\n0\r\n")
    + b"0\r\nTrailer: t\r\n\r\n",
    "until close": b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nall that comes",
    "none": b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw\r\n\x00",
}


class Wire(asyncio.Transport):
    """A transport that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def get_write_buffer_size(self) -> int:
        return 0


def connected(
    *, first_byte_s: float = 60, idle_s: float = 60, header_bytes: int = 4096
) -> tuple[Connection, Wire]:
    """Return a connection on a wire."""
    connection = Connection(first_byte_s=first_byte_s, idle_s=idle_s, header_bytes=header_bytes)
    wire = Wire()
    connection.connection_made(wire)
    return connection, wire


async def body_of(connection: Connection) -> bytes:
    """Read to the end."""
    body = b""
    while data := await connection.read():
        body += data
    return body


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at places, wherever they fall."""
    places = sorted({place % len(data) for place in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


async def exchange(parts: list[bytes]) -> tuple[int, bytes, Headers, bytes, bool]:
    """Let an answer arrive in parts; return what was understood."""
    connection, _ = connected()
    head = connection.begin(head_only=False, may_upgrade=True)
    for part in parts:
        connection.data_received(part)
    reusable_after = connection.open
    connection.eof_received()
    connection.connection_lost(None)
    await head
    body = await body_of(connection)
    return connection.status, connection.reason, connection.headers, body, reusable_after


@pytest.mark.parametrize("kind", sorted(ANSWERS))
@given(cuts=st.lists(st.integers(0, 10_000), max_size=40))
def test_however_the_network_cuts_an_answer_it_is_the_same(kind: str, cuts: list[int]) -> None:
    """Status, reason, headers, body."""
    said = ANSWERS[kind]
    whole = asyncio.run(exchange([said]))
    assert asyncio.run(exchange(pieces(said, cuts))) == whole


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("length", b"abcdefg"),
        ("chunked", b"abc\r\n0\r\n"),
        ("until close", b"all that comes"),
        ("none", b""),
        ("not modified", b""),
        ("upgrade", b"raw\r\n\x00"),
    ],
)
async def test_every_framing_is_understood(kind: str, body: bytes) -> None:
    """The chunking test compares with this."""
    assert (await exchange([ANSWERS[kind]]))[3] == body


async def test_interim_answers_are_skipped_and_every_byte_of_a_header_is_kept() -> None:
    """UTF-8 or not, repeated or not."""
    status, reason, headers, _, _ = await exchange([ANSWERS["length"]])
    assert (status, reason) == (200, b"Tr\xe8s bien")
    raw = [(name, value.encode("utf-8", "surrogateescape")) for name, value in headers]
    assert raw == [("X-A", b"\xff\xc3\xa9"), ("x-a", b"2"), ("Content-Length", b"7")]


@pytest.mark.parametrize("kind", ["length", "chunked"])
async def test_a_body_cut_short_is_an_error_wherever_it_is_cut(kind: str) -> None:
    """Never a clean end; what came before is handed out first."""
    said = ANSWERS[kind]
    start = said.index(b"\r\n\r\n", len(EARLY) if kind == "length" else 0) + 4
    for end in range(start, len(said)):
        connection, _ = connected()
        head = connection.begin(head_only=False, may_upgrade=False)
        connection.data_received(said[:end])
        connection.eof_received()
        connection.connection_lost(None)
        await head
        with pytest.raises(EOFError):
            await body_of(connection)
        assert not connection.reusable


async def test_a_connection_reset_does_not_end_a_body_without_a_length() -> None:
    """Only an orderly end does."""
    connection, _ = connected()
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.data_received(ANSWERS["until close"])
    connection.connection_lost(ConnectionResetError())
    await head
    with pytest.raises(ConnectionResetError):
        await body_of(connection)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: folded\r\n value\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 900 + b"\r\n",
        EARLY * 200,
    ],
    ids=["not http", "two framings", "two lengths", "folded", "unasked upgrade", "long", "many", "interim"],
)
async def test_what_is_no_answer_is_refused(said: bytes) -> None:
    """And the connection is cut."""
    connection, wire = connected()
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.data_received(said)
    with pytest.raises(httptools.HttpParserError):
        await head
    assert wire.aborted


async def test_head_does_not_upgrade() -> None:
    """Its answer has no body, so nothing can follow; websockets begin with GET."""
    connection, wire = connected()
    head = connection.begin(head_only=True, may_upgrade=True)
    connection.data_received(ANSWERS["upgrade"])
    with pytest.raises(httptools.HttpParserError):
        await head
    assert wire.aborted


async def test_a_slow_reader_stops_the_upstream() -> None:
    """Until what was buffered has been read."""
    connection, wire = connected()
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * BUFFER_BYTES)
    await head
    assert wire.reading
    connection.data_received(b"y")
    assert not wire.reading
    assert len(await connection.read()) == BUFFER_BYTES + 1
    assert wire.reading


async def test_silence_that_we_asked_for_does_not_count() -> None:
    """A paused upstream may wait longer than its own patience allows."""
    connection, _ = connected(idle_s=0.02)
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 299_999)
    await head
    await asyncio.sleep(0.08)
    assert len(await connection.read()) == 299_999
    with pytest.raises(TimeoutError):
        await connection.read()


async def test_a_head_that_only_trickles_is_too_late() -> None:
    """Its bytes do not prolong the patience."""
    connection, wire = connected(first_byte_s=0.05)
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.data_received(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await head
    assert wire.aborted


@pytest.mark.parametrize(
    ("said", "head_only", "reusable"),
    [
        (answer(b""), False, True),
        (answer(b"body"), False, False),
        (answer(b"body")[:-4], True, True),
        (answer(b"body"), True, False),
        (answer(b"") + answer(b""), False, False),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False, False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, True),
        (ANSWERS["upgrade"], False, False),
    ],
    ids=["whole", "unread", "head", "head with a body", "two answers", "close", "old", "none", "upgrade"],
)
async def test_only_a_connection_with_nothing_left_on_it_is_used_again(
    said: bytes, head_only: bool, reusable: bool
) -> None:
    """Else one request would get another's answer."""
    connection, _ = connected()
    head = connection.begin(head_only=head_only, may_upgrade=True)
    connection.data_received(said)
    await head
    assert connection.reusable is reusable


async def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    """They would be taken for the next request's answer."""
    connection, wire = connected()
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.data_received(answer(b""))
    await head
    connection.data_received(answer(b"forged"))
    assert wire.aborted
    assert not connection.reusable


async def parts(*said: bytes) -> AsyncIterator[bytes]:
    """Give bytes one by one."""
    for part in said:
        yield part


@pytest.mark.parametrize(("length", "sent"), [(None, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), (3, b"abc")])
async def test_a_stream_is_framed_as_its_head_says(length: int | None, sent: bytes) -> None:
    """An empty piece would end a chunked body too early, so it is left out."""
    connection, wire = connected()
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.upload(parts(b"ab", b"", b"c"), length)
    while len(wire.written) < len(sent):
        await asyncio.sleep(0)
    connection.data_received(answer(b""))
    await head
    await asyncio.sleep(0)
    assert wire.written == sent
    assert connection.reusable


@pytest.mark.parametrize("said", [b"ab", b"abcd"])
async def test_a_stream_of_another_length_than_stated_is_cut(said: bytes) -> None:
    """Its rest, or the next request's start, would be read as something else."""
    connection, wire = connected()
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.upload(parts(said), 3)
    with pytest.raises(BodyLengthError):
        await head
    assert wire.aborted
    assert wire.written in (b"", b"ab")


async def test_a_full_socket_stops_the_upload() -> None:
    """The client is not read faster than the upstream reads."""
    connection, wire = connected()
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.pause_writing()
    connection.upload(parts(b"a", b"b"), 2)
    for _ in range(5):
        await asyncio.sleep(0)
    assert wire.written == b"a"
    connection.resume_writing()
    while wire.written != b"ab":
        await asyncio.sleep(0)
    connection.data_received(answer(b""))
    await head


async def test_failures_are_what_asyncio_and_the_parser_raise() -> None:
    """Timeouts among them."""
    assert issubclass(TimeoutError, FAILURES)
    assert issubclass(httptools.HttpParserError, FAILURES)


async def test_trailers_are_kept_apart_and_those_that_may_not_trail_are_dropped() -> None:
    """Every byte of the others; the next exchange on the connection has none of them."""
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    said += b"X-Sum: caf\xe9\r\nset-cookie: a=1\r\nAuthorization: k\r\nx-sum: 2\r\n\r\n"
    connection, _ = connected()
    connection.begin(head_only=False, may_upgrade=False)
    connection.data_received(said)
    assert await body_of(connection) == b"ok"
    assert connection.headers == [("Transfer-Encoding", "chunked")]
    assert connection.trailers == [("X-Sum", "caf\udce9"), ("x-sum", "2")]
    connection.begin(head_only=False, may_upgrade=False)
    assert connection.trailers == []


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"identity"])
async def test_a_transfer_coding_that_was_not_asked_for_is_refused(coding: bytes) -> None:
    """The client could not be told of it: it is of this hop only."""
    connection, _ = connected()
    head = connection.begin(head_only=False, may_upgrade=False)
    connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\n")
    with pytest.raises(httptools.HttpParserError):
        await head
