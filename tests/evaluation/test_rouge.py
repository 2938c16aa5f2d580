"""ROUGE-L, against Lin's own example and the plain table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.evaluation.rouge import common_subsequence, rouge_l

WORDS = st.lists(st.sampled_from("abc"), max_size=12)


def plain(left: list[str], right: list[str]) -> int:
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for k, other in enumerate(right):
            longer = max(table[i][k + 1], table[i + 1][k])
            table[i + 1][k + 1] = table[i][k] + 1 if one == other else longer
    return table[-1][-1]


@given(WORDS, WORDS)
def test_the_fast_subsequence_is_the_plain_one(left: list[str], right: list[str]) -> None:
    """One integer per row holds what the table does."""
    assert common_subsequence(left, right) == plain(left, right)


def test_the_example_of_the_paper() -> None:
    """ "police kill the gunman" and "the gunman kill police" against "police killed the gunman"."""
    assert rouge_l("police kill the gunman", ["police killed the gunman"]) == pytest.approx(3 / 4)
    assert rouge_l("the gunman kill police", ["police killed the gunman"]) == pytest.approx(2 / 4)


def test_the_best_reference_counts() -> None:
    """Several people summarise one story in several ways."""
    assert rouge_l("a b", ["x y", "a c b"]) == pytest.approx(2 * 2 / 5)
    assert rouge_l("a b", []) is None
    assert rouge_l("", ["a"]) == 0
