"""Which buckets of time answer a question."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.accounts.archive import Query, Step
from elision.accounts.spans import DAY_S, HOUR_S, MINUTE_S, SECONDS, Kept, Span, ceil, floor, kept_at, spans
from elision.config.accounts import Accounts

DAY = 20_000 * DAY_S
NOW = DAY + 13 * HOUR_S + 37 * MINUTE_S + 11
KEPT = kept_at(NOW, Accounts(minutes_h=48, hours_d=62, days_d=1100))


def test_what_is_kept_begins_with_a_whole_bucket_of_the_next_length() -> None:
    """So that no hour is told by some of its minutes."""
    assert Kept(NOW, DAY - 35 * HOUR_S, DAY - 62 * DAY_S, DAY - 1100 * DAY_S) == KEPT


@pytest.mark.parametrize(
    ("step", "since", "found"),
    [
        (Step.MINUTE, NOW - 90, Span(Step.MINUTE, floor(NOW - 90, MINUTE_S), NOW)),
        (Step.MINUTE, KEPT.minutes, Span(Step.MINUTE, KEPT.minutes, NOW)),
        (Step.MINUTE, KEPT.minutes - 1, Span(Step.HOUR, KEPT.minutes - HOUR_S, NOW)),
        (Step.MINUTE, KEPT.hours - 1, Span(Step.DAY, KEPT.hours - DAY_S, NOW)),
        (Step.HOUR, NOW - HOUR_S, Span(Step.HOUR, DAY + 12 * HOUR_S, NOW)),
        (Step.HOUR, KEPT.hours - 1, Span(Step.DAY, KEPT.hours - DAY_S, NOW)),
        (Step.DAY, NOW - 1, Span(Step.DAY, DAY, NOW)),
        (Step.DAY, 0, Span(Step.DAY, 0, NOW)),
    ],
)
def test_the_finest_step_that_tells_all_of_the_time_answers(step: Step, since: int, found: Span) -> None:
    """Never a finer one than was asked for."""
    assert spans(Query(since, NOW, step), KEPT) == [found]


def test_a_whole_month_is_told_by_its_days() -> None:
    """Today too: what is still to come is empty."""
    assert spans(Query(DAY - 20 * DAY_S, NOW + 1, Step.ALL), KEPT) == [
        Span(Step.DAY, DAY - 20 * DAY_S, DAY + DAY_S)
    ]


def test_the_ends_of_a_whole_are_told_by_hours_and_minutes() -> None:
    """As finely as is kept there."""
    since, until = DAY - 3 * DAY_S + 100, DAY + HOUR_S + 100
    assert spans(Query(since, until, Step.ALL), KEPT) == [
        Span(Step.DAY, DAY - 3 * DAY_S, DAY),
        Span(Step.HOUR, DAY, DAY + HOUR_S),
        Span(Step.MINUTE, DAY + HOUR_S, DAY + HOUR_S + 120),
    ]


@given(st.integers(NOW - 80 * DAY_S, NOW), st.integers(0, 80 * DAY_S))
def test_a_whole_is_told_without_gap_or_overlap(since: int, length: int) -> None:
    """Every bucket where its length is kept; the ends as fine as can be."""
    query = Query(since, since + length, Step.ALL)
    found = spans(query, KEPT)
    if not length:
        assert found == []
        return
    assert all(one.until == next_one.since for one, next_one in pairwise(found))
    first, last = found[0], found[-1]
    assert first.since <= since < first.since + DAY_S
    assert last.until >= query.until
    for span in found:
        assert span.since % SECONDS[span.step] == span.until % SECONDS[span.step] == 0
        assert span.since < span.until
        assert span.step is Step.DAY or span.since >= KEPT.since(span.step)
    if since >= KEPT.minutes:
        assert first.since == floor(since, MINUTE_S)
    if KEPT.minutes <= query.until <= NOW:
        assert last.until == ceil(query.until, MINUTE_S)


@pytest.mark.parametrize("step", Step)
def test_no_time_has_no_buckets(step: Step) -> None:
    """Nor has time that runs backwards."""
    assert spans(Query(NOW, NOW, step), KEPT) == spans(Query(NOW, NOW - 5, step), KEPT) == []


@pytest.mark.parametrize("query", [Query(0, 1, by=("teams",)), Query(0, 1, only=(("at", "1"),))])
def test_what_is_no_label_is_refused(query: Query) -> None:
    """With the labels that there are; names reach SQL."""
    with pytest.raises(ValueError, match="there are team, policy, method, model, upstream"):
        spans(query, KEPT)
