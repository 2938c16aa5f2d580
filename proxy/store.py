"""Bytes by key, for a while: the interface of every store, the layout of keys, and the store in memory.

The ledger, the outcomes, the scores and the leases of single flight are all values of one store, so
that what a request needs comes in one round trip. A key begins with its team's scope, so that one
team's values lie on one slot of a Redis Cluster and can be cleared by themselves. What values mean
is the matter of those who write them; a store in trouble answers with misses and never raises.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from math import inf
from typing import NamedTuple, Protocol

SCOPE_BYTES = 8
SHARED_SCOPE = b"\xff" * SCOPE_BYTES
"""Of outcomes that all teams use, where the operator wants that."""

BESIDE_BYTES = 280
"""What one value in memory takes beside its key's and its value's own bytes (CPython 3.11, measured).

Values are small, so that a limit which left this out would be exceeded three times over.
"""


class Kind(bytes, Enum):
    """What a value is; one byte of its key."""

    OUTCOME = b"o"
    SCORES = b"s"
    MESSAGE = b"m"
    LINEAGE = b"l"
    LEASE = b"x"
    HEAD = b"h"
    CLEARED = b"c"
    """Written when a scope was cleared, so that workers forget what their own memory holds of it."""


@lru_cache(maxsize=4096)
def scope_of(team: str) -> bytes:
    """Return the 8 bytes that every key of a team begins with."""
    return hashlib.blake2b(team.encode(), digest_size=SCOPE_BYTES, person=b"elision-scope").digest()


@dataclass(frozen=True, slots=True)
class Scopes:
    """Whose outcomes and scores are whose. The ledger is always per team and uses `scope_of`.

    Attributes:
        shared: all teams use one another's outcomes; by default none learns what another sent.
    """

    shared: bool = False

    def of(self, team: str) -> bytes:
        """Return the scope that a team's outcomes and scores are kept in."""
        return SHARED_SCOPE if self.shared else scope_of(team)


def make_key(scope: bytes, kind: Kind, digest: bytes) -> bytes:
    """Return a key: scope (8 bytes), kind (1 byte), digest (16 to 32 bytes)."""
    return scope + kind.value + digest


class Store(Protocol):
    """Bytes by key, for a while. A store in trouble answers with misses; it never raises."""

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None for a miss; at most one round trip."""
        ...

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        """Keep the values for `ttl_s` seconds; losing one costs a repeated decision, nothing else.

        Args:
            only_new: a key that has a value keeps it; whoever came first stays right.
        """
        ...

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        """Keep a value where there is none; return whether there was none. In trouble: True."""
        ...

    async def drop(self, keys: Sequence[bytes]) -> None:
        """Forget the values."""
        ...

    async def close(self) -> None:
        """Write what waits to be written, and let go of connections and files."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What a shared store holds of one kind in one scope.

    Attributes:
        kind: the byte of the key that says it; usually one of `Kind`.
        held_bytes: of keys and values together.
        first_ends_s: seconds until the first of them ends.
    """

    scope: bytes
    kind: bytes
    entries: int
    held_bytes: int
    first_ends_s: float


class StoreUnreachable(Exception):
    """A shared store that somebody wants to look into cannot be reached; the message says why."""


class Inspectable(Protocol):
    """What `elision cache` asks of a shared store. Here, unlike on a request's way, trouble is told.

    Both look through everything that is kept, in steps between which others are served. Neither
    counts nor clears what is of `Kind.CLEARED`: that is the notice to workers.
    """

    async def kept(self, scope: bytes | None = None) -> list[Kept]:
        """Return what is kept, by scope and kind; of one scope, or of all.

        Raises: StoreUnreachable.
        """
        ...

    async def clear(self, scope: bytes | None, tell: Callable[[int], None]) -> int:
        """Forget all that is kept in a scope, or in all; return how many values that were.

        Args:
            tell: called after each step with how many are gone by then.

        Raises: StoreUnreachable.
        """
        ...


class SharedStore(Store, Inspectable, Protocol):
    """What workers or machines share: Redis, or a file on disk."""

    @property
    def level(self) -> str:
        """How metrics call it: `redis` or `disk`."""
        ...

    @property
    def trouble(self) -> str:
        """Why the last exchange failed, in one word; "" while all is well.

        A miss is a true one if this is "" when `get_many` has returned.
        """
        ...

    @property
    def failures(self) -> Mapping[str, int]:
        """How often it was in trouble, by reason."""
        ...


class Held(NamedTuple):
    """A value in memory.

    Attributes:
        ends: when its life is over, by the monotonic clock.
        since: when it was put, or last found to be what the shared level has.
    """

    ends: float
    since: float
    value: bytes


class MemoryStore:
    """Least recently used values go first once `limit_bytes` are held; using one does not extend its life.

    Args:
        limit_bytes: of keys and values together, with what the process needs beside them.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.held_bytes = 0
        self.evictions = 0
        self._limit = limit_bytes
        self._values: OrderedDict[bytes, Held] = OrderedDict()

    def look(self, key: bytes) -> Held | None:
        """Return what is held of a key, None for a miss; at once, for those who may not wait."""
        held = self._values.get(key)
        if held is None:
            return None
        if held.ends < time.monotonic():
            self._drop(key)
            return None
        self._values.move_to_end(key)
        return held

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None for a miss; at once."""
        held = self.look(key)
        return None if held is None else held.value

    def put(self, key: bytes, value: bytes, ttl_s: float, *, only_new: bool = False) -> bool:
        """Keep a value, dropping the least recently used beyond the limit; return whether it was kept."""
        if only_new and self.look(key) is not None:
            return False
        self._drop(key)
        size = _size(key, value)
        if size > self._limit:
            return False
        while self.held_bytes + size > self._limit:
            self._drop(next(iter(self._values)))
            self.evictions += 1
        now = time.monotonic()
        self._values[key] = Held(now + ttl_s, now, value)
        self.held_bytes += size
        return True

    def confirm(self, key: bytes) -> None:
        """Take note that a value is still the one that others have, or that nobody has another."""
        held = self._values.get(key)
        if held is not None:
            self._values[key] = held._replace(since=time.monotonic())

    def doubt(self, key: bytes) -> None:
        """Take note that others may have another value; this one is to be asked about."""
        held = self._values.get(key)
        if held is not None:
            self._values[key] = held._replace(since=-inf)

    def forget(self, scope: bytes) -> None:
        """Forget all values of a scope; looks at every key."""
        for key in [key for key in self._values if key.startswith(scope)]:
            self._drop(key)

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None for a miss."""
        return [self.get(key) for key in keys]

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        """Keep the values."""
        for key, value in items.items():
            self.put(key, value, ttl_s, only_new=only_new)

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        """Keep a value where there is none; return whether there was none."""
        if self.look(key) is not None:
            return False
        self.put(key, value, ttl_s)
        return True

    async def drop(self, keys: Sequence[bytes]) -> None:
        """Forget the values."""
        for key in keys:
            self._drop(key)

    async def close(self) -> None:
        """Forget everything."""
        self._values.clear()
        self.held_bytes = 0

    def _drop(self, key: bytes) -> None:
        held = self._values.pop(key, None)
        if held is not None:
            self.held_bytes -= _size(key, held.value)


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + BESIDE_BYTES
