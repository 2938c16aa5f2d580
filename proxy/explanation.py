"""A plan explained: each decision, what its text looks like, and why other rules did not decide.

Pure. The command line, and requests that ask for it, show the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from elision.compressors.protect import DEFAULT_CLASSES
from elision.policies.economy import Verdict
from elision.policies.engine import Miss, misses
from elision.policies.model import Decision
from elision.proxy.planner import Planned
from elision.proxy.prefix_guard import foreseen
from elision.proxy.steady_heads import foreseen_head
from elision.proxy.wishes import MALFORMED

Row = dict[str, object]

_MOST_CLASSES = 3
FIRST = "taken as a conversation's first request"
"""How a plan is explained: what was sent before is known when a request is served, not here."""


def plan_row(planned: Planned, turns: int | None = None) -> Row:
    """Return a plan as `elision explain --json` and `x-elision: explain` show it.

    `segment` and `kind` are what policies call so. No text of the prompt is in it.

    Args:
        turns: that the conversation is expected to go on for; None: as the policy says.
    """
    plan = planned.plan
    return {
        "team": planned.team,
        "policy": plan.policy,
        "mode": plan.mode.value,
        "deadline_s": plan.deadline_s,
        "model": planned.facts.model,
        "endpoint": planned.facts.endpoint.value,
        "encoding": planned.encoding,
        "notes": notes_of(planned),
        "prefix": _prefix_row(foreseen(planned, turns), foreseen_head(planned)),
        "segments": [_segment_row(planned, told) for told in explained(planned)],
    }


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision, what its text looks like, and why the other rules did not decide."""

    decision: Decision
    text_kind: str
    language: str
    misses: tuple[Miss, ...]


def explained(planned: Planned) -> Iterator[Explained]:
    """Yield each decision with its reasons; a budget may have split a segment into several."""
    segments, senses, index = planned.segments, planned.senses, 0
    for decision in planned.plan.decisions:
        part = decision.segment
        while segments[index].source != part.source or segments[index].end <= part.start:
            index += 1
        others = misses(planned.policy, segments, index, planned.facts, senses)
        yield Explained(decision, senses.text_kind(part.text).value, senses.language(part.text), others)


def notes_of(planned: Planned) -> list[str]:
    """Return what is to be said of the whole plan; what is refused the plan itself says in words."""
    malformed = "an x-elision header says what is no word or rate; it is passed over"
    wishes = [malformed] if MALFORMED in planned.notes else []
    return [*wishes, *planned.plan.notes, *_unmet(planned)]


def _unmet(planned: Planned) -> Iterator[str]:
    """Say of each target that cannot be met what is in its way: protected spans, by their classes."""
    protected = planned.senses.protected
    for decision in planned.plan.decisions:
        segment, use = decision.segment, decision.use
        if not decision.compresses or (use.rate is None and use.tokens is None):
            continue
        target = use.tokens if use.tokens is not None else int((use.rate or 1.0) * segment.tokens)
        held = protected(segment.text, use.protect)
        if held <= target:
            continue
        classes = DEFAULT_CLASSES if use.protect is None else use.protect
        shares = sorted(((protected(segment.text, (name,)), name) for name in classes), reverse=True)
        most = ", ".join(f"{name} {tokens:,}" for tokens, name in shares[:_MOST_CLASSES] if tokens)
        yield (
            f"{planned.body.texts[segment.source].place}: about {held:,} of {segment.tokens:,} tokens are "
            f"protected ({most}), so the target of {target:,} is not met; what is kept whole the rule says "
            "by `protect`"
        )


def prefix_words(planned: Planned, turns: int | None = None) -> str:
    """Say in a sentence what becomes of a prompt that the provider may cache."""
    verdict, head = foreseen(planned, turns), foreseen_head(planned)
    told = f"{FIRST}: {verdict.sentence}"
    if head is not None:
        told += (
            f"; if other requests began with the same {head[0]} tokens, {head[1]} of them, whatever is asked"
        )
    return f"{told} (prices: {verdict.outlook.terms.source or 'none known'})"


def _prefix_row(verdict: Verdict, head: tuple[int, int] | None) -> Row:
    terms = verdict.outlook.terms
    return {
        "taken_as": FIRST,
        "ruling": verdict.ruling.value,
        "why": verdict.sentence,
        "tokens": {"before": verdict.before, "after": verdict.after, "sent": verdict.sent},
        "bill": {
            "before": float(verdict.bill_before),
            "after": float(verdict.bill_after),
            "sent": float(verdict.bill_sent),
        },
        "shared_head": None if head is None else {"before": head[0], "after": head[1]},
        "expected_turns": verdict.outlook.turns,
        "terms": {
            "read": terms.read,
            "write": terms.write,
            "minimum": terms.minimum,
            "ttl_s": terms.ttl_s,
            "granule": terms.granule,
            "whole_messages": terms.whole_messages,
            "source": terms.source,
        },
    }


def _segment_row(planned: Planned, told: Explained) -> Row:
    segment, use = told.decision.segment, told.decision.use
    return {
        "place": planned.body.texts[segment.source].place,
        "start": segment.start,
        "end": segment.end,
        "segment": segment.kind.value,
        "role": segment.role,
        "turn": segment.turn + 1,
        "kind": told.text_kind,
        "language": told.language,
        "tokens": segment.tokens,
        "rule": told.decision.rule,
        "method": use.method,
        "rate": use.rate,
        "target_tokens": use.tokens,
        "options": dict(use.options),
        "mode": told.decision.mode.value,
        "why": told.decision.why,
        "why_not": [{"rule": miss.rule, "why": miss.why} for miss in told.misses],
    }
