"""What a policy has told of a team's requests, and what the team means to spend: frozen types."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told of a team's requests.

    Attributes:
        headers: whether answers carry `x-elision-*` headers.
        log_text: whether the log of requests holds the texts before and after.
    """

    headers: bool = True
    log_text: bool = False


@dataclass(frozen=True, slots=True)
class Spending:
    """What a team means to spend in a calendar month (UTC); shown and exported, never enforced.

    Attributes:
        monthly_usd: dollars.
        alert_at: share of it from which an alert is due.
    """

    monthly_usd: float
    alert_at: float = 0.8
