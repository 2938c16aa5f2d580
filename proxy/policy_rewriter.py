"""The rewriter that applies policies: plan, recall what was sent before, compress the rest, splice, report.

It is the one place that turns any failure of ours into a body that may go out, and a counted reason:
what was sent before is sent again, all else goes as the client sent it; where even that fails, all of it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Protocol, TypeVar

import msgspec

from elision.accounts.records import Report
from elision.policies.conditions import headers_met
from elision.policies.model import Decision, Kind, Mode, Plan, Policy
from elision.proxy.beginnings import Beginnings
from elision.proxy.bodies import Body, deployment_of, endpoint_of, parse, splice
from elision.proxy.carry import NotCarriedError
from elision.proxy.errors import where
from elision.proxy.explanation import plan_row
from elision.proxy.fates import left_alone, made_of
from elision.proxy.history_steps import Step, step_of
from elision.proxy.ledger import PATIENCE_S, Conversation, Ledger, Made, Recalled, Settled
from elision.proxy.ledger_chain import Origin, last_answer
from elision.proxy.ledger_entries import Figures
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned, named
from elision.proxy.prefix_guard import PrefixGuard, given_back_words, sent_tokens
from elision.proxy.recovered import Quoted
from elision.proxy.reports import report_of, report_unread, report_with, report_without_plan
from elision.proxy.rewriter import Ask, Rewrite
from elision.proxy.shared_heads import Head, heads_of
from elision.proxy.steady_heads import Sharing, Steady
from elision.proxy.wishes import permitted, wish_of

T = TypeVar("T")
_Look = tuple[Planned | None, Conversation | None, Sequence[Head]]

_PLANNED_ON_LOOP_BYTES = 8 * 1024
_SILENT = Made({}, Figures())
"""What is sent for a message that has no text."""
_READ_ON_LOOP_BYTES = 1024 * 1024
"""Reading a body of this size takes some 10 ms; a thread for it may not be free when it is needed."""


class Planning(Protocol):
    """What rewriting needs of `elision.proxy.planner.Planner`."""

    def wants(self, ask: Ask) -> bool:
        """Return whether a request's body is to be looked into."""
        ...

    def policy(self, team: str) -> Policy | None:
        """Return the policy that the team's requests are planned by now."""
        ...

    def plan(self, body: bytes | Body, ask: Ask, until: float = inf) -> Planned | None:
        """Return what is to be done with a body, None where the team has no policy.

        Raises: TimeoutError if it would go on after `until`, by the clock of `time.monotonic`.
        """
        ...


class Carrying(Protocol):
    """What rewriting needs of `elision.proxy.pipeline.Pipeline`."""

    def wanted(self, decisions: Sequence[Decision], model: str, team: str) -> list[bytes]:
        """Return the keys that `run` would ask the store for."""
        ...

    async def run(
        self, plan: Plan, model: str, team: str, spent_s: float, known: Mapping[bytes, bytes | None]
    ) -> list[Fate]:
        """Return the fate of each decision that compresses, in the plan's order."""
        ...


