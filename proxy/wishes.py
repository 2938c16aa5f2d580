"""What one request asks for by its `x-elision` headers. Pure.

This module owns the words that clients may write; whether a team may ask for them its policy says,
and these headers never reach an upstream (`elision.proxy.headers`).
"""

import re

from elision.policies.model import Mode, Permissions, Wish
from elision.proxy.headers import Headers

MALFORMED = "bad_wish"
"""Told where a header says what no word of ours is; the rest of the request's wishes counts."""
REFUSED = "wish_refused"
"""Told where the team's policy does not let requests ask for this."""

_HOW = "x-elision"
_RATE = "x-elision-rate"
_NUMBER = re.compile(r"(?:0?\.\d{1,9}|1(?:\.0{1,9})?)", re.ASCII)
_WORDS = frozenset(("off", "audit", "explain"))

Told = tuple[Wish, tuple[str, ...]]
"""A wish, and the reasons why it is not all that was asked for; sorted, without repeats."""


def wish_of(headers: Headers) -> Told:
    """Return what a request's headers wish.

    `x-elision: off`, `audit` or `explain`, or several with commas between, of which `off` is the
    strongest; `x-elision-rate: 0.5`, above 0 and at most 1. What is malformed is passed over, and told.
    """
    words: set[str] = set()
    rates: list[str] = []
    for name, value in headers:
        lower = name.lower()
        if lower == _HOW:
            words.update(word.strip().lower() for word in value.split(","))
        elif lower == _RATE:
            rates.append(value.strip())
    rate = _rate(rates)
    mode = Mode.OFF if "off" in words else Mode.AUDIT if "audit" in words else None
    is_malformed = bool(words - _WORDS) or (bool(rates) and rate is None)
    return Wish(mode, "explain" in words, rate), (MALFORMED,) * is_malformed


def permitted(told: Told, permissions: Permissions) -> Told:
    """Return what is left of a wish where a policy permits so much."""
    wish, notes = told
    left = permissions.granted(wish)
    return (left, notes) if left == wish else (left, tuple(sorted({*notes, REFUSED})))


def _rate(given: list[str]) -> float | None:
    """Return the rate that a request asks for, None if it is none, or if there are several."""
    if len(given) != 1 or not _NUMBER.fullmatch(given[0]):
        return None
    return float(given[0]) or None
