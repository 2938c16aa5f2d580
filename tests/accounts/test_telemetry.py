"""Finished requests at an OpenTelemetry collector."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from elision.accounts.money import Basis, Money
from elision.accounts.records import Report, RequestRecord
from elision.accounts.telemetry import TelemetrySink
from elision.accounts.usage import Answered, Usage
from elision.config.accounts import Telemetry
from elision.config.telemetry import ReadyTelemetry
from fakes.collector import Collector, values_of
from fakes.raw_upstream import RawUpstream, always, answer
from fakes.running import proxy, raw_exchange, request_bytes

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECORD = RequestRecord(
    request_id="id",
    method="POST",
    path="/v1/chat/completions",
    status=200,
    report=Report("search", "rag@1", "enforce", ("m",), 100, 40, bypass=("too_short",), model="gpt-4o"),
    answered=Answered(Usage(50, 9, 30, 5, 2), "gpt-4o-2024", ("stop",), streamed=True),
    overhead_ms=1.5,
    total_ms=400.0,
    upstream="eu",
    at=1_800_000_000.5,
    money=Money(2_000_000, -1_000_000, Basis.BILLED),
    tokens_saved=55,
    basis=Basis.BILLED,
    traceparent=f"00-{TRACE}-{PARENT}-01",
)
URLS = {"eu": "https://api.openai.com"}


@asynccontextmanager
async def telling(settings: Telemetry, *, every_s: float = 1.0) -> AsyncIterator[TelemetrySink]:
    sink = TelemetrySink(settings, URLS, every_s=every_s)
    sink.start()
    try:
        yield sink
    finally:
        await sink.close()


async def test_a_span_continues_the_clients_trace() -> None:
    """By the conventions for generative AI, from the first byte to the last, with Elision's figures."""
    async with Collector() as collector:
        settings = ReadyTelemetry(collector.url, headers=(("api-key", "k"),))
        async with telling(settings) as sink:
            sink.add(RECORD)
        [span] = collector.spans
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.span_id.hex() != PARENT
        assert (span.name, span.kind) == ("chat gpt-4o", span.SPAN_KIND_CLIENT)
        assert span.start_time_unix_nano == 1_800_000_000_500_000_000
        assert span.end_time_unix_nano - span.start_time_unix_nano == 400_000_000
        assert collector.headers[0]["api-key"] == "k"
        assert collector.resources[0]["service.name"] == "elision"
        assert (sink.exported, sink.lost) == (1, 0)
    assert values_of(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.system": "openai",
        "server.address": "api.openai.com",
        "server.port": 443,
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 50,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 5,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "elision.request_id": "id",
        "elision.team": "search",
        "elision.policy": "rag@1",
        "elision.method": "m",
        "elision.upstream": "eu",
        "elision.mode": "enforce",
        "elision.tokens.before": 100,
        "elision.tokens.after": 40,
        "elision.tokens.saved": 55,
        "elision.basis": "billed",
        "elision.bypass": ["too_short"],
        "elision.streamed": True,
        "elision.overhead_ms": 1.5,
        "elision.cost_usd": 0.002,
        "elision.saved_usd": -0.001,
        "elision.cost_basis": "billed",
    }


async def test_metrics_are_those_of_the_conventions_and_our_own() -> None:
    """Tokens by type, seconds, money; models that nobody answered for are no labels."""
    async with Collector() as collector:
        async with telling(Telemetry(collector.url, traces=False)) as sink:
            for _ in range(3):
                sink.add(RECORD)
            made_up = replace(RECORD.report, model="made-up")
            sink.add(replace(RECORD, status=404, report=made_up, answered=Answered(), money=None))
        told = collector.metrics
        assert not collector.spans
    tokens = told["gen_ai.client.token.usage"].histogram.data_points
    by_type = {values_of(point.attributes)["gen_ai.token.type"]: point.sum for point in tokens}
    assert by_type == {"input": 150, "output": 27}
    seconds = told["gen_ai.client.operation.duration"].histogram.data_points
    assert {str(values_of(p.attributes)["gen_ai.request.model"]): p.count for p in seconds} == {
        "gpt-4o": 3,
        "other": 1,
    }
    assert {values_of(p.attributes).get("error.type") for p in seconds} == {None, "404"}
    assert sum(p.as_int for p in told["elision.requests"].sum.data_points) == 4
    assert sum(p.as_int for p in told["elision.tokens.saved"].sum.data_points) == 220
    assert sum(p.as_double for p in told["elision.cost.saved"].sum.data_points) == pytest.approx(-0.003)
    assert sum(p.as_double for p in told["elision.cost"].sum.data_points) == pytest.approx(0.006)
    assert told["elision.overhead"].histogram.data_points[0].sum == pytest.approx(0.006)
    assert sum(p.as_int for p in told["elision.bypasses"].sum.data_points) == 4


