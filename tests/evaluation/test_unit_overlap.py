"""Unit F1 against people's shortenings, against values worked out by hand."""

import pytest

from elision.evaluation.unit_overlap import people_rate, unit_f1


def test_the_mean_over_people_counts() -> None:
    """Whoever agrees with one of three people does not agree with all."""
    first = 2 * 2 / (2 + 3)
    second = 0.0
    assert unit_f1("The cat", ["the cat sat .", "dogs"]) == pytest.approx((first + second) / 2)
    assert unit_f1("The cat", []) is None


def test_repeated_words_count_as_often_as_they_stand() -> None:
    """Bags, not sets."""
    assert unit_f1("no no", ["no"]) == pytest.approx(2 * 1 / 3)


def test_how_much_people_kept() -> None:
    """The mean share of words over the people; never above all of it."""
    assert people_rate("a b c d", ["a", "a b c"]) == pytest.approx(0.5)
    assert people_rate("a", ["a b"]) == 1.0
    assert people_rate("a", []) is None
    assert people_rate("", ["a"]) is None
