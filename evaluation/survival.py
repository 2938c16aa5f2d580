"""Answer survival: whether a gold answer is still in a shortened text, whole.

Pure. Needs no reader, so it says what a reader could know, not what it would say.
"""

from collections.abc import Sequence

from elision.evaluation.answers import words


def survives(shortened: str, original: str, answers: Sequence[str]) -> float | None:
    """Return 1 if an answer that stands in the original stands in the shortened text, else 0.

    An answer stands in a text if its normalised words follow one another there. Which is what a
    reader sees: words that only the cutting brought together count too.

    Returns: None if no answer stands in the original, so that there is nothing to survive.
    """
    source = words(original)
    there = [answer for answer in map(words, answers) if answer and _contains(source, answer)]
    if not there:
        return None
    kept = words(shortened)
    return float(any(_contains(kept, answer) for answer in there))


def _contains(text: list[str], part: list[str]) -> bool:
    # Separated by what no word holds, so that a word's end is not taken for a word.
    return _line(part) in _line(text)


def _line(found: list[str]) -> str:
    return "\n".join(("", *found, ""))
