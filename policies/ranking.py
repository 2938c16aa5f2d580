"""Which documents bear on a question: BM25 over the words of a handful of texts.

Pure, linear in the length of the texts, and without models or word lists. It owns what a word is in
any script, and the order; how many stay is for others to say.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log

SATURATION = 1.5
"""BM25's k1: how soon a word's repetition stops counting."""
LENGTH_WEIGHT = 0.75
"""BM25's b: how far a long text's words count for less."""

# A word is a run without spaces and punctuation, not a run of `\w`, which would part
# the letters of Indic scripts from their vowel signs.
_WORD = re.compile(
    "[^\\s\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\u055a-\u055f\u0589\u05be\u05c0\u05c3"
    "\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u104a\u104b\u1361-\u1368\u17d4-\u17da"
    "\u2000-\u206f\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u3030\u303d\u30fb\ufe10-\ufe6f\uff5f-\uff65]+"
)
# Scripts without spaces between words, and Hangul, whose words carry their particles: Thai to
# Burmese, Khmer, kana, Han with its extensions, Hangul.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)


def words(text: str) -> list[str]:
    """Return a text's words in lower case.

    Compatible forms are made one first (NFKC: full-width letters, composed accents). Scripts that
    put no spaces between words give pairs of neighbouring characters, as search engines do for
    them; a character that stands alone is a word.
    """
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).lower()):
        if word.isascii() or not _UNSPACED.search(word):
            found.append(word)
        else:
            found += _pairs(word)
    return found


def bm25(question: str, texts: Sequence[str]) -> tuple[float, ...]:
    """Return how well each text answers to the question; 0 where they share no word.

    The texts are the whole collection: a word that all of them hold says little. Each distinct
    word of the question counts once.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009),
        section 3, with `log(1 + ...)` as the weight of a word, which is never negative.
    """
    asked = tuple(dict.fromkeys(words(question)))
    wanted = frozenset(asked)
    held = [words(text) for text in texts]
    counts = [Counter(word for word in own if word in wanted) for own in held]
    mean = max(1.0, sum(map(len, held)) / max(1, len(held)))
    weights = {word: _weight(sum(word in own for own in counts), len(texts)) for word in asked}
    return tuple(_score(own, weights, len(all_) / mean) for own, all_ in zip(counts, held, strict=True))


def best_first(question: str, texts: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the texts by BM25, the best first; equals stay in their order.

    Scores that differ by less than a billionth are equal: the last bits of a logarithm are the
    platform's, not the text's.
    """
    scores = [round(score, 9) for score in bm25(question, texts)]
    return tuple(sorted(range(len(texts)), key=lambda index: -scores[index]))


def _pairs(word: str) -> list[str]:
    """Cut a word that holds unspaced script: pairs of such characters, other runs whole."""
    cut: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > end:
            cut.append(word[end : run.start()])
        characters = run[0]
        cut += [a + b for a, b in pairwise(characters)] or [characters]
        end = run.end()
    if end < len(word):
        cut.append(word[end:])
    return cut


def _weight(holders: int, texts: int) -> float:
    """Return what a word is worth that so many of the texts hold."""
    return log(1 + (texts - holders + 0.5) / (holders + 0.5))


def _score(counts: Mapping[str, int], weights: Mapping[str, float], length: float) -> float:
    """Return one text's score; `length` is relative to the mean."""
    norm = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length)
    return sum(
        (
            weight * counts[word] * (SATURATION + 1) / (counts[word] + norm)
            for word, weight in weights.items()
            if word in counts
        ),
        0.0,
    )
