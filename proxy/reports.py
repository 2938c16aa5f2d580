"""What there is to say of a request: figures of its messages, made a report. Pure.

Adds up; what became of each message is `elision.proxy.fates`' matter, or the ledger's word.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from elision.accounts.records import Report, Shortened
from elision.policies.model import Decision, Mode, Policy
from elision.proxy.fates import left_alone, made_of
from elision.proxy.ledger import Made, Recalled, Settled
from elision.proxy.ledger_chain import last_answer
from elision.proxy.ledger_entries import Figures, summed
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned

UNKNOWN = "history_unknown"
"""Told where a plan would have shortened messages that others sent before the ledger knew of them."""
REPLAY = "replay"
"""Told of the cache where nothing was looked for in it: what is shortened was sent so before."""
DAMAGED = "entry_damaged"
"""Told where something was sent before, and what that was could not be read."""


def report_of(planned: Planned, made: Iterable[Made], fates: Sequence[Fate]) -> Report:
    """Return the report of a plan that was carried out, by what became of every message."""
    figures = summed(told.figures for told in made)
    return _report(planned, figures, sum(fate.cached for fate in fates), len(fates))


def report_with(
    planned: Planned, recalled: Recalled, settled: Settled, unknown: Collection[int], fates: Sequence[Fate]
) -> Report:
    """Return the report of a conversation of which some was sent before.

    What was sent before counts with the figures that were taken then; why something stayed as it was
    is told of this turn alone.

    Args:
        unknown: messages that go out as they came because nobody knows how they went out before.
    """
    messages, plan = settled.messages, planned.plan
    # Another request of the conversation may have been quicker with what nobody knew.
    unknown = set(unknown) & set(settled.new)
    uncounted = [d for d in plan.decisions if _is_uncounted(settled, d)]
    others = made_of(plan, left_alone(uncounted), ())
    counted = [known.entry.figures for known in messages.values()]
    figures = summed([*counted, *(told.figures for told in others.values())])
    current = last_answer(settled.conversation.body.messages)
    reasons = {
        reason
        for index, known in messages.items()
        if known.entry.figures.reasons and (index in settled.new or index >= current)
        for reason in known.entry.figures.reasons
    }
    was_planned = any(d.compresses or d.drops for d in plan.decisions if d.segment.message in unknown)
    reasons |= {UNKNOWN} if was_planned else set()
    reasons |= {DAMAGED} if recalled.damaged else set()
    again = sum(bool(known.entry.figures.methods) for at, known in messages.items() if at not in settled.new)
    hits = again + sum(fate.cached for fate in fates)
    told = Figures(figures.tokens, figures.methods, tuple(sorted(reasons)), figures.audited)
    places = _places(settled, {index: told.figures for index, told in others.items()})
    report = _report(planned, told, hits, again + len(fates))
    return replace(
        report,
        cache=REPLAY if again and not fates else report.cache,
        prefix=_prefix(settled, unknown),
        known_before=places.known_before,
        known_after=places.known_after,
        known_age_s=recalled.age_s,
        answer_tokens=places.answer_tokens,
        new_messages=len(settled.new),
        shortened=places.shortened,
    )


def report_without_plan(team: str, policy: Policy, settled: Settled, reasons: Sequence[str]) -> Report:
    """Return the report of a conversation of which what was sent before was sent again, and no more done."""
    figures = summed(known.entry.figures for known in settled.messages.values())
    places = _places(settled, {})
    return Report(
        team=team or "default",
        policy=policy.label,
        mode=str(policy.mode),
        model=settled.conversation.body.model,
        known_before=places.known_before,
        known_after=places.known_after,
        answer_tokens=places.answer_tokens,
        messages=len(settled.conversation),
        new_messages=len(settled.new),
        shortened=places.shortened,
        has_more=bool(settled.conversation.body.others),
        silent=not policy.telling.headers,
        log_text=policy.telling.log_text,
        bypass=tuple(sorted(set(reasons))),
        methods=figures.methods,
        tokens_before=sum(before for _, before, _ in figures.tokens),
        tokens_after=sum(after for _, _, after in figures.tokens),
        segments=_segments(figures),
        cache=REPLAY if figures.methods else "",
        prefix=_prefix(settled, ()),
    )


def report_unread(team: str, policy: Policy, wished: Mode | None, reasons: Sequence[str]) -> Report:
    """Return the report of a request that was not looked into, or of which nothing could be made.

    Args:
        wished: the mode that the request asks for, and may; None: the policy's.
        reasons: why nobody looked into it; () where nobody meant to.
    """
    return Report(
        team=team or "default",
        policy=policy.label,
        mode=str(policy.mode if policy.mode is Mode.OFF else wished or policy.mode),
        bypass=tuple(sorted(set(reasons))),
        silent=not policy.telling.headers,
        log_text=policy.telling.log_text,
    )


def _report(planned: Planned, figures: Figures, hits: int, tries: int) -> Report:
    plan = planned.plan
    return Report(
        team=planned.team or "default",
        policy=plan.policy,
        mode=str(plan.mode),
        methods=figures.methods,
        tokens_before=sum(before for _, before, _ in figures.tokens),
        tokens_after=sum(after for _, _, after in figures.tokens),
        tokens_audited=figures.audited,
        encoding=planned.encoding,
        segments=_segments(figures),
        cache="" if not tries else "hit" if hits == tries else "partial" if hits else "miss",
        bypass=tuple(sorted({*planned.notes, *figures.reasons})),
        model=planned.facts.model,
        has_more=bool(planned.body.others),
        messages=len(planned.body.messages),
        silent=not planned.policy.telling.headers,
        log_text=planned.policy.telling.log_text,
    )


def _segments(figures: Figures) -> tuple[str, ...]:
    return tuple(f"{kind}:{before}>{after}" for kind, before, after in figures.tokens)


@dataclass(slots=True)
class _Places:
    """Where in a prompt what earlier requests had sent stands, and what was saved."""

    known_before: int = 0
    known_after: int = 0
    answer_tokens: int = 0
    shortened: tuple[Shortened, ...] = ()


def _places(settled: Settled, others: Mapping[int, Figures]) -> _Places:
    """Return what the bill depends on beside sums.

    Args:
        others: figures of messages of which nobody counted how they were sent.
    """
    places, shortened, ahead, number = _Places(), list[Shortened](), 0, len(settled.conversation)
    messages, is_answer = settled.conversation.body.messages, False
    for index in settled.conversation.indices:
        known = settled.messages.get(index)
        had = others.get(index) or (known.entry.figures if known is not None else None)
        before = sum(tokens for _, tokens, _ in had.tokens) if had is not None else 0
        after = sum(tokens for _, _, tokens in had.tokens) if had is not None else 0
        is_known = known is not None and index not in settled.new
        if is_known:
            places.known_before += before
            places.known_after += after
            is_answer = True
        else:
            is_answer = is_answer and messages[index].role == "assistant"
            places.answer_tokens += after if is_answer else 0
        if after < before:
            shortened.append(Shortened(ahead, after, before - after, number - index, is_known))
        ahead += after
    places.shortened = tuple(shortened)
    return places


def _is_uncounted(settled: Settled, decision: Decision) -> bool:
    """Whether what was sent for a decision's message has no figures; it was as it is now, then."""
    known = settled.messages.get(decision.segment.message)
    return known is None or not (known.entry.figures.tokens or known.entry.changes)


def _prefix(settled: Settled, unknown: Collection[int]) -> tuple[str, ...]:
    new, others = len(settled.new), len(unknown)
    counts = (("replayed", len(settled.messages) - new), ("new", new - others), ("unknown", others))
    return tuple(f"{name}={count}" for name, count in counts if count or name != "unknown")
