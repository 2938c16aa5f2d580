"""One request from its first to its last byte.

The order of things and nothing else: receive, rewrite, send, stream back, record. Bodies that
nobody looks into stream both ways; answers always do, chunk by chunk as they arrive.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict

from elision.accounts.money import Pricing, Unpriced
from elision.accounts.records import NOTHING_TOLD, RecordSink, Report, RequestRecord, TextSink
from elision.accounts.usage import NOTHING_SEEN
from elision.proxy.admin import Admin
from elision.proxy.client_body import check_body, read_up_to, say_continue, streamed
from elision.proxy.errors import ProxyError, RequestError
from elision.proxy.headers import Headers, decoded, for_client, for_upstream, value_of
from elision.proxy.recovered import Held, Quoted, is_recoverable, recover
from elision.proxy.relayed import RelayedResponse
from elision.proxy.rewriter import Ask, Rewriter
from elision.proxy.routing import Upstreams, may_name_model, model_in, model_in_query, origin_form
from elision.proxy.server import REQUEST_ID
from elision.proxy.sse import UsageObserver
from elision.proxy.teams import Teams
from elision.proxy.tunnel import UPGRADE, RawBytes, both_ways, pump, wants_upgrade
from elision.proxy.upstream import UpstreamRequest, UpstreamResponse

if TYPE_CHECKING:  # without policies nothing of what applies them is loaded
    from elision.proxy.compress_endpoint import CompressEndpoint

_REJECTED = frozenset((400, 422))
"""Statuses that a rewritten body may have caused; the original is then sent once instead."""
_ERRORS = 400
"""Answers with a status from here on are not billed."""


@dataclass(frozen=True, slots=True)
class Deps:
    """What a request needs of the rest of the proxy."""

    upstreams: Upstreams
    rewriter: Rewriter
    records: Sequence[RecordSink]
    admin: Admin
    teams: Teams
    body_limit_bytes: int
    compress: "CompressEndpoint | None" = None
    pricing: Pricing = field(default_factory=Unpriced)
    texts: TextSink | None = None


@dataclass(slots=True)
class Exchange:
    """The state of one request on its way."""

    request: web.BaseRequest
    team: str
    path: str
    headers: Headers
    pricing: Pricing
    upstream: str = ""
    read: bytes | AsyncIterator[bytes] | None = None
    request_id: str = field(default_factory=lambda: os.urandom(16).hex())
    started: float = field(default_factory=time.perf_counter)
    waited_s: float = 0.0
    overhead_ms: float = 0.0
    report: Report = NOTHING_TOLD
    resent: bool = False
    status: int = 0
    error: str = ""
    observer: UsageObserver | None = None
    at: float = field(default_factory=time.time)
    body_bytes: int = 0
    body_hash: int = 0
    texts: tuple[bytes, bytes] | None = None

    def ask(self) -> Ask:
        """Return what the rewriter is to know of the request."""
        return Ask(self.request.method, self.path, self.team, self.headers, self.upstream)

    def own_headers(self, *, is_relayed: bool = True) -> Headers:
        """Return the `x-elision-*` headers of the answer, which starts now.

        Args:
            is_relayed: an upstream answers, and bills; else we do.
        """
        self.overhead_ms = (time.perf_counter() - self.started - self.waited_s) * 1000
        if self.report.silent:
            return []
        overhead = f"{self.overhead_ms:.2f}"
        pairs = [("x-elision-request-id", self.request_id), ("x-elision-overhead-ms", overhead)]
        is_billed = is_relayed and self.status < _ERRORS
        money = self.pricing.estimate(self.report, self.upstream) if is_billed else None
        return pairs + self.report.headers(money)


class Handler:
    """Answers requests; `web.Server` calls it once per request."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self.active = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one request and record it, however it ends."""
        if f"{request.path}/".startswith("/elision/"):
            answer = await self._deps.admin.answer(request)
            answer.headers["x-elision-request-id"] = os.urandom(16).hex()
            return answer
        headers = decoded(request.raw_headers)
        team, path = self._deps.teams.of(origin_form(request.raw_path), headers, request.remote or "")
        exchange = Exchange(request, team, path, headers, self._deps.pricing)
        request[REQUEST_ID] = exchange.request_id
        self.active += 1
        try:
            return await self._served(exchange)
        except ProxyError as failure:
            self._tell_unread(exchange)
            return _refusal(exchange, failure)
        except (asyncio.CancelledError, ConnectionError):
            exchange.error = exchange.error or "client_disconnected"
            raise
        finally:
            self.active -= 1
            self._record(exchange)

    async def _served(self, exchange: Exchange) -> web.StreamResponse:
        compress = self._deps.compress
        if compress is not None and compress.takes(exchange.ask()):
            return await self._compressed(exchange, compress)
        await self._choose(exchange)
        response = await self._answered(exchange)
        if isinstance(response, web.Response):
            return response
        try:
            return await self._relay(exchange, response)
        finally:
            response.close()

    async def _compressed(self, exchange: Exchange, compress: "CompressEndpoint") -> web.Response:
        """Answer a request for compression alone; nothing of it goes to an upstream."""
        if value_of(exchange.headers, "content-encoding"):
            raise RequestError(415, "encoded_body", "Send the body without a content-encoding.")
        _welcome(exchange)
        body = await self._read(exchange)
        if not isinstance(body, bytes):
            told = f"A body may have {self._deps.body_limit_bytes >> 20} MiB (limits.body_mib)."
            raise RequestError(413, "body_too_large", told)
        answer, exchange.report = await compress.answer(body, exchange.ask())
        return _answer(exchange, 200, answer)

    async def _choose(self, exchange: Exchange) -> None:
        """Find the request's upstream; its body is read for that only where its model decides."""
        request, routes = exchange.request, self._deps.upstreams.routes
        if request.method == "CONNECT":
            raise RequestError(
                405, "no_tunnel", "Elision opens no tunnels; it is a base URL, not a proxy setting."
            )
        _welcome(exchange)
        model = await self._model(exchange) if routes.asks_model(exchange.path) else ""
        exchange.upstream, exchange.path = routes.route(exchange.path, model)

    async def _answered(self, exchange: Exchange) -> UpstreamResponse | web.Response:
        """Send the request, and once more as it was if its rewritten body was rejected."""
        body = await self._body(exchange)
        if not isinstance(body, bytes):
            return await self._send(exchange, body)
        exchange.body_hash = hash(body)
        rewrite = await self._deps.rewriter.rewrite(body, exchange.ask())
        exchange.report = rewrite.report
        if rewrite.report.log_text and self._deps.texts is not None:
            exchange.texts = (body, rewrite.body)
        if rewrite.answer is not None:
            return _answer(exchange, 200, rewrite.answer)
        if rewrite.receipt is not None:
            rewrite.receipt.sent()
        response = await self._send(exchange, rewrite.body)
        if not rewrite.changed or response.status not in _REJECTED:
            return await _recovered(exchange, response, rewrite.quoted) if rewrite.quoted else response
        reason = f"upstream_{response.status}"
        response.close()
        exchange.resent = True
        exchange.report = rewrite.report.withdrawn(reason)
        exchange.texts = exchange.texts and (body, body)
        response = await self._send(exchange, body)
        # An original that is refused as well was not refused for what we made of it.
        if rewrite.receipt is not None and response.status < 400:
            rewrite.receipt.withdrawn(reason)
        return response

    async def _model(self, exchange: Exchange) -> str:
        """Return the model that a request names, "" if none or unreadable; reads its body for that."""
        request = exchange.request
        if wants_upgrade(exchange.headers):
            return model_in_query(exchange.path)
        if not request.body_exists or not may_name_model(request.method, exchange.headers):
            return ""
        body = await self._read(exchange)
        return model_in(body) if isinstance(body, bytes) else ""

    async def _body(self, exchange: Exchange) -> bytes | AsyncIterator[bytes] | None:
        """Return the request's body: bytes if it is to be looked into, else a stream, or None."""
        if not exchange.request.body_exists:
            self._tell_unread(exchange)
            return None
        if not self._deps.rewriter.wants(exchange.ask()):
            self._tell_unread(exchange)
            return _streamed(exchange)
        if value_of(exchange.headers, "content-encoding"):
            exchange.report = self._deps.rewriter.unread(exchange.ask(), "encoded_body")
            return _streamed(exchange)
        body = await self._read(exchange)
        exchange.read = None  # a long answer must not keep it
        if not isinstance(body, bytes):
            exchange.report = self._deps.rewriter.unread(exchange.ask(), "body_too_large")
        return body

    async def _read(self, exchange: Exchange) -> bytes | AsyncIterator[bytes]:
        """Return the body whole if it is not too large, and keep it for who asks next."""
        if exchange.read is None:
            started = time.perf_counter()
            exchange.read = await read_up_to(exchange.request, self._deps.body_limit_bytes)
            exchange.waited_s += time.perf_counter() - started
        return exchange.read

    async def _send(self, exchange: Exchange, body: bytes | AsyncIterator[bytes] | None) -> UpstreamResponse:
        headers = for_upstream(exchange.headers, body_replaced=isinstance(body, bytes))
        if wants_upgrade(exchange.headers):
            headers += UPGRADE
        started = time.perf_counter()
        try:
            return await self._deps.upstreams[exchange.upstream].send(
                UpstreamRequest(exchange.request.method, exchange.path, headers, body)
            )
        finally:
            exchange.waited_s += time.perf_counter() - started

    async def _relay(self, exchange: Exchange, response: UpstreamResponse) -> web.StreamResponse:
        """Stream the answer to the client, watching for usage in passing."""
        headers = for_client(response.headers)
        if response.status == 101:
            return await self._tunnel(exchange, response, headers)
        kind, encoding = value_of(headers, "content-type"), value_of(headers, "content-encoding")
        observer = exchange.observer = UsageObserver(kind, encoding)
        exchange.status = response.status
        out = RelayedResponse(response.status, response.reason, headers + exchange.own_headers())
        await out.prepare(exchange.request)
        try:
            while chunk := await response.read():
                await out.write(chunk)
                observer.feed(chunk)
                exchange.body_bytes += len(chunk)
        except ProxyError as failure:
            exchange.error = failure.code
            out.break_off()  # a clean end would pass for the whole answer
            raise ConnectionResetError(failure.code) from failure
        observer.close()
        out.trailers = response.trailers
        await out.write_eof()
        return out

    async def _tunnel(
        self, exchange: Exchange, response: UpstreamResponse, headers: Headers
    ) -> web.StreamResponse:
        """Hand bytes over both ways until one side leaves."""
        exchange.status = response.status
        request = exchange.request
        out = RelayedResponse(response.status, response.reason, headers + UPGRADE + exchange.own_headers())
        await out.prepare(request)
        from_client = RawBytes(request.protocol)
        request.protocol.set_parser(from_client)  # type: ignore[arg-type]  # it is fed, nothing else
        request.protocol.keep_alive(False)
        await both_ways(
            pump(from_client.stream.readany, response.write_raw), pump(response.read_raw, out.write)
        )
        return out

    def _tell_unread(self, exchange: Exchange) -> None:
        """Say at least whose request it is, where nothing was said of it yet."""
        if exchange.report is NOTHING_TOLD:
            exchange.report = self._deps.rewriter.unread(exchange.ask())

    def _record(self, exchange: Exchange) -> None:
        self._tell_unread(exchange)
        total_s = time.perf_counter() - exchange.started
        record = RequestRecord(
            request_id=exchange.request_id,
            method=exchange.request.method,
            path=exchange.path.partition("?")[0],
            status=exchange.status,
            report=exchange.report,
            answered=exchange.observer.answered() if exchange.observer is not None else NOTHING_SEEN,
            overhead_ms=exchange.overhead_ms,
            total_ms=total_s * 1000,
            sent_original_after_rejection=exchange.resent,
            error=exchange.error or ("" if exchange.status else "internal_error"),
            upstream=exchange.upstream,
            at=exchange.at,
            tokens_saved=exchange.report.tokens_saved,
            body_bytes=exchange.body_bytes,
            body_hash=exchange.body_hash,
            traceparent=value_of(exchange.headers, "traceparent"),
        )
        record = self._deps.pricing.settle(record)
        if exchange.texts is not None and self._deps.texts is not None:
            self._deps.texts.keep(record.request_id, *exchange.texts)
        for sink in self._deps.records:
            sink.add(record)


