"""Records added up in memory, by minute and labels: exact, in whole numbers, bounded. Pure.

A tally is what was recorded since somebody last took it away to be kept. How many names it tells
apart is bounded, since clients and upstreams make names up; how many cells it holds is bounded too,
for when nobody can take it away: old minutes become hours, then days, and only then are lost.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import islice
from types import MappingProxyType

from elision.accounts.archive import OVERHEAD_BOUNDS_MS, RATIO_BOUNDS, Recent, Sums
from elision.accounts.labels import OTHER, Labels, cleaned, labels_of, recent_of
from elision.accounts.money import Basis
from elision.accounts.records import RequestRecord
from elision.accounts.spans import DAY_S, HOUR_S, MINUTE_S, floor

NAMES = 200
"""So many models, policies, upstreams and methods each are told apart by one process; then `other`."""
WORDS = 200
"""So many words of each group: upstreams make up reasons why answers end, and nothing else."""
CELLS = 20_000
"""So many pairs of minute and labels wait to be kept."""

_WORD_LETTERS = 60

COUNTS = tuple(item.name for item in fields(Sums) if item.name not in ("overhead", "ratios", "words"))
"""The measures that are one number each, in order."""

Key = tuple[int, Labels]
"""A bucket's beginning in seconds since 1970, and labels."""


