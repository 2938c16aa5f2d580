"""Forced strings are units of their own, whole characters, and one in a row where that is asked."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import OptionValue, Units
from elision.compressors.errors import BadOption
from elision.compressors.forced import Forced, Parted, digit_spans, part, repeated
from elision.compressors.units import words

PIECES = st.sampled_from(
    ["fish", ".", "\n", " ", "the", "漢", "字。", "e\u0301", "👍🏽", "then", "3", "\r\n"]
)
TEXTS = st.lists(PIECES, max_size=30).map("".join)
TOKENS = (".", "\n", "the", "e", "。", "👍")


def parted(text: str, *tokens: str) -> Parted:
    bounds = words(text)
    return part(text, Units(bounds, np.arange(len(bounds), dtype=np.float64)), tokens)


def pieces(text: str, found: Parted) -> list[str]:
    return [text[a:b] for a, b in found.units.bounds.tolist()]


@given(TEXTS)
def test_parted_units_hold_what_the_units_held(text: str) -> None:
    """Ascending, disjoint, every character but whitespace in one of them, tokens among them."""
    found = parted(text, *TOKENS)
    bounds = found.units.bounds.tolist()
    assert all(a < b for a, b in bounds)
    assert all(left[1] <= right[0] for left, right in pairwise(bounds))
    held = {i for a, b in bounds for i in range(a, b)}
    assert held >= {i for i, letter in enumerate(text) if not letter.isspace()}
    named = [text[a:b] for (a, b), token in zip(bounds, found.token.tolist(), strict=True) if token >= 0]
    assert named == [text[span.start : span.end] for span in found.spans]
    assert set(named) <= set(TOKENS)


def test_marks_are_parted_from_words_and_words_from_longer_words() -> None:
    """A full stop is cut off; `the` is not found within `then`; pieces keep the importance."""
    text = "the fish. then the end."
    found = parted(text, ".", "the")
    assert pieces(text, found) == ["the", "fish", ".", "then", "the", "end", "."]
    assert found.units.importance.tolist() == [0, 1, 1, 2, 3, 4, 4]
    assert (found.token >= 0).tolist() == [True, False, True, False, True, False, True]


def test_a_character_is_never_cut_to_find_a_token() -> None:
    """`e` with an accent is another letter, a thumb with a tone another emoji."""
    assert parted("cafe\u0301 👍🏽", "e", "👍").spans == ()


def test_a_line_end_may_be_forced() -> None:
    """Whitespace that no unit holds becomes one."""
    text = "one \n two"
    assert pieces(text, parted(text, "\n")) == ["one", "\n", "two"]


def test_without_tokens_nothing_changes() -> None:
    """Nor where none of them occurs."""
    units = Units(words("a b"), np.zeros(2))
    assert part("a b", units, ()).units is units
    assert part("a b", units, ("x",)).units is units


def test_repeated_finds_equal_neighbours_among_the_kept() -> None:
    """Of a run the first stays; another kept unit between them ends the run."""
    token = np.array([0, -1, 0, 1, 1, -1, 1])
    assert repeated(np.array([0, 2, 3, 4, 6]), token).tolist() == [2, 4, 6]
    assert repeated(np.array([0, 1, 2]), token).tolist() == []


def test_digits_of_every_script_are_found() -> None:
    """Thai and Arabic-Indic digits are digits."""
    text = "a1 ๑๒ ٣"
    assert [text[a:b] for a, b in digit_spans(text)] == ["1", "๑๒", "٣"]


def test_options_are_read_once_for_all_methods() -> None:
    """Order and repetition of tokens do not matter; the label says what is forced."""
    options: dict[str, OptionValue] = {
        "force_tokens": ("b", "a", "b"),
        "force_reserve_digit": True,
        "drop_consecutive": False,
    }
    read = Forced.read(options)
    assert read == Forced(("a", "b"), digits=True)
    assert read.label != Forced(("a",), digits=True).label
    assert Forced().label == ""


@pytest.mark.parametrize("tokens", [("",), tuple(map(str, range(201)))])
def test_impossible_tokens_are_refused(tokens: tuple[str, ...]) -> None:
    """An empty string is everywhere; thousands of strings are a mistake."""
    with pytest.raises(BadOption, match="force_tokens"):
        Forced.read({"force_tokens": tokens, "force_reserve_digit": False, "drop_consecutive": False})