async def test_errors_are_told() -> None:
    """As the span's status and kind."""
    async with Collector() as collector:
        async with telling(Telemetry(collector.url, metrics=False)) as sink:
            sink.add(replace(RECORD, status=502, error="upstream_error"))
        [span] = collector.spans
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert values_of(span.attributes)["error.type"] == "upstream_error"


@pytest.mark.parametrize(
    ("traceparent", "sample", "spans"),
    [
        (f"00-{TRACE}-{PARENT}-01", 0.0, 1),
        (f"00-{TRACE}-{PARENT}-00", 1.0, 0),
        ("", 1.0, 1),
        ("", 0.0, 0),
        ("nonsense", 1.0, 1),
    ],
)
async def test_the_clients_word_on_sampling_counts_else_ours(
    traceparent: str, sample: float, spans: int
) -> None:
    """A client's trace is whole or not there."""
    async with Collector() as collector:
        async with telling(Telemetry(collector.url, metrics=False, sample=sample)) as sink:
            sink.add(replace(RECORD, traceparent=traceparent))
        assert len(collector.spans) == spans
        assert sink.exported == spans


async def test_a_collector_that_refuses_costs_spans_and_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And that it takes them again; what waits is bounded."""
    async with Collector(status=400) as collector:
        sink = TelemetrySink(Telemetry(collector.url, metrics=False), URLS, records=2)
        with caplog.at_level(logging.INFO, logger="elision.accounts"):
            for _ in range(3):
                sink.add(RECORD)
            await asyncio.to_thread(sink.flush)
            sink.add(RECORD)
            await asyncio.to_thread(sink.flush)
            collector.status = 200
            sink.add(RECORD)
            await asyncio.to_thread(sink.flush)
        await sink.close()
        assert (sink.lost, sink.exported, len(collector.spans)) == (4, 1, 1)
    told = [record for record in caplog.records if record.name == "elision.accounts"]
    assert [record.levelname for record in told] == ["WARNING", "INFO"]


async def test_what_was_taken_is_sent_while_serving() -> None:
    """Without anybody asking."""
    async with (
        Collector() as collector,
        telling(Telemetry(collector.url, metrics=False), every_s=0.01) as sink,
    ):
        sink.add(RECORD)
        async with asyncio.timeout(30):
            while not collector.spans:
                await asyncio.sleep(0.02)
        assert len(collector.spans) == 1


def test_nothing_of_it_is_loaded_where_nothing_is_sent() -> None:
    """It takes time and memory."""
    code = "import sys, elision.proxy.app; print([name for name in sys.modules if 'opentelemetry' in name])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


async def test_a_clients_trace_goes_through_the_proxy_and_on_to_the_upstream_unchanged() -> None:
    """The span is beside the request, not in it."""
    sent = request_bytes("GET", "/v1/models", [("Traceparent", RECORD.traceparent), ("tracestate", "a=b")])
    async with Collector() as collector, RawUpstream(lambda _: always(answer(b"{}"))) as upstream:
        async with (
            telling(Telemetry(collector.url, metrics=False)) as sink,
            proxy(upstream.url, sinks=[sink]) as running,
        ):
            assert (await raw_exchange(running.port, sent)).status == 200
        [span] = collector.spans
    [received] = upstream.received
    assert received.values("traceparent") == [RECORD.traceparent]
    assert received.values("tracestate") == ["a=b"]
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (TRACE, PARENT, "GET")
