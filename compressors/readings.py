"""Texts as a token classifier reads them: ids, places, windows, and what it says of each token.

A text is read once, in windows cut between sentences, or between words where a sentence is too
long. This module owns tokens and windows; what becomes of tokens' chances is the methods' matter.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elision.compressors.breaks import give_way
from elision.compressors.chunks import Chunk, chunk, find_cuts
from elision.compressors.errors import BadOption
from elision.compressors.protect import find_spans
from elision.compressors.token_classifier import TokenClassifier
from elision.compressors.units import sentences, words

# A tokenizer's own record of a text takes a hundred times the text: long ones are read in parts.
_PART = 50_000
_LEAST_WINDOW = 16
_SURROGATE = re.compile("[\ud800-\udfff]")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Windows:
    """How a text is cut for a model.

    Attributes:
        tokens: that the model reads at once, its marks included; fewer are faster, as attention
            grows with their square, and show it less context.
        overlap: tokens of context that a window repeats from the one before.
        ends: windows end after these; () for the sentence ends of all languages.
    """

    tokens: int
    overlap: int = 0
    ends: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A text as the classifier read it.

    Attributes:
        ids: (T,) token ids.
        offsets: (T, 2) the characters of each.
        chances: (T,) of each to be kept; (T, 2) of a classifier with a second head.
    """

    ids: Ints
    offsets: Ints
    chances: Floats


class Reader:
    """Reads texts.

    Args:
        classifier: says of each token how likely it is worth keeping.
        windows: how texts are cut for it.
        method: whose options these are, for errors.
    """

    def __init__(self, classifier: TokenClassifier, windows: Windows, method: str) -> None:
        """Take a classifier.

        Raises: BadOption if it does not read such windows, or the overlap leaves no room in them.
        """
        self._classifier = classifier
        self._windows = windows
        self._vocabulary = classifier.vocabulary
        self._tokenizer = self._vocabulary.tokenizer()
        # A literal `</s>` in a user's text is text.
        self._tokenizer.encode_special_tokens = True
        self._capacity = windows.tokens - 2
        self._marks = np.asarray([i for role, i in self._vocabulary.ids.items() if role != "unk"], np.int64)
        if not _LEAST_WINDOW <= windows.tokens <= self._vocabulary.max_tokens:
            raise BadOption(
                f"{method}: window must be from {_LEAST_WINDOW} to the {self._vocabulary.max_tokens} tokens "
                f"that the model reads, not {windows.tokens}"
            )
        if not 0 <= windows.overlap <= self._capacity // 2:
            raise BadOption(
                f"{method}: overlap must be from 0 to {self._capacity // 2}, half a window, "
                f"not {windows.overlap}"
            )

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """Return what the classifier says of each text, all texts' windows together."""
        tokens = [self._tokens(text) for text in texts]
        chunks = [self._chunks(text, offsets) for text, (_, offsets) in zip(texts, tokens, strict=True)]
        windows = [
            self._window(ids[one.first : one.last])
            for (ids, _), cut in zip(tokens, chunks, strict=True)
            for one in cut
        ]
        rows = iter(self._classifier.probabilities(windows))
        return [
            Reading(ids, offsets, _gathered(len(ids), cut, rows))
            for (ids, offsets), cut in zip(tokens, chunks, strict=True)
        ]

    def _tokens(self, text: str) -> tuple[Ints, Ints]:
        ids: list[Ints] = [np.zeros(0, np.int64)]
        offsets: list[Ints] = [np.zeros((0, 2), np.int64)]
        text = _SURROGATE.sub("\ufffd", text)
        for start, end in _parts(text):
            if start:
                give_way()
            item = self._tokenizer.encode(text[start:end], add_special_tokens=False)
            ids.append(np.asarray(item.ids, np.int64))
            offsets.append(np.asarray(item.offsets, np.int64).reshape(-1, 2) + start)
        every = np.concatenate(ids)
        # Some vocabularies spell their marks with the text's own letters: in a text they mean nothing.
        every[np.isin(every, self._marks)] = self._vocabulary.ids["unk"]
        return every, np.concatenate(offsets)

    def _chunks(self, text: str, offsets: Ints) -> list[Chunk]:
        if len(offsets) <= self._capacity:
            return [Chunk(0, 0, len(offsets))] if len(offsets) else []
        spans = np.asarray([(s.start, s.end) for s in find_spans(text)], np.int64).reshape(-1, 2)
        cuts = find_cuts(offsets, words(text), self._sentence_starts(text), spans)
        return chunk(len(offsets), self._capacity, cuts, self._windows.overlap)

    def _sentence_starts(self, text: str) -> Ints:
        ends = self._windows.ends
        if not ends:
            return sentences(text)[:, 0]
        return np.asarray([match.end() for match in _any_of(ends).finditer(text)], np.int64)

    def _window(self, ids: Ints) -> Ints:
        marks = self._vocabulary.ids
        return np.concatenate(([marks["cls"]], ids, [marks["sep"]]))


def _gathered(tokens: int, chunks: Sequence[Chunk], rows: Iterator[NDArray[np.float32]]) -> Floats:
    """Return (T, ...) what windows say of their own tokens, context and marks left out."""
    said = [
        row[1 + one.fresh - one.first : 1 + one.last - one.first]
        for one, row in zip(chunks, rows, strict=False)
    ]
    keep = np.zeros((tokens, *(said[0].shape[1:] if said else ())))
    for one, row in zip(chunks, said, strict=True):
        keep[one.fresh : one.last] = row
    return keep


def _any_of(strings: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted(strings, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """Cut a long text before a space, where no tokenizer joins anything across."""
    start = 0
    while len(text) - start > _PART:
        cut = max(text.rfind(" ", start + 1, start + _PART), text.rfind("\n", start + 1, start + _PART))
        end = cut if cut > 0 else start + _PART
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)
