"""Takes finished requests and has them kept: adding up costs a request microseconds, keeping nothing.

A thread of its own takes away what was added up, every `flush_s`, and hands it to a keeper (a file,
Redis). A keeper in trouble costs figures at worst, never requests: what it does not take waits, in
bounds, and is offered again.
"""

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import Protocol

from elision.accounts.records import RequestRecord
from elision.accounts.repeating import Repeating
from elision.accounts.tally import Names, Tally


class KeepingTrouble(Exception):
    """What was recorded could not be kept now; the message says why, for the operator."""


class Keeper(Protocol):
    """Keeps what was added up. Called in one thread, which it may block."""

    @property
    def waiting(self) -> int:
        """How many requests it has taken and could not keep yet."""
        ...

    def keep(self, tally: Tally) -> None:
        """Keep what a tally holds, and take out of it what is kept or will be.

        Raises: KeepingTrouble; what is in the tally then is to be offered again.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


@dataclass(frozen=True, slots=True)
class RecorderFigures:
    """What became of what was recorded.

    Attributes:
        waiting: requests that are not kept yet.
        lost: requests that never will be.
        failures: times that the keeper was in trouble.
        trouble: the keeper's, when it was last tried; "" where there was none.
    """

    waiting: int
    lost: int
    failures: int
    trouble: str


class Recorder:
    """A `RecordSink` that has requests kept.

    Args:
        keeper: where to; owned, and closed at the end.
        flush_s: seconds between two times that it is given something.
        recent: how many requests are told by themselves.
    """

    def __init__(self, keeper: Keeper, flush_s: float, recent: int) -> None:
        self._keeper = keeper
        self._recent = recent
        self._names = Names()
        self._lock = threading.Lock()
        self._current = Tally(recent)
        self._pending = Tally(recent)
        self._failures = 0
        self._told_lost = 0
        self._trouble = ""
        self._keeping = Repeating("elision-recorder", flush_s, self._flush)
        self._log = logging.getLogger("elision.accounts")

    def start(self) -> None:
        """Begin to have kept what is added."""
        self._keeping.start()

    def add(self, record: RequestRecord) -> None:
        """Take one finished request; nothing is written here."""
        with self._lock:
            self._current.add(record, self._names)

    def figures(self) -> RecorderFigures:
        """Return what became of what was recorded, for metrics."""
        waiting = self._current.requests + self._pending.requests + self._keeper.waiting
        lost = self._current.lost + self._pending.lost
        return RecorderFigures(waiting, lost, self._failures, self._trouble)

    async def close(self) -> None:
        """Have everything kept that was added, and end; what the keeper does not take now is lost."""
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._keeping.end()
        left = self.figures().waiting
        if left:
            self._log.error("The figures of %d requests are lost: %s", left, self._trouble)
        self._keeper.close()

    def _flush(self) -> None:
        """Have kept what there is."""
        taken = Tally(self._recent)
        with self._lock:
            taken, self._current = self._current, taken
        self._pending.merge(taken)
        try:
            self._keeper.keep(self._pending)
        except KeepingTrouble as trouble:
            self._failures += 1
            self._tell(str(trouble))
        else:
            self._tell("")
        if (lost := self._pending.lost) > self._told_lost:
            self._told_lost = lost
            self._log.error("The figures of %d requests are lost: too much waited to be kept.", lost)

    def _tell(self, trouble: str) -> None:
        """Tell the operator of trouble once, and of its end."""
        if trouble and not self._trouble:
            self._log.warning("Figures of requests wait in memory: %s", trouble)
        elif self._trouble and not trouble:
            self._log.info("Figures of requests are kept again.")
        self._trouble = trouble
