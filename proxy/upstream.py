"""The upstream's side: one interface, and aiohttp behind it.

Owns connections, timeouts and the translation of transport errors. Sends each request exactly once:
it never retries, follows no redirect, keeps no cookie, inflates nothing, adds no header.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler

from elision.proxy.errors import UpstreamError, upstream_error
from elision.proxy.headers import Headers, decoded
from elision.proxy.tunnel import RawBytes

_AUTO_HEADERS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_STREAMED_ABOVE_BYTES = 256 * 1024
_FAILURES = (aiohttp.ClientError, asyncio.TimeoutError, OSError)


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
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """Patience and sizes. Minutes of silence are normal for language models."""

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0
    header_bytes: int = 65536


class AiohttpUpstream:
    """One base URL behind an aiohttp session.

    Args:
        base_url: scheme, host and optional path, without a slash at its end; requests' paths follow.
        limits: patience and sizes.
    """

    def __init__(self, base_url: str, limits: UpstreamLimits) -> None:
        self._base = base_url
        self._host = yarl.URL(self._base).host or self._base
        self._idle_s = limits.idle_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTO_HEADERS,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=limits.connect_s, sock_read=limits.first_byte_s
            ),
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
        )

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send once; return when the answer's head is here."""
        headers = request.headers
        if isinstance(request.body, bytes):
            headers = [*headers, ("Content-Length", str(len(request.body)))]
        try:
            response = await self._session.request(
                request.method,
                yarl.URL(self._base + request.path, encoded=True),
                headers=headers,
                data=_payload(request.body),
                allow_redirects=False,
            )
        except _FAILURES as error:
            raise upstream_error(error, self._host) from error
        if response.connection is not None and (protocol := response.connection.protocol) is not None:
            protocol.read_timeout = self._idle_s
            protocol.start_timeout()
        return _AiohttpResponse(response, self._host)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


class _AiohttpResponse:
    def __init__(self, response: aiohttp.ClientResponse, host: str) -> None:
        self.status = response.status
        self.reason = response.reason or ""
        self.headers = decoded(response.raw_headers)
        self._response = response
        self._host = host
        self._raw: RawBytes | None = None

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except _FAILURES as error:
            raise UpstreamError(502, "upstream_broke_off", f"{self._host} broke off its answer.") from error

    async def read_raw(self) -> bytes:
        if self._raw is None:
            protocol = self._protocol()
            self._raw = RawBytes(protocol)
            protocol.set_parser(self._raw, self._raw.stream)
        return await self._raw.stream.readany()

    async def write_raw(self, data: bytes) -> None:
        protocol = self._protocol()
        if protocol.transport is None or protocol.transport.is_closing():
            raise ConnectionResetError("the upstream is gone")
        protocol.transport.write(data)
        await protocol._drain_helper()  # noqa: SLF001  the one way to wait for a full socket

    def _protocol(self) -> ResponseHandler:
        connection = self._response.connection
        if connection is None or connection.protocol is None:
            raise ConnectionResetError("the upstream is gone")
        return connection.protocol

    def close(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


def _payload(body: bytes | AsyncIterator[bytes] | None) -> bytes | AsyncIterator[bytes] | None:
    """Return the body as aiohttp should get it: large bytes in pieces, so that the loop stays free."""
    if isinstance(body, bytes) and len(body) > _STREAMED_ABOVE_BYTES:
        return _pieces(body)
    return body


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), _STREAMED_ABOVE_BYTES):
        yield body[start : start + _STREAMED_ABOVE_BYTES]
