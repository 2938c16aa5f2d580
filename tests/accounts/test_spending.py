"""What teams have spent this month."""

from datetime import UTC, datetime

import pytest

from elision.accounts.archive import Row, Step, Sums
from elision.accounts.money import NANO
from elision.accounts.spending import SpendingState, month_of, month_query, spent_by_team
from elision.policies.telling import Spending

NOW = datetime(2026, 2, 28, 23, 59, 59, 500_000, UTC).timestamp()


def row(team: str, dollars: float, requests: int = 10, priced: int = 10) -> Row:
    return Row(0, (team,), Sums(requests=requests, priced=priced, cost=round(dollars * NANO), saved=NANO))


def test_a_month_is_the_calendars_in_utc() -> None:
    """Until this second."""
    begun = datetime(2026, 2, 1, tzinfo=UTC)
    assert month_of(NOW) == begun
    asked = month_query(NOW)
    assert (asked.since, asked.until, asked.step) == (int(begun.timestamp()), int(NOW) + 1, Step.ALL)
    assert (asked.by, asked.only) == (("team",), ())


@pytest.mark.parametrize(
    ("dollars", "state", "is_due"),
    [
        (0, SpendingState.WITHIN, False),
        (79.99, SpendingState.WITHIN, False),
        (80, SpendingState.ALERT, True),
        (99.99, SpendingState.ALERT, True),
        (100, SpendingState.OVER, True),
        (250, SpendingState.OVER, True),
    ],
)
def test_an_alert_is_due_from_the_threshold_on(dollars: float, state: SpendingState, is_due: bool) -> None:
    """At the very share too."""
    [spent] = spent_by_team([row("search", dollars)], {"search": Spending(100.0, alert_at=0.8)})
    assert (spent.state, spent.is_alert_due) == (state, is_due)
    assert spent.share == pytest.approx(dollars / 100)
    assert spent.usd == pytest.approx(dollars)


def test_all_teams_are_told_that_sent_something_or_mean_to_spend() -> None:
    """By name; of what has no price it is said how much there is."""
    found = spent_by_team(
        [row("sales", 3.0, requests=10, priced=4)], {"search": Spending(5.0), "sales": None, "idle": None}
    )
    assert [(one.team, one.usd, one.requests, one.unpriced, one.state) for one in found] == [
        ("sales", 3.0, 10, 6, SpendingState.UNBOUND),
        ("search", 0.0, 0, 0, SpendingState.WITHIN),
    ]
    assert found[0].share is None
    assert not found[0].is_alert_due
