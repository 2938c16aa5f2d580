"""LLMLingua-2: keep the words that a token classifier thinks worth keeping.

A small bidirectional encoder, taught by what a large model kept, says of each token how likely it
is needed; a word's importance is the mean of its tokens'. Profile `fixed`: as the paper has it,
without the faults of its code (`elision.compressors.llmlingua2_compat` has those). Texts are read
once, in windows cut between sentences; words are found by character offsets, so that the output is
made of slices of the original; one ranking serves the whole text, and the shared selector keeps
the budget, force tokens and digits (`elision.compressors.forced`).
Source: Pan et al., arXiv:2403.12968, sections 3 and 4.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import OptionValue, Units
from elision.compressors.readings import Reader, Reading, Windows
from elision.compressors.token_classifier import TokenClassifier
from elision.compressors.units import Agg, unit_importance, words

NAME = "llmlingua2"
_VERSION = "1"
WINDOW = 512
"""Tokens of a window, marks included, with which the published checkpoints were taught."""
# Ahead of every probability.
_UNREAD = 2.0
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


class LLMLingua2:
    """The scorer of profile `fixed`."""

    def __init__(self, classifier: TokenClassifier, options: Options | None = None) -> None:
        """Take a classifier.

        Raises: BadOption if it does not read such windows, or the overlap leaves no room in them.
        """
        self._classifier = classifier
        self._options = told = options or Options()
        self._unknown = classifier.vocabulary.ids["unk"]
        windows = Windows(told.window, told.overlap, told.chunk_end_tokens)
        self._reader = Reader(classifier, windows, NAME)

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
        readings = self._reader.read(texts)
        return [self._units(text, reading) for text, reading in zip(texts, readings, strict=True)]

    def _units(self, text: str, reading: Reading) -> Units:
        bounds = word_bounds(text)
        if self._options.token_to_word is TokenToWord.FIRST:
            importance = _first_token(bounds, reading.offsets, reading.chances)
        else:
            importance = unit_importance(bounds, reading.offsets, reading.chances, Agg.MEAN)
        # What the model cannot read it cannot judge: signs of unknown scripts and emoji stay.
        unknown = reading.offsets[reading.ids == self._unknown]
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
