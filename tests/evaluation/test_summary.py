"""Scores become lines: exact counts, means of what applies, paired differences."""

import pytest

from elision.evaluation.model import Cell, Score, Timing
from elision.evaluation.summary import summarise


def score(method: str, target: str, item: int, after: int, **values: float) -> Score:
    return Score(Cell("d", method, target), str(item), f"g{item}", 100, after, "", values)


def timings(scores: list[Score]) -> dict[Cell, Timing]:
    return {one.cell: Timing(2.0, 200) for one in scores}


def test_counts_are_exact_and_means_are_of_what_applies() -> None:
    """An item without the measure takes no part in its mean."""
    scores = [
        score("m", "0.5", 1, 50, survival=1.0),
        score("m", "0.5", 2, 47),
        score("m", "0.5", 3, 49, survival=0.0),
    ]
    [line] = summarise(scores, timings(scores), "", 0)
    assert (line.items, line.before, line.after, line.left) == (3, 300, 146, 0)
    assert line.kept == pytest.approx(146 / 300)
    assert (line.measures["survival"].value, line.measures["survival"].items) == (0.5, 2)
    assert set(line.measures) == {"survival"}
    assert line.differences == {}


def test_differences_are_paired_at_the_same_target() -> None:
    """On the items that both have; the baseline has none to itself."""
    scores = [
        *(score("base", "0.5", at, 50, em=float(at == 0)) for at in range(3)),
        *(score("base", "0.3", at, 30, em=0.0) for at in range(3)),
        *(score("new", "0.5", at, 50, em=1.0) for at in range(4)),
    ]
    base, less, new = summarise(scores, timings(scores), "base", 0)
    assert base.differences == less.differences == {}
    difference = new.differences["em"]
    assert difference.value == pytest.approx(2 / 3)
    assert difference.items == 3
    assert base.kept_there is None


def test_kept_shares_beside_a_difference_are_of_the_same_items() -> None:
    """A method that shortened a part of a set is held against the baseline's share there."""
    scores = [
        score("base", "0.5", 1, 40, em=1.0),
        score("base", "0.5", 2, 60, em=1.0),
        score("new@1", "0.5", 2, 55, em=1.0),
    ]
    _, new = summarise(scores, timings(scores), "base", 0)
    assert (new.kept, new.kept_there) == (0.55, 0.6)


def test_a_baseline_without_targets_is_for_all() -> None:
    """The full text, for instance."""
    scores = [score("full", "", 1, 100, f1=1.0), score("new", "0.5", 1, 50, f1=0.75)]
    _, new = summarise(scores, timings(scores), "full", 0)
    assert new.differences["f1"].value == -0.25


def test_pairing_is_narrower_than_two_intervals() -> None:
    """What is hard for one method is hard for the other: the difference knows it."""
    scores = [
        *(score("base", "0.5", at, 50, f1=at / 40) for at in range(40)),
        *(score("new", "0.5", at, 50, f1=at / 40 + 0.01 * (at % 2)) for at in range(40)),
    ]
    _, new = summarise(scores, timings(scores), "base", 0)
    difference, own = new.differences["f1"], new.measures["f1"]
    assert difference.low is not None
    assert difference.high is not None
    assert own.low is not None
    assert own.high is not None
    assert 0 < difference.low < difference.high < 0.01
    assert difference.high - difference.low < (own.high - own.low) / 10


def test_an_empty_set_of_texts_is_kept_whole() -> None:
    """No tokens: nothing was lost."""
    scores = [Score(Cell("d", "m", ""), "1", "g", 0, 0, "", {})]
    [line] = summarise(scores, timings(scores), "", 0)
    assert line.kept == 1.0
