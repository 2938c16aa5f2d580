"""Reading usage from an answer that passes by. Pure; sees copies, can alter or delay nothing.

`EventReader` cuts a server-sent event stream into events under any chunking. `UsageObserver` feeds
on whatever the upstream sends, streamed or not, compressed or not, and has `elision.accounts.usage`
understand what is worth it. What it cannot read it lets go: an unknown encoding means no usage, no error.
"""

import re
import zlib
from collections import deque

from elision.accounts.usage import Answered, Gathering

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_WHOLE_EVENTS = (b"\n\n", b"\r\n\r\n")
_BEFORE_LAST = 3
"""Bytes that may be the beginning of an event's end: one less than the longest."""
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MAX_PENDING_BYTES = 4 * 1024 * 1024
_LAST = 16
_LAST_BYTES = 8192
"""So many of the last chunks are looked back at, and so much of each: usage comes with a stream's end."""
_ENDS = (b'_reason":"', b'_reason": "')
"""What is in an event that ends a choice, by how its JSON is written: tightly, or with blanks."""
_WORTH_A_LOOK = re.compile(rb'"usage"\s*:\s*\{|_reason"\s*:\s*"|"status"\s*:\s*"(?:failed|incomplete)"')


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
    """Watches an answer's bytes and remembers what they state of usage, model and end.

    Of a stream, the first event is looked into, those that end a choice, and the last few: thousands
    of others only pass.

    Args:
        content_type: of the answer; decides between events and one JSON value.
        content_encoding: of the answer; identity, gzip and deflate are read.
    """

    def __init__(self, content_type: str, content_encoding: str) -> None:
        self._events = EventReader() if "text/event-stream" in content_type else None
        self._json = bytearray() if self._events is None and "json" in content_type else None
        encoding = content_encoding.strip().lower()
        self._inflate = zlib.decompressobj(wbits=47) if encoding in ("gzip", "deflate") else None
        self._readable = encoding in ("", "identity", "gzip", "deflate")
        self._said = Gathering()
        self._end = b""
        self._passed: deque[bytes] = deque(maxlen=_LAST)
        self._is_whole = True

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the answer's body."""
        # The common case, worth its microsecond at thousands of chunks a second.
        if self._end and self._is_whole and chunk.endswith(_WHOLE_EVENTS) and self._end not in chunk:
            self._passed.append(chunk if len(chunk) <= _LAST_BYTES else chunk[-_LAST_BYTES:])
            return
        if not self._readable:
            return
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, _MAX_PENDING_BYTES)
            except zlib.error:
                self._readable = False
                return
        if self._events is not None:
            for data in self._events.feed(chunk):
                self._look(data)
            # What is inflated is not whole events where the bytes that came look so.
            self._is_whole = self._events.idle and self._inflate is None
        elif self._json is not None and len(self._json) <= _MAX_PENDING_BYTES:
            self._json += chunk

    def answered(self) -> Answered:
        """Return what was seen so far."""
        self._look_back()
        return self._said.answered(streamed=self._events is not None)

    def close(self) -> None:
        """Say that the answer is complete."""
        if self._json and len(self._json) <= _MAX_PENDING_BYTES and _WORTH_A_LOOK.search(self._json):
            self._said.take(bytes(self._json))

    def _look(self, data: bytes) -> None:
        """Look into an event, now or when all is over."""
        if not self._end:
            self._begin(data)
        elif self._end not in data and len(data) <= _LAST_BYTES:
            self._passed.append(data)
        else:
            self._look_back()
            self._take(data)

    def _begin(self, data: bytes) -> None:
        """Look into the first event that says something, and learn how the others will be written."""
        first = data.find(b'":')
        if first >= 0:
            self._end = _ENDS[data[first + 2 : first + 3] == b" "]
            self._said.take(data)

    def _look_back(self) -> None:
        """Look into the last of what has only passed: events' data, and chunks of whole events."""
        passed = list(self._passed)
        self._passed.clear()
        for one in passed:
            for data in (one,) if one.startswith(b"{") else EventReader().feed(one):
                self._take(data)

    def _take(self, data: bytes) -> None:
        if _WORTH_A_LOOK.search(data) or (not self._said.model and b'"model"' in data):
            self._said.take(data)


def _event_data(event: bytes) -> bytes:
    if event.startswith(b"data:") and b"\n" not in event and b"\r" not in event:
        return event[5:].lstrip(b" ")
    lines = _LINE_END.split(event)
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
