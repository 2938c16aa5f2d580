"""What the command line shows: a text with its losses struck out; plans and policies as tables or JSON.

Pure but for what is called `print_...`. Decides nothing: outcomes, plans and policies come in, texts go out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TextIO

from elision.compressors.base import Outcome, Span
from elision.policies.engine import Miss, misses
from elision.policies.model import Budget, Decision, Mode, Policy
from elision.proxy.planner import Planned
from elision.proxy.policy_source import PolicySet
from elision.proxy.wishes import MALFORMED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STRIKE = ("\x1b[2;9m", "\x1b[22;29m")
_BRACKETS = ("[-", "-]")
_WIDTH_OF_A_PIPE = 200

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
    """Return a plan as `elision explain --json` shows it; `segment` and `kind` as policies have them."""
    plan = planned.plan
    return {
        "team": planned.team,
        "policy": plan.policy,
        "mode": plan.mode.value,
        "deadline_s": plan.deadline_s,
        "model": planned.facts.model,
        "endpoint": planned.facts.endpoint.value,
        "encoding": planned.encoding,
        "notes": _notes(planned),
        "segments": [_segment_row(planned, told) for told in _explained(planned, policy)],
    }


@dataclass(frozen=True, slots=True)
class _Explained:
    """A decision, what its text looks like, and why the other rules did not decide."""

    decision: Decision
    text_kind: str
    language: str
    misses: tuple[Miss, ...]


def _explained(planned: Planned, policy: Policy) -> Iterator[_Explained]:
    """Yield each decision with its reasons; a budget may have split a segment into several."""
    segments, senses, index = planned.segments, planned.senses, 0
    for decision in planned.plan.decisions:
        part = decision.segment
        while segments[index].source != part.source or segments[index].end <= part.start:
            index += 1
        others = misses(policy, segments, index, planned.facts, senses)
        yield _Explained(decision, senses.text_kind(part.text).value, senses.language(part.text), others)


def _notes(planned: Planned) -> list[str]:
    """Return what is to be said of the whole plan; what is refused the plan itself says in words."""
    malformed = "an x-elision header says what is no word or rate; it is passed over"
    return [*([malformed] if MALFORMED in planned.notes else []), *planned.plan.notes]


def _segment_row(planned: Planned, told: _Explained) -> Row:
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


def print_plan(planned: Planned, policy: Policy, out: TextIO) -> None:
    """Write a plan as a table, as wide as the terminal, and below it what the budget could not keep to."""
    from rich.text import Text

    plan = planned.plan
    title = f"{plan.policy}, {plan.mode}, model {planned.facts.model or 'unnamed'}, {planned.encoding}"
    table = _table(
        ("place", "segment", "role", "kind", "language", "tokens", "rule", "method", "target", "why"), title
    )
    for told in _explained(planned, policy):
        # Text, because square brackets in a string would be read as rich's markup.
        table.add_row(*(Text(cell) for cell in _cells(planned, told)))
    console = _console(out)
    console.print(table)
    for note in _notes(planned):
        console.print(Text(f"note: {note}"))


def _cells(planned: Planned, told: _Explained) -> tuple[str, ...]:
    decision = told.decision
    segment, use = decision.segment, decision.use
    text = planned.body.texts[segment.source]
    whole = len(segment.text) == len(text.text)
    why = (decision.why, *(f"not `{miss.rule}`: {miss.why}" for miss in told.misses))
    return (
        text.place if whole else f"{text.place} [{segment.start}:{segment.end}]",
        segment.kind.value,
        segment.role,
        told.text_kind,
        told.language or "-",
        str(segment.tokens),
        decision.rule or "-",
        use.method if decision.mode is Mode.ENFORCE else f"{use.method} ({decision.mode})",
        f"{use.rate:g}" if use.rate is not None else f"{use.tokens} tokens" if use.tokens else "-",
        "\n".join(why),
    )


def policy_rows(known: PolicySet) -> list[Row]:
    """Return what is loaded as `elision policies --json` shows it; keys are counted, not shown."""
    return [
        {
            "team": team,
            "policy": policy.label,
            "mode": policy.mode.value,
            "extends": known.extends.get(team),
            "deadline_s": policy.deadline_s,
            "budget": None if policy.budget is None else asdict(policy.budget),
            "rules": [{"name": rule.name, **asdict(rule.use)} for rule in policy.rules],
            "keys": len(policy.keys),
            "default": policy is known.default,
        }
        for team, policy in sorted(known.by_team.items())
    ]


def print_policies(known: PolicySet, presets: Mapping[str, str], out: TextIO) -> None:
    """Write what is loaded as a table, and below it a line for each preset: what it is for."""
    from rich.text import Text

    console = _console(out)
    table = _table(("team", "policy", "mode", "extends", "rules", "budget", "keys"))
    for team, policy in sorted(known.by_team.items()):
        rules = ", ".join(f"{rule.name} ({rule.use.method})" for rule in policy.rules)
        cells = (
            f"{team} (and every other)" if policy is known.default else team,
            policy.label,
            policy.mode.value,
            known.extends.get(team, "-"),
            rules or "-",
            budget_words(policy.budget),
            str(len(policy.keys)),
        )
        table.add_row(*map(Text, cells))
    console.print(table if known.by_team else Text("no policies are loaded"))
    console.print(Text("\npresets to extend:"))
    width = max(map(len, presets), default=0)
    for name, purpose in sorted(presets.items()):
        console.print(Text(f"  {name:{width}}  {purpose}"))


def budget_words(budget: Budget | None) -> str:
    """Say in a few words how large a budget is."""
    if budget is None:
        return "-"
    if budget.rate is not None:
        return f"{budget.rate:g} of each {budget.scope}"
    return f"{budget.tokens} tokens" if budget.tokens is not None else "what the context window holds"


def _table(columns: Sequence[str], title: str = "") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, box=box.SIMPLE, title_justify="left")
    for name in columns:
        right = name in ("tokens", "keys")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _console(out: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=out, width=None if out.isatty() else _WIDTH_OF_A_PIPE)
