"""Long texts in windows that a model can read: cut at sentences, at word starts where need be.

Pure arithmetic on tokens and character offsets; this module owns where windows begin and end, and
loads no model. A window never begins inside a word, nor inside a protected span, unless one such
thing is longer than a whole window. Work is linear in the tokens.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A window over a text's tokens, `tokens[first:last]`.

    Attributes:
        first: where the window begins.
        fresh: from here on its tokens are its own; those before are context, shared with the
            window before it. `first <= fresh < last`.
        last: where it ends, exclusive.
    """

    first: int
    fresh: int
    last: int


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where a text may be cut, as ascending indices of tokens that may open a window.

    Attributes:
        sentences: tokens that begin a sentence; where cuts should be.
        words: tokens that begin a word outside protected spans; where cuts may be.
    """

    sentences: Ints
    words: Ints


def find_cuts(offsets: Ints, words: Ints, sentences: Ints, protected: Ints) -> Cuts:
    """Find the tokens at which a window may begin.

    Args:
        offsets: (T, 2) ascending character ranges of the tokens.
        words: (N, 2) ascending, disjoint bounds of the words.
        sentences: (S,) ascending characters at which sentences begin.
        protected: (P, 2) ascending, disjoint ranges that must not be torn.
    """
    none = np.zeros(0, np.int64)
    if not len(offsets) or not len(words):
        return Cuts(none, none)
    # A byte-level token brings the space before its word along: it belongs to the word after it.
    word = np.searchsorted(words[:, 1], offsets[:, 0], side="right")
    before = np.searchsorted(words[:, 0], offsets[:-1, 1], side="left") - 1
    opens = np.concatenate(([True], word[1:] > np.maximum.accumulate(before))) & (word < len(words))
    start = words[np.minimum(word, len(words) - 1), 0]
    if len(protected):
        span = np.searchsorted(protected[:, 0], start, side="left") - 1
        opens &= (span < 0) | (start >= protected[np.maximum(span, 0), 1])
    able = np.flatnonzero(opens)
    # The first word at or after each sentence's start.
    at = np.unique(np.searchsorted(start[able], sentences, side="left"))
    return Cuts(able[at[at < len(able)]], able)


def chunk(count: int, capacity: int, cuts: Cuts, overlap: int = 0) -> list[Chunk]:
    """Cut `count` tokens into as few windows as fit `capacity`, about equally long.

    Equal windows give the last words of a text as much context as all others, and attention, whose
    work grows with the square of a window's length, less to do. A window ends before a sentence
    where one begins within reach, else before a word, else (a word longer than a window) wherever
    it is full.

    Args:
        count: tokens of the text.
        capacity: tokens of a window, at least 1.
        cuts: from `find_cuts`.
        overlap: tokens of context that a window repeats from before its own, at most; less where
            no word begins there.
    Raises: ValueError if `overlap` leaves no room for a window's own tokens.
    """
    room = capacity - overlap
    if room < 1 or overlap < 0:
        raise ValueError(f"an overlap of {overlap} tokens leaves no room in windows of {capacity}")
    chunks: list[Chunk] = []
    at = 0
    while at < count:
        limit = capacity if not at else room
        end = count if count - at <= limit else _end(at, count, (limit, room), cuts)
        first = _first_after(cuts.words, at - overlap, at) if at and overlap else at
        chunks.append(Chunk(first, at, end))
        at = end
    return chunks


def _end(at: int, count: int, sizes: tuple[int, int], cuts: Cuts) -> int:
    """Choose where the window that begins at `at` ends, when what remains does not fit."""
    limit, room = sizes
    windows = 1 + math.ceil((count - at - limit) / room)
    ideal = at + math.ceil((count - at) / windows)
    # Cut earlier than this, and one more window is needed for the rest.
    soonest = max(count - (windows - 1) * room, at + 1)
    for where, least in ((cuts.sentences, soonest), (cuts.words, soonest), (cuts.sentences, at + limit // 2)):
        end = _nearest(where, ideal, least, at + limit)
        if end:
            return end
    return _nearest(cuts.words, at + limit, at + 1, at + limit) or at + limit


def _nearest(where: Ints, ideal: int, least: int, most: int) -> int:
    """Return the index nearest to `ideal` in [least, most], 0 where there is none."""
    low, high = np.searchsorted(where, (least, most + 1))
    if low == high:
        return 0
    within = where[low:high]
    right = int(np.searchsorted(within, ideal))
    near = within[max(right - 1, 0) : right + 1]
    return int(near[np.argmin(np.abs(near - ideal))])


def _first_after(where: Ints, least: int, otherwise: int) -> int:
    at = int(np.searchsorted(where, max(least, 0)))
    return min(int(where[at]), otherwise) if at < len(where) else otherwise
