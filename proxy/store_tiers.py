"""Memory over what workers or machines share: one store of two levels, or of memory alone.

A value is looked for in memory first; what is missing there is asked for in one trip, and kept. How
long memory may stand for the shared level, whose remaining life of a value nobody tells:

- For a minute after a value was put or read, memory's copy is current (one that was put where others
  may have put another, it is not until it was asked for once). After that it is asked for
  along with whatever else goes on the trip, and what the shared level has takes its place: a ledger
  entry may be overwritten there (a rewritten body was rejected and the original went out), and of
  two workers that decided at once only the first one's word was kept.
- Where the shared level does not have it, or is in trouble, the copy stands as long as `ttl_s`; an
  older value costs nothing, but a forgotten decision breaks a conversation's prefix. If the shared
  level is well and has lost it (Redis was restarted, or full), it is given back.
- What an operator clears is not given back: clearing writes a mark that is asked for on each trip.

Leases are only ever asked for where they are shared. Values are frames (`elision.proxy.values`): one
that is damaged or foreign is a miss, counted here and dropped there.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from elision.proxy.store import SCOPE_BYTES, Kind, MemoryStore, SharedStore, make_key
from elision.proxy.values import is_sound

CURRENT_S = 60.0
"""How long memory's copy is taken without asking; then also what others overwrote or cleared is seen."""

