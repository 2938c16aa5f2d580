"""A proxy that is asked about itself alone: what is under `/elision/`, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from elision.proxy.admin import Admin
from elision.proxy.handler import Deps, Handler
from elision.proxy.rewriter import PassThrough
from elision.proxy.routing import Upstreams
from elision.proxy.server import BoundedServer, ClientLimits
from elision.proxy.teams import Teams
from elision.proxy.upstream import HttpUpstream, UpstreamLimits
from fakes.raw_upstream import RawUpstream, always, answer
from fakes.running import Answer, raw_exchange

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Administered:
    """A proxy that runs."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ask(self, method: str, path: str, headers: Pairs = (), body: bytes = b"") -> Answer:
        """Send one request; `Host` is the proxy's address unless it is among the headers."""
        pairs = list(headers)
        if not any(name.lower() == "host" for name, _ in pairs):
            pairs.insert(0, ("Host", f"127.0.0.1:{self.port}"))
        pairs += [("Content-Length", str(len(body)))] if method == "POST" else []
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
        return await raw_exchange(self.port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        """Send a GET."""
        return await self.ask("GET", path, headers)

    async def json(self, path: str) -> Any:
        """Return what is answered, read as JSON."""
        return json.loads((await self.get(path)).body)


@asynccontextmanager
async def administered(admin: Admin) -> AsyncIterator[Administered]:
    """Run a proxy until the block ends; nothing may reach its upstream."""
    async with RawUpstream(lambda _: always(answer(b""))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits())
        deps = Deps(Upstreams.only(client), PassThrough(), (), admin, Teams(), 1)
        server = BoundedServer(Handler(deps), ClientLimits())
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        try:
            yield Administered(listening.sockets[0].getsockname()[1])
        finally:
            listening.close()
            await server.shutdown(0.1)
            await client.close()
    assert upstream.received == []
