"""Tests of elision.proxy.terminal."""

import io
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Outcome, Span
from elision.policies.model import Budget, Kind, Mode, Policy, Rule, Scope, Use, When
from elision.proxy.policy_source import PolicySet
from elision.proxy.terminal import (
    budget_words,
    outcome_row,
    policy_rows,
    print_plan,
    print_policies,
    struck,
)
from elision.proxy.wishes import MALFORMED
from fakes.planned import POLICY, planned


def test_losses_are_struck_out_on_terminals_and_bracketed_elsewhere() -> None:
    """What is kept stands as it is."""
    kept = [Span(0, 3), Span(8, 11)]
    assert struck("one two six ten", kept, ansi=False) == "one[- two -]six[- ten-]"
    assert struck("one two", [Span(4, 7)], ansi=True) == "\x1b[2;9mone \x1b[22;29mtwo"
    assert struck("all", [Span(0, 3)], ansi=False) == "all"
    assert struck("one two six", [Span(8, 11), Span(0, 3)], ansi=False) == "one[- two -]six"


@given(st.text(alphabet="ab é中\n"), st.lists(st.integers(0, 20), max_size=6, unique=True))
def test_marking_loses_nothing(text: str, cuts: list[int]) -> None:
    """Without the marks the whole text is there."""
    edges = sorted(at for at in cuts if at <= len(text))
    kept = [Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=False)]
    assert struck(text, kept, ansi=False).replace("[-", "").replace("-]", "") == text


def test_an_outcome_is_shown_whole() -> None:
    """All that the contract of `--json` names."""
    outcome = Outcome("b", 9, 1, (Span(2, 3),), "m", "m:1", "")
    assert outcome_row(outcome) == {
        "text": "b",
        "tokens_before": 9,
        "tokens_after": 1,
        "kept": [[2, 3]],
        "method": "m",
        "fingerprint": "m:1",
        "reason": "",
    }


def test_a_plan_as_a_table_names_every_segment() -> None:
    """One row each; names that look like markup are shown, not obeyed."""
    out = io.StringIO()
    print_plan(planned(), out)
    table = out.getvalue()
    assert "team@abc, audit, model gpt-4o, words" in table
    for cell in ("/messages/0/content", "[red]documents", "selective_context", "0.5", "instruction"):
        assert cell in table
    assert "\x1b" not in table
    assert "prefix, taken as a conversation's first request: 738 tokens become 378; no minimum" in table


def test_a_plan_tells_what_a_text_looks_like_and_what_gave_way() -> None:
    """In the words of policies: `segment` is what it is for, `kind` what it looks like."""
    budget = Policy("team", "abc", Mode.ENFORCE, 2.0, (Rule("all", When(), Use("selective_context")),))
    budget = replace(budget, budget=Budget(rate=0.01, min_rates=((Kind.CONTEXT, 0.5),)))
    shown = planned(budget, (MALFORMED,))
    assert shown.plan.notes
    out = io.StringIO()
    print_plan(shown, out)
    assert all(f"note: {note.split()[0]}" in out.getvalue() for note in shown.plan.notes)
    assert "prose" in out.getvalue()


def test_policies_are_shown_with_their_keys_counted() -> None:
    """A fingerprint is no secret, but nobody needs it in a terminal."""
    policy = replace(POLICY, keys=("sha256:" + "0" * 64,), budget=Budget(rate=0.5))
    known = PolicySet({"[red]": policy}, policy, extends={"[red]": "rag"})
    [row] = policy_rows(known)
    assert (row["team"], row["keys"], row["extends"], row["default"]) == ("[red]", 1, "rag", True)
    assert json.loads(json.dumps(row))["rules"][1]["method"] == "selective_context"
    assert json.loads(json.dumps(row))["history"]["expected_turns"] == 5
    out = io.StringIO()
    print_policies(known, {"rag": "For questions."}, out)
    shown = out.getvalue()
    for cell in ("[red] (and every other)", "team@abc", "tools (lossless)", "0.5 of each turn", "rag  For"):
        assert cell in shown
    assert "sha256" not in shown + json.dumps(row)


def test_a_budget_is_said_in_a_few_words() -> None:
    """How large it is, and of what."""
    assert budget_words(None) == "-"
    assert budget_words(Budget(rate=0.5, scope=Scope.REQUEST)) == "0.5 of each request"
    assert budget_words(Budget(tokens=4000)) == "4000 tokens"
    assert budget_words(Budget(fit=True)) == "what the context window holds"
