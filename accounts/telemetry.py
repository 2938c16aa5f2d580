"""Finished requests for an OpenTelemetry collector: a span for each, and metrics, by OTLP over HTTP.

Needs `elision[otel]`; imported only where an endpoint is set. Taking a record costs next to nothing:
a thread makes spans and sends them. What waits is bounded; a collector that is away costs spans,
which are counted and told, and never a request. No texts, headers or keys are sent.
"""

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from elision.accounts.genai_words import error_of, name_of, span_words
from elision.accounts.records import RequestRecord
from elision.accounts.repeating import Repeating
from elision.accounts.telemetry_metrics import TelemetryMetrics
from elision.config.accounts import Telemetry
from elision.config.telemetry import headers_of

RECORDS = 20_000
"""Records that may wait for their spans."""
BATCH = 100
EVERY_S = 1.0
TIMEOUT_S = 5.0
"""What the collector may take for one batch, tries included."""


class TelemetrySink:
    """Takes records, and tells a collector.

    Attributes:
        exported, lost: spans.

    Args:
        settings: with an endpoint, `with_telemetry`.
        urls: of upstreams, by name.
        records: how many may wait.
        every_s: seconds between two times that something is sent.
    """

    def __init__(
        self,
        settings: Telemetry,
        urls: Mapping[str, str],
        *,
        records: int = RECORDS,
        every_s: float = EVERY_S,
    ) -> None:
        self.exported = 0
        self.lost = 0
        self._urls = urls
        self._most = records
        self._waiting: deque[RequestRecord] = deque()
        base, headers = settings.endpoint.rstrip("/"), dict(headers_of(settings))
        whose = {"service.name": "elision", "service.version": version("elision")}
        resource = Resource.create({**whose, "service.instance.id": str(uuid.uuid4())})
        self._spans = (
            _Spans(f"{base}/v1/traces", headers, resource, settings.sample) if settings.traces else None
        )
        self._metrics = (
            TelemetryMetrics(f"{base}/v1/metrics", headers, resource) if settings.metrics else None
        )
        self._trouble = False
        self._sending = Repeating("elision-telemetry", every_s, self.flush)
        self._log = logging.getLogger("elision.accounts")

    def start(self) -> None:
        """Begin to send what is taken."""
        self._sending.start()

    def add(self, record: RequestRecord) -> None:
        """Take one finished request; nothing is made or sent here."""
        if len(self._waiting) < self._most:
            self._waiting.append(record)
        else:
            self.lost += 1

    async def close(self) -> None:
        """Send what was taken, if the collector takes it now, and end."""
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._sending.end()
        if self._spans is not None:
            self._spans.close()
        if self._metrics is not None:
            self._metrics.close()

    def flush(self) -> None:
        """Send all that waits; at the end, only as long as it is taken."""
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH))]
            if self._metrics is not None:
                for record in taken:
                    self._metrics.add(record, self._urls.get(record.upstream, ""))
                    time.sleep(0)  # the event loop goes first
            if self._spans is None:
                continue
            if self._trouble and self._sending.is_ending:
                self.lost += len(taken)
            else:
                self._send(self._spans, taken)

    def _send(self, spans: "_Spans", taken: Sequence[RequestRecord]) -> None:
        count = 0
        for record in taken:
            count += spans.make(record, self._urls.get(record.upstream, ""))
            time.sleep(0)  # the event loop goes first
        is_sent = spans.send()
        if is_sent:
            self.exported += count
        else:
            self.lost += count
        if self._trouble and is_sent:
            self._log.info("The OpenTelemetry collector takes spans again; %d are lost so far.", self.lost)
        elif not is_sent and not self._trouble:
            self._log.warning("The OpenTelemetry collector takes no spans (telemetry.endpoint).")
        self._trouble = not is_sent


class _Kept(SpanProcessor):
    """Keeps spans that ended until they are sent."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            self.spans.append(span)


class _Spans:
    """Makes spans of finished requests; for one thread."""

    def __init__(self, url: str, headers: dict[str, str], resource: Resource, sample: float) -> None:
        self._exporter = OTLPSpanExporter(endpoint=url, headers=headers, timeout=TIMEOUT_S)
        self._kept = _Kept()
        sampler = ParentBased(TraceIdRatioBased(sample))
        provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._kept)
        self._tracer = provider.get_tracer("elision", version("elision"))
        self._propagator = TraceContextTextMapPropagator()

    def make(self, record: RequestRecord, url: str) -> bool:
        """Make a request's span, a child of the client's where it sent one; return whether it is sampled."""
        before = len(self._kept.spans)
        # An empty context, not None: that would be whatever this thread is tracing.
        context = self._propagator.extract(
            {"traceparent": record.traceparent}, trace.set_span_in_context(trace.INVALID_SPAN)
        )
        begin = int(record.at * 1e9)
        span = self._tracer.start_span(
            name_of(record),
            context=context,
            kind=trace.SpanKind.CLIENT,
            attributes=span_words(record, url),
            start_time=begin,
        )
        if error := error_of(record):
            span.set_status(trace.StatusCode.ERROR, error)
        span.end(begin + int(record.total_ms * 1e6))
        return len(self._kept.spans) > before

    def send(self) -> bool:
        """Send what was made; what the collector does not take is lost."""
        spans, self._kept.spans = self._kept.spans, []
        return not spans or self._exporter.export(spans) is SpanExportResult.SUCCESS

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the package forgot its type
