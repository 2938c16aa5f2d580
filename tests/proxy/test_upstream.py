"""Sending once, and what the far side's failures become."""

import asyncio
import random
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from elision.proxy.errors import OwnError, RequestError, UpstreamError
from elision.proxy.upstream import HttpUpstream, UpstreamLimits, UpstreamRequest
from fakes.raw_upstream import RawUpstream, Received, always, answer, chunk

GET = UpstreamRequest("GET", "/v1/models", [], None)


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", "/v1/models", "/v1/models"),
        ("/openai", "/v1/x", "/openai/v1/x"),
        ("/a%2Fb", "/v1/%20?q=%2B+", "/a%2Fb/v1/%20?q=%2B+"),
        ("/a", "/v1/..x/.../x..?../", "/a/v1/..x/.../x..?../"),
        ("", "/v1/../x", "/v1/../x"),
        ("/a", "*", "*"),
    ],
)
async def test_the_path_follows_the_base_url(base: str, path: str, target: str) -> None:
    """Never re-quoted."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url + base, UpstreamLimits())
        (await client.send(UpstreamRequest("GET", path, [], None))).close()
        await client.close()
    assert upstream.received[0].target == target


@pytest.mark.parametrize(
    "path", ["/../x", "/v1/..", "/v1/%2E./x", "/..%2fx", "/..\\x", "/v1\\..\\x", "/..;a/x", "/..?q"]
)
async def test_a_path_cannot_leave_the_base_url(path: str) -> None:
    """What the operator allows, with a key perhaps, is what lies below it."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url + "/openai", UpstreamLimits())
        with pytest.raises(RequestError, match="base URL"):
            await client.send(UpstreamRequest("GET", path, [], None))
        await client.close()
    assert upstream.connections == 0


async def test_no_header_is_added_but_host_and_length() -> None:
    """No user agent, no accepted encodings of ours."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        (await client.send(UpstreamRequest("POST", "/v1/x", [("A", "b")], b"body"))).close()
        await client.close()
    assert sorted(name for name, _ in upstream.received[0].headers) == ["A", "Content-Length", "Host"]


async def test_a_large_body_arrives_whole_with_its_length() -> None:
    """It is sent in pieces."""
    body = bytes(range(256)) * 8192
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        (await client.send(UpstreamRequest("POST", "/v1/x", [], body))).close()
        await client.close()
    assert upstream.received[0].body == body
    assert upstream.received[0].values("content-length") == [str(len(body))]


async def test_a_request_that_met_a_closing_connection_is_not_repeated() -> None:
    """It may have been carried out."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        if False:
            yield b""

    async with RawUpstream(script, close_after=True) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        with pytest.raises(UpstreamError) as failure:
            await client.send(UpstreamRequest("POST", "/v1/x", [], b"x"))
        await client.close()
    assert failure.value.code == "upstream_disconnected"
    assert len(upstream.received) == 1


async def test_silence_between_chunks_ends_the_answer_as_an_error() -> None:
    """After the idle limit, which is another than the first byte's."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"one")
        await asyncio.sleep(30)

    async with RawUpstream(script) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits(first_byte_s=20, idle_s=0.1))
        response = await client.send(GET)
        assert await response.read() == b"one"
        with pytest.raises(UpstreamError, match="broke off"):
            await response.read()
        response.close()
        await client.close()


async def test_an_answer_read_to_its_end_gives_the_connection_back() -> None:
    """The next request goes over it; a half-read one is cut."""
    async with RawUpstream(lambda _: always(answer(b"body"))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        for _ in range(2):
            response = await client.send(GET)
            assert [await response.read(), await response.read()] == [b"body", b""]
            response.close()
        await client.close()
    assert upstream.connections == 1


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    """Before the upstream would close it, perhaps just as a request comes."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits(pooled_s=0.05))
        for _ in range(2):
            response = await client.send(GET)
            assert await response.read() == b""
            response.close()
            await asyncio.sleep(0.2)
        await client.close()
    assert upstream.connections == 2


async def test_garbage_from_the_upstream_is_its_error() -> None:
    """Not ours, not the client's."""
    async with RawUpstream(lambda _: always(b"SSH-2.0\r\n\r\n"), close_after=True) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        with pytest.raises(UpstreamError) as failure:
            await client.send(GET)
        await client.close()
    assert failure.value.status == 502


async def test_bytes_of_headers_survive_both_ways() -> None:
    """UTF-8 or not; their case, their order, their repeats."""
    odd = b"\xff\xe9 \xc3\xa9"
    said = b"HTTP/1.1 200 OK\r\nX-Odd: " + odd + b"\r\nContent-Length: 0\r\n\r\n"
    sent = [("x-b", odd.decode("utf-8", "surrogateescape")), ("X-A", "1"), ("x-b", "2")]
    async with RawUpstream(lambda _: always(said)) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        response = await client.send(UpstreamRequest("GET", "/v1/x", sent, None))
        response.close()
        await client.close()
    assert response.headers[0][1].encode("utf-8", "surrogateescape") == odd
    assert upstream.received[0].headers[1:] == [("x-b", odd.decode("latin-1")), ("X-A", "1"), ("x-b", "2")]


