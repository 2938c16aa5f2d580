"""From a plan to outcomes: cache first, then the compressor, under the policy's deadline.

Every planned segment comes back with an outcome or with the reason why it stays as it was; nothing
here can fail a request.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from elision.compressors.base import Job, Method, Outcome, Target
from elision.policies.model import Decision, Plan
from elision.proxy.cache import outcome_key, pack, unpack
from elision.proxy.pace import size_of
from elision.proxy.store import Store
from elision.proxy.worker import CompressorUnavailableError

_NOTHING: Mapping[bytes, bytes | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one planned segment: an outcome, or a reason why there is none."""

    decision: Decision
    outcome: Outcome | None
    reason: str = ""
    cached: bool = False

    @property
    def shortened(self) -> bool:
        """Whether the segment's text is to be exchanged."""
        return self.outcome is not None and not self.reason


class CompressorAccess(Protocol):
    """What the pipeline needs of `CompressorClient`."""

    def fingerprint(self, method: Method) -> str:
        """Return a prepared method's fingerprint, or raise `CompressorUnavailableError`."""
        ...

    async def compress(self, job: Job, deadline_s: float, beside: int = 0) -> Outcome:
        """Return a text's outcome, or raise `CompressorUnavailableError`."""
        ...


class Pipeline:
    """Carries out plans.

    Args:
        store: of outcomes, by content.
        compressor: where misses go.
        ttl_s: seconds that an outcome is kept.
    """

    def __init__(self, store: Store, compressor: CompressorAccess, ttl_s: float = 86400.0) -> None:
        self._store = store
        self._compressor = compressor
        self._ttl_s = ttl_s
        self._writes: set[asyncio.Task[None]] = set()

    def wanted(self, decisions: Sequence[Decision], model: str, team: str) -> list[bytes]:
        """Return the keys that `run` would ask the store for, were these decisions its plan; no I/O.

        Whoever fetches them along with keys of his own gives what he found to `run` as `known`.
        """
        jobs = [_job(decision, model) for decision in decisions if decision.compresses]
        keys: list[bytes] = []
        for job in jobs:
            with suppress(CompressorUnavailableError):
                keys.append(outcome_key(job, self._compressor.fingerprint(job.method), team))
        return keys

    async def run(
        self,
        plan: Plan,
        model: str,
        team: str,
        spent_s: float = 0.0,
        known: Mapping[bytes, bytes | None] = _NOTHING,
    ) -> list[Fate]:
        """Return the fate of each decision that compresses, in the plan's order.

        Args:
            plan: what is to be done, and within how many seconds.
            model: that will read the texts.
            team: whose cached outcomes may be used.
            spent_s: seconds of the plan's deadline that are over already.
            known: what the store has under keys that `wanted` named, None for nothing; these are not
                asked for again, all others are.
        """
        begun = time.monotonic() - spent_s
        decisions = [decision for decision in plan.decisions if decision.compresses]
        ends = [begun + _patience_s(plan, decision) for decision in decisions]
        jobs = [_job(decision, model) for decision in decisions]
        keys: dict[int, bytes] = {}
        fates: dict[int, Fate] = {}
        for index, job in enumerate(jobs):
            try:
                keys[index] = outcome_key(job, self._compressor.fingerprint(job.method), team)
            except CompressorUnavailableError as error:
                fates[index] = Fate(decisions[index], None, error.reason)
        found = await self._from_cache(keys, known, max(ends, default=begun))
        fates.update({i: _fate(decisions[i], outcome, cached=True) for i, outcome in found.items()})
        missing = [index for index in keys if index not in found]
        sizes = {index: size_of(jobs[index].text) for index in missing}
        total = sum(sizes.values())
        # Each by itself: what is done in time counts, whatever becomes of the others.
        works = (self._compressed(decisions[i], jobs[i], keys[i], ends[i], total - sizes[i]) for i in missing)
        fates.update(zip(missing, await asyncio.gather(*works), strict=True))
        return [fates[index] for index in range(len(jobs))]

    async def close(self) -> None:
        """Wait for writes that are under way."""
        await asyncio.gather(*self._writes)

    async def _from_cache(
        self, keys: Mapping[int, bytes], known: Mapping[bytes, bytes | None], ends: float
    ) -> dict[int, Outcome]:
        values = dict(known)
        if asked := [key for key in dict.fromkeys(keys.values()) if key not in known]:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(ends - time.monotonic(), 0.0)):
                    values.update(zip(asked, await self._store.get_many(asked), strict=True))
        outcomes = ((index, unpack(value)) for index, key in keys.items() if (value := values.get(key)))
        return {index: outcome for index, outcome in outcomes if outcome is not None}

    async def _compressed(self, decision: Decision, job: Job, key: bytes, ends: float, beside: int) -> Fate:
        try:
            outcome = await self._compressor.compress(job, max(ends - time.monotonic(), 0.0), beside)
        except CompressorUnavailableError as error:
            return Fate(decision, None, error.reason)
        self._remember({key: pack(outcome)})
        return _fate(decision, outcome, cached=False)

    def _remember(self, items: Mapping[bytes, bytes]) -> None:
        """Write to the cache without keeping the request waiting."""
        task = asyncio.get_running_loop().create_task(self._store.put_many(items, self._ttl_s))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)


def _patience_s(plan: Plan, decision: Decision) -> float:
    """Return how many seconds a segment may take: its rule's word, within the policy's."""
    own = decision.use.deadline_s
    return plan.deadline_s if own is None else min(own, plan.deadline_s)


def _fate(decision: Decision, outcome: Outcome, *, cached: bool) -> Fate:
    reason = outcome.reason
    if not reason and outcome.tokens_after >= outcome.tokens_before:
        reason = "not_shorter"
    return Fate(decision, outcome, reason, cached)


def _job(decision: Decision, model: str) -> Job:
    use = decision.use
    target = Target(
        rate=use.rate, tokens=use.tokens, model=model, question=decision.question, protect=use.protect
    )
    return Job(decision.segment.text, Method(use.method, use.options), target)
