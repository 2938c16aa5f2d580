"""What the command line shows: a text with its losses struck out; plans and policies as tables or JSON.

Pure but for what is called `print_...`. Decides nothing: outcomes, plans and policies come in, texts go out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

from elision.compressors.base import Outcome, Span
from elision.policies.model import Budget, Mode
from elision.proxy.explanation import Explained, Row, explained, notes_of, prefix_words
from elision.proxy.planner import Planned
from elision.proxy.policy_source import PolicySet

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STRIKE = ("\x1b[2;9m", "\x1b[22;29m")
_BRACKETS = ("[-", "-]")
_WIDTH_OF_A_PIPE = 200


def struck(text: str, kept: Sequence[Span], *, ansi: bool) -> str:
    """Return a text with all that is not in `kept` marked.

    Args:
        text: the original.
        kept: disjoint; what changed places is shown where it stood.
        ansi: strike out as terminals do; else in `[-` and `-]`.
    """
    before, after = _STRIKE if ansi else _BRACKETS
    pieces: list[str] = []
    at = 0
    for span in (*sorted(kept), Span(len(text), len(text))):
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


def print_plan(planned: Planned, out: TextIO, turns: int | None = None) -> None:
    """Write a plan as a table, as wide as the terminal, and below it what the budget could not keep to.

    Last comes what the provider's prices of a repeated prefix make of it.

    Args:
        turns: that the conversation is expected to go on for; None: as the policy says.
    """
    from rich.text import Text

    plan = planned.plan
    title = f"{plan.policy}, {plan.mode}, model {planned.facts.model or 'unnamed'}, {planned.encoding}"
    table = _table(
        ("place", "segment", "role", "kind", "language", "tokens", "rule", "method", "target", "why"), title
    )
    for told in explained(planned):
        # Text, because square brackets in a string would be read as rich's markup.
        table.add_row(*(Text(cell) for cell in _cells(planned, told)))
    console = _console(out)
    console.print(table)
    for note in notes_of(planned):
        console.print(Text(f"note: {note}"))
    console.print(Text(f"prefix, {prefix_words(planned, turns)}"))


def _cells(planned: Planned, told: Explained) -> tuple[str, ...]:
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
            "history": asdict(policy.history),
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


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], out: TextIO) -> None:
    """Show rows of words under their columns."""
    from rich.text import Text

    table = _table(columns)
    for row in rows:
        table.add_row(*map(Text, row))
    _console(out).print(table)


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
