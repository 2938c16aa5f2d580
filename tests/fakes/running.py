"""The proxy's own server around a handler, in the test's event loop, on a free port."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from elision.accounts.exposition import Exposition
from elision.accounts.money import Pricing, Unpriced
from elision.accounts.records import RecordSink, RequestRecord, TextSink
from elision.proxy.admin import Admin
from elision.proxy.compress_endpoint import CompressEndpoint
from elision.proxy.handler import Deps, Handler
from elision.proxy.rewriter import PassThrough, Rewriter
from elision.proxy.routing import Upstreams
from elision.proxy.server import BoundedServer, ClientLimits
from elision.proxy.teams import Teams
from elision.proxy.upstream import HttpUpstream, UpstreamLimits


@dataclass
class Remembered:
    """A record sink that keeps what it is given."""

    records: list[RequestRecord] = field(default_factory=list)

    def add(self, record: RequestRecord) -> None:
        self.records.append(record)


@dataclass
class Running:
    """A proxy that runs."""

    port: int
    handler: Handler
    records: list[RequestRecord]
    server: BoundedServer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


async def untold(accept: str) -> Exposition:
    """Tell no metrics."""
    return Exposition(b"", accept)


class EveryTeam:
    """Knows every team that a path names."""

    by_key: Mapping[str, str] = MappingProxyType({})

    def knows(self, team: str) -> bool:
        return True


@asynccontextmanager
async def proxy(
    upstream: str | Upstreams,
    rewriter: Rewriter | None = None,
    *,
    limits: UpstreamLimits | None = None,
    clients: ClientLimits | None = None,
    body_limit_bytes: int = 1 << 20,
    compress: CompressEndpoint | None = None,
    sinks: Sequence[RecordSink] = (),
    texts: TextSink | None = None,
    pricing: Pricing | None = None,
) -> AsyncIterator[Running]:
    """Run the proxy before one upstream, by its URL, or several until the block ends."""
    if isinstance(upstream, str):
        upstream = Upstreams.only(HttpUpstream(upstream, limits or UpstreamLimits()))
    sink = Remembered()
    admin = Admin(lambda: {"ready": True}, untold)
    teams = Teams(EveryTeam())
    deps = Deps(
        upstream,
        rewriter or PassThrough(),
        (sink, *sinks),
        admin,
        teams,
        body_limit_bytes,
        compress,
        pricing or Unpriced(),
        texts=texts,
    )
    handler = Handler(deps)
    server = BoundedServer(handler, clients or ClientLimits())
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield Running(listening.sockets[0].getsockname()[1], handler, sink.records, server)
    finally:
        listening.close()
        await server.shutdown(0.2)
        await upstream.close()


@dataclass(frozen=True)
class Answer:
    """A response as it came over the wire, its body still framed unless a length was stated."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def value(self, name: str) -> str:
        """Return the first value of a header, or ""."""
        return next((value for found, value in self.headers if found.lower() == name.lower()), "")


async def raw_exchange(port: int, request: bytes, timeout_s: float = 60.0) -> Answer:
    """Send raw bytes, half-close nothing, read until the response is complete or the peer closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        async with asyncio.timeout(timeout_s):
            return await read_answer(reader, head_only=request.startswith(b"HEAD"))
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> Answer:
    """Read one response; chunked bodies are unframed."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    status, _, reason = first.partition(" ")[2].partition(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    known = {name.lower(): value for name, value in headers}
    body = b""
    if head_only or status in ("204", "304"):
        pass
    elif "content-length" in known:
        body = await reader.readexactly(int(known["content-length"]))
    elif known.get("transfer-encoding") == "chunked":
        while (size := int(await reader.readline(), 16)) > 0:
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    else:
        body = await reader.read()
    return Answer(int(status), reason, headers, body)


def request_bytes(
    method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
) -> bytes:
    """Return a raw HTTP/1.1 request; a body's length is stated unless a header frames it."""
    lines = [f"{method} {target} HTTP/1.1", "Host: elision.test", *(f"{n}: {v}" for n, v in headers)]
    framed = any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers)
    if body and not framed:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
