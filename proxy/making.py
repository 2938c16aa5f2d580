"""How an outcome is made where the store has none: by the compressor, once among all who share a store.

What is kept of it is written behind the back of those who wait, and never over what was made first.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ParamSpec, Protocol, TypeVar

from elision.compressors.base import Identity, Job, Method, Outcome, Result
from elision.proxy import values
from elision.proxy.cache import Keys, pack, unpack
from elision.proxy.leases import LEAST_S, Lease
from elision.proxy.pace import Pace, size_of
from elision.proxy.patience import Patience
from elision.proxy.store import SCOPE_BYTES, Store
from elision.proxy.wire import Refusal
from elision.proxy.worker import CompressorUnavailableError

P = ParamSpec("P")
T = TypeVar("T")

_PACKED_ON_LOOP_BYTES = 64 * 1024
_FOR_LACK_OF_TIME = frozenset((Refusal.DEADLINE, Refusal.OVERLOADED, Refusal.TOO_LONG))


class Figure(StrEnum):
    """What is counted, of texts.

    Attributes:
        OUTCOME_HITS: whose outcome was in the store.
        SCORE_HITS: whose scores were; they were selected from anew.
        MISSES: that were read.
        SHARED_FLIGHTS: that waited for the same text of another request.
        LEASE_WAITS: that waited for another machine.
        DAMAGED: values in the store that did not prove themselves.
    """

    OUTCOME_HITS = "outcome_hits"
    SCORE_HITS = "score_hits"
    MISSES = "misses"
    SHARED_FLIGHTS = "shared_flights"
    LEASE_WAITS = "lease_waits"
    DAMAGED = "damaged"


class CompressorAccess(Protocol):
    """What making needs of `CompressorClient`."""

    def identity(self, method: Method) -> Identity:
        """Return a prepared method's identity, or raise `CompressorUnavailableError`."""
        ...

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        """Return what becomes of a text, or raise `CompressorUnavailableError`."""
        ...


@dataclass(frozen=True, slots=True)
class Means:
    """What makes outcomes, and where they are kept.

    Attributes:
        store: of outcomes and scores, by content.
        compressor: what reads texts.
        ttl_s: seconds that values are kept.
        is_shared: whether other machines use the store, so that leases are worth it.
        figures: what has happened, counted.
        paces: how long answers took, by method and by whether scores were known.
    """

    store: Store
    compressor: CompressorAccess
    ttl_s: float
    is_shared: bool = False
    figures: Counter[Figure] = field(default_factory=Counter)
    paces: dict[tuple[Method, bool], Pace] = field(default_factory=lambda: defaultdict(Pace))

    async def found(self, value: bytes | None, job: Job, identity: Identity) -> Outcome | None:
        """Return the outcome that a value of the store is; what is none of this job's is counted."""
        outcome = await _aside(len(value), unpack, value, job, identity) if value else None
        if outcome is not None:
            self.figures[Figure.OUTCOME_HITS] += 1
        elif value:
            self.figures[Figure.DAMAGED] += 1
        return outcome


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a text: an outcome, or a reason why there is none.

    Attributes:
        cached: it was found in the store after all.
        scores: packed, worth keeping; b"" for none.
    """

    outcome: Outcome | None
    reason: str = ""
    cached: bool = False
    scores: bytes = b""


@dataclass(slots=True)
class Making:
    """The work of making one outcome, for all who ask for it (`elision.proxy.flights.Work`).

    Attributes:
        known: the value of the text's scores in the store, None where there is none.
        is_spoilt: a value in the store is none of this job's, and is to be replaced.
        beside: tokens of other texts of the same request.
    """

    means: Means
    job: Job
    identity: Identity
    keys: Keys
    known: bytes | None = None
    is_spoilt: bool = False
    beside: int = 0
    _lease: Lease | None = None

    async def make(self, patience: Patience) -> Made:
        """Return the outcome: another machine's, if one is making it, or else the compressor's."""
        scores = await self._scores()
        pace, size = self.means.paces[self.job.method, bool(scores)], size_of(self.job.text)
        expected_s = pace.seconds_for(size)
        if self.means.is_shared and expected_s >= LEAST_S and not self.is_spoilt:
            self._lease = Lease(self.means.store, self.keys.lease, self.keys.outcome, expected_s)
            value = await self._lease.settle(patience, lambda: self._count(Figure.LEASE_WAITS))
            if outcome := await self.means.found(value, self.job, self.identity):
                return Made(outcome, cached=True)
            self.is_spoilt = value is not None
        self._count(Figure.SCORE_HITS if scores else Figure.MISSES)
        begun = time.monotonic()
        try:
            result = await self.means.compressor.compress(
                self.job, patience, beside=self.beside, scores=scores, whose=self.keys.outcome[:SCOPE_BYTES]
            )
        except CompressorUnavailableError as error:
            return Made(None, error.reason)
        pace.learn(size, time.monotonic() - begun)
        if scores and result.scores:
            self._spoilt()  # the compressor could not read them
        return Made(result.outcome, scores=result.scores)

    def lasts(self, made: Made) -> bool:
        """Return whether it serves those with more time: whatever does not say that time ran out."""
        return made.reason not in _FOR_LACK_OF_TIME

    async def keep(self, made: Made | None) -> None:
        """Write what was made, unless something is there by now, and let others have the lease."""
        if made is not None and made.outcome is not None and not made.cached:
            text = self.job.text
            items = {self.keys.outcome: await _aside(len(text), pack, made.outcome, text)}
            if made.scores and self.keys.scores:
                items[self.keys.scores] = await _aside(len(made.scores), values.pack, made.scores)
            await self.means.store.put_many(items, self.means.ttl_s, only_new=not self.is_spoilt)
        if self._lease is not None:
            await self._lease.release()

    async def _scores(self) -> bytes:
        """Return the scores that are known, b"" if none."""
        if not self.known:
            return b""
        content = await _aside(len(self.known), values.unpack, self.known)
        if content is None:
            self._spoilt()
        return content or b""

    def _spoilt(self) -> None:
        self.is_spoilt = True
        self._count(Figure.DAMAGED)

    def _count(self, figure: Figure) -> None:
        self.means.figures[figure] += 1


async def _aside(size: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Press or unpress: what is large, in a thread."""
    if size <= _PACKED_ON_LOOP_BYTES:
        return work(*given, **named)
    return await asyncio.to_thread(work, *given, **named)
