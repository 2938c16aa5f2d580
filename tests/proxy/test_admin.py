"""What the proxy says of itself."""

import json

import pytest

from elision.proxy.admin import Admin
from elision.proxy.handler import Deps, Handler
from elision.proxy.records import LogSink
from elision.proxy.rewriter import PassThrough
from elision.proxy.routing import Upstreams
from elision.proxy.server import BoundedServer, ClientLimits
from elision.proxy.upstream import HttpUpstream, UpstreamLimits
from fakes.raw_upstream import RawUpstream, always, answer
from fakes.running import raw_exchange, request_bytes


@pytest.mark.parametrize(
    ("method", "path", "ready", "status"),
    [
        ("GET", "/elision/live", False, 200),
        ("GET", "/elision/ready", True, 200),
        ("GET", "/elision/ready", False, 503),
        ("GET", "/elision/other", True, 404),
        ("POST", "/elision/live", True, 405),
    ],
)
async def test_alive_and_ready_are_two_questions(method: str, path: str, ready: bool, status: int) -> None:
    """A proxy that still loads weights is alive, and not ready."""
    import asyncio

    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        admin = Admin(lambda: {"ready": ready, "methods": {"m": "weights missing"}})
        server = BoundedServer(
            Handler(Deps(Upstreams.only(client), PassThrough(), LogSink(), admin, 1)), ClientLimits()
        )
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        got = await raw_exchange(listening.sockets[0].getsockname()[1], request_bytes(method, path))
        listening.close()
        await server.shutdown(0.1)
        await client.close()
    assert got.status == status
    if path == "/elision/ready":
        assert json.loads(got.body) == {"ready": ready, "methods": {"m": "weights missing"}}
