"""Exact match and F1, against values worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.evaluation.exact_match import bag_f1, contains, exact_match, f1


@pytest.mark.parametrize(
    ("answer", "gold", "em", "overlap"),
    [
        ("The Eiffel Tower.", ["eiffel tower"], 1.0, 1.0),
        ("Eiffel Tower in Paris", ["Eiffel Tower"], 0.0, 2 * 2 / (4 + 2)),
        ("Paris", ["London", "Paris, France"], 0.0, 2 * 1 / (1 + 2)),
        ("", ["London"], 0.0, 0.0),
        ("a a b", ["b b"], 0.0, 2 * 1 / (1 + 2)),
        ("光荣公司", ["光荣"], 0.0, 2 * 2 / (4 + 2)),
    ],
)
def test_answers_are_scored_as_squad_does(answer: str, gold: list[str], em: float, overlap: float) -> None:
    """The best gold answer counts; Chinese is compared by characters."""
    assert exact_match(answer, gold) == em
    assert f1(answer, gold) == pytest.approx(overlap)


def test_without_gold_nothing_is_scored() -> None:
    """A mean over questions without answers would be of nothing."""
    assert exact_match("x", []) is None
    assert f1("x", []) is None
    assert contains("x", []) is None


def test_a_class_may_stand_in_a_sentence() -> None:
    """What was said holds the gold words one after the other."""
    assert contains("The type is: Human being", ["human being"]) == 1.0
    assert contains("being human", ["human being"]) == 0.0


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_f1_is_the_harmonic_mean_of_precision_and_recall(left: list[str], right: list[str]) -> None:
    """The short formula is the long one."""
    common = sum(min(left.count(word), right.count(word)) for word in "abcd")
    if not left or not right:
        assert bag_f1(left, right) == float(left == right)
    elif not common:
        assert bag_f1(left, right) == 0
    else:
        precision, recall = common / len(left), common / len(right)
        assert bag_f1(left, right) == pytest.approx(2 * precision * recall / (precision + recall))
