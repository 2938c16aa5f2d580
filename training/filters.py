"""Which annotated pairs are good enough to learn from.

Pure. Two filters, one after the other: the pairs with the most invented words (VR) go, then of the
rest those with the most words that found no place (AG), each by a percentile. A value of zero is no
fault, whatever the percentile: such a pair stays.
Source: Pan et al., arXiv:2403.12968, section 3.4; their code has the 90th percentile for both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from elision.training.annotate import Annotation

PERCENTILE = 90.0


@dataclass(frozen=True, slots=True)
class Filtered:
    """What a filter did.

    Attributes:
        name: VR or AG.
        values: of every pair that came to it.
        limit: pairs at or above it went; infinite where nothing was to go.
        dropped: how many did.
    """

    name: str
    values: tuple[float, ...]
    limit: float
    dropped: int

    @property
    def median(self) -> float:
        """Of the values; 0 without any."""
        return float(np.median(self.values)) if self.values else 0.0

    def __str__(self) -> str:
        high = float(np.percentile(self.values, 90)) if self.values else 0.0
        told = f"{self.name}: median {self.median:.3f}, 90th percentile {high:.3f}"
        return f"{told}; dropped {self.dropped:,} of {len(self.values):,}"


def good(
    found: Sequence[Annotation], variation: float = PERCENTILE, gap: float = PERCENTILE
) -> tuple[list[int], tuple[Filtered, Filtered]]:
    """Return the indices of the pairs that stay, ascending, and what both filters did.

    Args:
        found: all pairs.
        variation: percentile of VR from which pairs go; 100: none goes.
        gap: of AG, of the pairs that the first filter left.
    """
    every = list(range(len(found)))
    left, first = _without(every, "VR", lambda at: found[at].variation, variation)
    last, second = _without(left, "AG", lambda at: found[at].gap, gap)
    return last, (first, second)


def _without(
    indices: Sequence[int], name: str, value: Callable[[int], float], percentile: float
) -> tuple[list[int], Filtered]:
    values = [value(at) for at in indices]
    limit = float("inf")
    if values and percentile < 100:
        limit = float(np.percentile(values, percentile))
    # A gap is a difference of shares: what rounding leaves of none is none.
    stay = [at for at, one in zip(indices, values, strict=True) if one < limit or one < 1e-9]
    return stay, Filtered(name, tuple(values), limit, len(indices) - len(stay))
