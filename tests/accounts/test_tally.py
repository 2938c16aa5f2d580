"""Records added up in memory."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.accounts.archive import OVERHEAD_BOUNDS_MS, Sums
from elision.accounts.labels import labels_of
from elision.accounts.money import Basis
from elision.accounts.records import NOTHING_TOLD, Report, RequestRecord
from elision.accounts.tally import Names, Tally, has_failed
from fakes.recorded import AT, RECORD, records, total

MINUTE = int(AT) - int(AT) % 60


def tallied(requests: Sequence[RequestRecord], limit: int = 1000) -> Tally:
    tally, names = Tally(10, limit), Names()
    for record in requests:
        tally.add(record, names)
    return tally


def one(record: RequestRecord) -> Sums:
    """Return the measures of one request."""
    [cell] = tallied([record]).cells.values()
    return cell.sums()


def whole(tally: Tally) -> Sums:
    return total(cell.sums() for cell in tally.cells.values())


def test_a_request_counts_in_its_minute_under_its_labels() -> None:
    """By when it came."""
    assert list(tallied([RECORD]).cells) == [(MINUTE, labels_of(RECORD))]


def test_every_measure_of_a_request_is_counted() -> None:
    """As `Sums` has them."""
    assert one(RECORD) == Sums(
        requests=1,
        streams=1,
        compressed=1,
        confirmed=1,
        tokens_before=1000,
        tokens_after=400,
        tokens_saved=590,
        tokens_saved_billed=590,
        prompt_tokens=420,
        cached_tokens=128,
        cache_write_tokens=64,
        completion_tokens=12,
        reasoning_tokens=7,
        priced=1,
        cost=1_170_000,
        saved=1_475_000,
        saved_billed=1_475_000,
        overhead_us=12_500,
        total_ms=843,
        overhead=(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
        ratios=(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
        words={
            "status:200": 1,
            "bypass:deadline": 1,
            "finish:stop": 1,
            "cache:partial": 1,
            "basis:billed": 1,
            "segment_before:context": 900,
            "segment_after:context": 300,
            "segment_before:question": 100,
            "segment_after:question": 100,
        },
    )


def test_what_is_only_audited_is_neither_before_nor_after() -> None:
    """It was sent as it came, and nothing is claimed."""
    sums = one(replace(RECORD, report=replace(RECORD.report, mode="audit"), tokens_saved=0))
    assert (sums.tokens_before, sums.tokens_after, sums.compressed, sums.tokens_audited) == (0, 0, 0, 600)
    assert not any(word.startswith(("segment", "basis")) for word in sums.words)


def test_estimates_are_told_apart_from_what_was_billed() -> None:
    """They count, but not as billed."""
    money = replace(RECORD.money, basis=Basis.ESTIMATE) if RECORD.money else None
    sums = one(replace(RECORD, basis=Basis.ESTIMATE, money=money))
    assert (sums.tokens_saved, sums.tokens_saved_billed) == (590, 0)
    assert (sums.saved, sums.saved_billed) == (1_475_000, 0)


@pytest.mark.parametrize(
    ("status", "error", "failed"),
    [
        (200, "", False),
        (404, "", False),
        (413, "body_too_large", False),
        (502, "upstream_down", True),
        (503, "", True),
        (200, "client_disconnected", True),
        (0, "internal_error", True),
    ],
)
def test_a_failure_is_the_servers_or_a_broken_answer(status: int, error: str, failed: bool) -> None:
    """Not what a client did wrong."""
    assert has_failed(replace(RECORD, status=status, error=error)) is failed


@pytest.mark.parametrize(
    ("overhead_ms", "bucket"), [(0.0, 0), (0.5, 0), (0.51, 1), (5000.0, 12), (5000.1, 13)]
)
def test_bounds_are_upper_ends(overhead_ms: float, bucket: int) -> None:
    """As Prometheus' `le`; the last bucket holds all above."""
    counts = one(replace(RECORD, overhead_ms=overhead_ms)).overhead
    assert len(counts) == len(OVERHEAD_BOUNDS_MS) + 1
    assert counts[bucket] == sum(counts) == 1


def test_models_that_clients_make_up_are_bounded() -> None:
    """The first ones keep their names; all others are `other`."""
    names, tally = Names(limit=3), Tally(0)
    for number in range(10):
        tally.add(replace(RECORD, report=Report(model=f"made-up-{number}")), names)
    assert {labels[3] for _, labels in tally.cells} == {"made-up-0", "made-up-1", "made-up-2", "other"}
    assert whole(tally).requests == 10