_MEMORY = "memory"
_CLEARED_DIGEST = bytes(16)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a store has done since it was opened.

    Attributes:
        hits: by level and kind.
        misses: by kind.
        failures: by level and reason; a damaged value is one of the level that gave it.
        held_bytes, evictions: by level, where it knows.
        written, waiting_bytes: by level that is shared: values written in the background, and what
            waits for that.
        trouble: by level that is shared: why the last exchange failed, "" while all is well.
    """

    hits: Mapping[tuple[str, str], int] = field(default_factory=dict)
    misses: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[tuple[str, str], int] = field(default_factory=dict)
    held_bytes: Mapping[str, int] = field(default_factory=dict)
    evictions: Mapping[str, int] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)
    waiting_bytes: Mapping[str, int] = field(default_factory=dict)
    trouble: Mapping[str, str] = field(default_factory=dict)


class Tiers:
    """A store of memory and, where there is one, a level that is shared.

    Args:
        memory: this process's own level; who may not wait puts values there himself, and here later.
        shared: None: there is none.
        ttl_s: seconds that a value which came from the shared level lives in memory at most.
        current_s: see above.
    """

    def __init__(
        self,
        memory: MemoryStore,
        shared: SharedStore | None = None,
        *,
        ttl_s: float = 86400.0,
        current_s: float = CURRENT_S,
    ) -> None:
        self._memory = memory
        self._shared = shared
        self._ttl_s = ttl_s
        self._current_s = current_s
        self._marks: dict[bytes, bytes] = {}
        self._memory_hits: Counter[bytes] = Counter()
        self._shared_hits: Counter[bytes] = Counter()
        self._misses: Counter[bytes] = Counter()
        self._damaged = 0
        self._behind: set[asyncio.Task[None]] = set()

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None for a miss; at most one trip to the shared level."""
        current_since = time.monotonic() - self._current_s
        look, in_memory = self._memory.look, self._in_memory
        found: dict[bytes, bytes] = {}
        wanted: list[bytes] = []
        for key in keys:
            held = look(key) if in_memory(key) else None
            if held is not None:
                found[key] = held.value
            if held is None or held.since <= current_since:
                wanted.append(key)
        given: dict[bytes, bytes] = {}
        if self._shared is not None and wanted:
            given = await self._ask(self._shared, wanted, found)
        self._count(keys, found, given)
        found |= given
        return [found.get(key) for key in keys]

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        """Keep the values: in memory at once, on the shared level when that gets to it.

        Args:
            only_new: what memory holds is what is offered to the shared level, which keeps its own.
        """
        for key, value in items.items():
            self._memory.put(key, value, ttl_s, only_new=only_new)
        if self._shared is None:
            return
        if only_new:
            items = {key: self._memory.get(key) or value for key, value in items.items()}
            # Another worker may have come first; who did is seen at the next look.
            for key in items:
                self._memory.doubt(key)
        await self._shared.put_many(items, ttl_s, only_new=only_new)

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        """Keep a value where there is none, on any level; return whether there was none."""
        if self._shared is None:
            return await self._memory.add(key, value, ttl_s)
        if not self._in_memory(key):
            return await self._shared.add(key, value, ttl_s)
        if self._memory.look(key) is not None or not await self._shared.add(key, value, ttl_s):
            return False
        self._memory.put(key, value, ttl_s)
        return True

    async def drop(self, keys: Sequence[bytes]) -> None:
        """Forget the values; other workers' memory may still hold them."""
        await self._memory.drop(keys)
        if self._shared is not None:
            await self._shared.drop(keys)

    async def close(self) -> None:
        """Write what waits, and let go of the shared level."""
        await asyncio.gather(*self._behind)
        if self._shared is not None:
            await self._shared.close()
        await self._memory.close()

    @property
    def is_sure(self) -> bool:
        """Whether what the last trip did not bring is not there: the shared level, if any, is well."""
        return self._shared is None or not self._shared.trouble

    def figures(self) -> Figures:
        """Return what has been counted so far."""
        hits = {(_MEMORY, kind_name(kind)): count for kind, count in self._memory_hits.items()}
        failures: Counter[tuple[str, str]] = Counter()
        trouble: dict[str, str] = {}
        if (shared := self._shared) is not None:
            hits |= {(shared.level, kind_name(kind)): count for kind, count in self._shared_hits.items()}
            failures.update({(shared.level, reason): count for reason, count in shared.failures.items()})
            failures[shared.level, "damaged_value"] += self._damaged
            trouble[shared.level] = shared.trouble
        return Figures(
            hits=hits,
            misses={kind_name(kind): count for kind, count in self._misses.items()},
            failures={named: count for named, count in failures.items() if count},
            held_bytes={_MEMORY: self._memory.held_bytes},
            evictions={_MEMORY: self._memory.evictions},
            trouble=trouble,
        )

    def _in_memory(self, key: bytes) -> bool:
        return self._shared is None or _kind(key) != Kind.LEASE.value

    async def _ask(
        self, shared: SharedStore, wanted: Sequence[bytes], found: dict[bytes, bytes]
    ) -> dict[bytes, bytes]:
        """Return what the shared level has; take out of `found` what was cleared there."""
        begun = time.monotonic()
        scopes = sorted({key[:SCOPE_BYTES] for key in wanted})
        values = await shared.get_many([*wanted, *map(cleared_key, scopes)])
        self._heed(dict(zip(scopes, values[len(wanted) :], strict=True)), found)
        given: dict[bytes, bytes] = {}
        damaged: list[bytes] = []
        lost: dict[bytes, bytes] = {}
        for key, value in zip(wanted, values[: len(wanted)], strict=True):
            if value is None:
                lost |= {key: found[key]} if key in found else {}
            elif not self._in_memory(key):
                given[key] = value
            elif is_sound(value):
                given[key] = self._taken(key, value, begun)
            else:
                damaged.append(key)
        self._mend(shared, damaged, {} if shared.trouble else lost)
        return given

    def _taken(self, key: bytes, value: bytes, begun: float) -> bytes:
        """Put into memory what the trip brought, unless this process has written since it began."""
        held = self._memory.look(key)
        if held is not None and held.since > begun:
            return held.value
        self._memory.put(key, value, self._ttl_s)
        return value

    def _heed(self, marks: Mapping[bytes, bytes | None], found: dict[bytes, bytes]) -> None:
        """Forget what was cleared since the last trip."""
        for scope, mark in marks.items():
            if mark is None or mark == self._marks.get(scope):
                continue
            self._marks[scope] = mark
            self._memory.forget(scope)
            for key in [key for key in found if key.startswith(scope)]:
                del found[key]

    def _mend(self, shared: SharedStore, damaged: Sequence[bytes], lost: Mapping[bytes, bytes]) -> None:
        """Drop what is damaged there, so that it can be written again; give back what was lost."""
        if damaged:
            self._damaged += len(damaged)
            self._later(shared.drop(damaged))
        if lost:
            for key in lost:
                self._memory.confirm(key)
            self._later(shared.put_many(lost, self._ttl_s, only_new=True))

    def _later(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    def _count(
        self, keys: Sequence[bytes], found: Mapping[bytes, bytes], given: Mapping[bytes, bytes]
    ) -> None:
        hits = Counter(map(_kind, keys))
        if len(found) < len(keys) or given:
            missed = Counter(_kind(key) for key in keys if key not in found and key not in given)
            shared = Counter(map(_kind, given))
            self._misses.update(missed)
            self._shared_hits.update(shared)
            hits = hits - missed - shared
        self._memory_hits.update(hits)


def cleared_key(scope: bytes) -> bytes:
    """Return the key of the mark that tells workers to forget what they hold of a scope."""
    return make_key(scope, Kind.CLEARED, _CLEARED_DIGEST)


def _kind(key: bytes) -> bytes:
    return key[SCOPE_BYTES : SCOPE_BYTES + 1]


def kind_name(kind: bytes) -> str:
    """Return what metrics and commands call a kind."""
    try:
        return Kind(kind).name.lower()
    except ValueError:
        return "other"
