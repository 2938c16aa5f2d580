"""One connection to the upstream: HTTP/1.1 on a socket, its parser and its buffers.

Owns parsing (by httptools), buffering, backpressure both ways, patience, and the question whether
another request may follow on the same connection. Knows no pool and translates no error: what went
wrong is raised as it is (`FAILURES`).
"""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import cast

import httptools

from elision.proxy.headers import Headers, decoded

BUFFER_BYTES = 256 * 1024
"""Unread bytes above which the upstream is made to wait."""

FAILURES = (OSError, EOFError, httptools.HttpParserError)
"""What an exchange can end with; a timeout is an `OSError`, a connection without an answer an `EOFError`."""

_NOT_TRAILING = frozenset(
    (
        *("age", "authorization", "cache-control", "connection", "content-encoding", "content-length"),
        *("content-range", "content-type", "date", "expires", "host", "keep-alive", "location", "te"),
        *("proxy-authenticate", "proxy-authorization", "proxy-connection", "retry-after", "set-cookie"),
        *("trailer", "transfer-encoding", "upgrade", "vary", "warning", "www-authenticate"),
    )
)
"""What frames, routes, authenticates or rules an answer may not come after it (RFC 9110, section 6.5.1)."""
_COPIED_BYTES = 64 * 1024
_TRANSFER_ENCODING = len("transfer-encoding")
_SWITCHING = 101
_FIRST_FINAL = 200


