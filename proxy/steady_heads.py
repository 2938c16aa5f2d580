"""How the beginning of a message is sent that other requests began with: alike, whatever else is asked. Pure.

Where no question had a part in how it was sent at first, it is sent so again. Otherwise unit by unit,
each by itself and at the policy's rate, so that the same words are the same bytes before every
question, and so many of the first units as the provider's minimum asks for are not shortened at all.
What is new of the message is planned as if its beginning were not there.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby

from elision.policies.economy import aim_of, is_cached, is_uncached
from elision.policies.engine import budget_of, make_plan
from elision.policies.model import Decision, Kind, Policy, Ranking, Segment, Use
from elision.policies.parts import part_of
from elision.proxy.ledger import Recalled
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned
from elision.proxy.prefix_guard import (
    Held,
    outlook_of,
    planned_saving,
    prefix_tokens,
    sent_tokens,
)
from elision.proxy.shared_heads import AS_PLANNED, Asks, Head, Unit, first_head, is_within

SHARED_HEAD = "shared_head"
"""Why a segment stays as it was: other requests begin with it, and are cached only if so much stays."""
_KEPT = Use()


class How(StrEnum):
    """What is done with a beginning."""

    FIRST = "first"
    REPEATED = "repeated"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Steady:
    """What becomes of a request's new messages, one of which begins as others did.

    Attributes:
        decisions: about all of them, in order.
        fates: of those that are settled.
        how: STEADY: unit by unit; REPEATED: as it went out at first; FIRST: nothing is shared.
        before, after: tokens of the prompt up to the end of what is shared: as the client has it, and as
            it is to be sent.
    """

    decisions: tuple[Decision, ...]
    fates: tuple[Fate, ...] = ()
    how: How = How.FIRST
    before: int = 0
    after: int = 0

    @property
    def words(self) -> tuple[str, ...]:
        """Return what `x-elision-prefix` says of it."""
        return () if self.how is How.FIRST else (f"head={self.how},tokens={self.before}>{self.after}",)


@dataclass(slots=True)
class _Beginning:
    """What is sent for the beginning of a message, so far.

    Attributes:
        after: tokens of the prompt up to here.
        segments: so many of the message's are part of it.
        rest: of the last of them, what is not.
    """

    after: int
    decisions: list[Decision] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    segments: int = 0
    rest: tuple[Segment, ...] = ()
    how: How = How.STEADY

    def add(self, decision: Decision, tokens: int) -> None:
        """Add a decision that leaves so many tokens."""
        self.decisions.append(decision)
        self.after += tokens

    def keep(self, decision: Decision) -> None:
        """Add a part that stays as it is for the provider's minimum."""
        kept = replace(decision, use=_KEPT, why=f"{decision.why}, but {SHARED_HEAD}")
        self.fates.append(Fate(kept, None, SHARED_HEAD))
        self.add(kept, kept.segment.tokens)


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a request's new messages may share with other requests.

    Attributes:
        heads: messages that may, whose keys' values are among the others of `recalled`.
        new: messages that are to be decided.
        now_s: seconds since 1970.
    """

    planned: Planned
    heads: Sequence[Head]
    recalled: Recalled
    new: Collection[int]
    now_s: float
    asks: Asks

    @property
    def is_known(self) -> bool:
        """Whether a message begins as another one did: then much is to be planned anew."""
        kept, terms = self.recalled.others, self.planned.terms
        return any(head.known(kept, terms, self.now_s) is not None for head in self._mine())

    def decided(self) -> Steady:
        """Return what is decided where a message begins as another one did; else by the plan alone.

        What they have in common counts for nothing where the provider would not cache it.
        """
        planned, sent = self.planned, sent_tokens(self.recalled)
        for head in self._mine():
            found = head.known(self.recalled.others, planned.terms, self.now_s)
            if found is None:
                continue
            number, seen = found
            before = _before(planned, head, number)
            if is_uncached(before, outlook_of(planned, {})):
                continue
            begun = _repeated(planned, head, number, seen.targets, sent)
            begun = begun or _by_units(planned, head, number, sent)
            if begun.decisions:
                decisions = tuple(_with_others(planned, head, begun, self.new))
                return Steady(decisions, tuple(begun.fates), begun.how, before, begun.after)
        return Steady(tuple(one for one in planned.plan.decisions if one.segment.message in self.new))

    def noted(self, steady: Steady, held: Held) -> dict[bytes, bytes]:
        """Return what is to be remembered of how the new messages begin.

        Args:
            held: what became of the decisions.
        """
        decisions = held.decisions if steady.how is not How.STEADY else ()
        found: dict[bytes, bytes] = {}
        for head in self._mine():
            found |= head.noted(decisions, self.recalled.others, self.now_s, self.asks)
        return found

    def _mine(self) -> list[Head]:
        return [head for head in self.heads if head.index in self.new]


def foreseen_head(planned: Planned) -> tuple[int, int] | None:
    """Return the tokens of a prompt up to the end of its first material, and those that would be sent.

    That is if other requests began so, and this were a conversation's first. None: that is nothing to
    the provider, or there is no material.
    """
    head = first_head(planned)
    last = -1 if head is None else _last_material(planned, head)
    if head is None or last < 0:
        return None
    before = _before(planned, head, last)
    if is_uncached(before, outlook_of(planned, {})):
        return None
    return before, _by_units(planned, head, last, {}).after


def _last_material(planned: Planned, head: Head) -> int:
    """Return the last unit that the policy shortens, -1 where it shortens none."""
    shortened = {n for n, segment in enumerate(head.segments) if _by_itself(planned, segment).compresses}
    return max((n for n, unit in enumerate(head.units) if unit.segment in shortened), default=-1)


def _before(planned: Planned, head: Head, number: int) -> int:
    """Return the tokens of a prompt as the client has it, up to the end of a unit."""
    last = head.units[number]
    whole = sum(segment.tokens for segment in head.segments[: last.segment])
    begun = planned.senses.count(head.segments[last.segment].text[: last.end])
    return prefix_tokens(planned, {}, head.index) + whole + begun


def _repeated(
    planned: Planned, head: Head, number: int, targets: tuple[int, ...] | None, sent: Mapping[int, int]
) -> _Beginning | None:
    """Return a beginning as it was sent at first; None where a question had a part in that.

    Nor where it has become too small for the provider, for then it is not found again.
    """
    last = head.units[number]
    if targets is None or len(targets) != last.segment + 1:
        return None
    begun = _Beginning(prefix_tokens(planned, sent, head.index), segments=len(targets), how=How.REPEATED)
    whole = {(d.segment.source, d.segment.start, d.segment.end): d for d in planned.plan.decisions}
    for at, target in enumerate(targets):
        segment = head.segments[at]
        decision = whole.get((segment.source, segment.start, segment.end))
        if at == last.segment and last.end < len(segment.text):
            decision = _part(planned, _by_itself(planned, segment), Unit(at, 0, last.end, last.key))
            begun.rest = (_remainder(planned, segment, last.end),)
        if decision is None or decision.drops:
            return None
        decision = _targeted(planned, decision, target)
        begun.add(decision, decision.segment.tokens - planned_saving(decision))
    return begun if is_cached(begun.after - outlook_of(planned, {}).doubt, planned.terms) else None


def _targeted(planned: Planned, decision: Decision, target: int) -> Decision:
    """Return a decision with the target of an earlier one about the same text."""
    if target == AS_PLANNED:
        return decision
    if target == 0:
        return replace(decision, use=_KEPT)
    if not decision.compresses:
        decision = replace(decision, use=_by_itself(planned, decision.segment).use)
    return replace(decision, use=replace(decision.use, rate=None, tokens=target))


def _by_units(planned: Planned, head: Head, number: int, sent: Mapping[int, int]) -> _Beginning:
    """Return a beginning shortened unit by unit, each by itself."""
    begun = _Beginning(prefix_tokens(planned, sent, head.index))
    least = aim_of(outlook_of(planned, {}))
    for at, grouped in groupby(head.units[: number + 1], key=lambda unit: unit.segment):
        segment, mine = head.segments[at], list(grouped)
        decision, end = _by_itself(planned, segment), mine[-1].end
        is_one = decision.drops or (decision.compresses and decision.use.rate is None)
        if is_one and end < len(segment.text):
            break  # what has no rate is shortened as one, or not at all
        for part in [decision] if is_one else [_part(planned, decision, unit) for unit in mine]:
            if part.compresses and begun.after < least:
                begun.keep(part)
            else:
                begun.add(part, part.segment.tokens - planned_saving(part))
        begun.segments = at + 1
        begun.rest = (_remainder(planned, segment, end),) if end < len(segment.text) else ()
    return begun


def _part(planned: Planned, decision: Decision, unit: Unit) -> Decision:
    whole = decision.segment
    tokens = planned.senses.count(whole.text[unit.start : unit.end])
    return replace(decision, segment=part_of(whole, unit.start, unit.end, tokens))


def _remainder(planned: Planned, segment: Segment, start: int) -> Segment:
    """Return what follows a beginning in its last segment, with its documents."""
    rest = part_of(segment, start, len(segment.text), planned.senses.count(segment.text[start:]))
    pieces = tuple((first - start, last - start) for first, last in segment.pieces if first >= start)
    return replace(rest, pieces=pieces if len(pieces) > 1 else ())


def _by_itself(planned: Planned, segment: Segment) -> Decision:
    """Return what the policy makes of a segment that stands alone, nothing asked.

    A budget's share is the budget's rate, within the bounds of the segment's kind; where a rule says how
    far, that; and `tokens` is None where the method itself does.
    """
    policy = planned.policy
    own = _only(planned, replace(policy, budget=None), segment)
    if own.compresses or policy.budget is None:
        return own
    budget = budget_of(policy, planned.facts)
    if budget is None or budget.rate is None:
        return own
    alike = replace(policy, budget=replace(budget, coarse=False, slope=0.0, ranking=Ranking.ORDER))
    shared = _only(planned, alike, segment)
    if not shared.compresses:
        return replace(own, why=shared.why)
    least, most = dict(budget.min_rates).get(segment.kind, 0.0), dict(budget.max_rates).get(segment.kind, 1.0)
    rate = max(least, min(budget.rate, most))
    why = f"rule `{shared.rule}` matched; other requests begin so: {rate:g} stays, whatever is asked"
    return replace(shared, segment=segment, use=replace(shared.use, rate=rate, tokens=None), why=why)


def _only(planned: Planned, policy: Policy, segment: Segment) -> Decision:
    """Return what a policy decides about one segment; the first part that is shortened, if it is cut."""
    plan = make_plan(policy, [segment], planned.facts, planned.senses)
    decision = next((d for d in plan.decisions if d.compresses), plan.decisions[0])
    return replace(decision, segment=segment, question="")


def _with_others(planned: Planned, head: Head, begun: _Beginning, new: Collection[int]) -> Iterator[Decision]:
    """Yield the decisions about all new messages, in order.

    What asks something in the beginning is planned with the others, which may be ranked by it.
    """
    begins = head.segments[: begun.segments]
    covered = begins[:-1] if begun.rest else begins
    silent = {_position(s) for s in begins if s.kind is not Kind.QUESTION or s not in covered}
    others = [segment for segment in planned.segments if _position(segment) not in silent]
    segments = sorted([*others, *begun.rest], key=_position)
    plan = make_plan(planned.policy, segments, planned.facts, planned.senses)
    told = (one for one in plan.decisions if one.segment.message in new)
    rest = [one for one in told if not any(is_within(one.segment, segment) for segment in covered)]
    yield from sorted([*begun.decisions, *rest], key=lambda one: _position(one.segment))


def _position(segment: Segment) -> tuple[int, int]:
    return segment.source, segment.start
