"""An archive in memory, which answers as the real one does."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from elision.accounts.archive import (
    LABELS,
    ArchiveTrouble,
    Order,
    Query,
    Recent,
    Row,
    Step,
    Sums,
)

SECONDS = {Step.MINUTE: 60, Step.HOUR: 3600, Step.DAY: 86_400}
_SUMMED = [item.name for item in fields(Sums) if item.name not in ("overhead", "ratios", "words")]


@dataclass
class RememberedRows:
    """Keeps rows with all labels, and recent requests; answers as the real archive does."""

    kept: list[Row] = field(default_factory=list)
    requests: list[Recent] = field(default_factory=list)
    trouble: str = ""
    asked: list[Query] = field(default_factory=list)

    async def rows(self, query: Query) -> list[Row]:
        self._check()
        self.asked.append(query)
        seconds = SECONDS.get(query.step)
        found: dict[tuple[int, tuple[str, ...]], Sums] = {}
        for row in self.kept:
            labels = dict(zip(LABELS, row.labels, strict=True))
            begin = query.since - query.since % (seconds or 60)
            if begin <= row.at < query.until and all(labels[name] == value for name, value in query.only):
                at = row.at - row.at % seconds if seconds else query.since
                key = (at, tuple(labels[name] for name in query.by))
                found[key] = added(found.get(key, Sums()), row.sums)
        return [
            Row(at, labels, sums) for (at, labels), sums in sorted(found.items(), key=lambda item: item[0])
        ]

    async def recent(self, order: Order, count: int, only: Sequence[tuple[str, str]] = ()) -> list[Recent]:
        self._check()
        by = {
            Order.NEWEST: lambda one: one.at,
            Order.SLOWEST: lambda one: one.overhead_ms,
            Order.LARGEST: lambda one: one.tokens_before,
        }[order]
        found = [one for one in self.requests if all(getattr(one, name) == value for name, value in only)]
        return sorted(found, key=by, reverse=True)[:count]

    async def values(self, label: str) -> list[str]:
        self._check()
        return sorted({row.labels[LABELS.index(label)] for row in self.kept})

    def _check(self) -> None:
        if self.trouble:
            raise ArchiveTrouble(self.trouble)


def added(one: Sums, other: Sums) -> Sums:
    """Return the sums of both."""
    whole = {name: getattr(one, name) + getattr(other, name) for name in _SUMMED}
    return Sums(
        **whole,
        overhead=tuple(a + b for a, b in zip(one.overhead, other.overhead, strict=True)),
        ratios=tuple(a + b for a, b in zip(one.ratios, other.ratios, strict=True)),
        words=dict(Counter(one.words) + Counter(other.words)),
    )


RECENT = Recent(
    request_id="5f3e",
    at=1_700_000_000.25,
    team="search",
    policy="search@1a2b3c4d",
    method="llmlingua2",
    model="gpt-4o",
    upstream="",
    path="/v1/chat/completions",
    status=200,
    tokens_before=1000,
    tokens_after=400,
    tokens_saved=590,
    prompt_tokens=420,
    cached_tokens=0,
    completion_tokens=12,
    cost=1_170_000,
    saved=1_475_000,
    basis="billed",
    cache="miss",
    bypass="",
    overhead_ms=12.5,
    total_ms=843.0,
    error="",
)