async def _recovered(exchange: Exchange, response: UpstreamResponse, quoted: Quoted) -> UpstreamResponse:
    """Return an answer with what it quotes put back, where it is one that may be touched."""
    if not is_recoverable(response):
        return response
    held, started = Held(response), time.perf_counter()
    done = False
    try:
        await held.read_ahead()
        exchange.waited_s += time.perf_counter() - started
        await recover(held, quoted)
        done = True
    finally:
        if not done:
            response.close()
    return held


def _welcome(exchange: Exchange) -> None:
    """Let the body come, if it is one that can be read."""
    if exchange.request.body_exists:
        check_body(exchange.request)
        if value_of(exchange.headers, "expect").lower() == "100-continue":
            say_continue(exchange.request)


def _streamed(exchange: Exchange) -> AsyncIterator[bytes]:
    """Return the body as a stream, which the client's headers frame, even if its model was looked up."""
    read, exchange.read = exchange.read, None
    if isinstance(read, bytes):
        return _once(read)
    return streamed(exchange.request) if read is None else read


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _refusal(exchange: Exchange, failure: ProxyError) -> web.Response:
    exchange.error = failure.code
    answer = _answer(exchange, failure.status, failure.body())
    if failure.retry_after_s is not None:
        answer.headers["Retry-After"] = str(failure.retry_after_s)
    return answer


def _answer(exchange: Exchange, status: int, body: bytes) -> web.Response:
    """Return an answer of our own, in JSON."""
    exchange.status = status
    headers = [("Content-Type", "application/json"), *exchange.own_headers(is_relayed=False)]
    return web.Response(status=status, body=body, headers=CIMultiDict(headers))
