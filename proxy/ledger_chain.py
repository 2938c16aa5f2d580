"""A conversation's name is its content: a digest for every prefix of its messages. Pure, but for a memory.

`d_k` is the digest of all that says which conversation this is (endpoint, upstream, model, the rate
that the request wishes, what the provider keeps of it) and of its first k messages. Two requests
share `d_k` if and only if they share all that; nobody need name a session. Of a message only the
white space between its values is normalised, which no upstream can see once it has parsed it.
What a digest stands for in the store is `elision.proxy.ledger`'s matter.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from threading import Lock

import msgspec

from elision.proxy.bodies import Body, Message
from elision.proxy.store import MemoryStore

DIGEST_BYTES = 16
REMEMBERED_BYTES = 16 * 1024 * 1024
"""Of digests, 16 for each message of a prefix: ten thousand conversations of 100 messages."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which conversation a request belongs to, beside its messages.

    Attributes:
        upstream: name of the upstream.
        model: that will read it.
        rate: that the request wishes and may wish; None: it does not.
        apart: sets those apart that use the same words for something else.
    """

    upstream: str = ""
    model: str = ""
    rate: float | None = None
    apart: str = ""


class Chains:
    """Finds the digests of prefixes, in time that only what is new of a conversation takes.

    A conversation comes again with every turn. What an earlier request had of it is known by one
    digest of its bytes as they came: then no message of it is looked at again.

    Args:
        limit_bytes: of what is remembered. Safe to use from several threads.
    """

    def __init__(self, limit_bytes: int = REMEMBERED_BYTES) -> None:
        self._remembered = MemoryStore(limit_bytes)
        self._lock = Lock()

    def of(self, body: Body, origin: Origin) -> bytes:
        """Return `d_1` to `d_n` of a body's n messages, one after another."""
        messages = body.messages
        if not messages:
            return b""
        seed = _seed(body, origin)
        raw = memoryview(body.raw)
        first = messages[0]
        begun = hashlib.sha256(seed + hashlib.sha256(body.thread).digest())
        begun.update(raw[first.start : first.end])
        # What the model reads first may stand last in the body: instructions after the input.
        at = min(first.end, messages[1].start) if len(messages) > 1 else first.end
        chain = b""
        for end in sorted({last_answer(messages), len(messages)} - {0}):
            if end > 1:
                begun.update(raw[at : messages[end - 1].end])
                at = messages[end - 1].end
            key = begun.digest()
            with self._lock:
                known = self._remembered.get(key)
            if known is None:
                known = chain + b"".join(_digests(body, chain[-DIGEST_BYTES:] or seed, len(chain), end))
                with self._lock:
                    self._remembered.put(key, known, inf)
            chain = known
        return chain


def last_answer(messages: Sequence[Message]) -> int:
    """Return the index of the first of the assistant's messages that end the last answer, 0 for none.

    What precedes it an earlier request ended with.
    """
    index = len(messages)
    while index and messages[index - 1].role != "assistant":
        index -= 1
    while index and messages[index - 1].role == "assistant":
        index -= 1
    return index


def _digests(body: Body, last: bytes, done: int, end: int) -> Iterator[bytes]:
    """Yield the digests up to `end` messages, after a chain of `done` bytes that ends with `last`."""
    raw, first = body.raw, done // DIGEST_BYTES
    for number, message in enumerate(body.messages[first:end], first):
        # A client repeats its instructions with each response that it goes on from: they stay the same.
        if number == 1 and _instructs(body):
            last += body.thread
        told = msgspec.json.format(raw[message.start : message.end], indent=-1)
        last = hashlib.sha256(last + told).digest()[:DIGEST_BYTES]
        yield last


def _seed(body: Body, origin: Origin) -> bytes:
    """Return the digest of what conversations differ by before their first message."""
    # What a string by itself is, is not in its bytes: instructions are told from input by their role.
    first = body.messages[0]
    bare = first.role if body.raw.startswith(b'"', first.start) else ""
    thread = b"" if _instructs(body) else body.thread
    told = (body.endpoint, origin.upstream, origin.model, origin.rate, origin.apart, thread, bare)
    return hashlib.sha256(msgspec.msgpack.encode(told)).digest()[:DIGEST_BYTES]


def _instructs(body: Body) -> bool:
    """Whether a body begins with instructions, which are no part of what the provider keeps."""
    first = body.messages[0]
    return first.role == "system" and body.raw.startswith(b'"', first.start)