class PolicyRewriter:
    """Applies policies.

    Args:
        planner: body to plan.
        pipeline: plan to outcomes.
        ledger: what was sent before.
        frozen: the client keeps the conversation itself, and wants so many of its first messages left
            alone, all others shortened; None: as the policy's `history` has it.
    """

    def __init__(
        self, planner: Planning, pipeline: Carrying, ledger: Ledger, *, frozen: int | None = None
    ) -> None:
        self._planner = planner
        self._pipeline = pipeline
        self._ledger = ledger
        self._frozen = frozen
        self._beginnings = Beginnings()
        self._log = logging.getLogger("elision.rewriter")

    def wants(self, ask: Ask) -> bool:
        """Return whether the team's policy looks into this request."""
        return self._planner.wants(ask)

    def unread(self, ask: Ask, *reasons: str) -> Report:
        """Return what there is to say of a request whose body nobody looks into, and why nobody does."""
        policy = self._planner.policy(ask.team)
        if policy is None:
            return Report(team=ask.team, bypass=tuple(sorted(set(reasons))))
        wish, _ = permitted(wish_of(ask.headers), policy.permissions)
        return report_unread(ask.team, policy, wish.mode, reasons)

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        """Return the shortened body, or the client's with the reason why."""
        reasons: list[str] = []
        done = await self._tried(self._rewritten(body, ask), reasons)
        if done is None:
            done = await self._tried(self._repeated(body, ask, reasons), reasons)
        return done or Rewrite(body, False, self.unread(ask, *reasons))

    async def _tried(self, work: Awaitable[T], reasons: list[str]) -> T | None:
        """Return what is made, or None with one more reason why not."""
        try:
            return await work
        except NotCarriedError as error:
            reasons.append(str(error))
        except TimeoutError:
            reasons.append("deadline")
        except Exception as error:  # noqa: BLE001  whatever fails here must not fail the request
            self._log.error("A request goes on without what failed: %s", where(error))
            reasons.append("internal_error")
        return None

    async def _rewritten(self, body: bytes, ask: Ask) -> Rewrite:
        started = time.monotonic()
        planned, conversation, heads = await self._looked(body, ask)
        if planned is None:
            return Rewrite(body, False, Report(team=ask.team))
        if planned.explain:
            shown = msgspec.json.encode(plan_row(planned))
            report = report_of(planned, made_of(planned.plan, planned.plan.decisions, ()).values(), ())
            return Rewrite(body, False, report, answer=shown)
        if conversation is None:
            return await self._audited(planned, started)
        recalled = await self._recalled(planned, conversation, heads, started)
        return await self._enforced(planned, recalled, heads, started)

    async def _recalled(
        self, planned: Planned, conversation: Conversation, heads: Sequence[Head], started: float
    ) -> Recalled:
        """Return what was sent before, and what is known of the texts that are likely to be new."""
        current = last_answer(conversation.body.messages)
        hoped = [decision for decision in planned.plan.decisions if decision.segment.message >= current]
        wanted = self._pipeline.wanted(hoped, planned.facts.model, planned.team)
        wanted += (key for head in heads for key in head.keys)
        left_s = planned.plan.deadline_s - (time.monotonic() - started)
        return await self._ledger.recall(conversation, wanted, left_s)

    async def _enforced(
        self, planned: Planned, recalled: Recalled, heads: Sequence[Head], started: float
    ) -> Rewrite:
        """Send again what was sent before, and carry out the plan for the rest."""
        team = planned.team
        unknown, new = self._unknown(planned, recalled)
        kept = [decision for decision in planned.plan.decisions if decision.segment.message in unknown]
        guard, step = PrefixGuard.of(planned, sent_tokens(recalled)), step_of(planned, recalled)
        if self._frozen is not None:
            guard, step = replace(guard, is_off=True), Step(planned, recalled)
        if back := guard.given_back(recalled):
            recalled = self._ledger.stepped(recalled, recalled.stepped_turns, back)
            guard, step = replace(guard, sent=sent_tokens(recalled)), Step(planned, recalled)
        sharing = Sharing(planned, heads, recalled, new, time.time(), partial(self._asks, planned))
        steady = await self._steady(sharing, planned.plan.deadline_s - (time.monotonic() - started))
        aim = guard.aim(steady.decisions)
        tail = replace(planned.plan, decisions=(*aim.decisions, *step.decisions))
        fates = await self._fates(tail, planned.facts.model, team, started, recalled.others)
        held = guard.hold(aim, fates)
        made = dict.fromkeys(unknown | new, _SILENT)
        made |= made_of(planned.plan, [*left_alone(kept), *held.decisions], (*held.fates, *steady.fates))
        taken = step.judge(made, fates)
        if taken.made:
            recalled = self._ledger.stepped(recalled, taken.turns, taken.made)
        recalled = self._ledger.apart(recalled, unknown | _of_the_moment(fates))
        settled = self._ledger.settle(recalled, made, sharing.noted(steady, held))
        report = report_with(planned, recalled, settled, unknown, fates)
        words = (*given_back_words(back), *steady.words, *held.words, *taken.words)
        changed = bool(back or taken.made)
        alike = self._beginnings.end(planned, settled)
        told = replace(report, prefix=(*report.prefix, *words), stepped=changed, alike=alike)
        return _spliced(settled, told, planned.policy)

    async def _steady(self, sharing: Sharing, left_s: float) -> Steady:
        """Return what is decided about new messages; in a thread where much is to be planned anew."""
        if not sharing.is_known or len(sharing.planned.body.raw) <= _PLANNED_ON_LOOP_BYTES:
            return sharing.decided()
        async with asyncio.timeout(left_s):
            return await asyncio.to_thread(sharing.decided)

    def _asks(self, planned: Planned, decision: Decision) -> bool:
        """Return whether what a decision makes of its text depends on what is asked."""
        unasked = replace(decision, question="")
        told = (planned.facts.model, planned.team)
        return self._pipeline.wanted([decision], *told) != self._pipeline.wanted([unasked], *told)

    async def _audited(self, planned: Planned, started: float) -> Rewrite:
        """Carry out a plan without sending more of it than that our tags are taken out."""
        plan = planned.plan
        # What would be taken back for the provider's minimum is not to be told as saved.
        guard = PrefixGuard.of(replace(planned, plan=replace(plan, mode=Mode.ENFORCE)), {})
        guard = replace(guard, is_off=guard.is_off or self._frozen is not None)
        aim = guard.aim(plan.decisions)
        tail = replace(plan, decisions=aim.decisions)
        fates = await self._fates(tail, planned.facts.model, planned.team, started, {})
        held = guard.hold(aim, fates)
        made = made_of(plan, held.decisions, held.fates)
        texts = {place: sent.text for told in made.values() for place, sent in told.sent.items()}
        return Rewrite(splice(planned.body, texts), bool(texts), report_of(planned, made.values(), fates))

    async def _fates(
        self, plan: Plan, model: str, team: str, started: float, known: Mapping[bytes, bytes | None]
    ) -> list[Fate]:
        if not plan.compresses:
            return []
        return await self._pipeline.run(plan, model, team, time.monotonic() - started, known)

    def _unknown(self, planned: Planned, recalled: Recalled) -> tuple[set[int], set[int]]:
        """Return the messages that are unknown history, which does not count, and those that are new."""
        tail = 0
        if self._frozen is None and not planned.policy.history.compress_unknown:
            tail = recalled.tail({s.message for s in planned.segments if s.kind is Kind.DEMONSTRATIONS})
        others = [at for at in recalled.conversation.indices if at not in recalled.known]
        return {at for at in others if at < tail}, {at for at in others if at >= tail}

    async def _repeated(self, body: bytes, ask: Ask, reasons: Sequence[str]) -> Rewrite | None:
        """Send again what was sent before, and all else as it came; None where that is not ours to do."""
        policy = self._planner.policy(ask.team)
        if policy is None or policy.mode is not Mode.ENFORCE:
            return None
        wish, _ = permitted(wish_of(ask.headers), policy.permissions)
        if wish.mode is not None or wish.explain:
            return None
        if len(body) <= _READ_ON_LOOP_BYTES:
            conversation = self._read(body, ask, policy)
        else:
            async with asyncio.timeout(min(policy.deadline_s, PATIENCE_S)):
                conversation = await asyncio.to_thread(self._read, body, ask, policy)
        recalled = await self._ledger.recall(conversation, patience_s=0)
        left = Made({}, Figures(reasons=tuple(reasons)))
        unknown = set(range(conversation.pinned, len(conversation))) - recalled.known.keys()
        recalled = self._ledger.apart(recalled, unknown)
        settled = self._ledger.settle(recalled, dict.fromkeys(unknown, left))
        return _spliced(settled, report_without_plan(ask.team, policy, settled, reasons), policy)

    async def _looked(self, body: bytes, ask: Ask) -> _Look:
        """Parse and plan; larger bodies in a thread, which is left behind at the deadline, and ends soon."""
        policy = self._planner.policy(ask.team)
        if policy is None:
            return None, None, ()
        if len(body) <= _PLANNED_ON_LOOP_BYTES:
            return self._look(body, ask)
        async with asyncio.timeout(policy.deadline_s):
            until = time.monotonic() + policy.deadline_s
            return await asyncio.to_thread(self._look, body, ask, until)

    def _look(self, body: bytes, ask: Ask, until: float = inf) -> _Look:
        """Return the plan; if it is carried out, the conversation and what may begin as others do."""
        endpoint = endpoint_of(ask.method, ask.path)
        if endpoint is None:
            return None, None, ()
        planned = self._planner.plan(parse(body, endpoint), ask, until=until)
        if planned is None or planned.explain or planned.plan.mode is not Mode.ENFORCE:
            return planned, None, ()
        conversation = self._conversation(planned.body, ask, planned.policy)
        return planned, conversation, heads_of(planned, conversation) if self._frozen is None else ()

    def _read(self, body: bytes, ask: Ask, policy: Policy) -> Conversation:
        endpoint = endpoint_of(ask.method, ask.path)
        if endpoint is None:
            raise NotCarriedError("unknown_path")
        return self._conversation(parse(body, endpoint), ask, policy)

    def _conversation(self, body: Body, ask: Ask, policy: Policy) -> Conversation:
        wish, _ = permitted(wish_of(ask.headers), policy.permissions)
        apart = "" if self._frozen is None else "compress"
        origin = Origin(ask.upstream, body.model or deployment_of(ask.path), wish.rate, apart)
        # A new conversation with other headers is decided by other rules, whatever it begins with.
        met = headers_met(policy.rules, named(ask.headers))
        today = f"{policy.label}?{met}" if met else policy.label
        return self._ledger.conversation(body, origin, ask.team, today, self._frozen or 0)


def _of_the_moment(fates: Sequence[Fate]) -> set[int]:
    """Return the messages of which something stays as it was because nothing could be made of it now."""
    return {fate.decision.segment.message for fate in fates if fate.outcome is None}


def _spliced(settled: Settled, report: Report, policy: Policy) -> Rewrite:
    texts = settled.texts()
    body = settled.conversation.body
    quoted = None
    if policy.recover and texts and not body.stream:
        quoted = Quoted(tuple(text.text for text in body.texts), tuple(texts.values()), report.silent)
    spliced = splice(body, texts) if texts else body.raw
    return Rewrite(spliced, bool(texts), report, receipt=settled, quoted=quoted)
