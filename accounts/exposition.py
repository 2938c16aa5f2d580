"""Counts as Prometheus reads them: its own text format, or OpenMetrics where it asks for that.

Pure but for `prometheus_client`, which writes both formats and is imported when somebody asks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from elision.accounts.counts import Labels, Numbers
from elision.accounts.families import FAMILIES, Family, Kind

if TYPE_CHECKING:
    from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True)
class Exposition:
    """What is answered to who asks for metrics."""

    body: bytes
    content_type: str


def exposed(counts: Mapping[str, Mapping[Labels, Numbers]], accept: str = "") -> Exposition:
    """Return counts in the format that is asked for.

    Args:
        counts: by families of the catalogue alone (`elision.accounts.counts.expanded`).
        accept: the asking side's `Accept` header.

    Raises: KeyError if a family is not in the catalogue.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(_Told(counts))
    write, content_type = choose_encoder(accept)
    return Exposition(write(registry), content_type)


class _Told:
    """What `prometheus_client` calls a collector."""

    def __init__(self, counts: Mapping[str, Mapping[Labels, Numbers]]) -> None:
        unknown = counts.keys() - FAMILIES.keys()
        if unknown:
            raise KeyError(f"no such metric in accounts/families.py: {', '.join(sorted(unknown))}")
        self._counts = counts

    def collect(self) -> "Iterator[Metric]":
        for name, family in FAMILIES.items():
            yield _metric(family, self._counts.get(name, {}))


def _metric(family: Family, rows: Mapping[Labels, Numbers]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if family.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(family.name, family.told, labels=family.labels)
        ends = [*(str(float(bound)) for bound in family.bounds), "+Inf"]
        for labels, (*buckets, total) in rows.items():
            cumulative = list(zip(ends, accumulate(buckets), strict=True))
            histogram.add_metric(labels, cumulative, total / family.per)
        return histogram
    shape = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = shape(family.name, family.told, labels=family.labels)
    for labels, (count,) in rows.items():
        metric.add_metric(labels, count if family.per == 1 else count / family.per)
    return metric
