"""The rewriter that applies policies: plan, compress, splice, report.

It is the one place that turns any failure of ours into the original body and a counted reason.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Sequence

from elision.policies.model import Mode, Plan
from elision.proxy.chat import NotCarriedError, splice
from elision.proxy.errors import where
from elision.proxy.pipeline import Fate, Pipeline
from elision.proxy.planner import Planned, Planner
from elision.proxy.records import Report
from elision.proxy.rewriter import Ask, Rewrite

_PLANNED_ON_LOOP_BYTES = 8 * 1024


class PolicyRewriter:
    """Applies policies.

    Args:
        planner: body to plan.
        pipeline: plan to outcomes.
    """

    def __init__(self, planner: Planner, pipeline: Pipeline) -> None:
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
        spent_s = time.monotonic() - started
        fates = (
            await self._pipeline.run(plan, planned.body.model, ask.team, spent_s) if plan.compresses else []
        )
        report = report_of(planned, fates)
        replaced = replaced_texts(plan, fates)
        if plan.mode is not Mode.ENFORCE or not replaced or report.tokens_after >= report.tokens_before:
            return Rewrite(body, False, report)
        return Rewrite(splice(planned.body, replaced), True, report)

    async def _planned(self, body: bytes, ask: Ask) -> Planned | None:
        """Plan; larger bodies in a thread, which is left behind at the policy's deadline."""
        if len(body) <= _PLANNED_ON_LOOP_BYTES:
            return self._planner.plan(body, ask)
        async with asyncio.timeout(self._planner.deadline_s(ask.team)):
            return await asyncio.to_thread(self._planner.plan, body, ask)


def replaced_texts(plan: Plan, fates: Sequence[Fate]) -> dict[int, str]:
    """Return the new text of each body text that changes, by its index."""
    shortened = {
        id(fate.decision): fate.outcome.text for fate in fates if fate.shortened and fate.outcome is not None
    }
    parts: dict[int, list[str]] = defaultdict(list)
    changed: set[int] = set()
    for decision in plan.decisions:
        segment = decision.segment
        parts[segment.source].append(shortened.get(id(decision), segment.text))
        if id(decision) in shortened:
            changed.add(segment.source)
    return {source: "".join(parts[source]) for source in changed}


def report_of(planned: Planned, fates: Sequence[Fate]) -> Report:
    """Return the figures of a plan that was carried out."""
    by_decision = {id(fate.decision): fate for fate in fates}
    before: dict[str, int] = defaultdict(int)
    after: dict[str, int] = defaultdict(int)
    for decision in planned.plan.decisions:
        fate = by_decision.get(id(decision))
        tokens = decision.segment.tokens
        before[decision.segment.kind] += tokens
        saved = 0
        if fate is not None and fate.shortened and fate.outcome is not None:
            saved = fate.outcome.tokens_before - fate.outcome.tokens_after
        after[decision.segment.kind] += tokens - saved
    hits = sum(fate.cached for fate in fates)
    cache = "" if not fates else "hit" if hits == len(fates) else "partial" if hits else "miss"
    return Report(
        team=planned.team or "default",
        policy=planned.plan.policy,
        mode=str(planned.plan.mode),
        methods=tuple(sorted({fate.decision.use.method for fate in fates if fate.shortened})),
        tokens_before=sum(before.values()),
        tokens_after=sum(after.values()),
        encoding=planned.encoding,
        segments=tuple(f"{kind}:{before[kind]}>{after[kind]}" for kind in before),
        cache=cache,
        bypass=tuple(sorted({fate.reason for fate in fates if fate.reason})),
    )