@dataclass(slots=True)
class Cell:
    """Measures of some requests, while they are added up; as `Sums` has them."""

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
    overhead: list[int] = field(default_factory=lambda: [0] * (len(OVERHEAD_BOUNDS_MS) + 1))
    ratios: list[int] = field(default_factory=lambda: [0] * (len(RATIO_BOUNDS) + 1))
    words: dict[str, int] = field(default_factory=dict)

    def numbers(self) -> list[int]:
        """Return all measures but the words: `COUNTS`, buckets of overhead, buckets of ratios."""
        return [*(getattr(self, name) for name in COUNTS), *self.overhead, *self.ratios]

    def merge(self, other: "Cell") -> None:
        """Add the measures of other requests."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.overhead = [a + b for a, b in zip(self.overhead, other.overhead, strict=True)]
        self.ratios = [a + b for a, b in zip(self.ratios, other.ratios, strict=True)]
        for word, count in other.words.items():
            self.words[word] = self.words.get(word, 0) + count

    def sums(self) -> Sums:
        """Return what was added up."""
        return sums_of(self.numbers(), self.words)


def sums_of(numbers: Sequence[int], words: Mapping[str, int]) -> Sums:
    """Return measures from what `Cell.numbers` returns, and words."""
    counts, overhead = len(COUNTS), len(COUNTS) + len(OVERHEAD_BOUNDS_MS) + 1
    return Sums(
        **dict(zip(COUNTS, numbers[:counts], strict=True)),
        overhead=tuple(numbers[counts:overhead]),
        ratios=tuple(numbers[overhead:]),
        words=MappingProxyType(dict(words)),
    )


class Names:
    """Names that are told apart: the first so many; all others are `other`.

    Args:
        limit: how many of one kind; of models that nobody was answered well by, half as many.
        words: how many of one group.
    """

    def __init__(self, limit: int = NAMES, words: int = WORDS) -> None:
        self._limit = limit
        self._most_words = words
        self._by_label: tuple[set[str], ...] = tuple(set() for _ in range(5))
        self._labels: set[Labels] = set()
        self._words: set[str] = set()
        self._of_group: dict[str, int] = {}

    def labels(self, asked: Labels, *, is_good: bool = True) -> Labels:
        """Return the labels, with `other` for what is one too many.

        Args:
            asked: as a request has them.
            is_good: it was answered well, so that its model is one.
        """
        if asked in self._labels:
            return asked
        limits = (self._limit,) * 3 + (self._limit if is_good else self._limit // 2, self._limit)
        team, policy, method, model, upstream = (
            value if _knows(known, value, limit) else OTHER
            for known, value, limit in zip(self._by_label, asked, limits, strict=True)
        )
        found = (team, policy, method, model, upstream)
        self._labels.add(found)
        return found

    def word(self, group: str, name: str) -> str:
        """Return `group:name`, or `group:other` where there are too many."""
        word = f"{group}:{name}"
        if word in self._words:
            return word
        word = f"{group}:{cleaned(name, _WORD_LETTERS)}"
        if word not in self._words:
            told = self._of_group.get(group, 0)
            if told >= self._most_words:
                return f"{group}:{OTHER}"
            self._of_group[group] = told + 1
            self._words.add(word)
        return word


def _knows(known: set[str], value: str, limit: int) -> bool:
    if value not in known and len(known) < limit:
        known.add(value)
    return value in known


class Tally:
    """What was recorded since it was last taken away.

    Attributes:
        cells: measures by minute and labels.
        recent: the latest requests, oldest first, in the order in which they ended.
        requests: how many the cells hold.
        lost: requests that were given up because too much waited.

    Args:
        recent: how many requests are told by themselves.
        limit: of cells.
    """

    def __init__(self, recent: int, limit: int = CELLS) -> None:
        self.cells: dict[Key, Cell] = {}
        self.recent: deque[RequestRecord] = deque(maxlen=recent)
        self.requests = 0
        self.lost = 0
        self._limit = limit

    def __bool__(self) -> bool:
        return bool(self.cells or self.recent)

    def add(self, record: RequestRecord, names: Names) -> None:
        """Add one finished request, its labels and words told apart as far as names go."""
        at = int(record.at)
        key = (floor(at, MINUTE_S), names.labels(labels_of(record), is_good=0 < record.status < 400))
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell()
        self.requests += 1
        _add_outcome(cell, record)
        _add_tokens(cell, record)
        _add_money(cell, record)
        _add_words(cell.words, record, names)
        self.recent.append(record)
        if cell.requests == 1:
            self._shrink()

    def merge(self, later: "Tally") -> None:
        """Add what another tally holds, which was recorded later."""
        for key, cell in later.cells.items():
            mine = self.cells.get(key)
            if mine is None:
                self.cells[key] = cell
            else:
                mine.merge(cell)
        self.recent.extend(later.recent)
        self.requests += later.requests
        self.lost += later.lost
        self._shrink()

    def clear(self) -> None:
        """Forget what has been kept elsewhere; what was lost stays lost."""
        self.cells = {}
        self.requests = 0
        self.recent.clear()

    def take(self, cells: int, recent: int) -> "Tally":
        """Take out a part: so many cells and recent requests at most."""
        part = Tally(recent, self._limit)
        for key in list(islice(self.cells, cells)):
            part.cells[key] = cell = self.cells.pop(key)
            part.requests += cell.requests
        self.requests -= part.requests
        while self.recent and len(part.recent) < recent:
            part.recent.append(self.recent.popleft())
        return part

    def told(self) -> list[Recent]:
        """Return the latest requests as they are told by themselves, oldest first."""
        return [recent_of(record) for record in self.recent]

    def by(self, seconds: int) -> Iterator[tuple[Key, Cell]]:
        """Yield measures by longer buckets and labels; not to be changed.

        Args:
            seconds: length of the buckets: 60, 3600 or 86,400.
        """
        if seconds == MINUTE_S:
            yield from self.cells.items()
            return
        longer: dict[Key, list[Cell]] = {}
        for (at, labels), cell in self.cells.items():
            longer.setdefault((floor(at, seconds), labels), []).append(cell)
        for key, cells in longer.items():
            yield key, cells[0] if len(cells) == 1 else _merged(cells)

    def _shrink(self) -> None:
        """Where too much waits, tell time by the hour, then by the day, older time first; then lose it."""
        if len(self.cells) <= self._limit:
            return
        newest = max(at for at, _ in self.cells)
        for seconds, until in (
            (HOUR_S, floor(newest, HOUR_S)),
            (DAY_S, floor(newest, DAY_S)),
            (HOUR_S, newest + 1),
            (DAY_S, newest + 1),
        ):
            self._tell_coarsely(seconds, until)
            if len(self.cells) <= self._limit:
                return
        for key in sorted(self.cells, key=lambda key: key[0])[: self._limit // 4 or 1]:
            gone = self.cells.pop(key).requests
            self.requests -= gone
            self.lost += gone

    def _tell_coarsely(self, seconds: int, until: int) -> None:
        """Make longer buckets of those that begin before a time."""
        older = Tally(0)
        older.cells = {key: cell for key, cell in self.cells.items() if key[0] < until}
        for key in older.cells:
            del self.cells[key]
        for key, cell in older.by(seconds):
            if key in self.cells:
                self.cells[key].merge(cell)
            else:
                self.cells[key] = cell


def _merged(cells: Iterable[Cell]) -> Cell:
    whole = Cell()
    for cell in cells:
        whole.merge(cell)
    return whole


def _add_outcome(cell: Cell, record: RequestRecord) -> None:
    """Count how a request went, and how long it took."""
    cell.requests += 1
    cell.streams += record.answered.streamed
    cell.failed += has_failed(record)
    cell.rejected += record.sent_original_after_rejection
    cell.retried += record.is_retry
    cell.overhead_us += round(record.overhead_ms * 1000)
    cell.total_ms += round(record.total_ms)
    cell.overhead[bisect_left(OVERHEAD_BOUNDS_MS, record.overhead_ms)] += 1


def _add_tokens(cell: Cell, record: RequestRecord) -> None:
    report, usage = record.report, record.answered.usage
    if report.mode == "enforce":
        cell.tokens_before += report.tokens_before
        cell.tokens_after += report.tokens_after
        if report.methods:
            cell.compressed += 1
            ratio = report.tokens_after / report.tokens_before if report.tokens_before else 1.0
            cell.ratios[bisect_left(RATIO_BOUNDS, ratio)] += 1
    cell.tokens_audited += report.tokens_only_audited
    cell.tokens_saved += record.tokens_saved
    if record.basis is Basis.BILLED:
        cell.tokens_saved_billed += record.tokens_saved
    if usage is not None:
        cell.confirmed += 1
        cell.prompt_tokens += usage.prompt_tokens
        cell.cached_tokens += usage.cached_tokens
        cell.cache_write_tokens += usage.cache_write_tokens
        cell.completion_tokens += usage.completion_tokens
        cell.reasoning_tokens += usage.reasoning_tokens


def _add_money(cell: Cell, record: RequestRecord) -> None:
    money = record.money
    if money is None:
        return
    cell.priced += 1
    cell.cost += money.cost
    cell.saved += money.saved
    if money.basis is Basis.BILLED:
        cell.saved_billed += money.saved


def has_failed(record: RequestRecord) -> bool:
    """Return whether a request ended badly, not by its client's own mistake."""
    return record.status >= 500 or (record.error != "" and not 400 <= record.status < 500)


def _add_words(words: dict[str, int], record: RequestRecord, names: Names) -> None:
    """Count what has names."""
    report, answered = record.report, record.answered
    told = [("status", str(record.status))]
    told += [("bypass", reason) for reason in report.bypass]
    told += [("finish", reason) for reason in answered.finish_reasons]
    if report.cache:
        told.append(("cache", report.cache))
    if record.error:
        told.append(("error", record.error))
    if report.mode == "enforce":
        told.append(("basis", record.basis.value))
        for segment in report.segments:
            _add_segment(words, segment, names)
    for group, name in told:
        word = names.word(group, name)
        words[word] = words.get(word, 0) + 1


def _add_segment(words: dict[str, int], segment: str, names: Names) -> None:
    """Count tokens of a kind of segment, of `kind:before>after`."""
    kind, _, tokens = segment.partition(":")
    before, _, after = tokens.partition(">")
    for group, count in (("segment_before", before), ("segment_after", after)):
        word = names.word(group, kind)
        words[word] = words.get(word, 0) + int(count)
