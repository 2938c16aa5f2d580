"""The bounds of what OpenTelemetry's metrics tell apart."""

import asyncio
from itertools import pairwise

from opentelemetry.sdk.resources import Resource

from elision.accounts.records import Report, RequestRecord
from elision.accounts.telemetry_metrics import SECOND_BOUNDS, TOKEN_BOUNDS, TelemetryMetrics
from fakes.collector import Collector, values_of


def test_buckets_are_those_of_the_conventions() -> None:
    """Powers of four and of two."""
    assert (TOKEN_BOUNDS[0], TOKEN_BOUNDS[-1]) == (1, 67_108_864)
    assert (SECOND_BOUNDS[0], SECOND_BOUNDS[-1]) == (0.01, 81.92)
    assert all(after == 2 * before for before, after in pairwise(SECOND_BOUNDS))


async def test_models_that_clients_make_up_are_bounded() -> None:
    """Beyond a hundred they are `other`."""
    async with Collector() as collector:
        metrics = TelemetryMetrics(f"{collector.url}/v1/metrics", {}, Resource({}))
        for number in range(150):
            report = Report("t", "p@1", model=f"m{number}")
            metrics.add(RequestRecord("id", "POST", "/v1/chat/completions", 200, report), "http://h")
        await asyncio.to_thread(metrics.close)
        points = collector.metrics["gen_ai.client.operation.duration"].histogram.data_points
    models = {str(values_of(point.attributes)["gen_ai.request.model"]): point.count for point in points}
    assert len(models) == 101
    assert models["other"] == 50
