"""Where sentences, phrases and words begin and end.

Pure splitters: text in, (N, 2) character bounds out, ascending and disjoint, covering every
character that is not whitespace. Time is linear in the text's length, whatever the text: patterns
are possessive and never fail after a long run. This module owns no scores and loads no weights;
it knows the end marks of many scripts, and phrases of English only.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from elision.compressors.wraps import unwrapped

Bounds = NDArray[np.int64]


class Level(StrEnum):
    """What a unit is."""

    SENTENCE = "sentence"
    PHRASE = "phrase"
    WORD = "word"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Marks that end a sentence where whitespace follows, and those that always do.
_SPACED_ENDS = ".!?…؟۔।॥։។៕။።"
_FULL_ENDS = "。！？；｡"
_CLOSERS = "\"'”’»›)\\]）」』】》*_"
_MARK = re.compile(rf"(?P<spaced>[{_SPACED_ENDS}]++)[{_CLOSERS}]*+|[{_FULL_ENDS}]++[{_CLOSERS}]*+|\n")
# Abbreviations that something always follows, that a number follows, and that may stand last.
_TITLES = _set(
    """
    mr mrs ms dr prof st vs cf eds gen col lt sgt capt rev hon sen rep gov pres approx e.g i.e viz resp
    sr sra dra mme bzw z.b d.h
    """
)
_NUMBERED = _set("no nos fig figs eq sec vol ch art pp p nr bd")
_TRAILING = _set(
    """
    etc inc ltd co corp jr al a.m p.m ph.d dept jan feb mar apr jun jul aug sep sept oct nov dec usw usf
    """
)
_LAST_WORD = re.compile(r"[^\W_][\w.]*\Z")
_ENUMERATOR = re.compile(r"\s*[(\[]?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})\Z")

# Scripts written without spaces: each character is a word, with the marks that sit on it.
_UNSPACED = (
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\u0e00-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\U00020000-\U0003ffff"
)
_MARKS = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\u3099\u309a\U000e0100-\U000e01ef"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u17b4-\u17d3\u102b-\u103e\u200c\u200d"
)
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_WIDE_ENDS = "、。，．！？；：」』）】》〉”’ー々"
# A Khmer or Myanmar stacker (U+17D2, U+1039) binds the consonant after it.
_WORD = re.compile(
    rf"[{_UNSPACED}](?:[\u17d2\u1039][{_UNSPACED}]|[{_MARKS}])*+[{_WIDE_ENDS}]*+|[^\s{_UNSPACED}]++"
)

_DETERMINERS = _set(
    """
    a an the this that these those my your his her its our their each every some any no all both many
    few several another such
    """
)
_FUNCTION_WORDS = _set(
    """
    of in on at by to for from with without into onto upon about above below under over between among
    through during before after since until against toward towards across along around behind beyond
    near off out up down per via and or but nor so yet if then else while although though because unless
    whereas as than when where why how who whom whose which what whether i you he she it we they me him
    them us mine yours ours theirs is are was were be been being am do does did done doing have has had
    having will would shall should can could may might must ought not there here also only just even
    very too more most less least
    """
)
_PHRASE_WORDS = 6
_ENGLISH_SHARE = 0.2
_PUNCTUATION = ".,;:!?()[]{}\"'“”‘’—–…"


def is_unspaced(character: str) -> bool:
    """Whether a character belongs to a script that writes no spaces between words."""
    return bool(_UNSPACED_CHARACTER.match(character))


def split(text: str, level: Level) -> Bounds:
    """Return the bounds of a text's units at one level."""
    splitters: dict[Level, Callable[[str], Bounds]] = {
        Level.SENTENCE: sentences,
        Level.PHRASE: phrases,
        Level.WORD: words,
    }
    return splitters[level](text)


def sentences(text: str) -> Bounds:
    """Split at end marks and line ends; not inside decimals, versions, URLs, after initials or
    abbreviations, or where a line was merely wrapped (`elision.compressors.wraps.unwrapped`).
    """
    flat = unwrapped(text)
    cuts = [0]
    for mark in _MARK.finditer(flat):
        if not mark["spaced"] or _ends_spaced(flat, mark, cuts[-1]):
            cuts.append(mark.end())
    cuts.append(len(text))
    return _stripped(text, cuts)


def words(text: str) -> Bounds:
    """Split at whitespace; in scripts without spaces each character, with its marks and the
    punctuation after it, is a word.
    """
    return _bounds(match.span() for match in _WORD.finditer(text))


def phrases(text: str) -> Bounds:
    """Group English words into noun chunks; other words, and other languages, stay single.

    A chunk is a run of content words, opened by a determiner where there is one; function words
    (prepositions, pronouns, auxiliaries, conjunctions) and adverbs in -ly stand alone;
    punctuation, line ends and six words end a chunk. There is no tagger: a verb without an
    auxiliary joins its neighbours.
    """
    found = words(text)
    kinds = [_kind(text[start:end]) for start, end in found.tolist()]
    if sum(kind != "content" for kind in kinds) < _ENGLISH_SHARE * len(kinds):
        return found
    return _bounds(_chunks(text, found, kinds))


def _chunks(text: str, found: Bounds, kinds: list[str]) -> Iterator[tuple[int, int]]:
    start, end, size = 0, 0, 0
    for (left, right), kind in zip(found.tolist(), kinds, strict=True):
        joins = (
            kind == "content"
            and 0 < size < _PHRASE_WORDS
            and text[end - 1] not in _PUNCTUATION
            and "\n" not in text[end:left]
        )
        if not joins:
            if end > start:
                yield start, end
            start, size = left, 0
        end = right
        # A word that stands alone is never joined by the next one.
        size = size + 1 if kind != "function" else 0
    if end > start:
        yield start, end


def _kind(word: str) -> str:
    bare = word.strip(_PUNCTUATION).lower()
    if bare in _DETERMINERS:
        return "determiner"
    if not bare or bare in _FUNCTION_WORDS or bare.endswith(("n't", "n’t", "ly")):
        return "function"
    return "content"


def _ends_spaced(text: str, mark: re.Match[str], sentence: int) -> bool:
    """Whether a mark of a script with spaces ends the sentence that began at `sentence`."""
    after = text[mark.end() : mark.end() + 1]
    if after and not after.isspace():
        return False
    following = text[mark.end() : mark.end() + 8].lstrip(" \t\"'“‘«([*_")[:1]
    if following.islower():
        return False
    if mark["spaced"] != ".":
        return True
    before = text[max(sentence, mark.start() - 12) : mark.start()]
    if mark.start() - sentence < 12 and _ENUMERATOR.match(before):
        return False
    word = _LAST_WORD.search(before)
    if not word or not following or following == "\n":
        return True
    return not _is_abbreviated(word[0], following)


def _is_abbreviated(word: str, following: str) -> bool:
    last = word.rsplit(".", 1)[-1]
    if len(last) == 1 and last.isupper():
        return True
    if word.lower() in _TITLES or (word.lower() in _NUMBERED and following.isdigit()):
        return True
    return word.lower() in _TRAILING and not following.isupper()


def _stripped(text: str, cuts: list[int]) -> Bounds:
    pieces = []
    for start, end in pairwise(cuts):
        piece = text[start:end]
        left = start + len(piece) - len(piece.lstrip())
        right = start + len(piece.rstrip())
        if left < right:
            pieces.append((left, right))
    return _bounds(pieces)


def _bounds(spans: Iterable[tuple[int, int]]) -> Bounds:
    return np.asarray(list(spans), np.int64).reshape(-1, 2)
