"""Sentences are chosen by their scores, those that are to be preferred first, within their budget."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.errors import BadOption
from elision.compressors.sentence_filter import SentenceFilter

OPTIONS: dict[str, Any] = {
    "use_sentence_level_filter": True,
    "keep_first_sentence": 1,
    "keep_last_sentence": 0,
    "keep_sentence_number": 0,
    "high_priority_bonus": 100.0,
    "token_budget_ratio": 1.4,
}
SCORES, SIZES = [[1.0, 5.0, 2.0], [4.0, 3.0]], [[10, 10, 10], [10, 10]]


def test_the_best_sentences_stay_until_the_budget_is_spent() -> None:
    """1.4 times the target; the last one may exceed it."""
    assert SentenceFilter().chosen(SCORES, SIZES, 15) == [[False, True, False], [True, True]]
    assert SentenceFilter(token_budget_ratio=1.0).chosen(SCORES, SIZES, 15) == [
        [False, True, False],
        [True, False],
    ]
    assert SentenceFilter().chosen([], [], 15) == []


@pytest.mark.parametrize(
    ("preferred", "kept"),
    [
        (SentenceFilter(keep_first_sentence=1), [[True, True, False], [True, False]]),
        (SentenceFilter(keep_last_sentence=2), [[False, True, False], [True, True]]),
        (SentenceFilter(keep_sentence_number=1), [[False, True, False], [True, True]]),
        (
            SentenceFilter(keep_first_sentence=1, high_priority_bonus=0.5),
            [[False, True, False], [True, True]],
        ),
    ],
)
def test_preferred_sentences_come_first(preferred: SentenceFilter, kept: list[list[bool]]) -> None:
    """The first and last of all, the best of each document; by as much as the bonus is."""
    assert preferred.chosen(SCORES, SIZES, 15) == kept


@given(
    st.lists(st.lists(st.tuples(st.floats(-9, 9), st.integers(1, 30)), max_size=5), max_size=4),
    st.integers(1, 100),
)
def test_preferring_never_loses_what_is_preferred(told: list[list[tuple[float, int]]], target: int) -> None:
    """With scores below nothing, too, where the reference's bonus works against it."""
    scores, sizes = [[s for s, _ in own] for own in told], [[n for _, n in own] for own in told]
    plain = SentenceFilter().chosen(scores, sizes, target)
    preferring = SentenceFilter(keep_first_sentence=1).chosen(scores, sizes, target)
    flat, other = [one for own in plain for one in own], [one for own in preferring for one in own]
    assert other[:1] >= flat[:1]
    kept = [
        size
        for own, flags in zip(sizes, preferring, strict=True)
        for size, k in zip(own, flags, strict=True)
        if k
    ]
    assert sum(kept) - max(kept, default=0) <= target * 1.4


def test_options_are_read_strictly() -> None:
    """Off is none at all; numbers that mean nothing are refused."""
    assert SentenceFilter.read(OPTIONS) == SentenceFilter(keep_first_sentence=1)
    assert SentenceFilter.read({**OPTIONS, "use_sentence_level_filter": False}) is None
    for name, value in (
        ("keep_last_sentence", -1),
        ("token_budget_ratio", 0.0),
        ("token_budget_ratio", float("inf")),
        ("high_priority_bonus", float("nan")),
    ):
        with pytest.raises(BadOption, match=name):
            SentenceFilter.read({**OPTIONS, name: value})
