"""Counts finished requests for Prometheus: since the process began, by few labels, in whole numbers.

What clients and upstreams make up is bounded before it becomes a label: a model's name is told apart
once a request for it was answered well, and only so many are; the rest is `other`. Taking one record
costs a few microseconds; text is made when somebody asks (`elision.proxy.metrics`).
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter

from elision.accounts.archive import OVERHEAD_BOUNDS_MS, RATIO_BOUNDS
from elision.accounts.counts import Counts, Labels, Wide, joined
from elision.accounts.families import ANSWER_BOUNDS, MICRO
from elision.accounts.labels import OTHER, UNKNOWN_MODEL, labels_of
from elision.accounts.money import Basis
from elision.accounts.records import Report, RequestRecord

MODELS = 100
"""Names of models that one process tells apart."""
NAMES = 1000
"""Names of anything else that one process tells apart: teams, policies, methods, upstreams, words."""
COMBINATIONS = 1000
"""Combinations of labels that are told apart; of others only team and policy are."""
_REMEMBERED = 4096

_ESTIMATE, _BILLED = (str(Basis.ESTIMATE),), (str(Basis.BILLED),)
_NO, _YES = "no", "yes"
_MESSAGES = frozenset(("replayed", "new", "unknown"))

_COLUMNS: tuple[tuple[str, str, Labels], ...] = (
    ("requests", "elision_requests", ()),
    ("streams", "elision_streamed_requests", ()),
    ("compressed", "elision_compressed_requests", ()),
    ("confirmed", "elision_confirmed_requests", ()),
    ("priced", "elision_priced_requests", ()),
    ("rejected", "elision_rejections", ()),
    ("before", "elision_prompt_tokens", ("before",)),
    ("after", "elision_prompt_tokens", ("after",)),
    ("audited", "elision_audited_tokens", ()),
    ("saved_estimate", "elision_saved_tokens", _ESTIMATE),
    ("saved_billed", "elision_saved_tokens", _BILLED),
    ("lost_estimate", "elision_lost_tokens", _ESTIMATE),
    ("lost_billed", "elision_lost_tokens", _BILLED),
    ("prompt", "elision_billed_tokens", ("prompt",)),
    ("cached", "elision_billed_tokens", ("cached",)),
    ("written", "elision_billed_tokens", ("written",)),
    ("completion", "elision_billed_tokens", ("completion",)),
    ("reasoning", "elision_billed_tokens", ("reasoning",)),
    ("cost_estimate", "elision_cost_dollars", _ESTIMATE),
    ("cost_billed", "elision_cost_dollars", _BILLED),
    ("cheaper_estimate", "elision_saved_dollars", _ESTIMATE),
    ("cheaper_billed", "elision_saved_dollars", _BILLED),
    ("dearer_estimate", "elision_lost_dollars", _ESTIMATE),
    ("dearer_billed", "elision_lost_dollars", _BILLED),
)
BY_REQUEST = Wide("by_request", tuple((family, further) for _, family, further in _COLUMNS))
"""What stands in one row for each combination of team, policy, method, model and upstream."""
_row: Callable[["_Cell"], tuple[int, ...]] = attrgetter(*(name for name, _, _ in _COLUMNS))


@dataclass(slots=True)
class _Buckets:
    """Counts of requests by size, and the sum of sizes."""

    counts: list[int]
    total: int = 0


@dataclass(slots=True)
class _Way:
    """Distributions of requests of one team, policy and method."""

    overhead: _Buckets = field(default_factory=lambda: _Buckets([0] * (len(OVERHEAD_BOUNDS_MS) + 1)))
    ratio: _Buckets = field(default_factory=lambda: _Buckets([0] * (len(RATIO_BOUNDS) + 1)))


def _two_answers() -> tuple[_Buckets, _Buckets]:
    return _Buckets([0] * (len(ANSWER_BOUNDS) + 1)), _Buckets([0] * (len(ANSWER_BOUNDS) + 1))


@dataclass(slots=True)
class _Group:
    """Words told of requests of one team and policy; pairs are of plain and of compressed requests."""

    bypasses: dict[str, int] = field(default_factory=dict)
    cached: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    segments_before: dict[str, int] = field(default_factory=dict)
    segments_after: dict[str, int] = field(default_factory=dict)
    finishes: tuple[dict[str, int], dict[str, int]] = field(default_factory=lambda: ({}, {}))
    answers: tuple[_Buckets, _Buckets] = field(default_factory=_two_answers)
    retries: list[int] = field(default_factory=lambda: [0, 0])

    def counts(self, labels: Labels) -> Counts:
        """Return them under their families.

        Args:
            labels: team and policy.
        """
        team = labels[:1]
        told: Counts = {
            "elision_bypasses": _by_word(labels, self.bypasses),
            "elision_cached_requests": _by_word(labels, self.cached),
            "elision_prefix_messages": _by_word(team, self.messages),
            "elision_prefix_decisions": _by_word(team, self.decisions),
            "elision_failures": _by_word(team, self.failures),
            "elision_segment_tokens": {
                **_by_word(team, self.segments_before, "before"),
                **_by_word(team, self.segments_after, "after"),
            },
            "elision_finishes": {
                **_by_word(team, self.finishes[False], _NO),
                **_by_word(team, self.finishes[True], _YES),
            },
        }
        pairs = list(zip((_NO, _YES), self.answers, self.retries, strict=True))
        told["elision_answer_tokens"] = {
            (*team, n): _numbers(found) for n, found, _ in pairs if any(found.counts)
        }
        told["elision_retries"] = {(*team, name): (count,) for name, _, count in pairs if count}
        return told


def _by_word(labels: Labels, counts: dict[str, int], *further: str) -> dict[Labels, tuple[int, ...]]:
    return {(*labels, word, *further): (count,) for word, count in counts.items()}


@dataclass(slots=True)
class _Cell:
    """Counts of one combination of labels; `_COLUMNS` says what they are called outside."""

    labels: Labels
    way: _Way
    group: "_Group"
    requests: int = 0
    streams: int = 0
    compressed: int = 0
    confirmed: int = 0
    priced: int = 0
    rejected: int = 0
    before: int = 0
    after: int = 0
    audited: int = 0
    saved_estimate: int = 0
    saved_billed: int = 0
    lost_estimate: int = 0
    lost_billed: int = 0
    prompt: int = 0
    cached: int = 0
    written: int = 0
    completion: int = 0
    reasoning: int = 0
    cost_estimate: int = 0
    cost_billed: int = 0
    cheaper_estimate: int = 0
    cheaper_billed: int = 0
    dearer_estimate: int = 0
    dearer_billed: int = 0


class Bounded:
    """The first so many names; all others are `other`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def name(self, asked: str, *, is_new_welcome: bool = True) -> str:
        """Return the name as it is told, which may be `other`."""
        if asked in self._known:
            return asked
        if not is_new_welcome or len(self._known) >= self._limit:
            return OTHER
        self._known.add(asked)
        return asked


