"""Sending once, and what the far side's failures become."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from elision.proxy.errors import UpstreamError
from elision.proxy.upstream import HttpUpstream, UpstreamLimits, UpstreamRequest
from fakes.raw_upstream import RawUpstream, Received, always, answer, chunk

GET = UpstreamRequest("GET", "/v1/models", [], None)


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("", "/v1/models", "/v1/models"),
        ("/openai", "/v1/x", "/openai/v1/x"),
        ("/a%2Fb", "/v1/%20?q=%2B+", "/a%2Fb/v1/%20?q=%2B+"),
    ],
)
async def test_the_path_follows_the_base_url(base: str, path: str, target: str) -> None:
    """Never re-quoted."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url + base, UpstreamLimits())
        (await client.send(UpstreamRequest("GET", path, [], None))).close()
        await client.close()
    assert upstream.received[0].target == target


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


async def test_garbage_from_the_upstream_is_its_error() -> None:
    """Not ours, not the client's."""
    async with RawUpstream(lambda _: always(b"SSH-2.0\r\n\r\n"), close_after=True) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        with pytest.raises(UpstreamError) as failure:
            await client.send(GET)
        await client.close()
    assert failure.value.status == 502
