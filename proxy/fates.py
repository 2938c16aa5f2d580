"""What became of each message: its texts as they are to be sent, and what there is to say of them. Pure.

Reads a plan and its outcomes; neither makes them, nor knows what was sent before.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from elision.compressors.base import Outcome
from elision.policies.model import Decision, Mode, Plan, Use
from elision.proxy.edit_script import Piece, pieces_between
from elision.proxy.ledger import Made
from elision.proxy.ledger_entries import Figures, Sent
from elision.proxy.pipeline import Fate

ABOVE_TARGET = "above_target"
"""Told of a text that was shortened, and not as far as was asked: more than that must stay."""


def made_of(plan: Plan, decisions: Iterable[Decision], fates: Sequence[Fate]) -> dict[int, Made]:
    """Return what is to be sent for each message that there are decisions about.

    In audit only our own inline tags are taken out.

    Args:
        decisions: of the plan, all of a message or none.
        fates: of those of them that compress.
    """
    by_decision = {id(fate.decision): fate for fate in fates}
    by_message: dict[int, list[Decision]] = defaultdict(list)
    for decision in decisions:
        by_message[decision.segment.message].append(decision)
    return {message: _made(plan, told, by_decision) for message, told in by_message.items()}


def left_alone(decisions: Iterable[Decision]) -> list[Decision]:
    """Return decisions that take out no more than our own tags."""
    return [replace(decision, use=Use()) for decision in decisions]


def _made(plan: Plan, decisions: Sequence[Decision], by_decision: Mapping[int, Fate]) -> Made:
    pieces: dict[int, list[Piece]] = defaultdict(list)
    texts: dict[int, list[str]] = defaultdict(list)
    changed: set[int] = set()
    for decision in decisions:
        segment = decision.segment
        text = segment.text
        part: list[Piece] = [(segment.start, segment.end)]
        if segment.tag or (decision.drops and _enforced(plan, decision)):
            text, part = "", []
        elif _enforced(plan, decision) and (outcome := _outcome_of(by_decision.get(id(decision)))):
            text, part = outcome.text, _pieces(decision, outcome)
        texts[segment.source].append(text)
        pieces[segment.source] += part
        if text is not segment.text:
            changed.add(segment.source)
    joined = {source: Sent("".join(texts[source]), pieces[source]) for source in sorted(changed)}
    # An empty message may be refused by the upstream.
    sent = {source: told for source, told in joined.items() if told.text.strip()}
    return Made(sent, _figures(plan, decisions, by_decision))


def _pieces(decision: Decision, outcome: Outcome) -> list[Piece]:
    """Return the pieces that an outcome is made of, as ranges of the whole text where they are copies."""
    text, start = decision.segment.text, decision.segment.start
    kept: Sequence[Piece] = [(span.start, span.end) for span in outcome.kept]
    if "".join(text[span.start : span.end] for span in outcome.kept) != outcome.text:
        kept = pieces_between(text, outcome.text)
    return [p if isinstance(p, str) else (p[0] + start, p[1] + start) for p in kept]


def _figures(plan: Plan, decisions: Sequence[Decision], by_decision: Mapping[int, Fate]) -> Figures:
    """Return what there is to say of a message. Our own inline tags count nowhere."""
    tokens: dict[str, tuple[int, int]] = {}
    methods: set[str] = set()
    reasons: set[str] = set()
    audited = 0
    for decision in decisions:
        kind, size = str(decision.segment.kind), decision.segment.tokens
        if decision.segment.tag:
            continue
        saved = size if decision.drops else 0
        if fate := by_decision.get(id(decision)):
            reasons |= {fate.reason} if fate.reason else set()
            reasons |= {ABOVE_TARGET} if _is_above_target(fate) else set()
            methods |= {decision.use.method} if fate.shortened else set()
        if outcome := _outcome_of(fate):
            saved = outcome.tokens_before - outcome.tokens_after
        if decision.mode is not plan.mode and decision.mode is Mode.AUDIT:
            audited, saved = audited + saved, 0
        before, after = tokens.get(kind, (0, 0))
        tokens[kind] = (before + size, after + size - saved)
    listed = tuple((kind, *pair) for kind, pair in tokens.items())
    return Figures(listed, tuple(sorted(methods)), tuple(sorted(reasons)), audited)


def _enforced(plan: Plan, decision: Decision) -> bool:
    return plan.mode is Mode.ENFORCE and decision.mode is Mode.ENFORCE


def _is_above_target(fate: Fate) -> bool:
    """Whether what was shortened has more tokens than its rule, or the budget, asked for."""
    outcome, use = fate.outcome, fate.decision.use
    if outcome is None or not fate.shortened or (use.rate is None and use.tokens is None):
        return False
    target = use.tokens if use.tokens is not None else (use.rate or 1.0) * outcome.tokens_before
    return outcome.tokens_after > target + 1e-6


def _outcome_of(fate: Fate | None) -> Outcome | None:
    return fate.outcome if fate is not None and fate.shortened else None
