"""Unit F1: how far a shortening keeps the words that people kept.

Pure. The units are words, because people cut by words; punctuation is not counted.
"""

from collections.abc import Sequence

from elision.evaluation.answers import words
from elision.evaluation.exact_match import bag_f1


def unit_f1(shortened: str, references: Sequence[str]) -> float | None:
    """Return the mean, over the people, of F1 between bags of words; None without references."""
    kept = words(shortened, articles=True)
    found = [bag_f1(kept, words(one, articles=True)) for one in references]
    return sum(found) / len(found) if found else None


def people_rate(original: str, references: Sequence[str]) -> float | None:
    """Return the share of an original's words that people kept on average; None without references."""
    total = len(original.split())
    if not references or not total:
        return None
    return min(sum(len(one.split()) for one in references) / len(references) / total, 1.0)
