"""What teams have spent this calendar month, and what they mean to spend. Pure.

Months are UTC's. Nothing is enforced: who passes the threshold is told, on the dashboard and in metrics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from elision.accounts.archive import Query, Row, Step, Sums
from elision.accounts.money import NANO
from elision.policies.telling import Spending


class SpendingState(StrEnum):
    """How a team stands."""

    UNBOUND = ""
    """It has not said what it means to spend."""
    WITHIN = "within"
    ALERT = "alert"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Spent:
    """One team's month so far.

    Attributes:
        cost, saved: nano-dollars, billed or estimated, of requests whose model's price is known.
        requests: all of them.
        unpriced: of which the price is not known, so that `cost` says nothing of them.
        meant: what the team means to spend; None: it has not said.
    """

    team: str
    cost: int
    saved: int
    requests: int
    unpriced: int
    meant: Spending | None

    @property
    def usd(self) -> float:
        """Return what was spent, in dollars."""
        return self.cost / NANO

    @property
    def share(self) -> float | None:
        """Return what was spent as a share of what is meant to be; None where nobody has said."""
        return None if self.meant is None else self.usd / self.meant.monthly_usd

    @property
    def state(self) -> SpendingState:
        """Return how the team stands; an alert is due in ALERT and OVER."""
        if self.meant is None or self.share is None:
            return SpendingState.UNBOUND
        if self.share >= 1:
            return SpendingState.OVER
        return SpendingState.ALERT if self.share >= self.meant.alert_at else SpendingState.WITHIN

    @property
    def is_alert_due(self) -> bool:
        """Return whether somebody should look."""
        return self.state in (SpendingState.ALERT, SpendingState.OVER)


def month_of(now: float) -> datetime:
    """Return the beginning of the calendar month (UTC) that a time is in."""
    return datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_query(now: float) -> Query:
    """Return what to ask the archive for `spent_by_team`.

    Args:
        now: seconds since 1970.
    """
    begun = int(month_of(now).timestamp())
    return Query(begun, int(now) + 1, Step.ALL, ("team",), measures=("requests", "priced", "cost", "saved"))


def spent_by_team(rows: Sequence[Row], meant: Mapping[str, Spending | None]) -> list[Spent]:
    """Return what teams have spent, by the teams' names.

    Args:
        rows: the archive's answer to `month_query`.
        meant: what each team means to spend; a team is told even if it sent nothing.
    """
    sums = {row.labels[0]: row.sums for row in rows}
    said = {team: spending for team, spending in meant.items() if spending is not None}
    return [
        _spent(team, sums.get(team, Sums()), said.get(team)) for team in sorted(sums.keys() | said.keys())
    ]


def _spent(team: str, sums: Sums, meant: Spending | None) -> Spent:
    return Spent(team, sums.cost, sums.saved, sums.requests, sums.requests - sums.priced, meant)
