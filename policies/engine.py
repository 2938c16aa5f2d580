"""Decide: one rule for each segment, first match wins, and a reason that a person can read.

Pure. Nothing here depends on where in the conversation a segment stands, except that a tool's
result is read for the question that came before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from elision.policies.model import KEEP, Decision, Kind, Plan, Policy, Segment, Use, When

MIN_TOKENS = 300
"""A segment of fewer tokens is compressed only by a rule that sets its own minimum."""

_NAMED_ONLY = frozenset((Kind.INSTRUCTION, Kind.QUESTION))
_INSTRUCTING = frozenset(("system", "developer"))
_KEPT = Use()


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a rule is not the one that decided about a segment."""

    rule: str
    why: str


def make_plan(policy: Policy, segments: Sequence[Segment], model: str) -> Plan:
    """Decide about every segment of a request.

    Args:
        policy: the team's.
        segments: of all the request's texts, in their order.
        model: name of the model that is asked for.
    """
    asked = _questions(segments)
    decisions = tuple(_decide(policy, segment, model, asked[index]) for index, segment in enumerate(segments))
    return Plan(policy.label, policy.mode, policy.deadline_s, decisions)


def misses(policy: Policy, segment: Segment, model: str) -> tuple[Miss, ...]:
    """Return why each rule that did not decide about a segment did not, in their order."""
    found: list[Miss] = []
    decided = ""
    for rule in policy.rules:
        why = f"rule `{decided}` above decides" if decided else _mismatch(rule.when, segment, model)
        if why:
            found.append(Miss(rule.name, why))
        else:
            decided = rule.name
    return tuple(found)


def covers(first: When, second: When) -> bool:
    """Whether every segment that `second` matches is matched by `first`, as far as can be told."""
    return (
        _kinds(second) <= _kinds(first)
        and _includes(first.role, second.role)
        and _includes(first.model, second.model)
        and first.min_tokens <= second.min_tokens
        and (
            first.max_tokens is None
            or (second.max_tokens is not None and second.max_tokens <= first.max_tokens)
        )
    )


def _includes(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    return not first or (bool(second) and set(second) <= set(first))


def _kinds(when: When) -> frozenset[Kind]:
    """Return the kinds that a condition can match."""
    if when.segment:
        return frozenset(when.segment)
    named = {Kind.INSTRUCTION} if _INSTRUCTING & set(when.role) else set()
    return frozenset(Kind) - _NAMED_ONLY | named


def _decide(policy: Policy, segment: Segment, model: str, question: str) -> Decision:
    rule = next((r for r in policy.rules if not _mismatch(r.when, segment, model)), None)
    if rule is None:
        return Decision(segment, _KEPT, "", f"kept: {_why_no_rule(policy, segment)}")
    if rule.use.method == KEEP:
        return Decision(segment, rule.use, rule.name, f"kept: rule `{rule.name}` says so")
    if not rule.when.min_tokens and segment.tokens < MIN_TOKENS:
        why = f"kept: {segment.tokens} tokens are under the minimum of {MIN_TOKENS}"
        return Decision(segment, _KEPT, rule.name, f"{why} (rule `{rule.name}` sets none)")
    return Decision(segment, rule.use, rule.name, f"rule `{rule.name}` matched", question)


def _why_no_rule(policy: Policy, segment: Segment) -> str:
    if not policy.rules:
        return "the policy has no rules"
    if segment.kind in _NAMED_ONLY:
        return f"no rule names {segment.kind} segments"
    return "no rule matched"


def _mismatch(when: When, segment: Segment, model: str) -> str:
    """Return the first condition that does not hold, "" if all hold."""
    kind, role, tokens = segment.kind, segment.role, segment.tokens
    if kind not in _kinds(when):
        named = f"is for {_any_of(when.segment)} segments, not" if when.segment else "does not name"
        return f"it {named} {kind}"
    if when.role and role not in when.role:
        return f"it is for the role {_any_of(when.role)}, not {role or 'none'}"
    if when.model and not any(fnmatchcase(model, glob) for glob in when.model):
        return f"it is for the model {_any_of(when.model)}, not {model or 'none'}"
    if tokens < when.min_tokens:
        return f"it is for at least {when.min_tokens} tokens, not {tokens}"
    if when.max_tokens is not None and tokens > when.max_tokens:
        return f"it is for at most {when.max_tokens} tokens, not {tokens}"
    return ""


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(names)


def _questions(segments: Sequence[Segment]) -> list[str]:
    """Return what is asked in each segment's own turn, never in a later one.

    That is the question of its own message; for what tools and the assistant said, the question
    of the last user message before it.
    """
    parts: dict[int, list[str]] = {}
    for segment in segments:
        if segment.kind is Kind.QUESTION and segment.text.strip():
            parts.setdefault(segment.message, []).append(segment.text.strip())
    own = {message: "\n\n".join(texts) for message, texts in parts.items()}
    asked: list[str] = []
    last = ""
    for segment in segments:
        if segment.role == "user":
            last = own.get(segment.message, "")
            asked.append(last)
        else:
            follows = segment.kind in (Kind.TOOL_RESULT, Kind.HISTORY)
            asked.append(last if follows else "")
    return asked