@pytest.mark.parametrize(
    "request_",
    [
        UpstreamRequest("GET", "/v1/x\r\nHost: b", [], None),
        UpstreamRequest("GET", "/v1/x y", [], None),
        UpstreamRequest("GET", "/v1/x", [("A", "b\r\nC: d")], None),
        UpstreamRequest("GET", "/v1/x", [("A", "b\nC")], None),
        UpstreamRequest("GET", "/v1/x", [("A", "b\0")], None),
        UpstreamRequest("POST", "/v1/x", [("Content-Length", "3")], b"body"),
        UpstreamRequest("POST", "/v1/x", [("Content-Length", "3")], None),
        UpstreamRequest("POST", "/v1/x", [("Transfer-Encoding", "chunked")], b"body"),
        UpstreamRequest("POST", "/v1/x", [("Content-Length", "+4")], always(b"body")),
        UpstreamRequest("POST", "/v1/x", [("Content-Length", "0" * 5000 + "4")], always(b"body")),
        UpstreamRequest("POST", "/v1/x", [("Content-Length", "4"), ("content-length", "4")], always(b"body")),
    ],
)
async def test_what_two_readers_could_read_differently_is_not_sent(request_: UpstreamRequest) -> None:
    """Forbidden characters and contradicting lengths are the client's error."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        with pytest.raises(RequestError):
            await client.send(request_)
        await client.close()
    assert upstream.connections == 0


async def test_an_answer_before_the_uploads_end_is_relayed_at_once() -> None:
    """And the connection is not used again."""
    gone = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.sleep(30)
        finally:
            gone.set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        writer.write(answer(b"no", "HTTP/1.1 413 Too Large\r\n"))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpUpstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", UpstreamLimits())
    async with asyncio.timeout(5):
        response = await client.send(UpstreamRequest("POST", "/v1/x", [], endless()))
        assert (response.status, await response.read(), await response.read()) == (413, b"no", b"")
        response.close()
        await gone.wait()
    await client.close()
    server.close()


async def test_a_half_read_answer_is_cut() -> None:
    """Its rest is nobody's."""
    async with RawUpstream(lambda _: always(answer(b"x" * 4_000_000))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        for _ in range(2):
            response = await client.send(GET)
            assert await response.read()
            response.close()
            response.close()
            assert await response.read() == b""
        await client.close()
    assert upstream.connections == 2


async def test_a_reader_that_stalls_stops_the_upstream_from_sending() -> None:
    """Memory stays bounded by buffers, whatever the answer's size."""
    said = 0

    async def script(request: Received) -> AsyncIterator[bytes]:
        nonlocal said
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield b"x" * 65536
            said += 65536

    async with RawUpstream(script) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        response = await client.send(GET)
        before = -1
        async with asyncio.timeout(10):
            while said != before:
                before = said
                await asyncio.sleep(0.1)
            assert len(await response.read()) <= 1 << 20
            while said == before:
                await response.read()
        response.close()
        await client.close()


async def test_cancelling_cuts_the_connection() -> None:
    """The upstream learns it at once."""

    async def script(request: Received) -> AsyncIterator[bytes]:
        await asyncio.sleep(30)
        yield b""

    async with RawUpstream(script) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.send(GET)
        async with asyncio.timeout(5):
            await upstream.left_early.wait()
        await client.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the files of a certificate for 127.0.0.1, signed by itself, and of its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    )
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return certificate, key


@asynccontextmanager
async def over_tls(files: tuple[Path, Path]) -> AsyncIterator[str]:
    """Answer one body over TLS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer(b"secret"))
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_trusted_certificate_is_accepted(certificate: tuple[Path, Path]) -> None:
    """Twice over one connection, as without TLS."""
    trust = ssl.create_default_context(cafile=certificate[0])
    async with over_tls(certificate) as url:
        client = HttpUpstream(url, UpstreamLimits(), trust)
        for _ in range(2):
            response = await client.send(GET)
            assert [await response.read(), await response.read()] == [b"secret", b""]
            response.close()
        await client.close()
        await asyncio.sleep(0.05)


async def test_the_environments_authorities_are_trusted(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE, as for any program that uses OpenSSL."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with over_tls(certificate) as url:
        client = HttpUpstream(url, UpstreamLimits())
        response = await client.send(GET)
        assert await response.read() == b"secret"
        response.close()
        await client.close()
        await asyncio.sleep(0.05)


async def test_an_unknown_certificate_is_refused(certificate: tuple[Path, Path]) -> None:
    """Before a request, and with it a key, is sent."""
    async with over_tls(certificate) as url:
        client = HttpUpstream(url, UpstreamLimits())
        with pytest.raises(UpstreamError) as failure:
            await client.send(GET)
        await client.close()
    assert failure.value.code == "upstream_tls_error"


async def slow(request: Received) -> AsyncIterator[bytes]:
    """Answer in two parts, the second a moment later."""
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"one")
    await asyncio.sleep(0.02)
    yield chunk(b"two") + b"0\r\n\r\n"


async def whole(client: HttpUpstream) -> bytes:
    """Return one answer's body."""
    response = await client.send(GET)
    try:
        parts = []
        while part := await response.read():
            parts.append(part)
        return b"".join(parts)
    finally:
        response.close()


