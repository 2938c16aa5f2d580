"""LLMLingua-2: keep the words that a token classifier thinks worth keeping.

A small bidirectional encoder, taught by what a large model kept, says of each token how likely it
is needed; a word's importance is the mean of its tokens'. Profile `fixed`: as the paper has it,
without the faults of its code (`elision.compressors.llmlingua2_compat` has those). Texts are read
once, in windows cut between sentences; words are found by character offsets, so that the output is
made of slices of the original; one ranking serves the whole text, and the shared selector keeps
the budget, force tokens and digits (`elision.compressors.forced`).
Source: Pan et al., arXiv:2403.12968, sections 3 and 4.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import OptionValue, Units
from elision.compressors.breaks import give_way
from elision.compressors.chunks import Chunk, chunk, find_cuts
from elision.compressors.errors import BadOption
from elision.compressors.protect import find_spans
from elision.compressors.selective_context import unit_importance
from elision.compressors.token_classifier import TokenClassifier
from elision.compressors.units import Agg, sentences, words

NAME = "llmlingua2"
_VERSION = "1"
WINDOW = 512
"""Tokens of a window, marks included, with which the published checkpoints were taught."""
# Ahead of every probability.
_UNREAD = 2.0
# A tokenizer's own record of a text takes a hundred times the text: long ones are read in parts.
_PART = 50_000
_LEAST_WINDOW = 16
_SURROGATE = re.compile("[\ud800-\udfff]")
# Marks that belong to the word they touch: C#, C++ (not punctuation to Unicode), 5%, a/b, pre-.
_OF_WORDS = frozenset("#%&*/@\\_-")

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class TokenToWord(StrEnum):
    """How the probabilities of a word's tokens become one, by LLMLingua's names."""

    MEAN = "mean"
    FIRST = "first"


@dataclass(frozen=True, slots=True)
class Options:
    """How texts are read and scored, by the names that LLMLingua's users know.

    Attributes:
        token_to_word: how a word's tokens are put together.
        chunk_end_tokens: windows end after these; () for the sentence ends of all languages.
        overlap: tokens of context that a window repeats from the one before.
        window: tokens that the model reads at once, its marks included; fewer are faster, as
            attention grows with their square, and show it less context.
    """

    token_to_word: TokenToWord = TokenToWord.MEAN
    chunk_end_tokens: tuple[str, ...] = ()
    overlap: int = 0
    window: int = WINDOW

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "Options":
        """Take these out of a method's options, which have been checked."""
        ends, overlap, window = (options[name] for name in ("chunk_end_tokens", "overlap", "window"))
        return cls(
            TokenToWord(str(options["token_to_word"])),
            ends if isinstance(ends, tuple) else (),
            overlap if isinstance(overlap, int) else 0,
            window if isinstance(window, int) else WINDOW,
        )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A text as the classifier's tokenizer reads it.

    Attributes:
        ids: (T,) token ids.
        offsets: (T, 2) the characters of each.
        chunks: windows over the tokens.
    """

    ids: Ints
    offsets: Ints
    chunks: list[Chunk]


class LLMLingua2:
    """The scorer of profile `fixed`."""

    def __init__(self, classifier: TokenClassifier, options: Options | None = None) -> None:
        """Take a classifier.

        Raises: BadOption if it does not read such windows, or the overlap leaves no room in them.
        """
        self._classifier = classifier
        self._options = options or Options()
        self._vocabulary = classifier.vocabulary
        self._tokenizer = self._vocabulary.tokenizer()
        # A literal `</s>` in a user's text is text.
        self._tokenizer.encode_special_tokens = True
        self._capacity = self._options.window - 2
        self._marks = np.asarray([i for role, i in self._vocabulary.ids.items() if role != "unk"], np.int64)
        if not _LEAST_WINDOW <= self._options.window <= self._vocabulary.max_tokens:
            raise BadOption(
                f"{NAME}: window must be from {_LEAST_WINDOW} to the {self._vocabulary.max_tokens} tokens "
                f"that the model reads, not {self._options.window}"
            )
        if not 0 <= self._options.overlap <= self._capacity // 2:
            raise BadOption(
                f"{NAME}: overlap must be from 0 to {self._capacity // 2}, half a window, "
                f"not {self._options.overlap}"
            )

    @property
    def fingerprint(self) -> str:
        told = self._options
        parts = (
            f"word={told.token_to_word}",
            f"ends={told.chunk_end_tokens!r}",
            f"overlap={told.overlap}",
            f"window={told.window}",
            f"weights={self._classifier.fingerprint}",
        )
        return f"{NAME}/{_VERSION} {' '.join(parts)}"

    @property
    def reads_question(self) -> bool:
        return False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        """Score the words of each text, all texts' windows together; questions are not looked at."""
        readings = [self._read(text) for text in texts]
        windows = [
            self._window(reading, one.first, one.last) for reading in readings for one in reading.chunks
        ]
        rows = iter(self._classifier.probabilities(windows))
        return [
            self._units(text, reading, self._gather(reading, rows))
            for text, reading in zip(texts, readings, strict=True)
        ]

    def _read(self, text: str) -> _Reading:
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
        places = np.concatenate(offsets)
        return _Reading(every, places, self._chunks(text, places))

    def _chunks(self, text: str, offsets: Ints) -> list[Chunk]:
        if len(offsets) <= self._capacity:
            return [Chunk(0, 0, len(offsets))] if len(offsets) else []
        spans = np.asarray([(s.start, s.end) for s in find_spans(text)], np.int64).reshape(-1, 2)
        cuts = find_cuts(offsets, words(text), self._sentence_starts(text), spans)
        return chunk(len(offsets), self._capacity, cuts, self._options.overlap)

    def _sentence_starts(self, text: str) -> Ints:
        ends = self._options.chunk_end_tokens
        if not ends:
            return sentences(text)[:, 0]
        return np.asarray([match.end() for match in _any_of(ends).finditer(text)], np.int64)

    def _window(self, reading: _Reading, first: int, last: int) -> Ints:
        ids = self._vocabulary.ids
        return np.concatenate(([ids["cls"]], reading.ids[first:last], [ids["sep"]]))

    def _gather(self, reading: _Reading, rows: Iterator[NDArray[np.float32]]) -> Floats:
        """Return (T,) what windows say of their own tokens, context and marks left out."""
        keep = np.zeros(len(reading.ids))
        for one, row in zip(reading.chunks, rows, strict=False):
            keep[one.fresh : one.last] = row[1 + one.fresh - one.first : 1 + one.last - one.first]
        return keep

    def _units(self, text: str, reading: _Reading, keep: Floats) -> Units:
        bounds = word_bounds(text)
        if self._options.token_to_word is TokenToWord.FIRST:
            importance = _first_token(bounds, reading.offsets, keep)
        else:
            importance = unit_importance(bounds, reading.offsets, keep, Agg.MEAN)
        # What the model cannot read it cannot judge: signs of unknown scripts and emoji stay.
        unknown = reading.offsets[reading.ids == self._vocabulary.ids["unk"]]
        unread = (_covered(bounds, unknown) > 0) | (_covered(bounds, reading.offsets) == 0)
        importance[unread] = _UNREAD
        return Units(bounds, importance)


