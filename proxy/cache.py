"""Outcomes by content: the cache's interface, its keys and values, and the one in memory.

A key says everything that an outcome depends on (text, target, the compressor's fingerprint) and
whose it is (the team), so that no team can learn what another sent. A value is versioned and
checked: what is damaged or foreign is a miss.
"""

import hashlib
import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from elision.compressors.base import Job, Outcome

_VERSION = b"\x01"


class CacheBackend(Protocol):
    """Bytes by key, for a while. A backend in trouble answers with misses; it never raises."""

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None for a miss; at most one round trip."""
        ...

    async def put_many(self, items: Mapping[bytes, bytes]) -> None:
        """Keep the values; losing one costs a repeated compression, nothing else."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def outcome_key(job: Job, fingerprint: str, team: str) -> bytes:
    """Return the 32-byte key of a job's outcome."""
    told = msgspec.msgpack.encode((team, fingerprint, job.target))
    digest = hashlib.blake2b(told, digest_size=32, person=b"elision-outcome")
    digest.update(job.text.encode("utf-8", "surrogatepass"))
    return digest.digest()


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


class MemoryCache:
    """Least recently used values go first once `limit_bytes` are held.

    Args:
        limit_bytes: of keys and values together.
        ttl_s: seconds that a value lives after it was last used.
    """

    def __init__(self, limit_bytes: int, ttl_s: float) -> None:
        self._limit = limit_bytes
        self._ttl = ttl_s
        self._held = 0
        self._values: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None for a miss."""
        now = time.monotonic()
        return [self._get(key, now) for key in keys]

    async def put_many(self, items: Mapping[bytes, bytes]) -> None:
        """Keep the values, dropping the least recently used beyond the limit."""
        now = time.monotonic()
        for key, value in items.items():
            self._drop(key)
            self._values[key] = (now + self._ttl, value)
            self._held += len(key) + len(value)
        while self._held > self._limit:
            self._drop(next(iter(self._values)))

    async def close(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._held = 0

    def _get(self, key: bytes, now: float) -> bytes | None:
        found = self._values.get(key)
        if found is None:
            return None
        if found[0] < now:
            self._drop(key)
            return None
        self._values[key] = (now + self._ttl, found[1])
        self._values.move_to_end(key)
        return found[1]

    def _drop(self, key: bytes) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self._held -= len(key) + len(found[1])
