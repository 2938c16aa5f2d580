"""Pairs become labelled texts; what belongs together is never split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.config.errors import ConfigError
from elision.training.examples import Example, examples_of, examples_of_records, split
from elision.training.pairs import Pair
from elision.training.records import LabelledText

PAIRS = [Pair(f"t{at}#0", f"t{at}", f"the vote, in town {at}", f"vote, town {at}", "m") for at in range(20)]
BAD = Pair("bad", "bad", "the vote of the town", "something else entirely was voted", "m")


def of(*groups: str) -> list[Example]:
    return [
        Example(group, LabelledText(f"word {at}", ((0, 4),), (1.0,), "m")) for at, group in enumerate(groups)
    ]


def test_a_pair_becomes_its_original_with_labels() -> None:
    """The text as users send it, words and marks by their characters, and whose labels they are."""
    ticks: list[int] = []
    examples, _ = examples_of(PAIRS[:1], (90, 90), ticks.append)
    text = "the vote, in town 0"
    words = ((0, 3), (4, 8), (8, 9), (10, 12), (13, 17), (18, 19))
    assert examples == [Example("t0", LabelledText(text, words, (0.0, 1.0, 1.0, 0.0, 1.0, 1.0), "m"))]
    assert ticks == [1]


def test_bad_pairs_are_left_out() -> None:
    """And counted."""
    examples, (first, second) = examples_of([*PAIRS, BAD], (90, 90), lambda more: None)
    assert [one.group for one in examples] == [pair.group for pair in PAIRS]
    assert (first.dropped, second.dropped) == (1, 0)


def test_nothing_left_is_told() -> None:
    """One bad pair is as bad as all of them; what to do is said."""
    with pytest.raises(ConfigError, match="--vr-percentile 100"):
        examples_of([BAD], (90, 90), lambda more: None)
    examples, _ = examples_of([BAD], (100, 100), lambda more: None)
    assert len(examples) == 1


def test_a_pair_without_words_is_named() -> None:
    """By its id."""
    with pytest.raises(ConfigError, match="pair 'x': the compression has no words"):
        examples_of([Pair("x", "x", "one", "", "m")], (90, 90), lambda more: None)


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.floats(0.01, 0.99), st.integers(0, 9)
)
def test_a_group_is_on_one_side(groups: list[str], share: float, seed: int) -> None:
    """Both sides have something, nothing is lost, order does not matter."""
    examples = of(*groups)
    if len(set(groups)) < 2:
        with pytest.raises(ConfigError, match="--validate 0"):
            split(examples, share, seed)
        return
    parts = split(examples, share, seed)
    group_of = {one.record: one.group for one in examples}
    taught, held = ({group_of[record] for record in side} for side in (parts.taught, parts.held_out))
    assert taught
    assert held
    assert not taught & held
    assert len(parts.taught) + len(parts.held_out) == len(examples)
    again = split(examples[::-1], share, seed)
    assert set(again.held_out) == set(parts.held_out)


def test_the_share_is_of_groups_and_the_seed_chooses_them() -> None:
    """The reference splits anew each time."""
    examples = of(*map(str, range(50)))
    assert len(split(examples, 0.2, 0).held_out) == 10
    assert split(examples, 0.2, 0) == split(examples, 0.2, 0)
    assert split(examples, 0.2, 0) != split(examples, 0.2, 1)
    assert split(examples, 0, 0).held_out == ()
    assert split(of("a"), 0, 0).taught == (of("a")[0].record,)


def test_groups_with_a_text_in_common_are_one() -> None:
    """So that what is held out was not learned under another name."""
    first, second, third, alone = "one", "two", "three", "alone"
    rows = [("a", first), ("a", second), ("b", second), ("c", second), ("c", third), ("d", alone)]
    examples = [Example(group, LabelledText(text, ((0, 1),), (1.0,), "m")) for group, text in rows]
    for seed in range(9):
        parts = split(examples, 0.5, seed)
        sides = [{record.text for record in side} for side in (parts.taught, parts.held_out)]
        assert sorted(map(sorted, sides)) == [[alone], sorted([first, second, third])]


def test_equal_labelled_texts_stay_together() -> None:
    """Whatever their labels."""
    one, two = (LabelledText("a b", ((0, 1),), (label,), "m") for label in (0.0, 1.0))
    other = LabelledText("c", ((0, 1),), (1.0,), "m")
    parts = split(examples_of_records([one, other, two]), 0.5, 0)
    assert {parts.taught, parts.held_out} == {(one, two), (other,)}
