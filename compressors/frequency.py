"""Unigram self-information: keep the words that a language seldom uses; no model at all.

A word's importance is -log2 of its share of all words, by a table. For English the table comes
with this package: `unigrams_en.gz`, 40,000 lower-case spellings of the Google Books ngram corpus
(CC BY 3.0, by way of the word list of the CMU Pronouncing Dictionary; derived by
`benchmarks/unigram_table.py`, see NOTICE). For other languages the package `wordfreq`, where it is
installed, has tables. What a table does not know: words of its script count as rare as its
rarest; numbers and words with digits too; words of other scripts count by how often the text itself
has them, which finds the particles of any language. A capital letter within a sentence adds four
bits, for it names somebody or something.

This is the baseline that every learned method must beat. It reads no weights and scores megabytes
a second. Source of the measure: Shannon; its use for prompts: Li et al.,
arXiv:2310.06201, with a unigram model in place of a causal one.
"""

import gzip
import importlib
import importlib.util
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import Units
from elision.compressors.errors import BadOption, WeightsMissing
from elision.compressors.units import Agg, Bounds, Level, split, unit_importance, words

NAME = "frequency"
BUILT_IN = "built_in"
WORDFREQ = "wordfreq"
_VERSION = "2"
_FILE = "unigrams_en.gz"
_EIGHTHS = 8

# Bits. Tuned on the first 1,400 of 2,000 Natural Questions with a passage that answers them.
_CAPITAL = 4.0
_OTHER_SCRIPT = 6.0
_LETTER = 0.3
_LETTERS = 12

_EDGES = re.compile(r"\A[\W_]+|[\W_]+\Z")
_JOINTS = re.compile(r"[^\w'’]+|_+")
_CLITIC = re.compile(r"(?:n['’]t|['’](?:s|re|ve|ll|d|m)?)\Z")
_CLOSERS = "\"'”’»›)]）」』】*_"
_ENDS = frozenset(".!?:…。！？；؟۔।॥။។።")


@dataclass(frozen=True, slots=True)
class Table:
    """Self-information of words.

    Attributes:
        name: for fingerprints.
        bits: by lower-case word.
        rarest: bits of a word that the table does not know.
    """

    name: str
    bits: Mapping[str, float] = field(repr=False)
    rarest: float

    @classmethod
    def read(cls, name: str, language: str) -> "Table":
        """Return the table of a name and a language.

        Raises: BadOption if there is none, WeightsMissing if its package is not installed.
        """
        if name == WORDFREQ:
            return cls.wordfreq(language)
        if language != "en":
            raise BadOption(
                f"language: the built-in table is English; for {language!r} say table: {WORDFREQ}"
            )
        return cls.built_in()

    @classmethod
    def built_in(cls) -> "Table":
        """Read the table of English that comes with this package; some 20 ms."""
        lines = gzip.decompress(Path(__file__).with_name(_FILE).read_bytes()).decode().splitlines()
        bits = {word: n / _EIGHTHS for n, line in enumerate(lines) for word in line.split()}
        return cls(BUILT_IN, bits, (len(lines) - 1) / _EIGHTHS)

    @classmethod
    def wordfreq(cls, language: str) -> "Table":
        """Take a language's table from the package `wordfreq`.

        Raises: WeightsMissing if it is not installed, BadOption if it does not know the language.
        """
        if importlib.util.find_spec("wordfreq") is None:
            raise WeightsMissing('table: wordfreq needs the package: pip install "elision[wordfreq]"')
        package = importlib.import_module("wordfreq")
        known = sorted(package.available_languages("best"))
        if language not in known:
            raise BadOption(f"language: wordfreq has no table for {language!r}; known: {', '.join(known)}")
        shares = package.get_frequency_dict(language, wordlist="best")
        bits = {word: -math.log2(share) for word, share in shares.items()}
        return cls(f"{WORDFREQ}-{language}", bits, max(bits.values()))


