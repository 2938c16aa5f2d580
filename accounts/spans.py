"""Which buckets of time answer a question, by what is still kept. Pure.

Sums are kept by the minute for some hours, by the hour for some days, by the day for years; all of
them from the start, so that every table tells all of its own time. A question is answered by the
finest step, not finer than asked, that still tells all of it.
"""

from dataclasses import dataclass

from elision.accounts.archive import LABELS, Query, Step
from elision.config.accounts import Accounts

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
SECONDS = {Step.MINUTE: MINUTE_S, Step.HOUR: HOUR_S, Step.DAY: DAY_S}
"""Lengths of the buckets that are kept, finest first."""


@dataclass(frozen=True, slots=True)
class Span:
    """Buckets of one length that begin at `since` or later, and before `until`."""

    step: Step
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Since when there are sums of each length; seconds since 1970, each a beginning of the next length.

    Attributes:
        now: when that was so.
    """

    now: int
    minutes: int
    hours: int
    days: int

    def since(self, step: Step) -> int:
        """Return since when there are sums of a length."""
        return {Step.MINUTE: self.minutes, Step.HOUR: self.hours, Step.DAY: self.days}[step]


def kept_at(now: int, accounts: Accounts) -> Kept:
    """Return what is kept at a time, by the settings."""
    return Kept(
        now=now,
        minutes=floor(now - accounts.minutes_h * HOUR_S, HOUR_S),
        hours=floor(now - accounts.hours_d * DAY_S, DAY_S),
        days=floor(now - accounts.days_d * DAY_S, DAY_S),
    )


def floor(at: int, seconds: int) -> int:
    """Return the beginning of the bucket that a time is in."""
    return at - at % seconds


def ceil(at: int, seconds: int) -> int:
    """Return the end of the bucket that a time is in; the time itself where one begins."""
    return -(-at // seconds) * seconds


def spans(query: Query, kept: Kept) -> list[Span]:
    """Return the buckets whose sums answer a query; none is in two of them.

    Of each step but ALL there is one span, whose buckets are those of the answer, perhaps longer than
    asked. ALL is put together of days, hours at their ends, and minutes at theirs.

    Raises: ValueError if the query tells apart, or filters by, what is no label.
    """
    check_labels((*query.by, *(label for label, _ in query.only)))
    if query.since >= query.until:
        return []
    if query.step is not Step.ALL:
        step = next(step for step in _from(query.step) if _tells(step, query.since, kept))
        return [Span(step, floor(query.since, SECONDS[step]), query.until)]
    since, until = _edges(query, kept)
    return _cut(since, until, (Step.DAY, Step.HOUR, Step.MINUTE))


def check_labels(labels: tuple[str, ...]) -> None:
    """Refuse names that are no labels.

    Raises: ValueError.
    """
    for label in labels:
        if label not in LABELS:
            raise ValueError(f"no label is called {label!r}; there are {', '.join(LABELS)}")


def _from(asked: Step) -> list[Step]:
    """Return a step and all that are longer."""
    steps = list(SECONDS)
    return steps[steps.index(asked) :]


def _tells(step: Step, since: int, kept: Kept) -> bool:
    return step is Step.DAY or floor(since, SECONDS[step]) >= kept.since(step)


def _edges(query: Query, kept: Kept) -> tuple[int, int]:
    """Return the times between which a whole is told, rounded to what is kept there."""
    step = next(step for step in _from(Step.MINUTE) if _tells(step, query.since, kept))
    since = floor(query.since, SECONDS[step])
    if query.until > kept.now:  # what is still to come is empty, and a whole day is quicker told
        return since, ceil(query.until, DAY_S)
    step = next(step for step in _from(Step.MINUTE) if _tells(step, query.until, kept))
    return since, ceil(query.until, SECONDS[step])


def _cut(since: int, until: int, steps: tuple[Step, ...]) -> list[Span]:
    """Return a time in as few buckets as can be."""
    if since >= until:
        return []
    step, finer = steps[0], steps[1:]
    if not finer:
        return [Span(step, since, until)]
    first, last = ceil(since, SECONDS[step]), floor(until, SECONDS[step])
    if first >= last:
        return _cut(since, until, finer)
    return [*_cut(since, first, finer), Span(step, first, last), *_cut(last, until, finer)]
