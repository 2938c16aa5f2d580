"""The yardstick: the least that an honest aiohttp-to-aiohttp pass-through does, in 60 lines.

Tuned against the known traps (cookies, inflated bodies, header limits, automatic headers,
cancellation, timeouts), and nothing else: no ids, no records, no errors of its own, no usage.
Usage: minimal_proxy.py PORT UPSTREAM
"""

import asyncio
import sys

import aiohttp
import uvloop
import yarl
from aiohttp import web

_HOP = frozenset(("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"))
_DROPPED = _HOP | {f"proxy-{name}" for name in ("authenticate", "authorization", "connection")}
_DROPPED |= {"host", "content-length"}
_LIMIT = 65536


async def main(port: int, upstream: str) -> None:
    """Serve until cancelled."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600),
        max_line_size=_LIMIT,
        max_field_size=_LIMIT,
    )

    async def forward(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read() if request.body_exists else None
        headers = [(n, v) for n, v in request.headers.items() if n.lower() not in _DROPPED]
        url = yarl.URL(upstream + request.raw_path, encoded=True)
        async with session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            out = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _DROPPED or name.lower() == "content-length":
                    out.headers.add(name, value)
            await out.prepare(request)
            async for chunk in answer.content.iter_any():
                await out.write(chunk)
            await out.write_eof()
            return out

    server = web.Server(forward, handler_cancellation=True, auto_decompress=False, access_log=None)
    async with session:
        await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=1024)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
