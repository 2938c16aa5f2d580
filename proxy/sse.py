"""Reading usage from an answer that passes by. Pure; sees copies, can alter or delay nothing.

`EventReader` cuts a server-sent event stream into events under any chunking. `UsageObserver` feeds
on whatever the upstream sends, streamed or not, compressed or not, and keeps the last `usage`
object that it met. What it cannot read it lets go: an unknown encoding means no usage, no error.
"""

import re
import zlib

import msgspec

from elision.accounts.usage import Answered, Usage

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_WHOLE_EVENTS = (b"\n\n", b"\r\n\r\n")
_BEFORE_LAST = 3
"""Bytes that may be the beginning of an event's end: one less than the longest."""
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MAX_PENDING_BYTES = 4 * 1024 * 1024


class EventReader:
    """Cuts a server-sent event stream into the data of its events.

    An event longer than 4 MiB is passed over rather than kept in memory.
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    @property
    def idle(self) -> bool:
        """Whether no event has begun that is not complete."""
        return not self._pending

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the data of the events that they complete."""
        # An image is megabytes in one event and comes in kilobytes: what was searched is not searched again.
        searched = max(0, len(self._pending) - _BEFORE_LAST)
        data = self._pending
        data += chunk
        done = 0
        events: list[bytes] = []
        for end in _EVENT_END.finditer(data, searched):
            if end.end() == len(data) and end[0] == b"\r\r":
                break  # the next byte may be the "\n" of "\r\n"
            events.append(_event_data(bytes(data[done : end.start()])))
            done = end.end()
        rest_too_long = len(data) - done > _MAX_PENDING_BYTES
        self._pending = bytearray() if rest_too_long else data[done:] if done else data
        return events


class UsageObserver:
    """Watches an answer's bytes and remembers the usage that they state.

    Args:
        content_type: of the answer; decides between events and one JSON value.
        content_encoding: of the answer; identity, gzip and deflate are read.
    """

    def __init__(self, content_type: str, content_encoding: str) -> None:
        self.usage: Usage | None = None
        self._events = EventReader() if "text/event-stream" in content_type else None
        self._json = bytearray() if self._events is None and "json" in content_type else None
        encoding = content_encoding.strip().lower()
        self._inflate = zlib.decompressobj(wbits=47) if encoding in ("gzip", "deflate") else None
        self._readable = encoding in ("", "identity", "gzip", "deflate")

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the answer's body."""
        if not self._readable:
            return
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, _MAX_PENDING_BYTES)
            except zlib.error:
                self._readable = False
                return
        if self._events is not None:
            if self._events.idle and b'"usage"' not in chunk and chunk.endswith(_WHOLE_EVENTS):
                return  # the common case, worth its few microseconds at thousands of chunks a second
            for data in self._events.feed(chunk):
                self._look(data)
        elif self._json is not None and len(self._json) <= _MAX_PENDING_BYTES:
            self._json += chunk

    def answered(self) -> Answered:
        """Return what was seen so far."""
        return Answered(self.usage, streamed=self._events is not None)

    def close(self) -> None:
        """Say that the answer is complete."""
        if self._json and len(self._json) <= _MAX_PENDING_BYTES:
            self._look(bytes(self._json))

    def _look(self, data: bytes) -> None:
        if b'"usage"' in data:
            self.usage = _usage(data) or self.usage


def _event_data(event: bytes) -> bytes:
    if event.startswith(b"data:") and b"\n" not in event and b"\r" not in event:
        return event[5:].lstrip(b" ")
    lines = _LINE_END.split(event)
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = 0


class _UsageFields(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    input_tokens_details: _PromptDetails | None = None


class _Inner(msgspec.Struct):
    usage: _UsageFields | None = None


class _Answer(msgspec.Struct):
    usage: _UsageFields | None = None
    response: _Inner | None = None


def _usage(data: bytes) -> Usage | None:
    """Return the usage that a chat completion, a chunk of one, or a Responses event states."""
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    fields = answer.usage or (answer.response.usage if answer.response else None)
    if fields is None:
        return None
    details = fields.prompt_tokens_details or fields.input_tokens_details
    return Usage(
        prompt_tokens=fields.prompt_tokens or fields.input_tokens or 0,
        completion_tokens=fields.completion_tokens or fields.output_tokens or 0,
        cached_tokens=(details.cached_tokens or 0) if details else 0,
    )