def word_bounds(text: str) -> Ints:
    """Return (N, 2) bounds of words, and of the punctuation before and after them.

    Words are those of `elision.compressors.units` (of scripts without spaces each sign), except
    that marks at a word's edges stand alone, as both families of tokenizers have them; what is
    inside a word (`U.S`, `well-known`, `don't`) does not tear it.
    """
    bounds = words(text)
    if not len(bounds):
        return bounds
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    plain = _letters(codes)
    at = np.arange(len(codes))
    # Every range of reduceat ends at the next word's start: whitespace between must not count.
    inside = np.zeros(len(codes) + 1, np.int64)
    inside[bounds[:, 0]] += 1
    inside[bounds[:, 1]] -= 1
    core = plain & (np.cumsum(inside[:-1]) > 0)
    first = np.minimum.reduceat(np.where(core, at, len(codes)), bounds[:, 0])
    last = np.maximum.reduceat(np.where(core, at, -1), bounds[:, 0]) + 1
    whole = last <= 0
    first = np.where(whole, bounds[:, 0], first)
    last = np.where(whole, bounds[:, 1], last)
    pieces = np.stack((bounds[:, 0], first, first, last, last, bounds[:, 1]), 1).reshape(-1, 2)
    return pieces[pieces[:, 1] > pieces[:, 0]]


def _first_token(bounds: Ints, offsets: Ints, keep: Floats) -> Floats:
    if not len(keep):
        return np.zeros(len(bounds))
    at = np.searchsorted(offsets[:, 1], bounds[:, 0], side="right")
    return keep[np.minimum(at, len(keep) - 1)]


def _covered(bounds: Ints, offsets: Ints) -> Ints:
    """Return (N,) how many tokens share a character with each unit."""
    first = np.searchsorted(offsets[:, 1], bounds[:, 0], side="right")
    last = np.searchsorted(offsets[:, 0], bounds[:, 1], side="left")
    return np.asarray(np.maximum(last - first, 0), np.int64)


def _letters(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return (C,) which characters are neither whitespace nor marks that stand at words' edges."""
    known, index = np.unique(codes, return_inverse=True)
    plain = np.asarray([not _is_mark(chr(code)) for code in known.tolist()], np.bool_)
    return plain[index]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PZ" and character not in _OF_WORDS


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
