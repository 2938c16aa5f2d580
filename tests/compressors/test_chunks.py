"""Windows cover a text once, are few and even, and begin where a text may be cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.chunks import Chunk, Cuts, Ints, chunk, find_cuts


def ints(*values: int) -> Ints:
    return np.asarray(values, np.int64)


def cuts_of(sentences: list[int], words: list[int]) -> Cuts:
    return Cuts(ints(*sorted(set(sentences))), ints(*sorted({*words, *sentences})))


@given(
    count=st.integers(0, 3000),
    capacity=st.integers(4, 600),
    overlap=st.integers(0, 300),
    sentences=st.lists(st.integers(0, 3000), max_size=60),
    words=st.lists(st.integers(0, 3000), max_size=400),
)
def test_windows_cover_a_text_once(
    count: int, capacity: int, overlap: int, sentences: list[int], words: list[int]
) -> None:
    """Every token is some window's own, exactly once and in order; no window is too long."""
    overlap = min(overlap, capacity // 2)
    found = chunk(count, capacity, cuts_of(sentences, words), overlap)
    assert [i for one in found for i in range(one.fresh, one.last)] == list(range(count))
    assert all(one.first <= one.fresh < one.last for one in found)
    assert all(one.last - one.first <= capacity and one.fresh - one.first <= overlap for one in found)


@given(count=st.integers(1, 3000), capacity=st.integers(50, 600), seed=st.integers(0, 100))
def test_windows_begin_at_words(count: int, capacity: int, seed: int) -> None:
    """Where a word begins in every window's reach, no window begins elsewhere."""
    gaps = np.random.default_rng(seed).integers(1, 12, count)
    words = np.cumsum(gaps)
    found = chunk(count, capacity, Cuts(ints(), words))
    assert set(ints(*(one.first for one in found[1:]))) <= set(words)


def test_sentences_are_preferred_to_words() -> None:
    """A sentence near the middle is where a text of two windows is cut."""
    cuts = cuts_of([30, 55, 90], list(range(100)))
    assert chunk(100, 60, cuts) == [Chunk(0, 0, 55), Chunk(55, 55, 100)]


def test_windows_are_even_and_few() -> None:
    """A text a little longer than a window becomes two halves, not a window and a rest."""
    found = chunk(110, 100, cuts_of([], list(range(110))))
    assert [one.last - one.first for one in found] == [55, 55]


def test_a_sentence_far_from_the_middle_beats_tearing_one() -> None:
    """Rather one window more than a cut inside a sentence, as long as it is at least half full."""
    found = chunk(100, 52, Cuts(ints(30, 60, 90), ints(30, 60, 90)))
    assert [one.first for one in found] == [0, 30, 60]


def test_what_is_longer_than_a_window_is_cut_where_the_window_is_full() -> None:
    """A word without an end (a minified script) still ends."""
    assert [one.last for one in chunk(25, 10, Cuts(ints(), ints()))] == [10, 20, 25]


def test_overlap_begins_at_a_word() -> None:
    """Context is whole words: where none begins within the overlap, there is none."""
    found = chunk(40, 30, cuts_of([], [12, 20, 22]), overlap=10)
    assert (found[1].first, found[1].fresh) == (12, 20)


def test_an_overlap_as_long_as_a_window_is_refused() -> None:
    """It would never end."""
    with pytest.raises(ValueError, match="leaves no room"):
        chunk(10, 4, Cuts(ints(), ints()), overlap=4)


def test_cuts_are_found_where_words_begin() -> None:
    """Pieces of words, and bytes of a character, open no window."""
    text = "un known 好"
    offsets = np.asarray([(0, 2), (3, 5), (5, 8), (9, 10), (9, 10)])
    words = np.asarray([(0, 2), (3, 8), (9, len(text))])
    found = find_cuts(offsets, words, ints(0, 9), np.zeros((0, 2), np.int64))
    assert found.words.tolist() == [0, 1, 3]
    assert found.sentences.tolist() == [0, 3]


def test_a_byte_level_token_belongs_to_the_word_after_its_space() -> None:
    """Its space comes first, yet the word may be cut before it."""
    offsets = np.asarray([(0, 2), (2, 8)])
    words = np.asarray([(0, 2), (3, 8)])
    assert find_cuts(offsets, words, ints(0, 3), np.zeros((0, 2), np.int64)).sentences.tolist() == [0, 1]


def test_protected_spans_are_not_torn() -> None:
    """A window may begin at a span's start or after it, not inside."""
    offsets = np.asarray([(i, i + 1) for i in range(0, 12, 2)])
    found = find_cuts(offsets, offsets, ints(0, 6), np.asarray([(2, 7)]))
    assert found.words.tolist() == [0, 1, 4, 5]
    assert found.sentences.tolist() == [0, 4]