@dataclass(frozen=True, slots=True)
class Frequency:
    """The scorer.

    Attributes:
        table: what words cost.
        level: what is kept or dropped whole.
        agg: mean or sum of the words' bits, for phrases and sentences.
    """

    table: Table
    level: Level = Level.WORD
    agg: Agg = Agg.MEAN

    @property
    def fingerprint(self) -> str:
        return f"{NAME}/{_VERSION} level={self.level} agg={self.agg} table={self.table.name}"

    @property
    def reads_question(self) -> bool:
        return False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        """Score the units of each text; questions are not looked at."""
        return [self._score(text) for text in texts]

    def _score(self, text: str) -> Units:
        found = words(text)
        bits = self._bits(text, found)
        if self.level is Level.WORD:
            return Units(found, bits)
        bounds = split(text, self.level)
        return Units(bounds, unit_importance(bounds, found, bits, self.agg))

    def _bits(self, text: str, found: Bounds) -> NDArray[np.float64]:
        pieces = [text[start:end] for start, end in found.tolist()]
        counted = Counter(pieces)
        own = _own_information(counted)
        known = {piece: self._information(piece, own) for piece in counted}
        bits = np.fromiter((known[piece] for piece in pieces), np.float64, len(pieces))
        bits[_flags(pieces, _is_capital) & ~_opens(text, found, pieces)] += _CAPITAL
        return bits

    def _information(self, piece: str, own: Callable[[str], float]) -> float:
        """Return the bits of one word with what stands around it; of parts the most count."""
        bare = _EDGES.sub("", piece).lower()
        if not bare:
            return 0.0
        if bare in self.table.bits:
            return self.table.bits[bare]
        return max(self._part(part, own) for part in _JOINTS.split(bare) if part)

    def _part(self, part: str, own: Callable[[str], float]) -> float:
        clitic = _CLITIC.search(part)
        if clitic is None or not clitic.start():
            return self._word(part, own)
        rest = self._word(part[: clitic.start()], own)
        return max(rest, self._word("not", own)) if clitic[0].startswith("n") else rest

    def _word(self, word: str, own: Callable[[str], float]) -> float:
        if word in self.table.bits:
            return self.table.bits[word]
        return self.table.rarest if _is_tables(word) else own(word)


def _is_tables(part: str) -> bool:
    """Whether a word that is not in the table is of a kind that the table would have."""
    return part.isascii() or any(letter.isdigit() or letter < "\u0370" for letter in part)


def _own_information(counted: Counter[str]) -> Callable[[str], float]:
    """Return a measure of words by how often the text has them, longer ones a little more."""
    total = max(counted.total(), 1)
    bare: Counter[str] = Counter()
    for piece, count in counted.items():
        if not piece.isascii():
            bare[_EDGES.sub("", piece).lower()] += count

    def own(part: str) -> float:
        rare = math.log2(total / (bare[part] or 1))
        return _OTHER_SCRIPT + rare + _LETTER * min(len(part), _LETTERS)

    return own


def _flags(pieces: Sequence[str], holds: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Return (N,) of which pieces something holds; equal ones are asked about once."""
    known = {piece: holds(piece) for piece in set(pieces)}
    return np.fromiter((known[piece] for piece in pieces), np.bool_, len(pieces))


def _is_capital(piece: str) -> bool:
    first = _EDGES.sub("", piece)[:1]
    return first.isupper()


def _ends(piece: str) -> bool:
    return piece.rstrip(_CLOSERS)[-1:] in _ENDS


def _opens(text: str, found: Bounds, pieces: Sequence[str]) -> NDArray[np.bool_]:
    """Return (N,) which words begin a sentence or a line: their capitals say nothing."""
    if not len(pieces):
        return np.zeros(0, np.bool_)
    lines = np.asarray([match.start() for match in re.finditer("\n", text)], np.int64)
    passed = np.searchsorted(lines, found[:, 0])
    after = _flags(pieces, _ends)[:-1] | (passed[1:] > passed[:-1])
    return np.concatenate(([True], after))
