"""ROUGE-L: the longest common subsequence of words, as F1.

Source: Lin, ROUGE (ACL workshop 2004), section 3, with beta 1 and without stemming, over the whole
text. Chinese is compared by characters. Pure.
"""

from collections.abc import Sequence

from elision.evaluation.answers import words


def rouge_l(summary: str, references: Sequence[str]) -> float | None:
    """Return the best ROUGE-L F1 against one of the references; None without any."""
    said = words(summary, articles=True)
    return max((_f1(said, words(one, articles=True)) for one in references), default=None)


def _f1(left: Sequence[str], right: Sequence[str]) -> float:
    if not left or not right:
        return float(not left and not right)
    return 2 * common_subsequence(left, right) / (len(left) + len(right))


def common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Return the length of the longest common subsequence.

    One row of the table is one large integer, whose zero bits are the steps of the row (Hyyro,
    Bit-parallel LCS-length computation revisited, 2004): summaries of thousands of words take
    milliseconds.
    """
    places: dict[str, int] = {}
    for at, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << at
    every = (1 << len(left)) - 1
    row = every
    for word in right:
        match = row & places.get(word, 0)
        row = (row + match | row - match) & every
    return len(left) - row.bit_count()
