"""The upstream's side: one interface, and HTTP/1.1 behind it.

Owns what is sent, the pool of connections and the translation of transport errors. Sends each
request exactly once: it never retries, follows no redirect, keeps no cookie, inflates nothing, adds
no header but `Host`, the length of a body given as bytes, and what the operator sets. What could be
read as two requests is refused.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection

from elision.proxy.errors import OwnError, RequestError, UpstreamError, connect_error, upstream_error
from elision.proxy.headers import Headers
from elision.proxy.operator_headers import OperatorHeaders
from elision.proxy.places import Places
from elision.proxy.upstream_connection import FAILURES, BodyLengthError, Connection

_NEXT_ADDRESS_S = 0.25
"""How long one of a host's addresses may hesitate before the next is tried too (RFC 8305)."""
_LENGTH = re.compile(r"[0-9]{1,19}")
_UP = re.compile(r"(?:^|[/\\]|%2f|%5c)(?:\.|%2e){2}(?:$|[/\\;]|%2f|%5c|%3b)", re.IGNORECASE)
"""A path segment `..`, as lenient servers read one."""
_FRAMING = frozenset(("content-length", "transfer-encoding", "upgrade"))


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent.

    Attributes:
        path: the raw target, query included.
        headers: of the request; without `Content-Length` where `body` is bytes.
        body: bytes, a stream that the headers frame, or nothing.
    """

    method: str
    path: str
    headers: Headers
    body: bytes | AsyncIterator[bytes] | None


class UpstreamResponse(Protocol):
    """An answer whose head has arrived."""

    status: int
    reason: str
    headers: Headers

    async def read(self) -> bytes:
        """Return the next bytes as soon as there are any, b"" at the end.

        Raises:
            UpstreamError: the connection broke or fell silent before the end.
        """
        ...

    @property
    def trailers(self) -> Headers:
        """What followed a chunked body; complete once it was read to its end."""
        ...

    async def read_raw(self) -> bytes:
        """Return the next bytes of an upgraded connection (status 101), b"" at its end."""
        ...

    async def write_raw(self, data: bytes) -> None:
        """Send bytes over an upgraded connection.

        Raises:
            OSError: the upstream is gone.
        """
        ...

    def close(self) -> None:
        """Give the connection back if the answer was read to its end, else cut it."""
        ...


class Upstream(Protocol):
    """Somewhere to send requests."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send once; return when the answer's head is here.

        Raises:
            UpstreamError: no answer can be had.
            RequestError: the request cannot be sent as it is.
            OwnError: all connections that the upstream may have stayed in use.
        """
        ...

    async def close(self) -> None:
        """Close the connections that carry nothing; the others close with their answers."""
        ...


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Patience and sizes. Minutes of silence are normal for language models.

    Attributes:
        pooled_s: an idle connection is kept so long for the next request.
        connections: in use at once; further requests wait `connect_s` for one. 0: no limit.
    """

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    pooled_s: float = 60.0
    header_bytes: int = 65536
    connections: int = 0


