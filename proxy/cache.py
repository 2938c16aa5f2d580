"""Outcomes by content: keys and values of the cache.

A key says everything that an outcome depends on (text, target, the compressor's fingerprint) and
whose it is (the team), so that no team can learn what another sent. A value is versioned and
checked: what is damaged or foreign is a miss.
"""

import hashlib
import zlib

import msgspec

from elision.compressors.base import Job, Outcome
from elision.proxy.store import Kind, make_key, scope_of

_VERSION = b"\x01"


def outcome_key(job: Job, fingerprint: str, team: str) -> bytes:
    """Return the key of a job's outcome in a team's scope."""
    told = msgspec.msgpack.encode((fingerprint, job.target))
    digest = hashlib.blake2b(told, digest_size=32, person=b"elision-outcome")
    digest.update(job.text.encode("utf-8", "surrogatepass"))
    return make_key(scope_of(team), Kind.OUTCOME, digest.digest())


def pack(outcome: Outcome) -> bytes:
    """Return an outcome as bytes: version, checksum, content."""
    content = msgspec.msgpack.encode(outcome)
    return _VERSION + zlib.crc32(content).to_bytes(4, "big") + content


def unpack(value: bytes) -> Outcome | None:
    """Return the outcome that `pack` made bytes of, None if they are not such bytes."""
    content = value[5:]
    if value[:1] != _VERSION or zlib.crc32(content).to_bytes(4, "big") != value[1:5]:
        return None
    try:
        return msgspec.msgpack.decode(content, type=Outcome)
    except msgspec.DecodeError:
        return None
