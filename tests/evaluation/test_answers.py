"""Answers are compared by their words, in every script."""

import pytest

from elision.evaluation.answers import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Las Vegas, Nevada!", ["las", "vegas", "nevada"]),
        ("U.S. well-known", ["us", "wellknown"]),
        ("光荣和ω-force。", ["光", "荣", "和", "ωforce"]),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", ["full", "width"]),
        ("an a the", []),
        ("", []),
    ],
)
def test_words_are_normalised(text: str, expected: list[str]) -> None:
    """Lower case, no punctuation, no articles; a character of an unspaced script is a word."""
    assert words(text) == expected


def test_articles_stay_where_they_are_asked_for() -> None:
    """People's shortenings keep or drop articles, and that counts."""
    assert words("The cat", articles=True) == ["the", "cat"]
