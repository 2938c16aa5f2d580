"""What Prometheus may ask: requests, tokens, bypasses, the policies' state, of this process.

Counting is a few additions to dictionaries; names, types and text are made when somebody asks. The
labels are teams that have a policy (`elision.proxy.teams` lets no other name through), policies,
statuses and reasons: never a text, a key, or a name that a client made up.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from elision.accounts.records import RequestRecord
from elision.proxy.policy_source import DEFAULT_TEAM
from elision.proxy.store_tiers import Figures

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_NO_POLICY = "none"


class PolicyState(Protocol):
    """How the policy files are."""

    loads: int
    refusals: int
    problems: tuple[str, ...]


class Metrics:
    """Counts finished requests, and tells Prometheus.

    Args:
        policies: None where there are none.
        kept: returns the figures of what is kept.
        texts: returns how many texts came to be shortened in which way.
    """

    def __init__(
        self,
        policies: PolicyState | None = None,
        kept: Callable[[], Figures] | None = None,
        texts: Callable[[], Mapping[str, int]] | None = None,
    ) -> None:
        self._policies = policies
        self._kept = kept
        self._texts = texts
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._tokens: Counter[tuple[str, str, str]] = Counter()
        self._bypasses: Counter[tuple[str, str]] = Counter()
        self._overhead_ms = 0.0

    def add(self, record: RequestRecord) -> None:
        """Count one request."""
        report = record.report
        team, policy = report.team or DEFAULT_TEAM, report.policy or _NO_POLICY
        self._requests[team, policy, str(record.status)] += 1
        self._overhead_ms += record.overhead_ms
        if report.tokens_before:
            self._tokens[team, policy, "before"] += report.tokens_before
            self._tokens[team, policy, "after"] += report.tokens_after
        for reason in report.bypass:
            self._bypasses[team, reason] += 1

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> "Iterator[Metric]":
        """Yield the figures; what `prometheus_client` calls."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        requests = CounterMetricFamily(
            "elision_requests", "Requests served.", labels=("team", "policy", "status")
        )
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        tokens = CounterMetricFamily(
            "elision_prompt_tokens",
            "Tokens of the prompts' texts, before and after.",
            labels=("team", "policy", "when"),
        )
        for labels, count in self._tokens.items():
            tokens.add_metric(labels, count)
        bypasses = CounterMetricFamily(
            "elision_bypasses", "Requests in which something stayed as it was.", labels=("team", "reason")
        )
        for reasons, count in self._bypasses.items():
            bypasses.add_metric(reasons, count)
        yield from (requests, tokens, bypasses)
        yield SummaryMetricFamily(
            "elision_overhead_seconds",
            "Time that the proxy itself took before the answer began.",
            count_value=self._requests.total(),
            sum_value=self._overhead_ms / 1000,
        )
        if self._policies is not None:
            loads, refusals = self._policies.loads, self._policies.refusals
            yield CounterMetricFamily("elision_policy_loads", "Policies taken over.", value=loads)
            yield CounterMetricFamily("elision_policy_refusals", "Policies refused as wrong.", value=refusals)
            yield GaugeMetricFamily(
                "elision_policy_refused",
                "1 while the newest policy files are refused and older ones apply.",
                value=int(bool(self._policies.problems)),
            )
        if self._texts is not None:
            yield _counter(
                "texts", "Texts to be shortened, by what was done.", ("what",), _alone(self._texts())
            )
        if self._kept is not None:
            yield from _of_store(self._kept())


def _of_store(figures: Figures) -> "Iterator[Metric]":
    """Yield what a store has counted, by level and kind of value."""
    from prometheus_client.core import GaugeMetricFamily

    counters: list[tuple[str, str, tuple[str, ...], Iterable[tuple[tuple[str, ...], int]]]] = [
        ("hits", "Values found.", ("level", "kind"), figures.hits.items()),
        ("misses", "Values found on no level.", ("kind",), _alone(figures.misses)),
        (
            "failures",
            "Times that a level was of no use, or a value damaged.",
            ("level", "reason"),
            figures.failures.items(),
        ),
        ("written", "Values written to a shared level.", ("level",), _alone(figures.written)),
        ("evictions", "Values that had to make room.", ("level",), _alone(figures.evictions)),
    ]
    for name, told, labels, counts in counters:
        yield _counter(f"cache_{name}", told, labels, counts)
    troubled = {level: int(bool(trouble)) for level, trouble in figures.trouble.items()}
    for name, told, gauges in (
        ("held_bytes", "Bytes that values take.", figures.held_bytes),
        ("waiting_bytes", "Bytes that wait to be written.", figures.waiting_bytes),
        ("troubled", "1 while a shared level is of no use.", troubled),
    ):
        gauge = GaugeMetricFamily(f"elision_cache_{name}", told, labels=("level",))
        for level, count in gauges.items():
            gauge.add_metric((level,), count)
        yield gauge


def _counter(
    name: str, told: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], int]]
) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    counter = CounterMetricFamily(f"elision_{name}", told, labels=labels)
    for values, count in counts:
        counter.add_metric(values, count)
    return counter


def _alone(counts: Mapping[str, int]) -> list[tuple[tuple[str, ...], int]]:
    return [((value,), count) for value, count in counts.items()]
