"""Intervals: seeded, by groups, honest about one group."""

import math

import numpy as np
import pytest

from elision.evaluation.bootstrap import mean, ratio


def test_the_value_is_the_mean_and_lies_within() -> None:
    """The interval is about as wide as the normal approximation says."""
    values = np.random.default_rng(1).normal(5, 2, 400).tolist()
    found = mean(values, [str(i) for i in range(400)], seed=0)
    assert found.value == pytest.approx(sum(values) / 400)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2 / math.sqrt(400), rel=0.15)
    assert (found.items, found.groups) == (400, 400)


def test_the_same_seed_gives_the_same_interval() -> None:
    """Tables can be reproduced."""
    values, groups = [0.1, 1.3, 1.7, 0.2, 1.1, 0.6], list("abcdef")
    assert mean(values, groups, 3) == mean(values, groups, 3)
    assert mean(values, groups, 3) != mean(values, groups, 4)


def test_items_of_one_group_are_no_more_evidence_than_one() -> None:
    """A hundred copies of each item leave the interval as wide as it was."""
    once = mean([0.0, 1.0, 1.0, 0.0], list("abcd"), 0)
    often = mean([0.0, 1.0, 1.0, 0.0] * 100, list("abcd") * 100, 0)
    assert (often.low, often.high) == (once.low, once.high)
    assert (often.items, often.groups) == (400, 4)


def test_one_group_has_no_interval() -> None:
    """Nothing can be said from one document."""
    found = mean([1.0, 0.0], ["a", "a"], 0)
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_a_ratio_is_of_sums() -> None:
    """Long texts weigh as much as they are long."""
    assert ratio([1.0, 30.0], [10.0, 40.0], ["a", "b"], 0).value == pytest.approx(31 / 50)


def test_nothing_has_no_mean() -> None:
    """Lists of no or different lengths are a mistake of the caller."""
    with pytest.raises(ValueError, match="as many of each"):
        mean([], [], 0)
    with pytest.raises(ValueError, match="as many of each"):
        ratio([1.0], [1.0, 2.0], ["a"], 0)