def test_models_that_nobody_was_answered_well_by_take_half_of_the_names() -> None:
    """Who makes up models that no upstream has leaves room for those that come later."""
    names, tally = Names(limit=4), Tally(0)
    for number in range(10):
        tally.add(replace(RECORD, status=404, report=Report(model=f"made-up-{number}")), names)
    tally.add(replace(RECORD, report=Report(model="real")), names)
    assert {labels[3] for _, labels in tally.cells} == {"made-up-0", "made-up-1", "real", "other"}


def test_words_that_upstreams_make_up_are_bounded() -> None:
    """Each group has an `other`, and takes no room from the others."""
    names, tally = Names(words=3), Tally(0)
    for number in range(10):
        answered = replace(RECORD.answered, finish_reasons=(f"reason-{number}",))
        tally.add(replace(RECORD, report=NOTHING_TOLD, answered=answered), names)
    tally.add(replace(RECORD, status=502), names)
    words = whole(tally).words
    assert (words["status:200"], words["finish:reason-1"], words["finish:other"]) == (10, 1, 8)
    assert "finish:reason-4" not in words
    assert (words["status:502"], words["bypass:deadline"]) == (1, 1)


@given(st.lists(records(), max_size=30), st.lists(records(), max_size=30))
def test_it_does_not_matter_who_adds_up_what(first: list[RequestRecord], second: list[RequestRecord]) -> None:
    """Two tallies merged hold what one would."""
    together = tallied([*first, *second])
    merged = tallied(first)
    merged.merge(tallied(second))
    assert {key: cell.sums() for key, cell in merged.cells.items()} == {
        key: cell.sums() for key, cell in together.cells.items()
    }
    assert merged.requests == together.requests == len(first) + len(second)


@given(st.lists(records(), max_size=30), st.sampled_from((60, 3600, 86_400)))
def test_longer_buckets_hold_the_same(requests: list[RequestRecord], seconds: int) -> None:
    """Each minute is in one of them, and the minutes stay as they are."""
    tally = tallied(requests)
    minutes = whole(tally)
    longer = list(tally.by(seconds))
    assert all(at % seconds == 0 for (at, _), _ in longer)
    assert total(cell.sums() for _, cell in longer) == minutes == whole(tally)


@given(st.lists(records(first=1_699_000_000), max_size=40))
def test_where_too_much_waits_old_minutes_become_hours_and_days(requests: list[RequestRecord]) -> None:
    """No figure is lost while days fit."""
    tally = tallied(requests, limit=6)
    assert tally.requests + tally.lost == len(requests)
    assert whole(tally).requests == tally.requests
    if len({(int(record.at) // 86_400, labels_of(record)) for record in requests}) <= 6:
        assert (tally.lost, whole(tally)) == (0, whole(tallied(requests)))


def test_old_time_is_told_more_coarsely_before_any_is_lost() -> None:
    """Ten minutes of yesterday fit into one cell."""
    yesterday = [replace(RECORD, at=AT - 86_400 + 60 * minute) for minute in range(10)]
    tally = tallied([*yesterday, RECORD], limit=5)
    assert (tally.requests, tally.lost, len(tally.cells)) == (11, 0, 2)


def test_what_cannot_be_told_more_coarsely_is_lost_and_counted() -> None:
    """The oldest first."""
    tally, names = Tally(0, 4), Names()
    for number in range(5):
        tally.add(replace(RECORD, at=AT + number, report=Report(model=f"m{number}")), names)
    assert (tally.requests, tally.lost) == (4, 1)
    assert sum(cell.requests for cell in tally.cells.values()) == 4


def test_the_latest_requests_are_told_one_by_one() -> None:
    """So many as are asked for, also over two tallies; none where none are."""
    requests = [replace(RECORD, request_id=str(number)) for number in range(15)]
    tally = tallied(requests[:12])
    tally.merge(tallied(requests[12:]))
    assert [one.request_id for one in tally.told()] == [str(number) for number in range(5, 15)]
    nobody = Tally(0)
    nobody.add(RECORD, Names())
    assert nobody.told() == []


def test_what_was_kept_is_forgotten() -> None:
    """What was lost stays lost."""
    tally = tallied([RECORD])
    tally.lost = 3
    tally.clear()
    assert (bool(tally), tally.requests, tally.told(), tally.lost) == (False, 0, [], 3)
