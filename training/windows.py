"""From labelled texts to windows of token ids with a label each, and to batches of them.

Every token takes the label of the word that it shares a character with; marks, padding and what
stands outside all words have none (`IGNORED`) and never count in a loss. Windows begin where words
begin. Where they begin shifts from epoch to epoch, so that a model learns what words say, not how far
from a text's beginning they stand. This module loads no weights and knows no loss.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elision.compressors.token_classifier import Vocabulary
from elision.compressors.torch_classifier import batches
from elision.training.records import LabelledText

IGNORED = -100.0
_MARKS = 2

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """A text as the model reads it.

    Attributes:
        ids: (T,) without opening and closing marks.
        labels: (T,) in [0, 1], or `IGNORED`.
        heads: (T,) which tokens begin a word, or stand outside all: where a window may begin.
    """

    ids: Ints
    labels: Floats
    heads: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows side by side.

    Attributes:
        ids: (B, T) marks and padding included.
        labels: (B, T) float32, `IGNORED` where there is none.
        real: (B, T) which are no padding.
    """

    ids: Ints
    labels: Floats
    real: NDArray[np.bool_]


def tokenise(texts: Iterable[LabelledText], vocabulary: Vocabulary) -> list[Tokens]:
    """Read every text once; what holds no token is left out."""
    tokenizer = vocabulary.tokenizer()
    # A literal `[SEP]` in a text is text, as it is where the model is used.
    tokenizer.encode_special_tokens = True
    found: list[Tokens] = []
    for one in texts:
        read = tokenizer.encode(one.text, add_special_tokens=False)
        offsets = np.asarray(read.offsets, np.int64).reshape(-1, 2)
        if len(offsets):
            labels, heads = _labels(offsets, one)
            found.append(Tokens(np.asarray(read.ids, np.int64), labels, heads))
    return found


def _labels(offsets: Ints, one: LabelledText) -> tuple[Floats, NDArray[np.bool_]]:
    words = np.asarray(one.words, np.int64)
    # The last word that begins before the token ends is the only one that can share characters.
    at = np.searchsorted(words[:, 0], offsets[:, 1], side="left") - 1
    inside = (at >= 0) & (words[at, 1] > offsets[:, 0])
    labels = np.where(inside, np.asarray(one.labels, np.float32)[at], np.float32(IGNORED))
    heads = ~inside | (np.diff(at, prepend=-2) != 0)
    heads[0] = True
    return labels.astype(np.float32), heads


def cut(tokens: Tokens, capacity: int, shift: int) -> list[tuple[int, int]]:
    """Cut a text into ranges of at most `capacity` tokens, the first of at most `shift` if that is > 0.

    A range begins where a word begins, unless a single word is longer than the range before it may be.
    """
    total, start, room = len(tokens.ids), 0, shift or capacity
    ranges: list[tuple[int, int]] = []
    heads = np.flatnonzero(tokens.heads)
    while start < total:
        end = min(start + room, total)
        if end < total:
            whole = int(heads[np.searchsorted(heads, end, side="right") - 1])
            end = whole if whole > start else end
        ranges.append((start, end))
        start, room = end, capacity
    return ranges


def epoch(
    read: Sequence[Tokens], vocabulary: Vocabulary, sizes: tuple[int, int], random: np.random.Generator | None
) -> list[Batch]:
    """Return all windows of all texts in batches.

    Args:
        read: the texts.
        vocabulary: whose marks open and close windows.
        sizes: tokens of a window, and of a batch with padding; marks included.
        random: shifts windows and shuffles batches; None: windows from the beginning, longest first.
    """
    capacity = sizes[0] - _MARKS
    windows: list[tuple[Tokens, int, int]] = []
    for tokens in read:
        shift = int(random.integers(capacity)) if random is not None else 0
        windows += [(tokens, start, end) for start, end in cut(tokens, capacity, shift)]
    # Without a label a window teaches nothing.
    windows = [(tokens, a, b) for tokens, a, b in windows if (tokens.labels[a:b] != IGNORED).any()]
    if random is not None:
        random.shuffle(windows)
    groups = list(batches([end - start + _MARKS for _, start, end in windows], sizes[1]))
    if random is not None:
        random.shuffle(groups)
    return [_batch([windows[i] for i in group], vocabulary) for group in groups]


def _batch(windows: Sequence[tuple[Tokens, int, int]], vocabulary: Vocabulary) -> Batch:
    width = max(end - start for _, start, end in windows) + _MARKS
    ids = np.full((len(windows), width), vocabulary.ids["pad"], np.int64)
    labels = np.full((len(windows), width), IGNORED, np.float32)
    real = np.zeros((len(windows), width), np.bool_)
    for row, (tokens, start, end) in enumerate(windows):
        size = end - start
        ids[row, 0], ids[row, size + 1] = vocabulary.ids["cls"], vocabulary.ids["sep"]
        ids[row, 1 : size + 1] = tokens.ids[start:end]
        labels[row, 1 : size + 1] = tokens.labels[start:end]
        real[row, : size + _MARKS] = True
    return Batch(ids, labels, real)
