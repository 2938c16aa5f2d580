"""The listening side: aiohttp's server, told to change nothing and to wait for nobody for ever.

Owns connections: what their clients may take, what happens to those whose bytes cannot be read, and
how all of them end. aiohttp's parser reads heads and bodies; it tells nobody that a body went wrong
and keeps a chunked body's last trailer for the next request, which is mended here.
"""

import asyncio
import fcntl
import logging
import os
import socket
import struct
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from elision.proxy.errors import OwnError, ProxyError, RequestError, where

REQUEST_ID = web.RequestKey("elision.request_id", str)
"""Where a request keeps the id that answers and log call it by."""
_DRAIN_LOOKS_S = 0.02
_RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` of no time: closing resets the connection."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What a client may take: bytes of a header line, and seconds.

    Attributes:
        header_bytes: of the request line, and of any one header.
        head_s: from connecting to the end of the first request's head.
        keepalive_s: between one answer and the end of the next request's head.
        idle_s: without a byte of a body that is due.
        stalled_s: without taking a byte of an answer that is there.
    """

    header_bytes: int = 65536
    head_s: float = 30.0
    keepalive_s: float = 75.0
    idle_s: float = 60.0
    stalled_s: float = 300.0


class ClientRequest(web.BaseRequest):
    """A request whose connection may have reasons of its own to end with the answer."""

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the connection.

        Not after a chunked body: its trailers would become headers of the next request, which may be
        another user's where a proxy in front of us shares connections.
        """
        connection = self.protocol
        if isinstance(connection, ClientConnection) and connection.ending:
            return False
        return super().keep_alive and not self._message.chunked

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        """Name us in answers of our own; aiohttp would name its version and Python's."""
        response.headers["Server"] = "elision"


class ClientConnection(RequestHandler):
    """aiohttp's side of one connection, with errors in OpenAI's shape and nothing of a client in the log.

    Args:
        server: whose connection it is.
        limits: what its client may take.
        options: aiohttp's own.
    """

    __slots__ = ("_server", "body", "limits")

    def __init__(self, server: "BoundedServer", limits: ClientLimits, options: dict[str, Any]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._server = server
        self.limits = limits
        self.body: StreamReader | None = None

    @property
    def ending(self) -> bool:
        """Whether the connection ends with the answer under way."""
        return self._close or self._force_close or self._server.draining

    @property
    def idle(self) -> bool:
        """Whether no request is under way, and none is waiting."""
        return self._waiter is not None and not self._waiter.done() and not self._messages

    @property
    def sent(self) -> tuple[int, int]:
        """How many requests came, and the bytes of the answer under way that were written so far."""
        request = self._current_request
        return self._request_count, request.writer.output_size if request is not None else 0

    def data_received(self, data: bytes) -> None:
        """Take bytes; those that break off a body are told to whoever reads it."""
        super().data_received(data)
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            body = self._messages[-2][1] if len(self._messages) > 1 else self.body
            if body is not None and not body.is_eof():
                self._messages.pop()
                message = "The body is not framed as HTTP/1.1 wants it (RFC 9112, section 7.1)."
                self.give_up(body, RequestError(400, "bad_body", message))

    def give_up(self, body: StreamReader, why: ProxyError) -> None:
        """Read nothing more from this client; who reads the body is told why, and may still answer."""
        self.close()
        body.set_exception(why)
        body.feed_eof()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read as a request (400), or a fault of ours (500)."""
        log, request_id = _log(), request.get(REQUEST_ID) or os.urandom(16).hex()
        told = {"figures": {"request_id": request_id}}
        if isinstance(exc, ConnectionError):
            raise exc  # one side is gone; the request's record says which
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("A request failed: %s", where(exc) if exc is not None else status, extra=told)
        else:
            log.info("A client's request could not be read: %s", type(exc).__name__, extra=told)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun; another cannot follow")
        failure: ProxyError = OwnError(status, "internal_error", "Elision failed; its log says where.")
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            failure = RequestError(status, "bad_request", "This is no HTTP/1.1 request that can be read.")
        response = web.Response(status=status, body=failure.body(), content_type="application/json")
        response.headers["x-elision-request-id"] = request_id
        response.force_close()
        return response


class BoundedServer(web.Server):
    """aiohttp's server around a handler: nothing inflated, nothing logged, nothing buffered.

    A connection that does not bring its first request's head in time is closed: aiohttp itself
    waits for ever for those who send a byte a minute. So is one whose client takes nothing of what
    is there for it; while it does, the answer waits, and with it the upstream.
    """

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], limits: ClientLimits
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self.draining = False
        self._options: dict[str, Any] = {
            "auto_decompress": False,
            "access_log": None,
            "keepalive_timeout": limits.keepalive_s,
            "max_line_size": limits.header_bytes,
            "max_field_size": limits.header_bytes,
        }
        self._limits = limits
        self._patience: dict[RequestHandler, asyncio.TimerHandle] = {}
        self._stalled: dict[RequestHandler, tuple[object, float]] = {}
        self._looking: asyncio.TimerHandle | None = None

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return ClientConnection(self, self._limits, self._options)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a new connection; its first head is to come in time."""
        super().connection_made(handler, transport)
        loop = asyncio.get_running_loop()
        self._patience[handler] = loop.call_later(self._limits.head_s, _close_if_silent, handler)
        if self._looking is None:
            self._looking = loop.call_later(self._limits.stalled_s / 4, self._look)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Let a connection go."""
        super().connection_lost(handler, exc)
        self._stalled.pop(handler, None)
        if handler in self._patience:
            self._patience.pop(handler).cancel()

    async def drain(self, limit_s: float, at_once: asyncio.Event) -> None:
        """Close what is idle, let every answer under way end, at most `limit_s` seconds.

        What is not done then, or once `at_once` is set, is cut so that no client takes half an
        answer for a whole one.
        """
        self.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._let_go() and not at_once.is_set():
                    await asyncio.sleep(_DRAIN_LOOKS_S)
        for transport in self._connections.values():
            reset(transport)
        await asyncio.sleep(0)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  aiohttp's signature
        """End every connection and every handler."""
        if self._looking is not None:
            self._looking.cancel()
        await super().shutdown(timeout)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        if isinstance(protocol, ClientConnection):
            protocol.body = payload
        return ClientRequest(message, payload, protocol, writer, task, self._loop)

    def _let_go(self) -> bool:
        """Close idle connections; return whether any is left, if only until its last bytes are taken."""
        for connection in self.connections:
            if isinstance(connection, ClientConnection) and connection.idle:
                connection.force_close()
        return bool(self._connections)

    def _look(self) -> None:
        """Cut connections whose clients took nothing for too long of what is there for them."""
        now = self._loop.time()
        for connection, transport in list(self._connections.items()):
            waiting = transport.get_write_buffer_size()
            if not waiting or not isinstance(connection, ClientConnection):
                self._stalled.pop(connection, None)
                continue
            requests, written = connection.sent
            taken = (requests, written - waiting - _in_kernel(transport))
            before, since = self._stalled.get(connection, (None, now))
            if before != taken:
                self._stalled[connection] = (taken, now)
            elif now - since >= self._limits.stalled_s:
                _log().info("A client took nothing of its answer for %.0f s; it was let go", now - since)
                reset(transport)
        self._looking = None
        if self._connections:
            self._looking = self._loop.call_later(self._limits.stalled_s / 4, self._look)


def _in_kernel(transport: asyncio.Transport) -> int:
    """Return the bytes that the kernel keeps until the client's side takes them.

    They are megabytes, and it asks for more only when a third of them is gone: without this figure a
    slow client would seem to stand still. 0 where the system does not tell.
    """
    sock = transport.get_extra_info("socket")
    if sock is None:
        return 0
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:
        return 0
    return int(count)


def reset(transport: asyncio.Transport) -> None:
    """Cut a client's connection so that it is an error to the client, whatever it has read.

    An ordinary close would end an answer that ends with its connection as if it were whole.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def _close_if_silent(connection: RequestHandler) -> None:
    if connection._request_count == 0:  # noqa: SLF001  aiohttp tells it nowhere else
        connection.force_close()


def _log() -> logging.Logger:
    return logging.getLogger("elision.server")
