"""Where sentences, phrases and words begin and end.

Pure splitters: text in, (N, 2) character bounds out, ascending and disjoint, covering every
character that is not whitespace. Time is linear in the text's length, whatever the text: patterns
are possessive and never fail after a long run. This module loads no weights; it says
what a unit's tokens make of it, and knows the end marks of many scripts, and phrases of English only.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import pairwise
from unicodedata import category, combining

import numpy as np
from numpy.typing import NDArray

from elision.compressors.wraps import unwrapped

Bounds = NDArray[np.int64]


class Level(StrEnum):
    """What a unit is."""

    SENTENCE = "sentence"
    PHRASE = "phrase"
    WORD = "word"


class Agg(StrEnum):
    """How the scores of a unit's parts become one number."""

    MEAN = "mean"
    SUM = "sum"
    MAX = "max"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Marks that end a sentence where whitespace follows, and those that always do.
_SPACED_ENDS = ".!?…‽"
_FULL_ENDS = "。！？；｡؟۔؞।॥։።፧፨။៕។།༎᠃᠉꓿"
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
    "\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3040-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff\uff66-\uff9f"
    "\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aad\ua9e0-\ua9fe"
    "\uaa60-\uaa7f\uaa80-\uaadf\U00016f00-\U00018cff\U0001aff0-\U0001b16f\U00020000-\U0003ffff"
)
# Marks, joiners, and what a Thai or Lao consonant carries behind it.
_MARKS = (
    "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\u302a-\u302f\u3099\u309a\uff9e\uff9f"
    "\U000e0100-\U000e01ef\u0e30-\u0e3a\u0e45-\u0e4e\u0eb0-\u0ebc\u0ec6-\u0ecd\u17b4-\u17d3\u17dd\u102b-\u103e"
    "\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u200c\u200d"
)
# Thai and Lao vowels that are written before their consonant.
_LEADING = "\u0e40-\u0e44\u0ec0-\u0ec4"
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_WIDE_OPENS = "「『（【《〈〔［｛“‘"
_WIDE_ENDS = "、。，．！？；：」』）】》〉〕］｝”’…ー々・"
# A run of Katakana is one word. A Khmer or Myanmar stacker (U+17D2, U+1039) binds the consonant
# after it. A Tibetan syllable ends in a dot (U+0F0B, U+0F0C).
_WORD = re.compile(
    rf"[{_WIDE_OPENS}]*+(?:"
    rf"[\u30a1-\u30fa\u30fc-\u30fe](?:[\u30a1-\u30fa\u30fc-\u30fe]|[{_MARKS}])*+"
    rf"|[\u0f00\u0f20-\u0fbc]++[\u0f0b-\u0f14]*+"
    rf"|[{_LEADING}]?[{_UNSPACED}](?:[\u17d2\u1039][{_UNSPACED}]|[{_MARKS}])*+"
    rf")[{_WIDE_ENDS}]*+"
    rf"|[^\s{_UNSPACED}]++"
)

_SPACED_WORD = re.compile(r"\S++")
# Beside the marks: the later parts of a Hangul syllable, joiners, halfwidth voicing, skin tones, tags.
_CLINGING = re.compile(
    "[\u1160-\u11ff\ud7b0-\ud7ff\u200c\u200d\u0e33\u0eb3\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)
_VIRAMA = 9

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
        ends = not mark["spaced"] or _ends_spaced(flat, mark, cuts[-1])
        if ends and may_cut(text, mark.end()):
            cuts.append(mark.end())
    cuts.append(len(text))
    return _stripped(text, cuts)


def words(text: str) -> Bounds:
    """Split at whitespace; in scripts without spaces each character, with its marks and the
    punctuation around it, is a word, and so is a run of Katakana.

    What a reader takes for one character (Unicode's extended grapheme cluster) is never cut:
    joined emoji, marks however many, Thai vowels with their consonant, stacked consonants.
    """
    if text.isascii():
        return _bounds(match.span() for match in _SPACED_WORD.finditer(text))
    return _bounds(_whole(text, [match.span() for match in _WORD.finditer(text)]))


def _whole(text: str, found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join to its base what began a word of its own though it sits on the character before."""
    clinging = {letter for letter in {text[start] for start, _ in found} if _clings(letter)}
    if not clinging:
        return found
    result: list[tuple[int, int]] = []
    for start, end in found:
        bound = text[start] in clinging or combining(text[start - 1]) == _VIRAMA
        if bound and result and result[-1][1] == start:
            result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result


def _clings(letter: str) -> bool:
    """Whether a character belongs to the one before it (Unicode's Extend and SpacingMark)."""
    return category(letter).startswith("M") or _CLINGING.match(letter) is not None


def may_cut(text: str, at: int) -> bool:
    """Whether text may be cut at `at` (0 to its length) without cutting a character that readers see."""
    if not 0 < at < len(text):
        return True
    after, before = text[at], text[at - 1]
    # A virama (class 9) binds the consonant after it, a joiner the emoji; flags are pairs of letters.
    bound = combining(before) == _VIRAMA or before == "\u200d" or (before == "\r" and after == "\n")
    return not (bound or _clings(after) or (_is_flag(before) and _is_flag(after)))


def _is_flag(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"


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


def unit_importance(
    bounds: NDArray[np.int64], offsets: NDArray[np.int64], scores: NDArray[np.floating], agg: Agg
) -> NDArray[np.float64]:
    """Give each unit the scores of its parts: a model's tokens, or words.

    A part that spans k units gives each of them an equal share of its score; for the mean it counts
    as that share of a part too. For the maximum each has all of it.

    Args:
        bounds: (N, 2) ascending, disjoint units.
        offsets: (T, 2) ascending character ranges of parts.
        scores: (T,) self-information for instance.
        agg: mean, sum or maximum.
    Returns: (N,); a unit without parts has 0, of the maximum the least of all scores.
    """
    first = np.searchsorted(bounds[:, 1], offsets[:, 0], side="right")
    last = np.searchsorted(bounds[:, 0], offsets[:, 1], side="left")
    # A token of nothing but the whitespace between two units belongs to neither.
    shared = np.maximum(last - first, 0)
    part = np.repeat(np.arange(len(scores)), shared)
    ahead = np.arange(len(part)) - np.repeat(np.cumsum(shared) - shared, shared)
    unit = first[part] + ahead
    if agg is Agg.MAX:
        best = np.full(len(bounds), np.min(scores, initial=np.inf) if len(scores) else 0.0)
        np.maximum.at(best, unit, scores[part])
        return best
    share = 1.0 / shared[part]
    total = np.bincount(unit, weights=scores[part] * share, minlength=len(bounds))
    if agg is Agg.SUM:
        return np.asarray(total, np.float64)
    weight = np.bincount(unit, weights=share, minlength=len(bounds))
    return np.asarray(total / np.maximum(weight, np.finfo(np.float64).tiny), np.float64)


def is_spaced_word(character: str) -> bool:
    """Whether a character is part of words that spaces stand between."""
    return (character.isalnum() or category(character).startswith("M")) and not is_unspaced(character)


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
