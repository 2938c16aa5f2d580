"""Answers on their way to the client."""

from fakes.raw_upstream import RawUpstream, always
from fakes.running import proxy, raw_exchange, request_bytes


async def test_an_answer_keeps_to_the_upstreams_headers() -> None:
    """No `Server`, `Date` or `Content-Type` that the upstream did not send."""
    bare = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    async with RawUpstream(lambda _: always(bare)) as upstream, proxy(upstream.url) as running:
        got = await raw_exchange(running.port, request_bytes("GET", "/v1/models"))
    theirs = {name.lower() for name, _ in got.headers if not name.lower().startswith("x-elision-")}
    assert theirs == {"content-length"}
