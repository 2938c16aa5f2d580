"""What the proxy says of itself."""

import asyncio
import json

import pytest

from elision.accounts.exposition import Exposition
from elision.accounts.records import LogSink
from elision.proxy.admin import Admin
from elision.proxy.handler import Deps, Handler
from elision.proxy.rewriter import PassThrough
from elision.proxy.routing import Upstreams
from elision.proxy.server import BoundedServer, ClientLimits
from elision.proxy.teams import Teams
from elision.proxy.upstream import HttpUpstream, UpstreamLimits
from fakes.raw_upstream import RawUpstream, always, answer
from fakes.running import Answer, raw_exchange, request_bytes


async def told(accept: str) -> Exposition:
    """Return what stands for metrics, and the format that was asked for."""
    return Exposition(b"elision_x 1\n", accept or "text/plain")


async def asked(method: str, path: str, *, ready: bool = True) -> Answer:
    """Ask a proxy about itself."""
    readiness = {"ready": ready, "methods": {"m": "weights missing"}}
    admin = Admin(lambda: readiness, told)
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        deps = Deps(Upstreams.only(client), PassThrough(), (LogSink(),), admin, Teams(), 1)
        server = BoundedServer(Handler(deps), ClientLimits())
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        got = await raw_exchange(listening.sockets[0].getsockname()[1], request_bytes(method, path))
        listening.close()
        await server.shutdown(0.1)
        await client.close()
    assert upstream.received == []
    return got


async def test_prometheus_reads_the_figures() -> None:
    """Under the usual content type."""
    got = await asked("GET", "/elision/metrics")
    assert (got.status, got.body) == (200, b"elision_x 1\n")
    assert len(got.value("x-elision-request-id")) == 32
    assert got.value("content-type") == "text/plain"


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
    got = await asked(method, path, ready=ready)
    assert got.status == status
    if status in (404, 405):
        assert json.loads(got.body)["error"]["type"] == "invalid_request_error"
    if path == "/elision/ready":
        assert json.loads(got.body) == {"ready": ready, "methods": {"m": "weights missing"}}
