"""Requests that repeat one which was answered well a moment ago."""

from dataclasses import dataclass, field, replace

import pytest

from elision.accounts.records import RequestRecord
from elision.accounts.retries import Retries, RetriesMarked
from fakes.recorded import AT, RECORD

ENDED = AT + RECORD.total_ms / 1000


@pytest.mark.parametrize(
    ("first", "second", "is_retry"),
    [
        (RECORD, replace(RECORD, at=ENDED + 60), True),
        (RECORD, replace(RECORD, at=ENDED + 60.1), False),
        (RECORD, replace(RECORD, at=ENDED - 0.1), False),
        (RECORD, replace(RECORD, at=ENDED + 5, body_hash=5), False),
        (RECORD, replace(RECORD, at=ENDED + 5, report=replace(RECORD.report, team="sales")), False),
        (RECORD, replace(RECORD, at=ENDED + 5, status=500), True),
        (replace(RECORD, status=429), replace(RECORD, at=ENDED + 5), False),
        (replace(RECORD, error="client_disconnected"), replace(RECORD, at=ENDED + 5), False),
        (replace(RECORD, body_hash=0), replace(RECORD, at=ENDED + 5, body_hash=0), False),
    ],
)
def test_a_retry_is_the_same_body_soon_after_a_good_answer(
    first: RequestRecord, second: RequestRecord, is_retry: bool
) -> None:
    """Of the same team, and not beside it: several answers asked for at once are no retries."""
    retries = Retries()
    assert not retries.is_retry(first)
    assert retries.is_retry(second) is is_retry


def test_only_so_many_requests_are_remembered() -> None:
    """The one answered longest ago is forgotten first."""
    retries = Retries(most=2)
    for body in (1, 2, 3):
        assert not retries.is_retry(replace(RECORD, body_hash=body))
    assert not retries.is_retry(replace(RECORD, at=ENDED + 1, body_hash=1))
    assert retries.is_retry(replace(RECORD, at=ENDED + 1, body_hash=3))


@dataclass
class Remembering:
    """A sink that remembers what it was told."""

    told: list[RequestRecord] = field(default_factory=list)

    def add(self, record: RequestRecord) -> None:
        self.told.append(record)


def test_everybody_is_told_the_same_of_a_retry() -> None:
    """It is found once: who is asked second must not take a request for a repetition of itself."""
    one, other = Remembering(), Remembering()
    sink = RetriesMarked([one, other])
    for later in (0, 5, 10):
        sink.add(replace(RECORD, at=AT + later))
    assert [record.is_retry for record in one.told] == [False, True, True]
    assert other.told == one.told