class Meters:
    """Counts finished requests; for one event loop.

    Args:
        models, names, combinations: how many are told apart.
    """

    def __init__(self, *, models: int = MODELS, names: int = NAMES, combinations: int = COMBINATIONS) -> None:
        self._models = Bounded(models)
        self._names = tuple(Bounded(names) for _ in range(4))
        self._words = Bounded(names)
        self._finishes = Bounded(names)
        self._combinations = combinations
        self._cells: dict[Labels, _Cell] = {}
        self._remembered: dict[tuple[object, ...], _Cell] = {}
        self._ways: dict[Labels, _Way] = {}
        self._groups: dict[Labels, _Group] = {}
        self._responses: dict[tuple[str, str, int], int] = {}

    def add(self, record: RequestRecord) -> None:
        """Count one request."""
        report = record.report
        cell = self._cell(record)
        is_compressed = bool(report.methods) and report.mode == "enforce"
        cell.requests += 1
        cell.streams += record.answered.streamed
        cell.compressed += is_compressed
        cell.rejected += record.sent_original_after_rejection
        _put(cell.way.overhead, OVERHEAD_BOUNDS_MS, record.overhead_ms, round(record.overhead_ms * 1000))
        if report.tokens_before:
            _add_texts(cell, report, is_compressed)
        if record.tokens_saved:
            _add_saved(cell, record.tokens_saved, record.basis)
        if record.money is not None:
            _add_money(cell, record)
        self._add_answer(cell, record, is_compressed)
        self._add_words(cell.group, report)

    def counts(self) -> Counts:
        """Return all counts; `BY_REQUEST` says how to read the wide ones."""
        counts: Counts = {BY_REQUEST.name: {labels: _row(cell) for labels, cell in self._cells.items()}}
        counts["elision_overhead_seconds"] = {at: _numbers(way.overhead) for at, way in self._ways.items()}
        ratios = ((at, way.ratio) for at, way in self._ways.items())
        counts["elision_ratio"] = {at: _numbers(ratio) for at, ratio in ratios if any(ratio.counts)}
        counts["elision_responses"] = {
            (team, upstream, str(status) if status else "none"): (count,)
            for (team, upstream, status), count in self._responses.items()
        }
        return joined([counts, *(group.counts(at) for at, group in self._groups.items())])

    def _cell(self, record: RequestRecord) -> _Cell:
        report = record.report
        model = report.model or record.answered.model
        key = (report.team, report.policy, report.methods, model, record.upstream)
        cell = self._remembered.get(key)
        if cell is not None:
            return cell
        labels = self._labels(record)
        if labels not in self._cells and len(self._cells) >= self._combinations:
            labels = (*labels[:2], OTHER, OTHER, OTHER)
        cell = self._cells.get(labels)
        if cell is None:
            way = self._ways.setdefault(labels[:3], _Way())
            group = self._groups.setdefault(labels[:2], _Group())
            cell = self._cells[labels] = _Cell(labels, way, group)
        is_settled = labels[3] != OTHER or record.status < 400
        if is_settled and len(self._remembered) < _REMEMBERED:
            self._remembered[key] = cell
        return cell

    def _labels(self, record: RequestRecord) -> Labels:
        team, policy, method, model, upstream = labels_of(record)
        is_good = model == UNKNOWN_MODEL or 0 < record.status < 400
        said = (team, policy.partition("@")[0], method, upstream)
        team, policy, method, upstream = (
            known.name(name) for known, name in zip(self._names, said, strict=True)
        )
        return team, policy, method, self._models.name(model, is_new_welcome=is_good), upstream

    def _add_answer(self, cell: _Cell, record: RequestRecord, is_compressed: bool) -> None:
        """Count how a request was answered."""
        group, answered = cell.group, record.answered
        status = record.status if 100 <= record.status < 600 else 0
        key = (cell.labels[0], cell.labels[4], status)
        self._responses[key] = self._responses.get(key, 0) + 1
        usage = answered.usage
        if usage is not None:
            cell.confirmed += 1
            cell.prompt += usage.prompt_tokens
            cell.cached += usage.cached_tokens
            cell.written += usage.cache_write_tokens
            cell.completion += usage.completion_tokens
            cell.reasoning += usage.reasoning_tokens
            tokens = usage.completion_tokens
            _put(group.answers[is_compressed], ANSWER_BOUNDS, tokens, tokens)
        for reason in answered.finish_reasons:
            self._count(group.finishes[is_compressed], reason, known=self._finishes)
        if record.is_retry:
            group.retries[is_compressed] += 1
        if record.error:
            self._count(group.failures, record.error)

    def _add_words(self, group: _Group, report: Report) -> None:
        """Count what a report says in words."""
        for reason in report.bypass:
            self._count(group.bypasses, reason)
        if report.cache:
            self._count(group.cached, report.cache)
        for told in report.prefix:
            name, _, number = told.partition("=")
            if name in _MESSAGES:
                self._count(group.messages, name, int(number))
            else:
                self._count(group.decisions, told.partition(",")[0].replace("=", "_"))
        if report.mode == "enforce":
            for segment in report.segments:
                kind, _, tokens = segment.partition(":")
                before, _, after = tokens.partition(">")
                self._count(group.segments_before, kind, int(before))
                self._count(group.segments_after, kind, int(after))

    def _count(
        self, counts: dict[str, int], word: str, number: int = 1, *, known: Bounded | None = None
    ) -> None:
        if word in counts:
            counts[word] += number
        else:
            word = (known or self._words).name(word)
            counts[word] = counts.get(word, 0) + number


