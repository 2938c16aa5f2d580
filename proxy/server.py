"""The listening side: aiohttp's server, told to change nothing and to wait for nobody for ever."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from elision.proxy.errors import OwnError, ProxyError, RequestError, where


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What a client may take: bytes of a header line, and seconds.

    Attributes:
        header_bytes: of the request line, and of any one header.
        head_s: from connecting to the end of the first request's head.
        keepalive_s: between one answer and the end of the next request's head.
    """

    header_bytes: int = 65536
    head_s: float = 30.0
    keepalive_s: float = 75.0


class ClientConnection(RequestHandler):
    """aiohttp's side of one connection, with errors in OpenAI's shape and nothing of a client in the log."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read as a request (400), or a fault of ours (500)."""
        log = logging.getLogger("elision.server")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("A request failed: %s", where(exc) if exc is not None else status)
        else:
            log.info("A client's request could not be read: %s", type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun; another cannot follow")
        failure: ProxyError = OwnError(status, "internal_error", "Elision failed; its log says where.")
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            failure = RequestError(status, "bad_request", "This is no HTTP/1.1 request that can be read.")
        response = web.Response(status=status, body=failure.body(), content_type="application/json")
        response.force_close()
        return response


class BoundedServer(web.Server):
    """aiohttp's server around a handler: nothing inflated, nothing logged, nothing buffered.

    A connection that does not bring its first request's head in time is closed: aiohttp itself
    waits for ever for those who send a byte a minute.
    """

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], limits: ClientLimits
    ) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._options: dict[str, Any] = {
            "auto_decompress": False,
            "access_log": None,
            "keepalive_timeout": limits.keepalive_s,
            "max_line_size": limits.header_bytes,
            "max_field_size": limits.header_bytes,
        }
        self._head_s = limits.head_s
        self._patience: dict[RequestHandler, asyncio.TimerHandle] = {}

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return ClientConnection(self, loop=asyncio.get_running_loop(), **self._options)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a new connection; its first head is to come in time."""
        super().connection_made(handler, transport)
        loop = asyncio.get_running_loop()
        self._patience[handler] = loop.call_later(self._head_s, _close_if_silent, handler)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Let a connection go."""
        super().connection_lost(handler, exc)
        if handler in self._patience:
            self._patience.pop(handler).cancel()


def _close_if_silent(connection: RequestHandler) -> None:
    if connection._request_count == 0:  # noqa: SLF001  aiohttp tells it nowhere else
        connection.force_close()
