"""Exact match and F1 of short answers, as SQuAD counts them.

Source: Rajpurkar et al., arXiv:1606.05250, section 5. Chinese is compared by characters: the same F1
over bags of characters, not CMRC's own longest common part (Cui et al., arXiv:1810.07366). Pure.
"""

from collections import Counter
from collections.abc import Sequence

from elision.evaluation.answers import words


def exact_match(answer: str, gold: Sequence[str]) -> float | None:
    """Return 1 if the answer's normalised words are those of a gold answer; None without gold."""
    said = words(answer)
    return max((float(said == words(one)) for one in gold), default=None)


def f1(answer: str, gold: Sequence[str]) -> float | None:
    """Return the best F1 of normalised words, as bags, against a gold answer; None without gold."""
    said = words(answer)
    return max((bag_f1(said, words(one)) for one in gold), default=None)


def bag_f1(left: Sequence[str], right: Sequence[str]) -> float:
    """Return F1 of two bags of words; two empty bags are equal."""
    if not left or not right:
        return float(not left and not right)
    common = (Counter(left) & Counter(right)).total()
    return 2 * common / (len(left) + len(right))


def contains(answer: str, gold: Sequence[str]) -> float | None:
    """Return 1 if a gold answer stands in what was said, for classes by name; None without gold."""
    said = " ".join(words(answer))
    return max((float(" ".join(words(one)) in said) for one in gold), default=None)
