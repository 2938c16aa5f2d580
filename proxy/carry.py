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

_W = rb"[ \t\r\n]*+"
_BLANK = re.compile(_W)
_BETWEEN = re.compile(_W + b",?" + _W)
# From the end of one member's value to the beginning of the next one's.
_NAME = re.compile(_W + b",?" + _W + rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"' + _W + b":" + _W, re.DOTALL)
_END = re.compile(_W + rb"\}")
_BACKSLASH = b"\\"
# Making a decoder costs as much as reading a message with it.
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OBJECTS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)

T = TypeVar("T")


class NotCarriedError(Exception):
    """A body that we do not look into; `str(error)` is a short reason, never the body's text."""


class Value(NamedTuple):
    """One JSON value in a body: `body[start:end]`. A tuple, because bodies have thousands."""

    start: int
    end: int
    raw: msgspec.Raw


class Object(NamedTuple):
    """One JSON object in a body: `body[start:end]`."""

    start: int
    end: int
    members: dict[str, Value]


def whole(body: bytes) -> Value:
    """Return a body as a value; what is wrong with it shows when it is read."""
    return Value(_after(_BLANK, body, 0), len(body), msgspec.Raw(body))


def members(body: bytes, value: Value) -> dict[str, Value]:
    """Return an object's members with their byte ranges.

    Of duplicate keys `msgspec` keeps the last value, so that the scan finds members left over or
    bytes that are not the value's: both are refused.

    Raises:
        NotCarriedError: it is no object, or has a key twice.
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not JSON, or too deep.
    """
    return _scanned(body, value.start, _decoded(value, _OBJECT))[0]


def objects(body: bytes, value: Value) -> list[Object]:
    """Return the members of each object in an array of objects, with the objects' byte ranges.

    Raises: as `members`; also where an item is no object.
    """
    found: list[Object] = []
    end = value.start + 1
    for raws in _decoded(value, _OBJECTS):
        start = _after(_BETWEEN, body, end)
        fields, end = _scanned(body, start, raws)
        found.append(Object(start, end, fields))
    return found


def items(body: bytes, value: Value) -> list[Value]:
    """Return an array's items with their byte ranges.

    Raises: as `members`.
    """
    found: list[Value] = []
    at = value.start + 1
    for raw in _decoded(value, _ARRAY):
        taken = _taken(body, _after(_BETWEEN, body, at), raw)
        found.append(taken)
        at = taken.end
    return found


def begins(body: bytes, value: Value, byte: bytes) -> bool:
    """Whether a value begins with a byte: `"` a string, `[` an array, `{` an object."""
    return body.startswith(byte, value.start)


def text(value: Value) -> str:
    """Return a string as Python has it.

    Raises: as `members`.
    """
    return _decoded(value, _STRING)


def text_or_none(body: bytes, value: Value | None) -> str | None:
    """Return a string as Python has it, None where there is none or something else.

    Raises: as `members`, for what begins like a string.
    """
    if value is None or not body.startswith(b'"', value.start):
        return None
    return _STRING.decode(value.raw)


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
    return _STRING.decode(b'"%b"' % quoted) if _BACKSLASH in quoted else quoted.decode()


def _scanned(body: bytes, start: int, raws: dict[str, msgspec.Raw]) -> tuple[dict[str, Value], int]:
    """Return the members of the object that starts at `start`, and where it ends."""
    found: dict[str, Value] = {}
    at = start + 1
    for _ in raws:
        name = _NAME.match(body, at)
        if name is None:
            raise NotCarriedError("duplicate_keys")
        key = _key(name[1])
        found[key] = taken = _taken(body, name.end(), raws[key])
        at = taken.end
    closed = _END.match(body, at)
    if len(found) != len(raws) or closed is None:
        raise NotCarriedError("duplicate_keys")
    return found, closed.end()


def _taken(body: bytes, start: int, raw: msgspec.Raw) -> Value:
    """Return the value that starts at `start`, if it is the one that the decoder found."""
    # `startswith` compares without a copy.
    if not body.startswith(raw, start):
        raise NotCarriedError("duplicate_keys")
    return Value(start, start + len(raw), raw)


def _decoded(value: Value, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(value.raw)
    except msgspec.ValidationError as error:
        raise NotCarriedError("unexpected_shape") from error


def _after(pattern: re.Pattern[bytes], body: bytes, at: int) -> int:
    match = pattern.match(body, at)
    return match.end() if match else at
