"""What the command line shows: a text with its losses struck out, a plan as a table or as JSON.

Pure but for `print_table`. Decides nothing: outcomes and plans come in, texts go out.
"""

from collections.abc import Sequence
from typing import TextIO

from elision.compressors.base import Outcome, Span
from elision.policies.engine import misses
from elision.policies.model import Decision, Policy
from elision.proxy.planner import Planned

_STRIKE = ("\x1b[2;9m", "\x1b[22;29m")
_BRACKETS = ("[-", "-]")
_WIDTH_OF_A_PIPE = 160

Row = dict[str, object]


def struck(text: str, kept: Sequence[Span], *, ansi: bool) -> str:
    """Return a text with all that is not in `kept` marked.

    Args:
        text: the original.
        kept: ascending and disjoint.
        ansi: strike out as terminals do; else in `[-` and `-]`.
    """
    before, after = _STRIKE if ansi else _BRACKETS
    pieces: list[str] = []
    at = 0
    for span in (*kept, Span(len(text), len(text))):
        if at < span.start:
            pieces += (before, text[at : span.start], after)
        pieces.append(text[span.start : span.end])
        at = span.end
    return "".join(pieces)


def outcome_row(outcome: Outcome) -> Row:
    """Return an outcome as `elision compress --json` shows it."""
    return {
        "text": outcome.text,
        "tokens_before": outcome.tokens_before,
        "tokens_after": outcome.tokens_after,
        "kept": [[span.start, span.end] for span in outcome.kept],
        "method": outcome.method,
        "fingerprint": outcome.fingerprint,
        "reason": outcome.reason,
    }


def plan_row(planned: Planned, policy: Policy) -> Row:
    """Return a plan as `elision explain --json` shows it."""
    plan = planned.plan
    return {
        "team": planned.team,
        "policy": plan.policy,
        "mode": plan.mode.value,
        "deadline_s": plan.deadline_s,
        "model": planned.body.model,
        "encoding": planned.encoding,
        "segments": [_segment_row(planned, policy, decision) for decision in plan.decisions],
    }


def _segment_row(planned: Planned, policy: Policy, decision: Decision) -> Row:
    segment, use = decision.segment, decision.use
    others = misses(policy, segment, planned.body.model)
    return {
        "place": planned.body.texts[segment.source].place,
        "start": segment.start,
        "end": segment.end,
        "kind": segment.kind.value,
        "role": segment.role,
        "tokens": segment.tokens,
        "rule": decision.rule,
        "method": use.method,
        "rate": use.rate,
        "target_tokens": use.tokens,
        "options": dict(use.options),
        "why": decision.why,
        "why_not": [{"rule": miss.rule, "why": miss.why} for miss in others],
    }


def print_table(planned: Planned, out: TextIO) -> None:
    """Write a plan as a table, as wide as the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    plan = planned.plan
    title = f"{plan.policy}, {plan.mode}, model {planned.body.model or 'unnamed'}, {planned.encoding}"
    table = Table(title=Text(title), box=box.SIMPLE, title_justify="left")
    for name in ("place", "kind", "role", "tokens", "rule", "method", "target", "why"):
        table.add_column(name, justify="right" if name == "tokens" else "left", overflow="fold")
    for decision in plan.decisions:
        # Text, because square brackets in a string would be read as rich's markup.
        table.add_row(*(Text(cell) for cell in _cells(planned, decision)))
    Console(file=out, width=None if out.isatty() else _WIDTH_OF_A_PIPE).print(table)


def _cells(planned: Planned, decision: Decision) -> tuple[str, ...]:
    segment, use = decision.segment, decision.use
    text = planned.body.texts[segment.source]
    whole = len(segment.text) == len(text.text)
    return (
        text.place if whole else f"{text.place} [{segment.start}:{segment.end}]",
        segment.kind.value,
        segment.role,
        str(segment.tokens),
        decision.rule or "-",
        use.method,
        f"{use.rate:g}" if use.rate is not None else f"{use.tokens} tokens" if use.tokens else "-",
        decision.why,
    )
