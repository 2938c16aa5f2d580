"""Units made of a language model's tokens: whole characters, or whole words.

Pure. A token may be a part of a character, of an emoji or of a word, and may bring whitespace along;
a unit is what can be kept or dropped all the same. This module owns where a text may be cut; it knows
no models and no scores.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elision.compressors.llmlingua2 import word_bounds
from elision.compressors.units import may_cut

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# A run of more tokens without any space or mark (base64, say) may be cut within.
_LONGEST_WORD = 32


class Grain(StrEnum):
    """What a unit is: a token of the model that reads, or a word or mark."""

    TOKEN = "token"  # noqa: S105  no password
    WORD = "word"


class Cut(NamedTuple):
    """A text's units: (N, 2) characters, and (N + 1,) the first token of each, and where the last ends.

    Tokens of nothing but whitespace belong to the unit after them.
    """

    bounds: Ints
    first: Ints


def cut_units(text: str, offsets: Ints, level: Grain) -> Cut:
    """Cut a text where tokens begin, or words.

    A character of several tokens, and what a reader takes for one character, is never cut.

    Args:
        offsets: (T, 2) the characters of the text's tokens, ascending.
        level: `Grain.TOKEN` or `Grain.WORD`.
    """
    solid = np.flatnonzero(~_blank(text))
    if not len(offsets) or not len(solid):
        return Cut(np.zeros((0, 2), np.int64), np.zeros(1, np.int64))
    left = np.searchsorted(solid, offsets[:, 0])
    right = np.searchsorted(solid, offsets[:, 1])
    full = np.flatnonzero(right > left)
    starts, ends = solid[left[full]], solid[right[full] - 1] + 1
    opens = np.concatenate(([True], starts[1:] >= np.maximum.accumulate(ends)[:-1]))
    if not text.isascii():
        opens[1:] &= [may_cut(text, at) for at in starts[1:].tolist()]
    if level == Grain.WORD:
        opens = _at_words(text, starts, opens)
    begin = starts[opens]
    begin[0] = solid[0]
    stop = solid[np.searchsorted(solid, begin[1:]) - 1] + 1
    # The whitespace before a unit is its own: its tokens begin after the last full one before.
    first = np.concatenate(([0], full[np.flatnonzero(opens)[1:] - 1] + 1, [len(offsets)]))
    return Cut(np.stack((begin, np.append(stop, solid[-1] + 1)), 1), first.astype(np.int64))


def _at_words(text: str, starts: Ints, opens: Flags) -> Flags:
    """Open units at words only, but within words that are too long."""
    found = opens & np.isin(starts, word_bounds(text)[:, 0])
    found[0] = True
    at = np.flatnonzero(found)
    sizes = np.diff(np.append(at, len(starts)))
    return np.asarray(found | (opens & np.repeat(sizes > _LONGEST_WORD, sizes)), np.bool_)


def _blank(text: str) -> Flags:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    different, at = np.unique(codes, return_inverse=True)
    return np.asarray([chr(code).isspace() for code in different.tolist()], np.bool_)[at.reshape(-1)]


def blank_tokens(text: str, offsets: Ints) -> Flags:
    """Return (T,) which tokens stand for nothing but whitespace."""
    solid = np.concatenate(([0], np.cumsum(~_blank(text)))) if text else np.zeros(1, np.int64)
    return np.asarray(solid[offsets[:, 1]] == solid[offsets[:, 0]], np.bool_)
