"""A request's body: read whole where it is to be looked into, streamed where it is not or is too large.

Owns the patience with whoever sends it. A request's trailers are not forwarded: aiohttp's parser
hands them to nobody.
"""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.http import HttpVersion10

from elision.proxy.errors import RequestError
from elision.proxy.server import ClientConnection, ClientLimits

LEAST_RATE = 64
"""Bytes a second that a slow body must bring in the long run; a byte a minute is no upload."""


def say_continue(request: web.BaseRequest) -> None:
    """Tell a client that waits for it (`Expect: 100-continue`) to send its body; HTTP/1.0 knows no 100."""
    if request.transport is not None and request.version != HttpVersion10:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def check_body(request: web.BaseRequest) -> None:
    """Refuse a body whose bytes the next hop would take for something else.

    Raises:
        RequestError: another transfer coding than `chunked`, which nobody undoes (RFC 9112, section 6.1).
    """
    coding = request.headers.get("Transfer-Encoding", "chunked")
    if coding.strip().lower() != "chunked":
        message = "The only transfer coding that is understood is chunked; send the body without others."
        raise RequestError(501, "transfer_coding", message)


class Pieces:
    """A body's pieces as they come.

    A client has a stock of patience, `idle_s` at most: waiting for it uses it up, what it sends
    refills it. So silence ends after `idle_s`, and a trickle not much later.

    Raises (from `next`):
        RequestError: 408, the stock is used up; or 400, the body cannot be read.
    """

    def __init__(self, request: web.BaseRequest) -> None:
        self._content = request.content
        self._connection = request.protocol
        limits = self._connection.limits if isinstance(self._connection, ClientConnection) else ClientLimits()
        self._left = self._most = limits.idle_s

    async def next(self) -> bytes:
        """Return the next piece, b"" at the end."""
        piece = self._content.read_nowait()
        if not piece and not self._content.is_eof():
            loop = asyncio.get_running_loop()
            started = loop.time()
            try:
                async with asyncio.timeout(self._left):
                    piece = await self._content.readany()
            except TimeoutError:
                raise self._given_up() from None
            self._left -= loop.time() - started
            # Woken by the end of a chunk, the reader finds the end of what broke meanwhile, and no error.
            if not piece and (why := self._content.exception()) is not None:
                raise why
        self._left = min(self._most, self._left + len(piece) / LEAST_RATE)
        return piece

    def _given_up(self) -> RequestError:
        message = "The request's body did not come in time; send it faster, or in smaller parts."
        error = RequestError(408, "client_too_slow", message)
        if isinstance(self._connection, ClientConnection):
            self._connection.give_up(self._content, error)
        return error


async def streamed(request: web.BaseRequest) -> AsyncIterator[bytes]:
    """Yield a body as it comes."""
    pieces = Pieces(request)
    while piece := await pieces.next():
        yield piece


async def read_up_to(request: web.BaseRequest, limit: int) -> bytes | AsyncIterator[bytes]:
    """Return a body of at most `limit` bytes whole; a larger one as a stream, from its beginning."""
    pieces = Pieces(request)
    body = bytearray()
    while len(body) <= limit and (piece := await pieces.next()):
        body += piece
    return bytes(body) if len(body) <= limit else _then(bytes(body), pieces)


async def _then(read: bytes, pieces: Pieces) -> AsyncIterator[bytes]:
    yield read
    while piece := await pieces.next():
        yield piece
