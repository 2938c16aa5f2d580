"""The lists hold what they say, in a form that the finders can take."""

import re

import pytest

from elision.compressors.protect import find_spans
from elision.compressors.protect_words import (
    FAR_NEGATIONS,
    HAN_NUMBER,
    MONTH,
    NEGATIONS,
    NEGATIVE_PARTS,
    NUMBER,
    QUANTIFIERS,
)


@pytest.mark.parametrize("words", [NEGATIONS, FAR_NEGATIONS, QUANTIFIERS])
def test_lists_have_no_word_twice_and_none_empty(words: str) -> None:
    """A slip in a long list would otherwise go unseen."""
    each = words.split(", ")
    assert len(set(each)) == len(each)
    assert all(word == word.strip() and word for word in each)


@pytest.mark.parametrize("word", (NEGATIONS + ", " + FAR_NEGATIONS).split(", "))
def test_every_negation_is_found_as_a_word(word: str) -> None:
    """Between spaces, before a full stop, and not within a longer word of its script."""
    for text in (f"xx {word} yy", f"xx {word}."):
        assert [text[s.start : s.end] for s in find_spans(text, ("negations",))] == [word]


@pytest.mark.parametrize("pattern", [HAN_NUMBER, MONTH, NEGATIVE_PARTS, NUMBER])
def test_patterns_match_something_and_never_nothing(pattern: str) -> None:
    """An empty alternative would match everywhere."""
    compiled = re.compile(pattern)
    assert compiled.search("3 May 二十 不") is not None
    assert compiled.search("") is None
    assert all(match.end() > match.start() for match in compiled.finditer("3 km 二十年 May 不 x"))
