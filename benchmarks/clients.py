"""The same minimal proxy with another client behind it: pyreqwest (Rust) in aiohttp's place.

It shows what a change of the upstream client would bring to one core, and is no proposal: the
library tells no reason phrase, writes header names in its own case, and tunnels no upgrade.
Usage: clients.py PORT UPSTREAM
"""

import asyncio
import sys
from datetime import timedelta

import uvloop
from aiohttp import web
from pyreqwest.client import ClientBuilder  # type: ignore[import-not-found, unused-ignore]

_HOP = frozenset(("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"))
_DROPPED = _HOP | {f"proxy-{name}" for name in ("authenticate", "authorization", "connection")}
_DROPPED |= {"host", "content-length"}


async def main(port: int, upstream: str) -> None:
    """Serve until cancelled."""
    builder = ClientBuilder().follow_redirects(False).referer(False).no_proxy()
    builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
    builder = builder.connect_timeout(timedelta(seconds=10)).read_timeout(timedelta(seconds=600))
    client = builder.build()

    async def forward(request: web.BaseRequest) -> web.StreamResponse:
        headers = [(n, v) for n, v in request.headers.items() if n.lower() not in _DROPPED]
        asked = client.request(request.method, upstream + request.raw_path).headers(headers)
        if request.body_exists:
            asked = asked.body_bytes(await request.content.read())
        # Without the limit it reads ahead, and holds a stream's first chunks back for a second.
        async with asked.streamed_read_buffer_limit(1).build_streamed() as answer:
            out = web.StreamResponse(status=answer.status)
            for name, value in answer.headers.items():
                if name not in _DROPPED or name == "content-length":
                    out.headers.add(name, value)
            await out.prepare(request)
            while (chunk := await answer.body_reader.read_chunk()) is not None:
                await out.write(bytes(chunk))
            await out.write_eof()
            return out

    server = web.Server(forward, handler_cancellation=True, auto_decompress=False, access_log=None)
    async with client:
        await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=1024)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