class BodyLengthError(Exception):
    """A streamed request body was not as long as its `Content-Length` said."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time, which `begin` starts and `finished` and `reusable` describe.

    Args:
        first_byte_s: patience until an answer's head is complete.
        idle_s: patience between pieces of its body.
        header_bytes: limit of the head's size, interim answers included.
    """

    def __init__(self, *, first_byte_s: float, idle_s: float, header_bytes: int) -> None:
        self.idle_since = 0.0
        self.status = 0
        self.reason = b""
        self.headers: Headers = []
        self.trailers: Headers = []
        self._first_byte_s = first_byte_s
        self._idle_s = idle_s
        self._header_bytes = header_bytes
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = math.inf
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._lost = False
        self._finished = True
        self._upload: asyncio.Task[None] | None = None

    # -- an exchange, seen from outside

    def begin(self, *, head_only: bool, may_upgrade: bool) -> asyncio.Future[None]:
        """Start an exchange; return what is done when the answer's head is here.

        Args:
            head_only: the answer has no body, whatever its headers say (HEAD).
            may_upgrade: an answer 101 is expected; else it is an error.
        """
        self._parser = httptools.HttpResponseParser(self)
        self._head: asyncio.Future[None] = self._loop.create_future()
        self._head_only, self._may_upgrade = head_only, may_upgrade and not head_only
        self.status, self.reason, self.headers, self.trailers = 0, b"", [], []
        self._head_size = self._pending = 0
        self._chunks: list[bytes] = []
        self._size = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._finished = self._raw = self._keep_alive = False
        self._upload = None
        self._wait_until(self._loop.time() + self._first_byte_s)
        return self._head

    def write(self, head: bytes, body: bytes = b"") -> None:
        """Send a request's head and its body, if that is bytes, at once."""
        transport = self._open_transport()
        if len(body) <= _COPIED_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def upload(self, body: AsyncIterator[bytes], length: int | None) -> None:
        """Send a body in the background, as fast as the upstream takes it.

        Args:
            length: as the head states it, in bytes; None sends the body chunked.
        """
        sending = self._send_chunked(body) if length is None else self._send_exactly(body, length)
        self._deadline = math.inf  # the first piece is the client's to send
        self._upload = self._loop.create_task(sending)
        self._upload.add_done_callback(self._uploaded)

    async def read(self) -> bytes:
        """Return the next bytes of the body, or of an upgraded connection; b"" at the end."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._finished:
                return b""
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks, self._size = [], 0
        if self._paused:
            self._paused = False
            self._wait_until(self._loop.time() + self._idle_s)
            if self.open:
                self._open_transport().resume_reading()
        return data

    async def write_raw(self, data: bytes) -> None:
        """Send bytes over an upgraded connection; wait while the upstream does not take them."""
        transport = self._open_transport()
        if self._lost or transport.is_closing():
            raise ConnectionResetError("the upstream is gone")
        transport.write(data)
        await self._may_write.wait()

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: all was said and read, and both sides stay."""
        return (
            self._finished
            and self._keep_alive
            and not self._chunks
            and (self._upload is None or self._upload.done())
            and self.open
            and self._open_transport().get_write_buffer_size() == 0
        )

    @property
    def open(self) -> bool:
        """Whether the connection still stands."""
        return not self._lost and self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Cut the connection at once, whatever is under way."""
        self._finished = True
        self._keep_alive = False
        if self._upload is not None:
            self._upload.cancel()
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._finished:  # nothing was asked: what comes now could pass for the next answer
            self._keep_alive = False
            self._open_transport().abort()
            return
        if not self._raw:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._raw = True
            except httptools.HttpParserError as error:
                self._keep_alive = False
                if not self._finished:
                    self._fail(error)
                return
        if self._raw and data:
            self.on_body(data)
        self._after_data(len(data))

    def _after_data(self, size: int) -> None:
        if self._finished or self._raw:
            self._deadline = math.inf
        elif self._head.done():
            if not self._paused:
                self._wait_until(self._loop.time() + self._idle_s)
        else:
            self._pending += size
            if self._pending > self._header_bytes:
                self._fail(httptools.HttpParserError("the head is too large"))
                return
        self._wake()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._end(exc)
        self._deadline = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._may_write.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # -- the parser's side

    def on_message_begin(self) -> None:
        if self._finished:
            raise httptools.HttpParserError("more than one answer")

    def on_status(self, part: bytes) -> None:
        self._count(len(part))
        self.reason += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        if not self._head.done():
            self.headers += decoded(((name, value),))
            if len(name) == _TRANSFER_ENCODING and name.lower() == b"transfer-encoding":
                self._check_coding(value)
        elif name.lower().decode("ascii", "replace") not in _NOT_TRAILING:
            self.trailers += decoded(((name, value),))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status == _SWITCHING:
            if not (self._may_upgrade and self._parser.should_upgrade()):
                raise httptools.HttpParserError("an upgrade that was not asked for")
        elif self.status < _FIRST_FINAL:
            return
        if not self._head.done():
            self._head.set_result(None)
        if self._head_only:
            self._keep_alive = self._parser.should_keep_alive()
            self._finished = True

    def on_body(self, data: bytes) -> None:
        if self._finished:
            raise httptools.HttpParserError("a body where none may be")
        self._chunks.append(data)
        self._size += len(data)
        if self._size > BUFFER_BYTES and not self._paused:
            self._paused = True
            self._deadline = math.inf
            self._open_transport().pause_reading()

    def on_message_complete(self) -> None:
        if self.status == _SWITCHING or self._finished:
            return
        if self.status < _FIRST_FINAL:
            self.status, self.reason, self.headers = 0, b"", []
            return
        self._keep_alive = self._parser.should_keep_alive()  # to be asked here and nowhere later
        self._finished = True

    def _check_coding(self, value: bytes) -> None:
        """Refuse codings of the hop that the client could not be told of: none was asked for (no `TE`)."""
        if value.strip().lower() != b"chunked":
            raise httptools.HttpParserError("a transfer coding that was not asked for")

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._header_bytes:
            raise httptools.HttpParserError("the head is too large")

    # -- ends

    def _end(self, error: Exception | None) -> None:
        """Take the connection's end: it ends a body without a length, and breaks off all else."""
        self._keep_alive = False
        if self._finished:
            return
        if not self._head.done():
            self._fail(error or EOFError("closed without an answer"))
        elif self._raw or (error is None and _ends_with_connection(self.headers)):
            self._finished = True
            self._wake()
        else:
            self._fail(error or EOFError("closed before the end of the answer"))

    def _fail(self, error: BaseException) -> None:
        failure = error if isinstance(error, Exception) else ConnectionAbortedError("cancelled")
        self._failure = self._failure or failure
        if not self._head.done():
            self._head.set_exception(failure)
        self._wake()
        self.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _open_transport(self) -> asyncio.Transport:
        if self._transport is None:
            raise ConnectionResetError("the connection was never made")
        return self._transport

    # -- patience: one timer, which looks at the deadline when it rings and sleeps on if that moved

    def _wait_until(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._deadline == math.inf or self._finished:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._ring)
            return
        self._fail(TimeoutError("silence"))

    # -- streamed bodies

    async def _send_chunked(self, body: AsyncIterator[bytes]) -> None:
        async for piece in body:
            if piece:
                await self._send_piece(b"%x\r\n%b\r\n" % (len(piece), piece))
        await self._send_piece(b"0\r\n\r\n")

    async def _send_exactly(self, body: AsyncIterator[bytes], length: int) -> None:
        async for piece in body:
            length -= len(piece)
            if length < 0:
                break
            await self._send_piece(piece)
        if length:
            raise BodyLengthError

    async def _send_piece(self, piece: bytes) -> None:
        """Send; the upstream's silence counts while it is its turn, not while the client sends."""
        if not self.open:
            return
        self._open_transport().write(piece)
        if not self._head.done():
            self._wait_until(self._loop.time() + self._first_byte_s)
        await self._may_write.wait()
        if not self._head.done():
            self._deadline = math.inf

    def _uploaded(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self._finished:  # the whole answer came before
            self.abort()
        elif error is not None:
            self._fail(error)
        elif not self._head.done():
            self._wait_until(self._loop.time() + self._first_byte_s)


def _ends_with_connection(headers: Headers) -> bool:
    """Return whether an answer's end is that of its connection (RFC 9112, section 6.3)."""
    for name, value in headers:
        lower = name.lower()
        if lower == "content-length":
            return False
        if lower == "transfer-encoding" and value.rstrip().lower().endswith("chunked"):
            return False
    return True
