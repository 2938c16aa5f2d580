"""Promise 1 and 2 at the socket: what comes in goes out, and nothing stands in its way."""

import asyncio
import gzip
import hashlib
import json
import random
from collections.abc import AsyncIterator

import pytest

from elision.accounts.records import Report
from elision.proxy.rewriter import Ask, Rewrite
from elision.proxy.upstream import UpstreamLimits
from fakes.raw_upstream import RawUpstream, Received, always, answer, chunk
from fakes.running import proxy, raw_exchange, read_answer, request_bytes

EVENTS = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Noted:
    """A receipt that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def sent(self) -> None:
        self.told.append("sent")

    def withdrawn(self, reason: str) -> None:
        self.told.append(reason)


class Shortening:
    """A rewriter that exchanges one word in chat bodies."""

    def __init__(self) -> None:
        self.receipt = Noted()

    def wants(self, ask: Ask) -> bool:
        return ask.path == "/v1/chat/completions"

    def unread(self, ask: Ask, *reasons: str) -> Report:
        return Report(team=ask.team, bypass=reasons)

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        report = Report(ask.team, "p@1", "enforce", ("m",), tokens_before=9, tokens_after=3)
        return Rewrite(body.replace(b"very long", b"short"), True, report, receipt=self.receipt)


async def ok(request: Received) -> AsyncIterator[bytes]:
    """Answer everything with an empty object."""
    yield answer(b"{}")


async def test_body_and_headers_arrive_as_they_were_sent() -> None:
    """SHA-256 of the body, repeats, order and case of headers, the raw target: all equal."""
    body = bytes(range(256)) * 700
    headers = [
        ("X-A", "1"),
        ("x-b", "caf\u00e9".encode().decode("latin-1")),
        ("X-A", "2"),
        ("Authorization", "Bearer k"),
        ("Cookie", "c=1"),
    ]
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        await raw_exchange(
            running.port,
            request_bytes("PUT", "/v1/files%2Fa?b=%20c+d&e", headers, body),
        )
    [received] = upstream.received
    assert (received.method, received.target) == ("PUT", "/v1/files%2Fa?b=%20c+d&e")
    assert hashlib.sha256(received.body).digest() == hashlib.sha256(body).digest()
    assert received.values("host") == [f"127.0.0.1:{upstream.port}"]
    sent = [pair for pair in received.headers if pair[0].lower() != "host"]
    assert sent == [
        *headers,
        ("Content-Length", "179200"),
    ]


async def test_the_answer_comes_back_as_it_was_said() -> None:
    """Status, reason, repeated headers and a compressed body; nothing added but our own headers."""
    body = gzip.compress(b'{"a": 1}')
    head = "HTTP/1.1 418 Short And Stout\r\nX-R: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
    head += "Content-Encoding: gzip\r\nContent-Type: application/json\r\n"
    async with (
        RawUpstream(lambda _: always(answer(body, head))) as upstream,
        proxy(upstream.url) as running,
    ):
        got = await raw_exchange(running.port, request_bytes("GET", "/v1/models"))
    assert (got.status, got.reason, got.body) == (418, "Short And Stout", body)
    theirs = [pair for pair in got.headers if not pair[0].startswith("x-elision-")]
    assert theirs == [
        ("X-R", "1"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Encoding", "gzip"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ]
    assert len(got.value("x-elision-request-id")) == 32
    assert float(got.value("x-elision-overhead-ms")) >= 0


async def test_one_users_cookie_never_reaches_the_next_request() -> None:
    """No cookie jar is kept."""
    head = "HTTP/1.1 200 OK\r\nSet-Cookie: session=secret; Path=/\r\n"
    async with (
        RawUpstream(lambda _: always(answer(b"", head))) as upstream,
        proxy(upstream.url) as running,
    ):
        await raw_exchange(running.port, request_bytes("GET", "/v1/models"))
        await raw_exchange(running.port, request_bytes("GET", "/v1/models"))
    assert [request.values("cookie") for request in upstream.received] == [[], []]


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
async def test_every_method_passes(method: str) -> None:
    """The proxy knows none and forwards all; HEAD's answer has no body."""
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        if method == "HEAD":
            upstream.script = lambda _: always(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        got = await raw_exchange(running.port, request_bytes(method, "/v1/x"))
    assert (upstream.received[0].method, got.status) == (method, 200)
    assert got.value("content-length") == ("9" if method == "HEAD" else "2")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_answers_without_a_body_have_none(status: str) -> None:
    """And no length or type is made up for them."""
    said = f"HTTP/1.1 {status}\r\nX-R: 1\r\n\r\n".encode()
    async with (
        RawUpstream(lambda _: always(said)) as upstream,
        proxy(upstream.url) as running,
    ):
        got = await raw_exchange(running.port, request_bytes("GET", "/v1/x"))
    assert (f"{got.status} {got.reason}", got.body) == (status, b"")
    assert [name for name, _ in got.headers if not name.startswith("x-elision-")] == ["X-R"]


async def test_a_redirect_is_passed_on_not_followed() -> None:
    """The key must not travel to another host."""
    said = answer(b"", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/elsewhere\r\n")
    async with (
        RawUpstream(lambda _: always(said)) as upstream,
        proxy(upstream.url) as running,
    ):
        got = await raw_exchange(running.port, request_bytes("GET", "/v1/x", [("Authorization", "k")]))
    assert (got.status, got.value("location")) == (302, "http://127.0.0.1:1/elsewhere")
    assert len(upstream.received) == 1


async def test_a_chunked_request_arrives_whole() -> None:
    """Framing is of the hop; the body is the client's."""
    framed = chunk(b"one ") + chunk(b"two") + b"0\r\n\r\n"
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        await raw_exchange(
            running.port,
            request_bytes("POST", "/v1/audio", [("Transfer-Encoding", "chunked")], framed),
        )
    assert upstream.received[0].body == b"one two"


async def test_an_answer_to_an_unfinished_upload_reaches_the_client_at_once() -> None:
    """It may say why the rest should not be sent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"one ")
        writer.write(answer(b"no", "HTTP/1.1 413 Too Large\r\n"))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with proxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as running:
        got = await raw_exchange(
            running.port,
            request_bytes("POST", "/v1/audio", [("Transfer-Encoding", "chunked")], chunk(b"one ")),
        )
    server.close()
    assert (got.status, got.body) == (413, b"no")


async def test_a_client_that_expects_100_is_told_to_go_on() -> None:
    """Before its body is read; the header stays here."""
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(
            b"POST /v1/files HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        got = await read_answer(reader)
        writer.close()
    assert (got.status, upstream.received[0].body) == (200, b"hi")
    assert upstream.received[0].values("expect") == []


async def test_stream_chunks_are_forwarded_as_they_arrive() -> None:
    """The second event is not said before the client has the first: nothing is buffered."""
    seen = asyncio.Event()

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield EVENTS.encode() + chunk(b"data: 1\n\n")
        await seen.wait()
        yield (chunk(b'data: {"usage":{"prompt_tokens":4,"completion_tokens":2}}\n\n') + b"0\r\n\r\n")

    async with RawUpstream(script) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request_bytes("POST", "/v1/x", body=b"{}"))
        async with asyncio.timeout(5):
            await reader.readuntil(b"data: 1\n\n")
            seen.set()
            rest = await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        await asyncio.sleep(0.01)
    assert b"prompt_tokens" in rest
    [record] = running.records
    assert record.answered.usage is not None
    assert (record.answered.usage.prompt_tokens, record.answered.usage.completion_tokens) == (4, 2)


@pytest.mark.parametrize("after_first_byte", [True, False])
async def test_a_client_that_leaves_cancels_the_upstream_request(
    after_first_byte: bool,
) -> None:
    """Nobody pays for tokens that nobody reads."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        if after_first_byte:
            yield EVENTS.encode() + chunk(b"data: 1\n\n")
        await asyncio.sleep(30)

    async with RawUpstream(script) as upstream, proxy(upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request_bytes("POST", "/v1/x", body=b"{}"))
        if after_first_byte:
            await reader.readuntil(b"data: 1\n\n")
        else:
            while not upstream.received:
                await asyncio.sleep(0.005)
        writer.transport.abort()
        async with asyncio.timeout(5):
            await upstream.left_early.wait()
            while running.handler.active:
                await asyncio.sleep(0.005)
    assert running.records[0].error == "client_disconnected"


async def test_an_upstream_that_dies_mid_stream_is_not_a_clean_end() -> None:
    """The client must not take half an answer for a whole one."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield EVENTS.encode() + chunk(b"data: 1\n\n")

    async with (
        RawUpstream(script, close_after=True) as upstream,
        proxy(upstream.url) as running,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request_bytes("POST", "/v1/x", body=b"{}"))
        got = await reader.read()
        writer.close()
    assert got.endswith(b"data: 1\n\n\r\n"), "the closing chunk would make it a whole answer"
    assert running.records[0].error == "upstream_broke_off"


async def test_an_unreachable_upstream_is_a_502_in_openais_shape() -> None:
    """The message says which host and why."""
    async with proxy("http://127.0.0.1:1") as running:
        got = await raw_exchange(running.port, request_bytes("POST", "/v1/chat/completions", body=b"{}"))
    error = json.loads(got.body)["error"]
    assert (got.status, error["type"], error["code"]) == (
        502,
        "upstream_error",
        "upstream_unreachable",
    )
    assert "127.0.0.1" in error["message"]
    assert got.value("x-elision-request-id") == running.records[0].request_id


async def test_a_silent_upstream_is_a_504() -> None:
    """After the configured patience."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        await asyncio.sleep(30)
        yield b""

    limits = UpstreamLimits(first_byte_s=0.1)
    async with (
        RawUpstream(script) as upstream,
        proxy(upstream.url, limits=limits) as running,
    ):
        got = await raw_exchange(running.port, request_bytes("GET", "/v1/x"))
    assert (got.status, json.loads(got.body)["error"]["code"]) == (
        504,
        "upstream_timeout",
    )


async def test_a_rewritten_body_goes_out_with_its_own_length_and_is_told_of() -> None:
    """The rewriter's bytes, the rewriter's report."""
    async with (
        RawUpstream(ok) as upstream,
        proxy(upstream.url, Shortening()) as running,
    ):
        got = await raw_exchange(
            running.port,
            request_bytes("POST", "/t/search/v1/chat/completions", body=b"a very long word"),
        )
    [received] = upstream.received
    assert (received.target, received.body) == ("/v1/chat/completions", b"a short word")
    assert received.values("content-length") == ["12"]
    assert (got.value("x-elision-team"), got.value("x-elision-tokens-saved")) == (
        "search",
        "6",
    )


async def test_a_rejected_rewrite_is_replaced_by_the_original_once() -> None:
    """A 400 that we caused never reaches the client; one that the client caused does."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield (answer(b"{}") if b"very long" in request.body else answer(b"no", "HTTP/1.1 400 Bad\r\n"))

    async with (
        RawUpstream(script) as upstream,
        proxy(upstream.url, Shortening()) as running,
    ):
        got = await raw_exchange(
            running.port,
            request_bytes("POST", "/v1/chat/completions", body=b"a very long word"),
        )
    assert [request.body for request in upstream.received] == [
        b"a short word",
        b"a very long word",
    ]
    assert (got.status, got.value("x-elision-bypass")) == (200, "upstream_400")
    assert (
        got.value("x-elision-tokens-saved"),
        running.records[0].sent_original_after_rejection,
    ) == (
        "0",
        True,
    )


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_other_refusals_are_passed_on_and_not_repeated(status: int) -> None:
    """They are not about the body, or the request may have been carried out."""
    said = answer(b"no", f"HTTP/1.1 {status} No\r\nRetry-After: 7\r\n")
    async with (
        RawUpstream(lambda _: always(said)) as upstream,
        proxy(upstream.url, Shortening()) as running,
    ):
        got = await raw_exchange(
            running.port,
            request_bytes("POST", "/v1/chat/completions", body=b"a very long word"),
        )
    assert (got.status, got.value("retry-after"), len(upstream.received)) == (
        status,
        "7",
        1,
    )


async def test_a_body_beyond_the_limit_streams_through_unread() -> None:
    """However large; with the reason told."""
    body = b"very long " * 50_000
    async with (
        RawUpstream(ok) as upstream,
        proxy(upstream.url, Shortening(), body_limit_bytes=1000) as running,
    ):
        got = await raw_exchange(running.port, request_bytes("POST", "/v1/chat/completions", body=body))
    assert upstream.received[0].body == body
    assert got.value("x-elision-bypass") == "body_too_large"


async def test_an_encoded_body_is_not_looked_into() -> None:
    """A gzip body stays a gzip body."""
    body = gzip.compress(b"a very long word")
    async with (
        RawUpstream(ok) as upstream,
        proxy(upstream.url, Shortening()) as running,
    ):
        got = await raw_exchange(
            running.port,
            request_bytes("POST", "/v1/chat/completions", [("Content-Encoding", "gzip")], body),
        )
    assert upstream.received[0].body == body
    assert got.value("x-elision-bypass") == "encoded_body"


async def test_our_own_paths_never_go_upstream() -> None:
    """`/elision/` is answered here."""
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(running.port, request_bytes("GET", "/elision/live"))
    assert (got.status, upstream.received) == (200, [])


async def test_a_target_with_a_host_goes_to_the_upstream_all_the_same() -> None:
    """A key is for the configured upstream; one that is a proxy itself could take it elsewhere."""
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(running.port, request_bytes("GET", "http://other.test/t/search/v1/x?y=1"))
    assert (got.status, [request.target for request in upstream.received]) == (200, ["/v1/x?y=1"])


async def test_nobody_tunnels_through_the_upstream() -> None:
    """CONNECT is for proxies that clients know of."""
    async with RawUpstream(ok) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(
            running.port, b"CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n"
        )
    assert (got.status, json.loads(got.body)["error"]["code"], upstream.received) == (405, "no_tunnel", [])


async def test_a_busy_upstream_is_a_503_with_the_time_to_ask_again() -> None:
    """The official clients wait as told; waiting is not our overhead."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield EVENTS.encode() + chunk(b"data: 1\n\n")
        await asyncio.sleep(30)

    limits = UpstreamLimits(connections=1, connect_s=0.1)
    async with RawUpstream(script) as upstream, proxy(upstream.url, limits=limits) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request_bytes("POST", "/v1/x", body=b"{}"))
        await reader.readuntil(b"data: 1\n\n")
        got = await raw_exchange(running.port, request_bytes("POST", "/v1/x", body=b"{}"))
        writer.close()
    error = json.loads(got.body)["error"]
    assert (got.status, error["code"], error["type"]) == (503, "upstream_busy", "elision_error")
    assert got.value("retry-after") == "1"
    assert float(got.value("x-elision-overhead-ms")) < 100
    assert len(upstream.received) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_clients_that_leave_at_any_moment_leave_no_connection_taken(seed: int) -> None:
    """While they wait for one, or while they are answered; and nothing goes on for them."""
    chance = random.Random(seed)

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield EVENTS.encode() + chunk(b"data: 1\n\n")
        await asyncio.sleep(0.02)
        yield b"0\r\n\r\n"

    async def leave(port: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_bytes("POST", "/v1/x", body=b"{}"))
        await asyncio.sleep(chance.random() * 0.1)
        writer.transport.abort()

    limits = UpstreamLimits(connections=2, connect_s=5)
    async with RawUpstream(script) as upstream, proxy(upstream.url, limits=limits) as running:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(80):
                tasks.create_task(leave(running.port))
                await asyncio.sleep(chance.choice((0, 0.001)))
        async with asyncio.timeout(5):
            while running.handler.active:
                await asyncio.sleep(0.005)
            asks = [raw_exchange(running.port, request_bytes("GET", "/v1/x")) for _ in range(4)]
            answers = await asyncio.gather(*asks)
    assert [got.status for got in answers] == [200] * 4
    assert {record.error for record in running.records} <= {"", "client_disconnected"}


@pytest.mark.parametrize(
    ("short", "original", "told"),
    [
        ("200 OK", "", []),
        ("400 Bad", "200 OK", ["upstream_400"]),
        ("422 Bad", "422 Bad", []),
        ("400 Bad", "429 No", []),
    ],
)
async def test_the_receipt_is_told_what_was_sent_at_last(short: str, original: str, told: list[str]) -> None:
    """The original only if it was accepted where the other was not: else it was not our doing."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield answer(b"{}", f"HTTP/1.1 {original if b'very long' in request.body else short}\r\n")

    rewriter = Shortening()
    async with RawUpstream(script) as upstream, proxy(upstream.url, rewriter) as running:
        await raw_exchange(
            running.port, request_bytes("POST", "/v1/chat/completions", (), b"a very long text")
        )
    assert rewriter.receipt.told == ["sent", *told]


async def test_the_receipt_is_told_even_where_no_answer_came() -> None:
    """The provider may have read the prompt, and kept its prefix."""
    rewriter = Shortening()

    silent = RawUpstream(lambda request: always(b"no http at all\r\n\r\n"))
    async with silent as upstream, proxy(upstream.url, rewriter) as running:
        got = await raw_exchange(running.port, request_bytes("POST", "/v1/chat/completions", (), b"a"))
    assert (got.status, rewriter.receipt.told) == (502, ["sent"])
