"""The shape of what a policy file says of headers, logs and spending."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from elision.policies.scalars import Strict
from elision.policies.telling import Spending


class Headers(StrEnum):
    """Which `x-elision-*` headers answers carry."""

    ALL = "all"
    NONE = "none"


class SpendingSpec(Strict):
    """What the team means to spend in a calendar month (UTC); shown and exported, never enforced."""

    monthly_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Dollars a month."""

    alert_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of it from which an alert is due."""

    def meant(self) -> Spending:
        """Return what this says."""
        return Spending(self.monthly_usd, self.alert_at)
