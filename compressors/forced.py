"""What a policy wants kept beside the protected spans: its own strings, and words with digits.

This module owns the three options that every extractive method shares, by the names that users of
LLMLingua-2 know: `force_tokens`, `force_reserve_digit`, `drop_consecutive`. It cuts units so that
a forced string is a unit of its own, and says which of two equal ones in a row is too many. It
chooses nothing: the selector does.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import OptionValue, Span, Units
from elision.compressors.errors import BadOption
from elision.compressors.units import is_spaced_word, may_cut

_MOST = 200
_DIGITS = re.compile(r"\d++")


@dataclass(frozen=True, slots=True)
class Forced:
    """What is kept whatever its score.

    Attributes:
        tokens: strings whose every occurrence is kept; one that begins or ends with a letter or
            digit of a script with spaces is found as a whole word only. Whitespace counts: a line
            end may be one.
        digits: whether units with a digit in them are kept.
        drop_consecutive: whether of equal tokens with nothing kept between them one is enough.
    """

    tokens: tuple[str, ...] = ()
    digits: bool = False
    drop_consecutive: bool = False

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "Forced":
        """Take the shared options out of a method's.

        Raises: BadOption for an empty token, or for more than 200.
        """
        given = options["force_tokens"]
        tokens = tuple(sorted(set(given))) if isinstance(given, tuple) else ()
        if "" in tokens or len(tokens) > _MOST:
            raise BadOption(f"force_tokens: give 1 to {_MOST} strings, none of them empty")
        return cls(tokens, bool(options["force_reserve_digit"]), bool(options["drop_consecutive"]))

    @property
    def label(self) -> str:
        """What a fingerprint says of it; empty where nothing is forced."""
        if self == Forced():
            return ""
        return f" force={self.tokens!r} digits={self.digits:d} drop={self.drop_consecutive:d}"


@dataclass(frozen=True, slots=True)
class Parted:
    """Units of which each forced token is one.

    Attributes:
        units: the units; a piece of a unit has the whole unit's importance.
        token: (N,) which token a unit is, the same number for equal strings; -1 for none.
        spans: where the tokens stand.
    """

    units: Units
    token: NDArray[np.int64]
    spans: tuple[Span, ...]


def digit_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the runs of digits, of any script."""
    return (match.span() for match in _DIGITS.finditer(text))


def part(text: str, units: Units, tokens: tuple[str, ...]) -> Parted:
    """Cut units where forced tokens begin and end."""
    found = list(occurrences(text, tokens))
    if not found:
        return Parted(units, np.full(len(units.bounds), -1, np.int64), ())
    places = np.asarray(found, np.int64)
    points = np.unique(np.concatenate((units.bounds.ravel(), places.ravel())))
    left, right = points[:-1], points[1:]
    unit = _holder(units.bounds, left)
    place = _holder(places, left)
    trimmed = _trimmed(text, left, right, place >= 0)
    holds = ((unit >= 0) | (place >= 0)) & (trimmed[:, 1] > trimmed[:, 0])
    importance = np.where(unit >= 0, np.append(units.importance, 0.0)[unit], 0.0)
    names = {name: i for i, name in enumerate(dict.fromkeys(text[a:b] for a, b in found))}
    numbers = np.asarray([names[text[a:b]] for a, b in found], np.int64)
    return Parted(
        Units(trimmed[holds], importance[holds]),
        np.where(place >= 0, numbers[place], -1)[holds],
        tuple(Span(a, b) for a, b in found),
    )


def repeated(kept: NDArray[np.int64], token: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which of the kept units are a forced token that the kept unit before them is too.

    Args:
        kept: (K,) ascending numbers of units.
        token: (N,) as `Parted` has it.
    """
    kinds = token[kept]
    return np.asarray(kept[1:][(kinds[1:] >= 0) & (kinds[1:] == kinds[:-1])], np.int64)


def occurrences(text: str, tokens: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield where forced tokens stand; each place once, and none within a character."""
    if not tokens:
        return
    # The longest first: of "\n\n" and "\n" both are found.
    pattern = "|".join(_pattern(token) for token in sorted(tokens, key=len, reverse=True))
    for match in re.finditer(pattern, text):
        if may_cut(text, match.start()) and may_cut(text, match.end()):
            yield match.span()


def _pattern(token: str) -> str:
    before = r"(?<!\w)" if is_spaced_word(token[0]) else ""
    after = r"(?!\w)" if is_spaced_word(token[-1]) else ""
    return f"{before}{re.escape(token)}{after}"


def _holder(ranges: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (P,) which range each position lies in, -1 for none."""
    if not len(ranges):
        return np.full(len(at), -1, np.int64)
    index = np.searchsorted(ranges[:, 0], at, side="right") - 1
    return np.where((index >= 0) & (at < ranges[index, 1]), index, -1)


def _trimmed(
    text: str, left: NDArray[np.int64], right: NDArray[np.int64], whole: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return (P, 2) ranges without whitespace at their ends, but for those that are to stay whole."""
    ranges = np.stack((left, right), 1)
    for i in np.flatnonzero(~whole).tolist():
        piece = text[left[i] : right[i]]
        ranges[i] = (right[i] - len(piece.lstrip()), left[i] + len(piece.rstrip()))
    return ranges
