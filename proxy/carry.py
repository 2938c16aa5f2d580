"""JSON that keeps its bytes: where values stand, and how to exchange strings. Pure.

Nothing is re-serialised. `msgspec.Raw` finds the length of every value at C speed, a scan of the
member names between them finds where each value starts, and a splice exchanges just the bytes of
the strings that changed: key order, number formats, white space and unknown fields are the
client's own bytes. What cannot be carried so is refused with `NotCarriedError`; the caller then
forwards it untouched. This module knows JSON only; what a request means is `elision.proxy.bodies`'.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

import msgspec

_BLANK = re.compile(rb"[ \t\r\n]*")
_NAME = re.compile(rb'"((?:[^"\\]|\\.)*+)"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_SPACE = 0x20
_COMMA = 0x2C
_BACKSLASH = b"\\"

T = TypeVar("T")


class NotCarriedError(Exception):
    """A body that we do not look into; `str(error)` is a short reason, never the body's text."""


class Value(NamedTuple):
    """One JSON value in a body: `body[start:end]`. A tuple, because bodies have thousands."""

    start: int
    end: int
    raw: msgspec.Raw


def whole(body: bytes) -> Value:
    """Return a body as a value; what is wrong with it shows when it is read."""
    return Value(_after_blank(body, 0), len(body), msgspec.Raw(body))


def members(body: bytes, value: Value) -> dict[str, Value]:
    """Return an object's members with their byte ranges.

    Of duplicate keys `msgspec` keeps the last value, so that the scan finds members left over or
    bytes that are not the value's: both are refused.

    Raises:
        NotCarriedError: it is no object, or has a key twice.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not JSON, or too deep.
    """
    raws = decoded(value, dict[str, msgspec.Raw])
    found: dict[str, Value] = {}
    at = _after_blank(body, value.start + 1)
    for _ in raws:
        name = _NAME.match(body, at)
        if name is None:
            raise NotCarriedError("duplicate_keys")
        key = _key(name[1])
        found[key], at = _value_at(body, name.end(), raws[key])
    if len(found) != len(raws) or body[at : at + 1] != b"}":
        raise NotCarriedError("duplicate_keys")
    return found


def items(body: bytes, value: Value) -> list[Value]:
    """Return an array's items with their byte ranges.

    Raises: as `members`.
    """
    found: list[Value] = []
    at = _after_blank(body, value.start + 1)
    for raw in decoded(value, list[msgspec.Raw]):
        item, at = _value_at(body, at, raw)
        found.append(item)
    return found


def begins(body: bytes, value: Value, byte: bytes) -> bool:
    """Whether a value begins with a byte: `"` a string, `[` an array, `{` an object."""
    return body[value.start : value.start + 1] == byte


def decoded(value: Value, kind: type[T]) -> T:
    """Return a value as Python has it.

    Raises:
        NotCarriedError: it is of another kind.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not JSON, or too deep.
    """
    try:
        return msgspec.json.decode(value.raw, type=kind)
    except msgspec.ValidationError as error:
        raise NotCarriedError("unexpected_shape") from error


def splice(body: bytes, replaced: Iterable[tuple[tuple[int, int], str]]) -> bytes:
    """Return a body with some of its strings exchanged; all other bytes are the original's.

    Args:
        body: the whole of it.
        replaced: byte ranges of strings, quotes included and disjoint, each with its new text.
    """
    parts: list[bytes] = []
    done = 0
    for (start, end), text in sorted(replaced):
        parts += (body[done:start], msgspec.json.encode(text))
        done = end
    parts.append(body[done:])
    return b"".join(parts)


def _key(quoted: bytes) -> str:
    """Return a member's name; names are rarely escaped, and then the decoder need not be asked."""
    return msgspec.json.decode(b'"%b"' % quoted, type=str) if _BACKSLASH in quoted else quoted.decode()


def _value_at(body: bytes, start: int, raw: msgspec.Raw) -> tuple[Value, int]:
    """Return the value that starts at `start`, and where the next name or item does."""
    # `startswith` compares without a copy.
    if not body.startswith(raw, start):
        raise NotCarriedError("duplicate_keys")
    end = start + len(raw)
    after = _after_blank(body, end)
    is_more = after < len(body) and body[after] == _COMMA
    return Value(start, end, raw), _after_blank(body, after + 1) if is_more else after


def _after_blank(body: bytes, at: int) -> int:
    if at < len(body) and body[at] > _SPACE:
        return at
    match = _BLANK.match(body, at)
    return match.end() if match else at
