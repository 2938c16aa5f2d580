"""Websockets through the proxy, unread."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from elision.proxy.tunnel import wants_upgrade
from fakes.running import proxy


@asynccontextmanager
async def echo_server(closed: asyncio.Event) -> AsyncIterator[str]:
    """A websocket server that says everything back, and refuses without a key."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            return web.json_response({"error": "no key"}, status=401)
        socket = web.WebSocketResponse(protocols=("realtime",), max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.data == "leave":
                break
            await (socket.send_str if isinstance(message.data, str) else socket.send_bytes)(message.data)
        closed.set()
        await socket.close()
        return socket

    server = web.Server(handle)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    listening.close()
    await server.shutdown(0.1)


async def test_messages_go_both_ways_whatever_their_size() -> None:
    """Text, bytes, megabytes; protocol and headers negotiated by the two ends."""
    closed = asyncio.Event()
    async with (
        echo_server(closed) as upstream,
        proxy(upstream) as running,
        aiohttp.ClientSession() as session,
    ):
        socket = await session.ws_connect(
            running.url + "/v1/realtime?model=m",
            headers={"Authorization": "Bearer k"},
            protocols=("realtime",),
            max_msg_size=0,
        )
        assert socket.protocol == "realtime"
        for message in ("hello", "你" * 1000, "x" * 3_000_000):
            await socket.send_str(message)
            assert await socket.receive_str() == message
        await socket.send_bytes(bytes(range(256)))
        assert await socket.receive_bytes() == bytes(range(256))
        await socket.close()
        async with asyncio.timeout(5):
            await closed.wait()
            while running.handler.active:
                await asyncio.sleep(0.01)
    assert running.records[0].status == 101


@pytest.mark.parametrize("by_upstream", [True, False])
async def test_when_one_side_leaves_so_does_the_other(by_upstream: bool) -> None:
    """Nothing stays behind."""
    closed = asyncio.Event()
    async with (
        echo_server(closed) as upstream,
        proxy(upstream) as running,
        aiohttp.ClientSession() as session,
    ):
        socket = await session.ws_connect(running.url + "/v1/realtime", headers={"Authorization": "k"})
        if by_upstream:
            await socket.send_str("leave")
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        else:
            await session.close()
        async with asyncio.timeout(5):
            await closed.wait()
            while running.handler.active:
                await asyncio.sleep(0.01)


async def test_a_refused_upgrade_is_an_answer_like_any_other() -> None:
    """Status and body of the upstream."""
    async with (
        echo_server(asyncio.Event()) as upstream,
        proxy(upstream) as running,
        aiohttp.ClientSession() as session,
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(running.url + "/v1/realtime")
    assert refused.value.status == 401


def test_only_a_websocket_upgrade_is_one() -> None:
    """h2c and the like are dropped as hop-by-hop headers."""
    assert wants_upgrade([("Connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")])
    assert wants_upgrade([("Connection", "keep-alive"), ("Connection", "upgrade"), ("upgrade", "websocket")])
    assert not wants_upgrade([("Connection", "x-upgrade"), ("Upgrade", "websocket")])
    assert not wants_upgrade([("Connection", "Upgrade"), ("Upgrade", "h2c")])
    assert not wants_upgrade([("Upgrade", "websocket")])
