"""Answers to shortened prompts, with what they quote put back into the client's words.

Owns which answers may be touched: whole ones in JSON, of which the text of choices is exchanged and
every other byte is the upstream's. Streams, encoded answers, errors, tool calls, structured output
and texts that others point into by position pass as they came; so does what is too large or no JSON.
What is recovered how is `elision.compressors.recovery`'s matter.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from elision.proxy import carry
from elision.proxy.carry import NotCarriedError, Value
from elision.proxy.errors import UpstreamError
from elision.proxy.headers import Headers, value_of

if TYPE_CHECKING:
    from elision.compressors.recovery import Recovery
    from elision.proxy.upstream import UpstreamResponse

_LIMIT_BYTES = 1 << 20
_MOST_CHARACTERS = 2_000_000
_PATIENCE_S = 2.0
# What is said of a body that is not what it was.
_OF_THE_BODY = frozenset(
    ("content-length", "trailer", "etag", "content-md5", "digest", "content-digest", "repr-digest")
)
_EMPTY = (b"null", b"[]")
_POINTING = ("tool_calls", "function_call", "annotations", "audio", "refusal")


@dataclass(frozen=True, slots=True)
class Quoted:
    """What an answer may quote: a request's texts, as the client wrote them and as they were sent.

    Attributes:
        original: all of them, as written.
        sent: those that were changed, as sent.
        silent: answers say nothing of Elision.
    """

    original: tuple[str, ...]
    sent: tuple[str, ...]
    silent: bool = False


class Held:
    """An answer of which the beginning, or all, was read ahead; it reads on from there.

    Args:
        response: whose head has arrived.
    """

    def __init__(self, response: "UpstreamResponse") -> None:
        self._response = response
        self._chunks: deque[bytes] = deque()
        self._error: UpstreamError | None = None
        self.status, self.reason, self.headers = response.status, response.reason, response.headers
        self.is_whole = False

    async def read_ahead(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        """Read until the end, or so far that it does not matter any more; an error waits for its turn."""
        size = 0
        try:
            while size <= limit_bytes:
                chunk = await self._response.read()
                if not chunk:
                    self.is_whole = True
                    return
                self._chunks.append(chunk)
                size += len(chunk)
        except UpstreamError as error:
            self._error = error

    def body(self) -> bytes:
        """Return what was read ahead."""
        return b"".join(self._chunks)

    def exchange(self, body: bytes, headers: Headers) -> None:
        """Have another body, and what is said of it, in place of what was read."""
        self._chunks = deque((body,))
        self.headers = headers

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises: UpstreamError."""
        if self._chunks:
            return self._chunks.popleft()
        if self._error is not None:
            raise self._error
        return b"" if self.is_whole else await self._response.read()

    @property
    def trailers(self) -> Headers:
        """What followed a chunked body."""
        return self._response.trailers

    async def read_raw(self) -> bytes:
        """Return the next bytes of an upgraded connection."""
        return await self._response.read_raw()

    async def write_raw(self, data: bytes) -> None:
        """Send bytes over an upgraded connection."""
        await self._response.write_raw(data)

    def close(self) -> None:
        """Give the connection back, or cut it."""
        self._response.close()


def is_recoverable(response: "UpstreamResponse") -> bool:
    """Return whether an answer, by its head, may be one whose texts are put back."""
    kind = value_of(response.headers, "content-type").partition(";")[0].strip().lower()
    # Of several such headers all hold.
    encodings = {
        value.strip().lower() for name, value in response.headers if name.lower() == "content-encoding"
    }
    return response.status == 200 and kind == "application/json" and encodings <= {"", "identity"}


async def recover(held: Held, quoted: Quoted, patience_s: float = _PATIENCE_S) -> None:
    """Put back what an answer quotes, in a thread: long prompts take a second.

    Args:
        patience_s: what is not found by then stays as it came; the thread ends with the text that it is at.
    """
    if not held.is_whole or sum(map(len, (*quoted.original, *quoted.sent))) > _MOST_CHARACTERS:
        return
    ends = time.monotonic() + patience_s
    work = asyncio.to_thread(recovered_body, held.body(), quoted, lambda: time.monotonic() >= ends)
    try:
        body, changes = await asyncio.wait_for(work, patience_s)
    except TimeoutError:
        return
    if not changes:
        return
    headers = [pair for pair in held.headers if pair[0].lower() not in _OF_THE_BODY]
    headers.append(("Content-Length", str(len(body))))
    if not quoted.silent:
        headers.append(("x-elision-recovered", str(changes)))
    held.exchange(body, headers)


def recovered_body(body: bytes, quoted: Quoted, is_late: Callable[[], bool]) -> tuple[bytes, int]:
    """Return a body with the texts of its choices recovered, and how many stretches were exchanged.

    Args:
        is_late: asked before each text; where it is late nobody waits for the others any more, and
            nothing is exchanged. An answer may have a hundred choices.
    """
    try:
        texts = _texts(body)
    except (NotCarriedError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body, 0
    if not texts or is_late():
        return body, 0
    from elision.compressors.recovery import Recovery

    recovery = Recovery("\n\n".join(quoted.original), "\n\n".join(quoted.sent))
    return _exchanged(body, texts, recovery, is_late)


def _exchanged(
    body: bytes, texts: Sequence[Value], recovery: "Recovery", is_late: Callable[[], bool]
) -> tuple[bytes, int]:
    replaced: list[tuple[tuple[int, int], str]] = []
    changes = 0
    for value in texts:
        if is_late():
            return body, 0
        found = recovery.recover(carry.text(value))
        if found.changes:
            replaced.append(((value.start, value.end), found.text))
            changes += found.changes
    return carry.splice(body, replaced), changes


def _texts(body: bytes) -> list[Value]:
    """Return the texts of an answer's choices that may be touched: chat completions' and completions'."""
    choices = carry.members(body, carry.whole(body)).get("choices")
    if choices is None or not carry.begins(body, choices, b"["):
        return []
    found: list[Value] = []
    for choice in carry.objects(body, choices):
        fields: Mapping[str, Value] = choice.members
        message = fields.get("message")
        if message is not None and carry.begins(body, message, b"{"):
            fields = {**fields, **carry.members(body, message)}
        text = fields.get("content") or fields.get("text")
        said = carry.text_or_none(body, text)
        if text is None or not said or any(_is_told(fields, name) for name in ("logprobs", *_POINTING)):
            continue
        # Words put into structured output might not be what its quotation marks can hold.
        if not said.lstrip().startswith(("{", "[", "```")):
            found.append(text)
    return found


def _is_told(fields: Mapping[str, Value], name: str) -> bool:
    value = fields.get(name)
    return value is not None and bytes(value.raw).strip() not in _EMPTY
