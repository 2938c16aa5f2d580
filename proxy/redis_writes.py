"""Writes that wait for Redis: bounded in bytes, each drop counted by its reason.

Where all queues together hold too much, the fullest gives up its oldest: what waits in vain for a
server that is away must not cost the others' servers their writes.

Pure but for the event that tells of the first. Sending them is `redis_link`'s.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakSet

from elision.proxy.redis_connection import Reason

FULL = "full"
"""Why a write was dropped: there was no room for it to wait. Other reasons are `Reason`'s."""

MAX_STRAYS = 3
"""A write that so many servers in turn sent elsewhere is dropped."""


BESIDE_BYTES = 100
"""What a write that waits takes beside its command (CPython 3.11: two objects and a place in the queue)."""


@dataclass(frozen=True, slots=True)
class Write:
    """One command that changes something.

    Attributes:
        slot: of its key, 0 to 16,383.
        packed: as it goes over the wire.
        strays: servers that said that its slot is elsewhere.
    """

    slot: int
    packed: bytes
    strays: int = 0

    @property
    def size(self) -> int:
        """Bytes of memory that it takes while it waits."""
        return len(self.packed) + BESIDE_BYTES


class WriteBudget:
    """Memory that all queues share, and what did not fit or was refused.

    Args:
        limit_bytes: of what waits.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.dropped: Counter[str] = Counter()
        self.queues: WeakSet[WriteQueue] = WeakSet()

    def shrink(self) -> None:
        """Let the fullest queues give up their oldest until the limit is kept."""
        while self.held_bytes > self.limit_bytes:
            fullest = max(self.queues, key=lambda queue: queue.held_bytes)
            self.drop(fullest.take(1, 0), FULL)

    def drop(self, writes: Iterable[Write], reason: str | Reason) -> None:
        """Count writes that will not be made."""
        word = reason.value if isinstance(reason, Reason) else reason
        self.dropped[word] += sum(1 for _ in writes)


class WriteQueue:
    """What waits for one server.

    Attributes:
        filled: set while something waits.
        held_bytes: of what waits.

    Args:
        budget: of all queues.
    """

    def __init__(self, budget: WriteBudget) -> None:
        self.filled = asyncio.Event()
        self.held_bytes = 0
        self._budget = budget
        budget.queues.add(self)
        self._waiting: deque[Write] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, write: Write) -> None:
        """Let a write wait; where there is no room, the oldest of the fullest queue goes."""
        self._waiting.append(write)
        self._hold(write.size)
        self._budget.shrink()

    def take(self, most: int, most_bytes: int) -> list[Write]:
        """Return the oldest, at least one where any waits; whoever takes them says what became of them."""
        taken: list[Write] = []
        size = 0
        while self._waiting and len(taken) < most:
            size += self._waiting[0].size
            if taken and size > most_bytes:
                break
            write = self._waiting.popleft()
            self._hold(-write.size)
            taken.append(write)
        return taken

    def put_back(self, writes: list[Write]) -> None:
        """Let writes that could not be made wait again, before all others."""
        self._waiting.extendleft(reversed(writes))
        self._hold(sum(write.size for write in writes))
        self._budget.shrink()

    def _hold(self, more_bytes: int) -> None:
        self.held_bytes += more_bytes
        self._budget.held_bytes += more_bytes
        if self._waiting:
            self.filled.set()
        else:
            self.filled.clear()
