"""A chat-completions body: its texts, where each one stands, and how to replace one. Pure.

The body is never re-serialised. `msgspec.Raw` finds the length of every value at C speed, a scan of
the member names between them finds where each value starts, and a splice exchanges just the bytes
of the strings that changed: key order, number formats, white space and unknown fields are the
client's own bytes. A body that cannot be carried so is refused with `NotCarriedError`; the caller
then forwards it untouched.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from elision.policies.model import PromptText

_BLANK = re.compile(rb"[ \t\r\n]*")
_NAME = re.compile(rb'("(?:[^"\\]|\\.)*+")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_TEXT_PARTS = frozenset(("text", "input_text"))

T = TypeVar("T")


class NotCarriedError(Exception):
    """A body that we do not look into; `str(error)` is a short reason, never the body's text."""


@dataclass(frozen=True, slots=True)
class Value:
    """One JSON value in a body: `body[start:end]`."""

    start: int
    end: int
    raw: msgspec.Raw


@dataclass(frozen=True, slots=True)
class ChatBody:
    """What was found in a request's body.

    Attributes:
        raw: the client's bytes.
        model: the model that is asked for, "" if none is named.
        stream: whether the answer is to be streamed.
        texts: every text of every message, in order.
        ranges: byte range of each text's JSON string in `raw`, quotes included.
    """

    raw: bytes
    model: str
    stream: bool
    texts: tuple[PromptText, ...]
    ranges: tuple[tuple[int, int], ...]


def parse(body: bytes) -> ChatBody:
    """Find the texts of a chat-completions body.

    Raises:
        NotCarriedError: not JSON, not an object with messages, duplicate keys, lone surrogates or
            invalid UTF-8 where we would have to look.
    """
    try:
        return _parse(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotCarriedError("malformed_body") from error


def splice(body: ChatBody, replaced: Mapping[int, str]) -> bytes:
    """Return the body with some of its texts exchanged; all other bytes are the original's.

    Args:
        body: as `parse` returned it.
        replaced: new text by index into `body.texts`.
    """
    parts: list[bytes] = []
    done = 0
    for index in sorted(replaced):
        start, end = body.ranges[index]
        parts += (body.raw[done:start], msgspec.json.encode(replaced[index]))
        done = end
    parts.append(body.raw[done:])
    return b"".join(parts)


def _parse(body: bytes) -> ChatBody:
    start = _blank(body, 0)
    members = _members(body, Value(start, len(body), msgspec.Raw(body)))
    if "messages" not in members:
        raise NotCarriedError("no_messages")
    model = _decode(members["model"], str) if "model" in members else ""
    stream = "stream" in members and bytes(members["stream"].raw) == b"true"
    texts: list[PromptText] = []
    ranges: list[tuple[int, int]] = []
    for index, message in enumerate(_items(body, members["messages"])):
        for text, value in _message_texts(body, message, index):
            texts.append(text)
            ranges.append((value.start, value.end))
    return ChatBody(body, model, stream, tuple(texts), tuple(ranges))


def _message_texts(body: bytes, message: Value, index: int) -> Iterator[tuple[PromptText, Value]]:
    members = _members(body, message)
    content = members.get("content")
    if content is None or "role" not in members:
        return
    role = _decode(members["role"], str)
    place = f"/messages/{index}/content"
    if body[content.start : content.start + 1] == b'"':
        yield PromptText(place, index, role, _decode(content, str)), content
    elif body[content.start : content.start + 1] == b"[":
        for number, part in enumerate(_items(body, content)):
            fields = _members(body, part)
            text, kind = fields.get("text"), fields.get("type")
            if text is not None and kind is not None and _decode(kind, str) in _TEXT_PARTS:
                yield PromptText(f"{place}/{number}/text", index, role, _decode(text, str)), text


def _members(body: bytes, value: Value) -> dict[str, Value]:
    """Return an object's members with their byte ranges.

    Of duplicate keys `msgspec` keeps the last value, so that the scan finds members left over or
    bytes that are not the value's: both are refused.
    """
    raws = _decode(value, dict[str, msgspec.Raw])
    found: dict[str, Value] = {}
    at = _blank(body, value.start + 1)
    for _ in raws:
        name = _NAME.match(body, at)
        if name is None:
            raise NotCarriedError("duplicate_keys")
        key = msgspec.json.decode(name[1], type=str)
        found[key], at = _value_at(body, name.end(), raws[key])
    if len(found) != len(raws) or body[at : at + 1] != b"}":
        raise NotCarriedError("duplicate_keys")
    return found


def _items(body: bytes, value: Value) -> list[Value]:
    """Return an array's items with their byte ranges."""
    found: list[Value] = []
    at = _blank(body, value.start + 1)
    for raw in _decode(value, list[msgspec.Raw]):
        item, at = _value_at(body, at, raw)
        found.append(item)
    return found


def _value_at(body: bytes, start: int, raw: msgspec.Raw) -> tuple[Value, int]:
    """Return the value that starts at `start`, and where the next name or item does."""
    end = start + len(memoryview(raw))
    if body[start:end] != bytes(raw):
        raise NotCarriedError("duplicate_keys")
    after = _blank(body, end)
    return Value(start, end, raw), _blank(body, after + 1) if body[after : after + 1] == b"," else after


def _decode(value: Value, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(value.raw, type=kind)
    except msgspec.ValidationError as error:
        raise NotCarriedError("unexpected_shape") from error


def _blank(body: bytes, at: int) -> int:
    match = _BLANK.match(body, at)
    return match.end() if match else at
