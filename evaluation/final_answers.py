"""What a reader that thinks aloud finally said: a number, an option, the letters of a choice.

Pure. For tasks whose exact match is not that of the whole answer (GSM8K, BBH, multiple choice).
"""

import re
from collections.abc import Sequence

from elision.evaluation.exact_match import exact_match

_ANSWER_IS = re.compile(r"answer is:?\s*(.+?)(?:\.?\s*(?:\n|$)|\.\s)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d(?:[\d,]*\d)?(?:\.\d+)?")
# Letters by themselves at the beginning: "B", "(B)", "A, C", "ABC"; not the A of "Analyze".
_LETTERS = re.compile(r"\W*([A-H](?:[\s,&]*(?:and\s+)?[A-H])*)(?![A-Za-z'’])")
_BACKGROUND = re.compile(r"answers? (?:is|are):?\s*", re.IGNORECASE)
# A reader that goes on after its answer asks itself the next question.
_NEXT = re.compile(r"\n\s*(?:Question|Q):")


def final_number(answer: str, gold: Sequence[str]) -> float | None:
    """Return 1 if the number after the first "answer is", else the last number, is a gold one."""
    said = _number_of(_own(answer))
    return max((float(said is not None and said == _number_of(one)) for one in gold), default=None)


def final_option(answer: str, gold: Sequence[str]) -> float | None:
    """Return 1 if what follows the first "answer is", else the last line, is a gold answer."""
    own = _own(answer)
    found = _ANSWER_IS.search(own)
    lines = own.strip().splitlines() or [""]
    return exact_match(found[1] if found else lines[-1], gold)


def chosen_letters(answer: str, gold: Sequence[str]) -> float | None:
    """Return 1 if the letters that the answer begins with, in any order, are a gold answer's."""
    told = _BACKGROUND.search(answer)
    said = _LETTERS.match(answer[told.end() if told else 0 :])
    letters = frozenset(re.findall("[A-H]", said[1])) if said else frozenset()
    return max((float(letters == frozenset(re.findall("[A-H]", one))) for one in gold), default=None)


def _own(answer: str) -> str:
    return _NEXT.split(answer, maxsplit=1)[0]


def _number_of(text: str) -> float | None:
    told = _ANSWER_IS.search(text)
    first = _NUMBER.search(told[1]) if told else None
    every = _NUMBER.findall(text)
    found = first[0] if first else every[-1] if every else None
    return None if found is None else float(found.replace(",", ""))
