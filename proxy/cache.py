"""Outcomes and scores by content: the keys and values of the cache.

A key says everything that a value depends on and whose it is, so that no team can learn what another
sent. An outcome depends on text, target and compressor, scores on text and scorer
alone, both on the question only where the method reads it. No value holds a user's text where it
can be said otherwise: an outcome is the ranges of the original that stay, and the original is
known to whoever asks. What does not give the text that it once gave is a miss.
"""

import hashlib
import zlib
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

import msgspec

from elision.compressors.base import Identity, Job, Outcome, Span
from elision.proxy import values
from elision.proxy.store import SCOPE_BYTES, Kind, make_key


class Keys(NamedTuple):
    """Where what is known of a job lies; `scores` is b"" where the method has none to keep."""

    outcome: bytes
    scores: bytes

    @property
    def lease(self) -> bytes:
        """Of whoever makes the outcome."""
        scope, digest = self.outcome[:SCOPE_BYTES], self.outcome[SCOPE_BYTES + 1 :]
        return make_key(scope, Kind.LEASE, digest)


class _Value(msgspec.Struct, array_like=True, frozen=True):
    """An outcome as it is kept.

    Attributes:
        check: CRC-32 of the text that must come out.
        ranges: of the original, by turns the characters that are left out and those that stay.
        text: what comes out, where it is not made of ranges; None where it is, or is the original.
    """

    tokens_before: int
    tokens_after: int
    check: int
    reason: str = ""
    ranges: tuple[int, ...] = ()
    text: str | None = None


_DECODER = msgspec.msgpack.Decoder(_Value)


def keys_of(job: Job, identity: Identity, scope: bytes) -> Keys:
    """Return the keys of a job's outcome and of its text's scores in a scope."""
    target = job.target
    text = hashlib.blake2b(_bytes(job.text), digest_size=32).digest()
    question = target.question if identity.reads_question else ""
    asked = (identity.fingerprint, target.rate, target.tokens, target.model, target.protect, question)
    outcome = make_key(scope, Kind.OUTCOME, _digest(asked, text))
    if not identity.scorer:
        return Keys(outcome, b"")
    return Keys(outcome, make_key(scope, Kind.SCORES, _digest((identity.scorer, question), text)))


def pack(outcome: Outcome, original: str) -> bytes:
    """Return an outcome of a text as the value to keep."""
    ranges: tuple[int, ...] = ()
    text = None
    if outcome.kept and outcome.text == _joined(original, outcome.kept):
        ranges = tuple(_steps(outcome.kept))
    elif outcome.text != original:
        text = outcome.text
    check = zlib.crc32(_bytes(outcome.text))
    value = _Value(outcome.tokens_before, outcome.tokens_after, check, outcome.reason, ranges, text)
    return values.pack(msgspec.msgpack.encode(value))


def unpack(value: bytes, job: Job, identity: Identity) -> Outcome | None:
    """Return the outcome of this job that `pack` made a value of; None if the value is anything else."""
    content = values.unpack(value)
    if content is None:
        return None
    try:
        told = _DECODER.decode(content)
    except msgspec.DecodeError:
        return None
    edges = list(accumulate(told.ranges))
    kept = tuple(map(Span, edges[::2], edges[1::2]))
    text = told.text
    if text is None:
        text = _joined(job.text, kept) if kept else job.text
    if zlib.crc32(_bytes(text)) != told.check:
        return None
    return Outcome(
        text, told.tokens_before, told.tokens_after, kept, job.method.name, identity.fingerprint, told.reason
    )


def _steps(kept: Iterable[Span]) -> Iterable[int]:
    """Yield each range as the characters before it and its length: small numbers take one byte."""
    done = 0
    for span in kept:
        yield span.start - done
        yield span.end - span.start
        done = span.end


def _joined(text: str, kept: Iterable[Span]) -> str:
    return "".join([text[span.start : span.end] for span in kept])


def _digest(told: tuple[object, ...], text: bytes) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode((*told, text)), digest_size=32).digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
