"""Clients that are slow on purpose."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from elision.proxy.server import ClientLimits
from fakes.raw_upstream import RawUpstream, Received, always, answer
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
