"""Baselines that any method must beat: random words, the first words, TF-IDF; all of it, none of it.

The first three are scorers of words behind the selector that every method has, so that they keep
as many tokens as the others. This module owns them; a frequency prior is a method of the product
(`elision.compressors.registry`), and so not here.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from elision.compressors.base import Compressor, Outcome, Scorer, Target, Units
from elision.compressors.extractive import Extractive
from elision.compressors.tokens import Counters
from elision.compressors.units import words

FULL, NONE = "full", "none"
RANDOM, LEAD, TFIDF = "random", "lead", "tfidf"
NAMES = (FULL, NONE, RANDOM, LEAD, TFIDF)
WITHOUT_TARGET = frozenset((FULL, NONE))


def make_baseline(name: str, counters: Counters, seed: int, corpus: Sequence[str]) -> Compressor:
    """Return a baseline.

    Args:
        name: one of `NAMES`.
        counters: count as the target's model does.
        seed: of random words.
        corpus: the texts whose words' document frequencies TF-IDF counts.
    """
    if name in WITHOUT_TARGET:
        return AllOrNothing(name, counters, keep=name == FULL)
    scorers: dict[str, Callable[[], Scorer]] = {
        RANDOM: lambda: RandomWords(seed),
        LEAD: Lead,
        TFIDF: lambda: TfIdf.of(corpus),
    }
    return Extractive(name, scorers[name](), counters)


@dataclass(frozen=True, slots=True)
class AllOrNothing:
    """The text as it is, or no text at all: the two ends of every curve."""

    name: str
    counters: Counters
    keep: bool

    @property
    def fingerprint(self) -> str:
        return self.name

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for text, target in zip(texts, targets, strict=True):
            tokens = self.counters.counter_for(target.model).count(text)
            kept = text if self.keep else ""
            outcomes.append(Outcome(kept, tokens, tokens * self.keep, (), self.name, self.fingerprint))
        return outcomes


@dataclass(frozen=True, slots=True)
class RandomWords:
    """Words in an order drawn from the seed and the text, so that a text's choice never varies."""

    seed: int

    @property
    def fingerprint(self) -> str:
        return f"{RANDOM}/1 seed={self.seed}"

    @property
    def reads_question(self) -> bool:
        return False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        return [self._units(text) for text in texts]

    def _units(self, text: str) -> Units:
        bounds = words(text)
        of_text = int.from_bytes(_digest([text])[:8], "big")
        random = np.random.default_rng([self.seed, of_text])
        return Units(bounds, random.random(len(bounds)))


@dataclass(frozen=True, slots=True)
class Lead:
    """The first words, as far as the budget goes."""

    @property
    def fingerprint(self) -> str:
        return f"{LEAD}/1"

    @property
    def reads_question(self) -> bool:
        return False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        found = [words(text) for text in texts]
        return [Units(bounds, -np.arange(len(bounds), dtype=np.float64)) for bounds in found]


@dataclass(frozen=True, slots=True)
class TfIdf:
    """Words that are frequent here and rare elsewhere.

    A word's importance is tf * (ln((1 + N) / (1 + df)) + 1), tf its share of the text's words, df
    the number of the corpus's N texts that hold it. The corpus is the evaluated texts themselves,
    without their questions and answers. Source: Salton and Buckley, Term-weighting approaches in
    automatic text retrieval (1988); smoothed so that a word of every text still counts.

    Attributes:
        frequency: texts of the corpus by the word that they hold.
        texts: of the corpus.
        checksum: of the corpus.
    """

    frequency: Counter[str]
    texts: int
    checksum: str

    @classmethod
    def of(cls, corpus: Sequence[str]) -> "TfIdf":
        """Count a corpus; a text that occurs twice counts once."""
        different = sorted(set(corpus))
        frequency = Counter(word for text in different for word in set(_terms(text)))
        return cls(frequency, len(different), _digest(different).hex()[:16])

    @property
    def fingerprint(self) -> str:
        return f"{TFIDF}/1 corpus={self.checksum}"

    @property
    def reads_question(self) -> bool:
        return False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        return [self._units(text) for text in texts]

    def _units(self, text: str) -> Units:
        terms = _terms(text)
        counts = Counter(terms)
        weight = {
            term: count / len(terms) * (math.log((1 + self.texts) / (1 + self.frequency[term])) + 1)
            for term, count in counts.items()
        }
        # Punctuation by itself says nothing.
        importance = np.asarray([weight[term] if term else 0.0 for term in terms], np.float64)
        return Units(words(text), importance)


def _terms(text: str) -> list[str]:
    """Return a term for each of a text's words: in lower case, without punctuation at its ends."""
    return [
        "".join(c if c.isalnum() else " " for c in text[start:end].lower()).strip()
        for start, end in words(text).tolist()
    ]


def _digest(texts: Sequence[str]) -> bytes:
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()
