"""What a request cost and what it would have cost: the types. How they are found is `pricing`'s matter.

Money is whole nano-dollars, so that sums are exact in any order.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from elision.accounts.records import Report, RequestRecord

NANO = 1_000_000_000


class Basis(StrEnum):
    """What a figure rests on."""

    ESTIMATE = "estimate"
    """Our count of tokens, and what we believe of the provider's cache."""
    BILLED = "billed"
    """The upstream's own usage."""


@dataclass(frozen=True, slots=True)
class Money:
    """Nano-dollars of one request.

    Attributes:
        cost: of what was sent and answered (before the answer: of the prompt alone).
        saved: what it would have cost as the client sent it, the provider's cache included, less
            `cost`. Negative where shortening made it dearer.
        basis: what both rest on.
    """

    cost: int
    saved: int
    basis: Basis


class Pricing(Protocol):
    """Knows what tokens cost."""

    def estimate(self, report: "Report", upstream: str) -> Money | None:
        """Return what is known before the answer; None where the model's price is not known."""
        ...

    def settle(self, record: "RequestRecord") -> "RequestRecord":
        """Return a finished request with its `money` and `tokens_saved`, by what the upstream billed."""
        ...


class Unpriced:
    """Knows no prices: tokens only."""

    def estimate(self, report: "Report", upstream: str) -> Money | None:
        return None

    def settle(self, record: "RequestRecord") -> "RequestRecord":
        return record
