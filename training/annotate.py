"""Which words of a text its compression kept: the labels that a classifier is trained on.

Pure; linear in the words. Words are ranges of characters of the text as users send it, cut as
`llmlingua2` cuts it when it reads: nothing is lemmatised away, a comma is a word like any other.
Source: Pan et al., arXiv:2403.12968, algorithm 1, and section 3.4 for the rates. What differs from
it, and why, is in docs/training.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from elision.compressors.llmlingua2 import word_bounds
from elision.training.alignment import in_order, most_in_order, searched

WINDOW = 400
"""Words to either side that are searched for one of the compression's, as in the paper."""
_LETTERS = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-"})
_VOWELS = frozenset("aeiouy")
# About two thousand words by two thousand, hundredths of a second: what a text takes stays linear.
_MOST_CELLS = 4_000_000
# Shorter words are no inflections: "is", "bed", "ring".
_STEM = 3


@dataclass(frozen=True, slots=True)
class Annotation:
    """What became of each word of a text.

    Attributes:
        words: (start, end) of each, in characters of the text; ascending.
        kept: as many; whether the compression has it.
        compressed: words of the compression; at least one.
        known: of these, how many stand anywhere in the text.
    """

    words: tuple[tuple[int, int], ...]
    kept: tuple[bool, ...]
    compressed: int
    known: int

    @property
    def variation(self) -> float:
        """VR: the share of the compression's words that the text does not have; invented ones."""
        return 1 - self.known / self.compressed

    @property
    def hitting(self) -> float:
        """HR: known words, of the text's."""
        return self.known / len(self.words)

    @property
    def matching(self) -> float:
        """MR: words labelled kept, of the text's."""
        return sum(self.kept) / len(self.words)

    @property
    def gap(self) -> float:
        """AG = HR - MR, never negative: words that are known but found no place; where this is
        large the labels are not to be trusted.
        """
        return self.hitting - self.matching


def annotate(text: str, compressed: str, window: int = WINDOW) -> Annotation:
    """Label the words of a text that its compression kept.

    A compression that only removes, invented words aside, is followed in order. Of any other, as
    many words as can be had in order are; the rest is searched as the paper searches for all.

    Args:
        text: the original.
        compressed: what a teacher made of it.
        window: words to either side that are searched.
    Raises: ValueError if one of them has no words.
    """
    words = word_bounds(text).tolist()
    original = [text[start:end] for start, end in words]
    wanted = [compressed[start:end] for start, end in word_bounds(compressed).tolist()]
    if not original or not wanted:
        raise ValueError(f"the {'compression' if original else 'text'} has no words")
    known = set(map(stem, original))
    found = [word for word in wanted if stem(word) in known]
    kept = set(_places(original, found, window))
    return Annotation(
        tuple((start, end) for start, end in words),
        tuple(at in kept for at in range(len(original))),
        len(wanted),
        len(found),
    )


def stem(word: str) -> str:
    """Return what an English word shares with its inflections, in lower case; other words folded.

    A rule for the regular endings -s, -ed, -ing and -'s; irregular forms ("went") stay themselves.
    """
    folded = _folded(word)
    folded = folded.removesuffix("'s").removesuffix("'") or folded
    if len(folded) <= _STEM or not (folded.isascii() and folded.isalpha()):
        return folded
    for ending, instead in (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if folded.endswith(ending):
            return _ended(folded, folded.removesuffix(ending) + instead, ending)
    return folded.rstrip("e")


def _places(original: Sequence[str], found: Sequence[str], window: int) -> Sequence[int]:
    """Follow a compression: to the letter, else but for case, else by stems, else as far as it goes."""
    for form in (str, _folded, stem):
        places = in_order([form(word) for word in original], [form(word) for word in found])
        if places is not None:
            return places
    here, there = ([(_folded(word), stem(word)) for word in words] for words in (original, found))
    small = len(here) * len(there) <= _MOST_CELLS
    return searched(here, there, window, most_in_order(here, there) if small else ())


def _folded(word: str) -> str:
    return word.translate(_LETTERS).casefold()


def _ended(word: str, base: str, ending: str) -> str:
    """Return what is left of a word without an ending, or the word where that is none."""
    if len(base) < _STEM or not _VOWELS & set(base) or (ending == "s" and base[-1] in "sui"):
        return word
    if ending in {"ing", "ed"} and base[-1] == base[-2] and base[-1] not in "elsz":
        return base[:-1]
    return base.rstrip("e")
