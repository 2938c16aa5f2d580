"""Hints name what was probably meant."""

from elision.compressors.errors import nearest


def test_a_near_word_is_suggested() -> None:
    """A slip gets one suggestion."""
    assert nearest("rat", ["rate", "tokens"]) == "; did you mean 'rate'?"


def test_without_a_near_word_all_are_listed() -> None:
    """Sorted; nothing where nothing is known."""
    assert nearest("zzz", ["b", "a"]) == "; known: a, b"
    assert nearest("zzz", []) == ""
