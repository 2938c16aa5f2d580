"""What is kept of requests, and how it is asked for: the types and the interface, no storage.

Requests are added up in *rows*: one for each bucket of time and each combination of labels. All
measures are whole numbers, so that sums are exact whoever adds them up, in whatever order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

LABELS = ("team", "policy", "method", "model", "upstream")
"""What requests are told apart by; `policy` is `name@version`, `method` one name, several joined by `+`,
or `none`."""

OVERHEAD_BOUNDS_MS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Upper ends of the buckets of the proxy's own time; one more holds all above."""
RATIO_BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Upper ends of the buckets of tokens after / before; of requests in which something was shortened."""


class Step(StrEnum):
    """How long the buckets of time are."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    ALL = "all"
    """One bucket for all of the time asked for."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Measures of some requests; tokens and nano-dollars are whole numbers.

    Attributes:
        requests: all of them.
        streams: answered as a stream.
        compressed: in which something was shortened and sent so.
        confirmed: of which the upstream stated usage.
        tokens_before, tokens_after: of the texts, by our count, of requests that a policy looked at and
            enforced; their difference is what headers claim.
        tokens_audited: that rules in audit would have saved.
        tokens_saved: as records have it: corrected by what was billed, where it was.
        tokens_saved_billed: of `tokens_saved`, those that rest on stated usage.
        prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens, reasoning_tokens: as stated
            by upstreams.
        priced: requests whose model's price is known.
        cost, saved: nano-dollars, billed or estimated.
        saved_billed: of `saved`, what rests on stated usage.
        failed: ended in a status from 500 on, or in an error of the proxy or the client's leaving.
        rejected: in which the upstream refused what was rewritten, and the original was sent.
        retried: that repeat a request of less than a minute ago which was answered well.
        overhead_us, total_ms: sums of times.
        overhead: (buckets,) requests by `OVERHEAD_BOUNDS_MS`.
        ratios: (buckets,) compressed requests by `RATIO_BOUNDS`.
        words: counts of what has names, as `group:word`: `status:200`, `bypass:deadline`, `cache:hit`,
            `finish:stop`, `segment_before:context` and `segment_after:context` (tokens), `basis:billed`.
    """

    requests: int = 0
    streams: int = 0
    compressed: int = 0
    confirmed: int = 0
    tokens_before: int = 0
    tokens_after: int = 0
    tokens_audited: int = 0
    tokens_saved: int = 0
    tokens_saved_billed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    priced: int = 0
    cost: int = 0
    saved: int = 0
    saved_billed: int = 0
    failed: int = 0
    rejected: int = 0
    retried: int = 0
    overhead_us: int = 0
    total_ms: int = 0
    overhead: tuple[int, ...] = (0,) * (len(OVERHEAD_BOUNDS_MS) + 1)
    ratios: tuple[int, ...] = (0,) * (len(RATIO_BOUNDS) + 1)
    words: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


MEASURES = tuple(item.name for item in fields(Sums))


@dataclass(frozen=True, slots=True)
class Row:
    """Sums of one bucket of time and one combination of labels.

    Attributes:
        at: the bucket's beginning, seconds since 1970.
        labels: values of the query's `by`, in its order.
    """

    at: int
    labels: tuple[str, ...]
    sums: Sums


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for.

    Attributes:
        since, until: seconds since 1970. The answer holds every bucket that begins before `until`, from
            the one on that `since` is in; buckets are whole, so that the first and last may hold more.
        step: of the answer's buckets; longer ones where time so long ago is no more told so finely.
        by: of `LABELS`, which are told apart.
        only: (label, value) that requests must have.
        measures: of `MEASURES`, which are wanted; others may be left at 0.
    """

    since: int
    until: int
    step: Step = Step.HOUR
    by: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()
    measures: tuple[str, ...] = MEASURES


@dataclass(frozen=True, slots=True)
class Recent:
    """One request that is still told by itself: numbers and short words, never text."""

    request_id: str
    at: float
    team: str
    policy: str
    method: str
    model: str
    upstream: str
    path: str
    status: int
    tokens_before: int
    tokens_after: int
    tokens_saved: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost: int | None
    saved: int | None
    basis: str
    cache: str
    bypass: str
    overhead_ms: float
    total_ms: float
    error: str


class Order(StrEnum):
    """Which of the recent requests are shown."""

    NEWEST = "newest"
    SLOWEST = "slowest"
    """By the proxy's own time."""
    LARGEST = "largest"
    """By tokens before."""


class ArchiveTrouble(Exception):
    """What is kept cannot be read now; the message says why, for the operator."""


class Archive(Protocol):
    """Answers questions about requests. Off the event loop; what was just recorded may take a second.

    Every method may raise ArchiveTrouble, and ValueError where something is no label.
    """

    async def rows(self, query: Query) -> list[Row]:
        """Return rows in order of time, then labels; none for a bucket without requests."""
        ...

    async def recent(self, order: Order, count: int, only: Sequence[tuple[str, str]] = ()) -> list[Recent]:
        """Return recent requests, at most `count`."""
        ...

    async def values(self, label: str) -> list[str]:
        """Return the values that a label has had, sorted."""
        ...
