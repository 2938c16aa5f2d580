"""Work that is under way, by key: who asks for the same waits for it rather than begin it again.

Everybody waits until a time of his own. The first one's does not end the work while another still
waits, and whoever leaves leaves the others theirs; when nobody is left the work is cancelled. What
was made is kept before the flight ends, so that the next one who asks finds either.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from elision.proxy.patience import Patience

T = TypeVar("T")


class Work(Protocol[T]):
    """What a flight does."""

    async def make(self, patience: Patience) -> T:
        """Do the work; `patience` is that of the most patient who waits."""
        ...

    async def keep(self, made: T | None) -> None:
        """Keep what was made, None if it was given up; nobody waits for this."""
        ...

    def lasts(self, made: T) -> bool:
        """Return whether what was made serves all who ask for it."""
        ...


@dataclass(eq=False, slots=True)
class _Flight(Generic[T]):
    patience: Patience
    making: "asyncio.Task[T]"
    first_ends: float
    waiting: int = 0


class Flights(Generic[T]):
    """The work of one event loop.

    Attributes:
        shared: how often somebody joined work that another had begun.
    """

    def __init__(self) -> None:
        self.shared = 0
        self._flying: dict[bytes, _Flight[T]] = {}
        self._trails: set[asyncio.Task[None]] = set()

    async def join(self, key: bytes, ends: float, work: Work[T]) -> T | None:
        """Return what is made under a key, None if it is not there at `ends` (monotonic seconds).

        What another's lack of time spoilt is begun anew by whoever has more.
        """
        while time.monotonic() < ends:
            flight = self._flying.get(key)
            joined = flight is not None
            if flight is None:
                flight = self._begin(key, Patience(ends), work)
            else:
                self.shared += 1
                flight.patience.prolong(ends)
            await self._wait(key, flight, ends)
            if not flight.making.done():
                return None
            made = flight.making.result()
            if not joined or ends <= flight.first_ends or work.lasts(made):
                return made
            self._forget(key, flight)
        return None

    async def close(self) -> None:
        """Wait until what was made is kept."""
        while self._trails:
            await asyncio.gather(*self._trails)

    def _begin(self, key: bytes, patience: Patience, work: Work[T]) -> _Flight[T]:
        loop = asyncio.get_running_loop()
        flight = _Flight(patience, loop.create_task(work.make(patience)), patience.ends)
        self._flying[key] = flight
        trail = loop.create_task(self._trail(key, flight, work))
        self._trails.add(trail)
        trail.add_done_callback(self._trails.discard)
        return flight

    async def _wait(self, key: bytes, flight: _Flight[T], ends: float) -> None:
        flight.waiting += 1
        try:
            await asyncio.wait((flight.making,), timeout=max(ends - time.monotonic(), 0.0))
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.making.done():
                self._forget(key, flight)
                flight.making.cancel()

    async def _trail(self, key: bytes, flight: _Flight[T], work: Work[T]) -> None:
        """Follow a flight to its end, and keep what it made."""
        making = flight.making
        await asyncio.wait((making,))
        made = None if making.cancelled() or making.exception() else making.result()
        if made is None or not work.lasts(made):
            self._forget(key, flight)
        try:
            await work.keep(made)
        finally:
            self._forget(key, flight)

    def _forget(self, key: bytes, flight: _Flight[T]) -> None:
        if self._flying.get(key) is flight:
            del self._flying[key]