def _put(buckets: _Buckets, bounds: tuple[float, ...], size: float, counted: int) -> None:
    buckets.counts[bisect_left(bounds, size)] += 1
    buckets.total += counted


def _numbers(buckets: _Buckets) -> tuple[int, ...]:
    return (*buckets.counts, buckets.total)


def _add_texts(cell: _Cell, report: Report, is_compressed: bool) -> None:
    """Count tokens of texts, by our own count."""
    if report.mode != "enforce":
        cell.audited += report.tokens_only_audited
        return
    cell.audited += report.tokens_audited
    cell.before += report.tokens_before
    cell.after += report.tokens_after
    if is_compressed:
        ratio = report.tokens_after / report.tokens_before
        _put(cell.way.ratio, RATIO_BOUNDS, ratio, round(ratio * MICRO))


def _add_saved(cell: _Cell, saved: int, basis: Basis) -> None:
    """Count tokens saved; a counter cannot fall, so what was lost is counted apart."""
    if basis is Basis.BILLED:
        if saved > 0:
            cell.saved_billed += saved
        else:
            cell.lost_billed -= saved
    elif saved > 0:
        cell.saved_estimate += saved
    else:
        cell.lost_estimate -= saved


def _add_money(cell: _Cell, record: RequestRecord) -> None:
    money = record.money
    if money is None:
        return
    cell.priced += 1
    if money.basis is Basis.BILLED:
        cell.cost_billed += money.cost
        if money.saved > 0:
            cell.cheaper_billed += money.saved
        else:
            cell.dearer_billed -= money.saved
    else:
        cell.cost_estimate += money.cost
        if money.saved > 0:
            cell.cheaper_estimate += money.saved
        else:
            cell.dearer_estimate -= money.saved
