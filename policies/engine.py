"""Decide: one fate for each segment, the first rule that matches, and a reason that a person can read.

Pure and total. It joins what others own: what rules and tags make of a segment (`judge`), and how a
budget is shared out (`budget`); its own are a request's wishes and who asked what. A decision depends
on the segment's own turn alone, unless the policy asks for a position in the conversation, a header,
or a budget over the whole request; so a conversation's earlier turns are decided alike in every
later one (promise 4).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from elision.policies.budget import apply_budget
from elision.policies.conditions import Condition, Subject, conditions_of, mismatch
from elision.policies.judge import Judge, at_least
from elision.policies.model import (
    Budget,
    Decision,
    Facts,
    Kind,
    Mode,
    Permissions,
    Plan,
    Policy,
    Rule,
    Segment,
    Senses,
    Use,
    Wish,
)

_KEPT = Use()
_OFF = "the request asks for `x-elision: off`"


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a rule is not the one that decided about a segment."""

    rule: str
    why: str


def make_plan(policy: Policy, segments: Sequence[Segment], facts: Facts, senses: Senses) -> Plan:
    """Decide about every segment of a request.

    The first rule whose conditions hold decides, even where its method may not touch the text: then
    the segment is kept, and no other rule is tried. A user's tag goes before the rules, and a
    request's wish before the rates of the rules and the budget, each as far as the policy permits.
    A policy in audit mode, or off, stays so whatever is wished.

    Args:
        policy: the team's.
        segments: of all the request's texts, in their order.
        facts: of the request.
        senses: asked about a text only where a rule, or the method that it uses, depends on it.
    Returns: decisions in the order of the segments; a budget may have split some into parts.
    """
    wish, notes = _granted(facts.wish, policy.permissions)
    if wish.mode is Mode.OFF:
        kept = tuple(Decision(segment, _KEPT, "", f"kept: {_OFF}") for segment in segments)
        return Plan(policy.label, Mode.OFF, policy.deadline_s, kept, notes)
    is_audited = wish.mode is Mode.AUDIT and policy.mode is Mode.ENFORCE
    mode = Mode.AUDIT if is_audited else policy.mode
    judge = Judge(policy, senses, _rules(policy, segments, facts), wish.rate)
    asked = _questions(segments)
    decisions = tuple(
        judge.decide(segment, question) for segment, question in zip(segments, asked, strict=True)
    )
    budget = budget_of(policy, facts)
    if budget is not None:
        shared = apply_budget(decisions, budget, facts, senses)
        decisions, notes = tuple(shared.decisions), (*notes, *shared.notes)
    return Plan(policy.label, mode, policy.deadline_s, decisions, notes)


def misses(
    policy: Policy, segments: Sequence[Segment], index: int, facts: Facts, senses: Senses
) -> tuple[Miss, ...]:
    """Return why each rule that did not decide about a segment did not, in their order.

    Args:
        segments: of the request, as `make_plan` got them.
        index: of the segment among them.
    """
    segment = segments[index]
    wish, _ = _granted(facts.wish, policy.permissions)
    by_tag = policy.permissions.marks and (segment.tag or (segment.mark is not None and segment.mark.keep))
    decided = _OFF if wish.mode is Mode.OFF else "an inline tag decides" if by_tag else ""
    subject = Subject(segment, senses)
    found: list[Miss] = []
    for rule, conditions in _rules(policy, segments, facts):
        if why := decided or mismatch(conditions, subject):
            found.append(Miss(rule.name, why))
        else:
            decided = f"rule `{rule.name}` above decides"
    return tuple(found)


def _rules(
    policy: Policy, segments: Sequence[Segment], facts: Facts
) -> list[tuple[Rule, tuple[Condition, ...]]]:
    last_turn = max((segment.turn for segment in segments), default=0)
    return [(rule, conditions_of(rule.when, facts, last_turn)) for rule in policy.rules]


def _granted(wish: Wish, permissions: Permissions) -> tuple[Wish, tuple[str, ...]]:
    """Return what is left of a wish where a policy permits so much, and notes of what it does not."""
    left, notes = permissions.granted(wish), list[str]()
    if left.mode is not wish.mode:
        notes.append(f"x-elision: {wish.mode} is not allowed by this policy")
    if left.rate is None:
        notes += ["x-elision-rate is not allowed by this policy"] * (wish.rate is not None)
        return left, tuple(notes)
    if left.rate < permissions.min_rate:
        least = f"this policy allows no less than {permissions.min_rate:g}"
        notes.append(f"x-elision-rate: {left.rate:g} is not allowed, {least}")
    return replace(left, rate=at_least(left.rate, permissions.min_rate)), tuple(notes)


def budget_of(policy: Policy, facts: Facts) -> Budget | None:
    """Return the budget that a request is planned by: the policy's, at the rate that is wished."""
    wish, _ = _granted(facts.wish, policy.permissions)
    return _wished_budget(policy.budget, wish.rate)


def _wished_budget(budget: Budget | None, rate: float | None) -> Budget | None:
    if budget is None or rate is None:
        return budget
    return replace(budget, rate=rate, tokens=None, fit=False)


def _questions(segments: Sequence[Segment]) -> Iterator[str]:
    """Yield what is asked in each segment's own turn, never in a later one.

    For users' segments and demonstrations that is the question of their own message, or, where it
    asks nothing, of their turn's other messages. For what tools and the assistant said it is the
    question of the last user message before it.
    """
    own: dict[int, list[str]] = {}
    shared: dict[int, list[str]] = {}
    for segment in segments:
        if segment.kind is Kind.QUESTION and (text := segment.text.strip()):
            own.setdefault(segment.message, []).append(text)
            shared.setdefault(segment.turn, []).append(text)
    of_message = {message: "\n\n".join(texts) for message, texts in own.items()}
    of_turn = {turn: "\n\n".join(texts) for turn, texts in shared.items()}
    last = ""
    for segment in segments:
        if segment.role == "user" or segment.kind is Kind.DEMONSTRATIONS:
            asked = of_message.get(segment.message) or of_turn.get(segment.turn, "")
            last = asked if segment.role == "user" else last
            yield asked
        else:
            yield last if segment.kind in (Kind.TOOL_RESULT, Kind.HISTORY) else ""
