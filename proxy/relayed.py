"""An upstream's answer on its way to the client: its own headers byte for byte, and none of aiohttp's.

Owns the answer's head, its framing on this hop, and its trailers. aiohttp writes the body; its own
way of writing a head would drop bytes that are not UTF-8 and add headers that nobody sent.
"""

import asyncio

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion10, StreamWriter

from elision.proxy.errors import UpstreamError
from elision.proxy.headers import Headers, value_of
from elision.proxy.server import reset

_SWITCHING = 101
_NO_CONTENT = 204


class RelayedResponse(web.StreamResponse):
    """An answer with the upstream's status, reason, headers and trailers.

    Args:
        status: HTTP status; 101 leaves HTTP after the head, and then `headers` name the protocol.
        reason: as the upstream said it; bytes beyond ASCII as surrogate escapes.
        headers: in their order, their case and their bytes; the framing of this hop is added.
    """

    def __init__(self, status: int, reason: str, headers: Headers) -> None:
        super().__init__(status=status, reason=reason)
        self.trailers: Headers = []
        self._pairs = headers

    async def _start(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Decide on the framing, and send the head: with the body's first bytes if they are here."""
        head, chunked = self._head(request)
        writer = request.writer
        if not isinstance(writer, StreamWriter):
            raise TypeError("the head can be handed to aiohttp's own writer only")
        self._req, self._payload_writer = request, writer
        writer.chunked = chunked
        writer._headers_buf = head  # noqa: SLF001  what its `write_headers` does, without its encoding
        asyncio.get_running_loop().call_soon(_send_head, writer)
        return writer

    def _head(self, request: web.BaseRequest) -> tuple[bytes, bool]:
        """Return the head's bytes, and whether the body is chunked.

        Raises:
            UpstreamError: a line break or a NUL in it would make two heads of one.
        """
        pairs, status = self._pairs, self.status
        old = request.version == HttpVersion10
        keep_alive, chunked = request.keep_alive, False
        if status == _NO_CONTENT:
            pairs = [pair for pair in pairs if pair[0].lower() != "content-length"]
        if not self._must_be_empty_body and not value_of(pairs, "content-length"):
            chunked = not old
            keep_alive = keep_alive and chunked  # else the body ends with the connection
        lines = [f"HTTP/1.{0 if old else 1} {status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in pairs]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if keep_alive == old and status != _SWITCHING:
            lines.append("Connection: keep-alive" if keep_alive else "Connection: close")
        self._keep_alive = keep_alive
        return _encoded(lines), chunked

    def break_off(self) -> None:
        """End the answer so that the client cannot take what it has for the whole.

        A chunk or a byte that is missing says so by itself; what was sent until then may be of use.
        """
        transport = self._req.transport if self._req is not None else None
        if transport is None:
            return
        writer = self._payload_writer
        if isinstance(writer, StreamWriter) and writer.chunked:
            transport.abort()
        else:
            reset(transport)

    async def write_eof(self, data: bytes = b"") -> None:
        """End the answer; trailers go with the last chunk, if this hop is chunked."""
        writer = self._payload_writer
        if self.trailers and isinstance(writer, StreamWriter) and writer.chunked:
            if data:
                await self.write(data)
            end = _encoded(["0", *(f"{name}: {value}" for name, value in self.trailers)])
            writer.chunked = False  # what follows is framed already
            await writer.write(end)
            data = b""
        await super().write_eof(data)


def _encoded(lines: list[str]) -> bytes:
    """Return lines and the empty one that ends them."""
    text = "\r\n".join(lines)
    ends = len(lines) - 1
    if text.count("\r") != ends or text.count("\n") != ends or "\0" in text:
        raise UpstreamError(502, "upstream_bad_head", "The answer's head has a forbidden character.")
    return f"{text}\r\n\r\n".encode("utf-8", "surrogateescape")


def _send_head(writer: StreamWriter) -> None:
    """Send a head that no body came along with; it is late already if the client has left."""
    if writer.transport is not None and not writer.transport.is_closing():
        writer.send_headers()
