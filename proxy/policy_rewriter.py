"""The rewriter that applies policies: plan, compress, splice, report.

It is the one place that turns any failure of ours into the original body and a counted reason.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from math import inf
from typing import Protocol

import msgspec

from elision.compressors.base import Outcome
from elision.policies.model import Decision, Mode, Plan
from elision.proxy.bodies import splice
from elision.proxy.carry import NotCarriedError
from elision.proxy.errors import where
from elision.proxy.explanation import plan_row
from elision.proxy.pipeline import Fate, Pipeline
from elision.proxy.planner import Planned
from elision.proxy.records import Report
from elision.proxy.rewriter import Ask, Rewrite

_PLANNED_ON_LOOP_BYTES = 8 * 1024


class Planning(Protocol):
    """What rewriting needs of `elision.proxy.planner.Planner`."""

    def wants(self, ask: Ask) -> bool:
        """Return whether a request's body is to be looked into."""
        ...

    def deadline_s(self, team: str) -> float:
        """Return how many seconds the team's requests may be held up."""
        ...

    def plan(self, body: bytes, ask: Ask, until: float = inf) -> Planned | None:
        """Return what is to be done with a body, None where the team has no policy.

        Raises: TimeoutError if it would go on after `until`, by the clock of `time.monotonic`.
        """
        ...


class PolicyRewriter:
    """Applies policies.

    Args:
        planner: body to plan.
        pipeline: plan to outcomes.
    """

    def __init__(self, planner: Planning, pipeline: Pipeline) -> None:
        self._planner = planner
        self._pipeline = pipeline
        self._log = logging.getLogger("elision.rewriter")

    def wants(self, ask: Ask) -> bool:
        """Return whether the team's policy looks into this request."""
        return self._planner.wants(ask)

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        """Return the shortened body, or the client's with the reason why."""
        try:
            return await self._rewritten(body, ask)
        except NotCarriedError as error:
            return Rewrite(body, False, Report(team=ask.team, bypass=(str(error),)))
        except Exception as error:  # noqa: BLE001  whatever fails here must not fail the request
            self._log.error("A request goes on as it was: %s", where(error))
            return Rewrite(body, False, Report(team=ask.team, bypass=("internal_error",)))

    async def _rewritten(self, body: bytes, ask: Ask) -> Rewrite:
        started = time.monotonic()
        try:
            planned = await self._planned(body, ask)
        except TimeoutError:
            return Rewrite(body, False, Report(team=ask.team, bypass=("deadline",)))
        if planned is None:
            return Rewrite(body, False, Report(team=ask.team))
        plan = planned.plan
        if planned.explain:
            shown = msgspec.json.encode(plan_row(planned))
            return Rewrite(body, False, report_of(planned, ()), answer=shown)
        spent_s = time.monotonic() - started
        fates = (
            await self._pipeline.run(plan, planned.facts.model, ask.team, spent_s) if plan.compresses else []
        )
        report = report_of(planned, fates)
        replaced = replaced_texts(plan, fates)
        if not replaced:
            return Rewrite(body, False, report)
        return Rewrite(splice(planned.body, replaced), True, report)

    async def _planned(self, body: bytes, ask: Ask) -> Planned | None:
        """Plan; larger bodies in a thread, which is left behind at the policy's deadline, and ends soon."""
        if len(body) <= _PLANNED_ON_LOOP_BYTES:
            return self._planner.plan(body, ask)
        deadline_s = self._planner.deadline_s(ask.team)
        async with asyncio.timeout(deadline_s):
            until = time.monotonic() + deadline_s
            return await asyncio.to_thread(self._planner.plan, body, ask, until=until)


def replaced_texts(plan: Plan, fates: Sequence[Fate]) -> dict[int, str]:
    """Return the new text of each body text that changes, by its index.

    In audit only our own inline tags are taken out. A text of which nothing would be left stays.
    """
    by_decision = {id(fate.decision): fate for fate in fates}
    parts: dict[int, list[str]] = defaultdict(list)
    changed: set[int] = set()
    for decision in plan.decisions:
        segment = decision.segment
        text = segment.text
        if segment.tag or (decision.drops and _enforced(plan, decision)):
            text = ""
        elif _enforced(plan, decision) and (outcome := _outcome_of(by_decision.get(id(decision)))):
            text = outcome.text
        parts[segment.source].append(text)
        if text is not segment.text:
            changed.add(segment.source)
    joined = {source: "".join(parts[source]) for source in changed}
    return {source: text for source, text in joined.items() if text.strip()}


def _enforced(plan: Plan, decision: Decision) -> bool:
    return plan.mode is Mode.ENFORCE and decision.mode is Mode.ENFORCE


def _outcome_of(fate: Fate | None) -> Outcome | None:
    return fate.outcome if fate is not None and fate.shortened else None


def report_of(planned: Planned, fates: Sequence[Fate]) -> Report:
    """Return the figures of a plan that was carried out. Our own inline tags count nowhere."""
    plan = planned.plan
    by_decision = {id(fate.decision): fate for fate in fates}
    before: dict[str, int] = defaultdict(int)
    after: dict[str, int] = defaultdict(int)
    audited = 0
    for decision in plan.decisions:
        kind, tokens = decision.segment.kind, decision.segment.tokens
        if decision.segment.tag:
            continue
        saved = tokens if decision.drops else 0
        if outcome := _outcome_of(by_decision.get(id(decision))):
            saved = outcome.tokens_before - outcome.tokens_after
        if decision.mode is not plan.mode and decision.mode is Mode.AUDIT:
            audited, saved = audited + saved, 0
        before[kind] += tokens
        after[kind] += tokens - saved
    hits = sum(fate.cached for fate in fates)
    cache = "" if not fates else "hit" if hits == len(fates) else "partial" if hits else "miss"
    return Report(
        team=planned.team or "default",
        policy=plan.policy,
        mode=str(plan.mode),
        methods=tuple(sorted({fate.decision.use.method for fate in fates if fate.shortened})),
        tokens_before=sum(before.values()),
        tokens_after=sum(after.values()),
        tokens_audited=audited,
        encoding=planned.encoding,
        segments=tuple(f"{kind}:{before[kind]}>{after[kind]}" for kind in before),
        cache=cache,
        bypass=tuple(sorted({*planned.notes, *(fate.reason for fate in fates if fate.reason)})),
    )