async def test_connections_in_use_and_idle_ones_are_bounded() -> None:
    """Who finds none free waits, and then goes over one that was used before."""
    async with RawUpstream(slow) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits(connections=2))
        async with asyncio.TaskGroup() as tasks:
            bodies = [tasks.create_task(whole(client)) for _ in range(9)]
        await client.close()
    assert [task.result() for task in bodies] == [b"onetwo"] * 9
    assert upstream.connections == 2


async def test_who_waits_too_long_for_a_connection_is_told_to_ask_again() -> None:
    """Nothing was sent for it; the answer under way is not disturbed, nor the place lost."""
    async with RawUpstream(slow) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits(connections=1, connect_s=0.05))
        response = await client.send(GET)
        with pytest.raises(OwnError, match="in use") as busy:
            await client.send(GET)
        assert (busy.value.status, busy.value.code, busy.value.retry_after_s) == (503, "upstream_busy", 1)
        assert (await response.read()).startswith(b"one")
        response.close()
        assert await whole(client) == b"onetwo"
        await client.close()
    assert len(upstream.received) == 2


async def test_every_way_out_gives_the_place_back() -> None:
    """Refused, unreachable, broken off, half read, closed twice, not to be sent."""
    async with RawUpstream(lambda _: always(b"SSH-2.0\r\n\r\n"), close_after=True) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits(connections=1, connect_s=0.2))
        for _ in range(2):
            with pytest.raises(UpstreamError, match="not valid HTTP"):
                await client.send(GET)
        with pytest.raises(RequestError):
            await client.send(UpstreamRequest("GET", "/a b", [], None))
        upstream.script = slow
        for _ in range(2):
            response = await client.send(GET)
            response.close()
            response.close()
        await client.close()
    nobody = HttpUpstream("http://127.0.0.1:1", UpstreamLimits(connections=1, connect_s=0.2))
    for _ in range(2):
        with pytest.raises(UpstreamError) as failure:
            await nobody.send(GET)
        assert failure.value.code == "upstream_unreachable"
    await nobody.close()


@pytest.mark.parametrize("seed", range(3))
async def test_those_who_leave_at_any_moment_leave_their_place(seed: int) -> None:
    """In the line, while connecting, before the answer, within it: all places are free afterwards."""
    chance = random.Random(seed)
    async with RawUpstream(slow) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits(connections=3, connect_s=5))

        async def leaver() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(chance.random() * 0.08):
                    await whole(client)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(150):
                tasks.create_task(leaver())
                await asyncio.sleep(chance.choice((0, 0, 0.002)))
        held = [await client.send(GET) for _ in range(3)]
        async with asyncio.timeout(5):
            for response in held:
                assert (await response.read()).startswith(b"one")
                response.close()
        await client.close()


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[int]) -> None:
    """Let every name lead to ports of this machine, in place of a name server: one answer per question."""
    said = iter(answers)

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        found = [("127.0.0.1", port) for port in next(said)]
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", pair) for pair in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_a_dead_address_gives_way_to_the_hosts_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """As browsers do (RFC 8305); the request is sent once."""
    async with RawUpstream(lambda _: always(answer(b"alive"))) as upstream:
        resolving(monkeypatch, [1, upstream.port])
        client = HttpUpstream("http://api.example", UpstreamLimits())
        assert await whole(client) == b"alive"
        await client.close()
    assert upstream.received[0].values("host") == ["api.example"]


async def test_a_host_that_moved_is_found_at_its_new_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection asks anew where the host is."""
    async with (
        RawUpstream(lambda _: always(answer(b"old", "HTTP/1.1 200 OK\r\nConnection: close\r\n"))) as old,
        RawUpstream(lambda _: always(answer(b"new"))) as new,
    ):
        resolving(monkeypatch, [old.port], [new.port])
        client = HttpUpstream("http://api.example", UpstreamLimits())
        assert await whole(client) == b"old"
        assert [await whole(client) for _ in range(2)] == [b"new", b"new"]
        await client.close()
    assert new.connections == 1


async def test_the_operators_headers_are_sent_in_place_of_the_clients() -> None:
    """Here, so that a key is nowhere near another upstream; no error shows it."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits(), headers={"Authorization": "Bearer secret"})
        theirs = UpstreamRequest("GET", "/v1/x", [("authorization", "Bearer c"), ("A", "b")], None)
        (await client.send(theirs)).close()
        with pytest.raises(RequestError) as refused:
            await client.send(UpstreamRequest("GET", "/v1/x\r\n", [], None))
        with pytest.raises(RequestError, match="TRACE"):  # its answer would be the key
            await client.send(UpstreamRequest("TRACE", "/v1/x", [], None))
        await client.close()
    assert len(upstream.received) == 1
    assert upstream.received[0].headers[1:] == [("A", "b"), ("Authorization", "Bearer secret")]
    assert "secret" not in repr(refused.value) + repr(client)
