"""A request's body: read whole where it is to be looked into, streamed where it is not or is too large."""

from collections.abc import AsyncIterator

from aiohttp import web


def say_continue(request: web.BaseRequest) -> None:
    """Tell a client that waits for it (`Expect: 100-continue`) to send its body."""
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def read_up_to(request: web.BaseRequest, limit: int) -> bytes | AsyncIterator[bytes]:
    """Return a body of at most `limit` bytes whole; a larger one as a stream, from its beginning."""
    body = bytearray()
    while len(body) <= limit and (chunk := await request.content.readany()):
        body += chunk
    return bytes(body) if len(body) <= limit else _then(bytes(body), request)


async def _then(read: bytes, request: web.BaseRequest) -> AsyncIterator[bytes]:
    yield read
    async for chunk in request.content.iter_any():
        yield chunk
