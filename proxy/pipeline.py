"""From a plan to outcomes: cache first, then the compressor, under the policy's deadline.

Every planned segment comes back with an outcome or with the reason why it stays as it was; nothing
here can fail a request. An outcome that was made once stays what it was: whoever makes another of
the same text at the same time keeps the first.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

from elision.compressors.base import Identity, Job, Method, Outcome, Target
from elision.policies.model import Decision, Plan
from elision.proxy.cache import Keys, keys_of
from elision.proxy.flights import Flights
from elision.proxy.making import CompressorAccess, Figure, Made, Making, Means
from elision.proxy.pace import size_of
from elision.proxy.store import Scopes, Store
from elision.proxy.wire import Refusal
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


@dataclass(frozen=True, slots=True)
class _Asked:
    """A text that is to be shortened, and where what is known of it lies."""

    job: Job
    identity: Identity
    keys: Keys


class Pipeline:
    """Carries out plans.

    Args:
        store: of outcomes and scores, by content.
        compressor: where misses go.
        ttl_s: seconds that they are kept.
        scopes: whose they are; None: each team's its own.
        is_shared: whether other machines use the store too.
    """

    def __init__(
        self,
        store: Store,
        compressor: CompressorAccess,
        ttl_s: float = 86400.0,
        *,
        scopes: Scopes | None = None,
        is_shared: bool = False,
    ) -> None:
        self._scopes = scopes or Scopes()
        self._means = Means(store, compressor, ttl_s, is_shared)
        self._flights: Flights[Made] = Flights()

    def figures(self) -> dict[str, int]:
        """Return how often what happened, by the words of `Figure`."""
        counted = {**self._means.figures, Figure.SHARED_FLIGHTS: self._flights.shared}
        return {figure.value: counted.get(figure, 0) for figure in Figure}

    def wanted(self, decisions: Sequence[Decision], model: str, team: str) -> list[bytes]:
        """Return the keys that `run` would ask the store for, were these decisions its plan; no I/O.

        Whoever fetches them along with keys of his own gives what he found to `run` as `known`.
        """
        keys: list[bytes] = []
        for decision in decisions:
            if decision.compresses:
                with suppress(CompressorUnavailableError):
                    keys += filter(None, self._asked(decision, model, team).keys)
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
        asked: dict[int, _Asked] = {}
        fates: dict[int, Fate] = {}
        for index, decision in enumerate(decisions):
            try:
                asked[index] = self._asked(decision, model, team)
            except CompressorUnavailableError as error:
                fates[index] = Fate(decision, None, error.reason)
        values = await self._fetched([one.keys for one in asked.values()], known, max(ends, default=begun))
        for index, one in asked.items():
            outcome = await self._found(one, values.get(one.keys.outcome), ends[index])
            if outcome is not None:
                fates[index] = _fate(decisions[index], outcome, cached=True)
        missing = [index for index in asked if index not in fates]
        sizes = {index: size_of(asked[index].job.text) for index in missing}
        total = sum(sizes.values())
        # Each by itself: what is done in time counts, whatever becomes of the others.
        works = (
            self._made(decisions[i], self._making(asked[i], values, total - sizes[i]), ends[i])
            for i in missing
        )
        fates.update(zip(missing, await asyncio.gather(*works), strict=True))
        return [fates[index] for index in range(len(decisions))]

    async def close(self) -> None:
        """Wait for writes that are under way."""
        await self._flights.close()

    def _asked(self, decision: Decision, model: str, team: str) -> _Asked:
        """Return what a decision asks for. Raises `CompressorUnavailableError`."""
        job = _job(decision, model)
        identity = self._means.compressor.identity(job.method)
        return _Asked(job, identity, keys_of(job, identity, self._scopes.of(team)))

    async def _fetched(
        self, keys: Sequence[Keys], known: Mapping[bytes, bytes | None], ends: float
    ) -> dict[bytes, bytes | None]:
        """Return what the store has under keys, and what is known of them; nothing after `ends`."""
        values = dict(known)
        every = (key for pair in keys for key in pair if key and key not in known)
        if missing := list(dict.fromkeys(every)):
            with suppress(TimeoutError):
                async with asyncio.timeout(max(ends - time.monotonic(), 0.0)):
                    found = await self._means.store.get_many(missing)
                    values.update(zip(missing, found, strict=True))
        return values

    async def _found(self, asked: _Asked, value: bytes | None, ends: float) -> Outcome | None:
        """Return what a value says, unless that takes until after `ends`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(ends - time.monotonic(), 0.0)):
                return await self._means.found(value, asked.job, asked.identity)
        return None

    def _making(self, asked: _Asked, values: Mapping[bytes, bytes | None], beside: int) -> Making:
        is_spoilt = bool(values.get(asked.keys.outcome))
        known = values.get(asked.keys.scores)
        return Making(self._means, asked.job, asked.identity, asked.keys, known, is_spoilt, beside)

    async def _made(self, decision: Decision, making: Making, ends: float) -> Fate:
        made = await self._flights.join(making.keys.outcome, ends, making)
        if made is None:
            return Fate(decision, None, Refusal.DEADLINE)
        if made.outcome is None:
            return Fate(decision, None, made.reason)
        return _fate(decision, made.outcome, cached=made.cached)


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
