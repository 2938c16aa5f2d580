"""JSON without its layout: the whitespace between its tokens goes, every other byte stays.

Nothing is parsed and written anew: a text is read to see that it is JSON, and then only pieces of
whitespace are left out. So numbers keep their spelling (1.0, 1e5, -0, forty digits), keys their order
and their duplicates, strings their escapes. Where a string's value is JSON itself, the same may be
done within it, escapes and all. NaN and Infinity are not JSON: a text that has them stays as it is.
Time is linear in the text's length.
"""

import json
import re
from collections.abc import Iterator
from itertools import accumulate

from elision.compressors.protect_blocks import find_json

Range = tuple[int, int]

_PIECE = re.compile(r'"(?:[^"\\]++|\\.)*+"|[ \t\n\r]++')
# A string that may hold a container: its first sign that is not whitespace opens one.
_HOLDS = re.compile(r'"(?:[ ]|\\[nrt])*+[{\[]')
_SIGN = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
# `x = {"a": 1}`, `f([{"a": 1}], 2)`, a row of a matrix.
_BEFORE_LITERALS = frozenset("=([,")
_AFTER_LITERALS = frozenset(",)];")
# Each level doubles the backslashes before a quote: real texts have two or three.
_DEEPEST = 6


def minify_json(text: str, inner: bool = False) -> str | None:
    """Return a JSON object or array without whitespace between tokens; None if it is not one.

    Args:
        text: the JSON and nothing else.
        inner: whether JSON that is the value of a string loses its layout too.
    """
    found = layout(text, inner)
    return None if found is None else _without(text, found)


def minify_blocks(text: str, inner: bool = False, untouched: tuple[Range, ...] = ()) -> str:
    """Return a text whose JSON blocks (`protect_blocks.find_json`) have no layout, literals of code apart.

    Args:
        text: prose, JSON lines, a log.
        inner: as `minify_json` has it.
        untouched: ascending ranges within which JSON stays as it is: code.
    """
    found: list[Range] = []
    shut = iter((*untouched, (len(text), len(text))))
    closed = next(shut)
    for start, end in find_json(text):
        while closed[1] <= start and closed[0] < len(text):
            closed = next(shut)
        prose = end <= closed[0] and not _is_code(text, start, end)
        block = layout(text[start:end], inner) if prose else None
        found += [(start + left, start + right) for left, right in block or ()]
    return _without(text, found)


def _is_code(text: str, start: int, end: int) -> bool:
    """Whether what stands beside a block says that it is a literal of some program."""
    before = text[max(0, start - 8) : start].rstrip(" \t")[-1:]
    return before in _BEFORE_LITERALS or text[end : end + 1] in _AFTER_LITERALS


def layout(text: str, inner: bool = False, depth: int = 0) -> list[Range] | None:
    """Return the ranges of a JSON object or array that say nothing; None if the text is not one."""
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return None
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    found: list[Range] = []
    for piece in _PIECE.finditer(text):
        if piece[0][0] != '"':
            found.append(piece.span())
        elif inner and depth < _DEEPEST and _HOLDS.match(piece[0]):
            found += _inner(piece[0], piece.start(), depth)
    return found


def _inner(literal: str, at: int, depth: int) -> Iterator[Range]:
    """Yield what says nothing in the JSON that a string literal holds, if it holds any."""
    signs = _SIGN.findall(literal[1:-1])
    value = "".join(map(_decoded, signs))
    bare = value.strip(" \t\n\r")
    ahead = len(value) - len(value.lstrip(" \t\n\r"))
    # Each sign stands for one character of the value; a surrogate pair in escapes for two.
    places = list(accumulate(map(len, signs), initial=at + 1))
    for start, end in layout(bare, True, depth + 1) or ():
        yield places[ahead + start], places[ahead + end]


def _decoded(sign: str) -> str:
    if sign[0] != "\\":
        return sign
    return chr(int(sign[2:], 16)) if sign[1] == "u" else _ESCAPES.get(sign[1], sign[1])


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _without(text: str, ranges: list[Range]) -> str:
    parts, done = [], 0
    for start, end in ranges:
        parts.append(text[done:start])
        done = end
    return "".join((*parts, text[done:]))
