"""Noun chunks of a parser become units; without spaCy the message says what to do."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from elision.compressors.errors import WeightsMissing
from elision.compressors.noun_phrases import by_chunks, phraser
from elision.compressors.units import phrases

WORDS = ("The", "quick", "brown", "fox", "jumps", ",", "and", "\n ", "nobody", "saw", "its", "tail", ".")
TEXT = "The quick brown fox jumps, and\n nobody saw its tail."


@dataclass
class Token:
    text: str
    idx: int


@dataclass
class Chunk:
    text: str
    start_char: int
    end_char: int


class Parsed:
    """What a parser says of TEXT: tokens as spaCy cuts them, whitespace among them."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Iterator[Token]:
        at = 0
        for word in (
            "The",
            "quick",
            "brown",
            "fox",
            "jumps",
            ",",
            "and",
            "\n ",
            "nobody",
            "saw",
            "its",
            "tail",
            ".",
        ):
            at = self._text.index(word, at)
            yield Token(word, at)
            at += len(word)

    @property
    def noun_chunks(self) -> Iterator[Chunk]:
        for chunk in ("The quick brown fox", "nobody", "its tail"):
            yield Chunk(chunk, self._text.index(chunk), self._text.index(chunk) + len(chunk))


def test_chunks_are_units_and_marks_stay_with_what_they_touch() -> None:
    """Other tokens stand alone; whitespace is no unit."""
    pieces = [TEXT[a:b] for a, b in by_chunks(Parsed)(TEXT).tolist()]
    assert pieces == ["The quick brown fox", "jumps,", "and", "nobody", "saw", "its tail."]


@pytest.mark.skipif(importlib.util.find_spec("spacy") is not None, reason="spaCy is installed")
def test_without_spacy_the_fix_is_named() -> None:
    """The rules need nothing."""
    with pytest.raises(WeightsMissing, match="pip install spacy"):
        phraser("en_core_web_sm")
    assert len(phrases(TEXT)) > 3
