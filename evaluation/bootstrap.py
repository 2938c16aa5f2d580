"""Percentile bootstrap intervals of means and ratios, by groups of items that belong together.

Pure; seeded by its caller, so that the same scores give the same intervals. Source: Efron and
Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; groups are drawn whole, because
questions about one document are not independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean or ratio with its interval.

    Attributes:
        value: of all items.
        low: lower end of the 95 % interval; None where fewer than two groups allow none.
        high: upper end.
        items: how many items it is of.
        groups: how many groups were drawn from.
    """

    value: float
    low: float | None
    high: float | None
    items: int
    groups: int


def mean(values: Sequence[float], groups: Sequence[str], seed: int) -> Estimate:
    """Return the mean of values with its interval. Raises: ValueError without values."""
    return ratio(values, [1.0] * len(values), groups, seed)


def ratio(over: Sequence[float], under: Sequence[float], groups: Sequence[str], seed: int) -> Estimate:
    """Return sum(over) / sum(under) with its interval.

    Args:
        over: (N,) numerators.
        under: (N,) denominators, each above 0.
        groups: (N,) what belongs together.
        seed: of the resampling.
    Raises: ValueError if there are no items, or the three differ in length.
    """
    if not over or not len(over) == len(under) == len(groups):
        raise ValueError(f"as many of each, at least one: {len(over)}, {len(under)}, {len(groups)}")
    names, at = np.unique(np.asarray(groups), return_inverse=True)
    tops = np.bincount(at, weights=np.asarray(over, np.float64))
    bottoms = np.bincount(at, weights=np.asarray(under, np.float64))
    value = float(tops.sum() / bottoms.sum())
    if len(names) < 2:
        return Estimate(value, None, None, len(over), len(names))
    random = np.random.default_rng(seed)
    # How often each group is drawn, (RESAMPLES, G), in place of the draws themselves.
    drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    means = (drawn @ tops) / (drawn @ bottoms)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), len(over), len(names))
