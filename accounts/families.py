"""The catalogue of metrics: every family that Prometheus is told, its labels, its unit, its buckets. Pure.

Who counts, names a family of this list; `docs/metrics.md`, the dashboard and the alerts are tested
against it. Labels have few values each: `elision.accounts.meters` holds back what clients make up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from elision.accounts.archive import LABELS, OVERHEAD_BOUNDS_MS, RATIO_BOUNDS
from elision.accounts.money import NANO

MICRO = 1_000_000
ANSWER_BOUNDS = (1, 16, 64, 256, 1024, 4096, 16384, 65536)
"""Upper ends of the buckets of an answer's tokens."""


class Kind(StrEnum):
    """What Prometheus does with a family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Joined(StrEnum):
    """What several workers' gauges make together."""

    SUM = "sum"
    MOST = "most"
    LEAST = "least"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        name: without `_total` and the like.
        labels: their names, in the order in which values are given.
        bounds: upper ends of a histogram's buckets, in the unit told; one more holds all above.
        per: so many of what is counted make one of the unit told; counts are whole numbers.
        joined: for gauges; counters and histograms are added up.
    """

    name: str
    kind: Kind
    told: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    per: int = 1
    joined: Joined = Joined.SUM

    @property
    def samples(self) -> tuple[str, ...]:
        """Return the names that queries use."""
        if self.kind is Kind.COUNTER:
            return (f"{self.name}_total",)
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


WHAT = LABELS
"""What sums are told apart by; `policy` here without its version."""
WAY = ("team", "policy", "method")


def _counter(name: str, told: str, *labels: str, per: int = 1) -> Family:
    return Family(f"elision_{name}", Kind.COUNTER, told, labels, per=per)


def _gauge(name: str, told: str, *labels: str, joined: Joined = Joined.MOST, per: int = 1) -> Family:
    return Family(f"elision_{name}", Kind.GAUGE, told, labels, per=per, joined=joined)


def _histogram(name: str, told: str, *labels: str, bounds: tuple[float, ...], per: int = MICRO) -> Family:
    return Family(f"elision_{name}", Kind.HISTOGRAM, told, labels, bounds, per)


_REQUESTS = (
    _counter("requests", "Requests finished.", *WHAT),
    _counter("streamed_requests", "Requests answered as a stream.", *WHAT),
    _counter("compressed_requests", "Requests of which something was shortened and sent so.", *WHAT),
    _counter("confirmed_requests", "Requests whose upstream stated usage.", *WHAT),
    _counter("priced_requests", "Requests of which the cost is known.", *WHAT),
    _counter("rejections", "Rewritten requests that the upstream refused (400, 422).", *WHAT),
    _counter("responses", "Answers by their status.", "team", "upstream", "status"),
    _counter(
        "failures", "Requests that ended in an error of ours or in the client's leaving.", "team", "error"
    ),
    _gauge("in_flight", "Requests under way.", joined=Joined.SUM),
)
_TOKENS = (
    _counter("prompt_tokens", "Tokens of texts of enforced policies, by our count.", *WHAT, "when"),
    _counter("audited_tokens", "Tokens that rules or policies in audit would have saved.", *WHAT),
    _counter("saved_tokens", "Tokens saved, of requests that became shorter.", *WHAT, "basis"),
    _counter("lost_tokens", "Tokens added, of requests that became longer.", *WHAT, "basis"),
    _counter("billed_tokens", "Tokens as upstreams state them.", *WHAT, "kind"),
    _counter("segment_tokens", "Tokens of texts by kind of segment.", "team", "kind", "when"),
)
_MONEY = (
    _counter("cost_dollars", "Dollars spent on requests.", *WHAT, "basis", per=NANO),
    _counter("saved_dollars", "Dollars saved, of requests that became cheaper.", *WHAT, "basis", per=NANO),
    _counter("lost_dollars", "Dollars lost, of requests that became dearer.", *WHAT, "basis", per=NANO),
    _gauge("spent_dollars", "Dollars that a team has spent this month (UTC).", "team", per=NANO),
    _gauge("budget_dollars", "Dollars that a team means to spend in a month.", "team", per=NANO),
    _gauge("spending_alert", "1 while a team's spending is beyond its alert threshold.", "team"),
)
_WAYS = (
    _histogram(
        "overhead_seconds",
        "Time that the proxy itself took before the answer began.",
        *WAY,
        bounds=tuple(bound / 1000 for bound in OVERHEAD_BOUNDS_MS),
    ),
    _histogram("ratio", "Tokens after by tokens before, of compressed requests.", *WAY, bounds=RATIO_BOUNDS),
    _histogram(
        "answer_tokens",
        "Tokens of answers, as upstreams state them.",
        "team",
        "compressed",
        bounds=ANSWER_BOUNDS,
        per=1,
    ),
)
_WORDS = (
    _counter("bypasses", "Requests in which something stayed as it was.", "team", "policy", "reason"),
    _counter("cached_requests", "Requests by what the cache had of them.", "team", "policy", "cache"),
    _counter("prefix_messages", "Messages by what became of them.", "team", "outcome"),
    _counter("prefix_decisions", "Decisions for the provider's cache of a prompt.", "team", "decision"),
    _counter("finishes", "Choices of answers by why they ended.", "team", "reason", "compressed"),
    _counter(
        "retries",
        "Requests repeated within a minute of a good answer.",
        "team",
        "compressed",
    ),
)
_SERVICE = (
    _gauge("build_info", "1, with what runs.", "version", "python"),
    _gauge("workers", "HTTP workers that were heard of lately.", joined=Joined.SUM),
    _gauge("ready", "1 while all workers serve as configured.", joined=Joined.LEAST),
    _gauge("method_troubled", "1 while a method cannot be made on this machine.", "method"),
    _counter("policy_loads", "Policies taken over, by each worker."),
    _counter("policy_refusals", "Policies refused as wrong, by each worker."),
    _gauge("policy_refused", "1 while the newest policy files are refused and older ones apply."),
    _counter("texts", "Texts to be shortened, by what was done.", "what"),
    _counter("shared_failures", "Times that a worker could not write or read shared figures."),
    _gauge("accounts_waiting", "Requests whose figures are not kept yet.", joined=Joined.SUM),
    _counter("accounts_lost", "Requests whose figures could not be kept."),
    _counter("accounts_failures", "Times that figures could not be kept at once."),
    _gauge("accounts_troubled", "1 while figures cannot be kept."),
    _counter("request_log_lines", "Lines for the log of requests.", "result"),
    _counter("telemetry", "Spans and metrics for the collector.", "result"),
)
_CACHE = (
    _counter("cache_hits", "Values found.", "level", "kind"),
    _counter("cache_misses", "Values found on no level.", "kind"),
    _counter("cache_failures", "Times that a level was of no use, or a value damaged.", "level", "reason"),
    _counter("cache_written", "Values written to a shared level.", "level"),
    _counter("cache_evictions", "Values that had to make room.", "level"),
    _gauge("cache_memory_bytes", "Bytes that values take in the workers' memory.", joined=Joined.SUM),
    _gauge("cache_shared_bytes", "Bytes that values take on a shared level.", "level"),
    _gauge("cache_waiting_bytes", "Bytes that wait to be written.", "level", joined=Joined.SUM),
    _gauge("cache_troubled", "1 while a shared level is of no use.", "level"),
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for group in (_REQUESTS, _TOKENS, _MONEY, _WAYS, _WORDS, _SERVICE, _CACHE)
        for family in group
    }
)
"""All of them, by name."""