class HttpUpstream:
    """One base URL and the connections to its host.

    Args:
        base_url: scheme, host and optional path, without a slash at its end; requests' paths follow.
        limits: patience and sizes.
        tls: whom an https host is trusted by; by default the system's authorities, or those of the
            file that the environment variable SSL_CERT_FILE names.
        headers: what the operator sets on each request in place of the client's.
    """

    def __init__(
        self,
        base_url: str,
        limits: UpstreamLimits,
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        url = urlsplit(base_url)
        self._tls = (tls or _trust()) if url.scheme == "https" else None
        host = url.hostname or ""
        self._host = host if host.isascii() else host.encode("idna").decode()
        usual = 80 if self._tls is None else 443
        self._port = url.port or usual
        self._prefix = url.path
        self._host_header = _host_header(self._host, self._port, usual)
        self._limits = limits
        self._operator = OperatorHeaders(headers) if headers else None
        self._places = Places(limits.connections, limits.connect_s) if limits.connections else None
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send once; return when the answer's head is here."""
        head, framing = self._head(request)
        if self._places is not None:
            await self._take_place(self._places)
        connection: Connection | None = None
        response: _HttpResponse | None = None
        try:
            connection = self._pooled() or await self._connected()
            answered = connection.begin(head_only=request.method == "HEAD", may_upgrade=framing.upgrade)
            if isinstance(request.body, bytes):
                connection.write(head, request.body)
            else:
                connection.write(head)
            if request.body is not None and not isinstance(request.body, bytes):
                connection.upload(request.body, framing.length)
            await answered
            response = _HttpResponse(connection, self)
        except BodyLengthError as error:
            raise RequestError(
                400, "body_length", "The body is not as long as Content-Length says."
            ) from error
        except FAILURES as error:
            raise upstream_error(error, self._host) from error
        finally:
            if response is None:
                self._leave(connection)
        return response

    async def close(self) -> None:
        """Close the connections that carry nothing; the others close with their answers."""
        self._closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in self._idle:
            connection.abort()
        self._idle.clear()
        await asyncio.sleep(0)

    @property
    def host(self) -> str:
        """The upstream's host, for messages."""
        return self._host

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request if it may carry one, else cut it."""
        if self._closed or not connection.reusable:
            self._leave(connection)
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._limits.pooled_s, self._sweep)
        self._leave(None)

    async def _take_place(self, places: Places) -> None:
        """Wait for one of the connections; who has one opens another only if none is idle."""
        try:
            await places.take()
        except TimeoutError as error:
            told = f"All {places.count} connections to {self._host} are in use. Ask again in a moment."
            raise OwnError(503, "upstream_busy", told, retry_after_s=1) from error

    def _leave(self, connection: Connection | None) -> None:
        """End an exchange: cut its connection, if it is to be cut, and free its place."""
        if connection is not None:
            connection.abort()
        if self._places is not None:
            self._places.give_back()

    def _pooled(self) -> Connection | None:
        """Return the connection used last, of those that are still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open and self._loop.time() - connection.idle_since < self._limits.pooled_s:
                return connection
            connection.abort()
        return None

    def _sweep(self) -> None:
        """Close what was idle for too long; the list is in order of leisure."""
        self._sweeping = None
        oldest = self._loop.time() - self._limits.pooled_s
        kept = [connection for connection in self._idle if connection.open and connection.idle_since > oldest]
        for connection in set(self._idle).difference(kept):
            connection.abort()
        self._idle = kept
        if kept:
            self._sweeping = self._loop.call_at(kept[0].idle_since + self._limits.pooled_s, self._sweep)

    async def _connected(self) -> Connection:
        try:
            async with asyncio.timeout(self._limits.connect_s):
                addresses = await self._loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
                found = await start_connection(
                    addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1, loop=self._loop
                )
                try:
                    _, connection = await self._loop.create_connection(
                        self._connection,
                        sock=found,
                        ssl=self._tls,
                        server_hostname=self._host if self._tls is not None else None,
                    )
                except BaseException:
                    found.close()
                    raise
        except OSError as error:
            raise connect_error(error, self._host) from error
        return connection

    def _connection(self) -> Connection:
        limits = self._limits
        return Connection(
            first_byte_s=limits.first_byte_s, idle_s=limits.idle_s, header_bytes=limits.header_bytes
        )

    def _target(self, request: UpstreamRequest) -> str:
        """Return what to ask the upstream for.

        Raises:
            RequestError: the client would leave the base URL's path, or be shown the operator's headers.
        """
        if self._operator is not None and request.method == "TRACE":
            raise RequestError(405, "no_trace", "TRACE is not sent where the operator has set headers.")
        if not self._prefix or request.path == "*":
            return request.path
        if climbs(request.path):
            message = "The path has a segment `..`, which could leave the upstream's base URL."
            raise RequestError(400, "bad_path", message)
        return self._prefix + request.path

    def _head(self, request: UpstreamRequest) -> tuple[bytes, "_Framing"]:
        """Return the request's head as bytes, and how its body is framed."""
        lines = [f"{request.method} {self._target(request)} HTTP/1.1", f"Host: {self._host_header}"]
        headers = request.headers if self._operator is None else self._operator.over(request.headers)
        lines += [f"{name}: {value}" for name, value in headers]
        framing = _framing(request)
        if framing.line:
            lines.append(framing.line)
        text = "\r\n".join(lines)
        ends = len(lines) - 1
        broken = text.count("\r") != ends or text.count("\n") != ends or "\0" in text
        if broken or lines[0].count(" ") != 2:
            raise RequestError(
                400, "bad_request_head", "The request line or a header has a forbidden character."
            )
        return f"{text}\r\n\r\n".encode("utf-8", "surrogateescape"), framing


def climbs(path: str) -> bool:
    """Return whether a server could take a target's path for one that goes up, `/a/../b` for instance."""
    return _UP.search(path.partition("?")[0]) is not None


@dataclass(frozen=True, slots=True)
class _Framing:
    """How a request's body is framed.

    Attributes:
        line: the header that we add, or "".
        length: of a streamed body in bytes; None if it goes out chunked.
        upgrade: whether the request asks to leave HTTP.
    """

    line: str
    length: int | None
    upgrade: bool


def _framing(request: UpstreamRequest) -> _Framing:
    """Decide on a body's framing.

    Raises:
        RequestError: the headers frame it otherwise or in two ways; two readers could differ about
            where the request ends (RFC 9112, section 11.2).
    """
    named = [(name.lower(), value) for name, value in request.headers if name.lower() in _FRAMING]
    lengths = [value for name, value in named if name == "content-length"]
    upgrade = any(name == "upgrade" for name, _ in named)
    wrong = len(lengths) > 1 or any(name == "transfer-encoding" for name, _ in named)
    wrong |= any(not _LENGTH.fullmatch(value) for value in lengths)
    if not wrong and isinstance(request.body, bytes) and not lengths:
        return _Framing(f"Content-Length: {len(request.body)}", None, upgrade)
    if not wrong and request.body is None and all(int(value) == 0 for value in lengths):
        return _Framing("", None, upgrade)
    if wrong or request.body is None or isinstance(request.body, bytes):
        raise RequestError(400, "bad_framing", "Content-Length or Transfer-Encoding do not fit the body.")
    if lengths:
        return _Framing("", int(lengths[0]), upgrade)
    return _Framing("Transfer-Encoding: chunked", None, upgrade)


class _HttpResponse:
    def __init__(self, connection: Connection, upstream: HttpUpstream) -> None:
        self.status = connection.status
        self.reason = connection.reason.decode("utf-8", "surrogateescape")
        self.headers = connection.headers
        self._connection: Connection | None = connection
        self._upstream = upstream

    async def read(self) -> bytes:
        if self._connection is None:
            return b""
        try:
            return await self._connection.read()
        except (*FAILURES, BodyLengthError) as error:
            raise UpstreamError(
                502, "upstream_broke_off", f"{self._upstream.host} broke off its answer."
            ) from error

    @property
    def trailers(self) -> Headers:
        return [] if self._connection is None else self._connection.trailers

    async def read_raw(self) -> bytes:
        return b"" if self._connection is None else await self._connection.read()

    async def write_raw(self, data: bytes) -> None:
        if self._connection is None:
            raise ConnectionResetError("the upstream is gone")
        await self._connection.write_raw(data)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._upstream.give_back(connection)


def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _host_header(host: str, port: int, usual: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == usual else f"{name}:{port}"
