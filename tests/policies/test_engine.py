"""Tests of elision.policies.engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.engine import MIN_TOKENS, covers, make_plan, misses
from elision.policies.model import Kind, Mode, Policy, Rule, Segment, Use, When

HALF = Use("selective_context", 0.5)


def segment(
    kind: Kind = Kind.CONTEXT,
    tokens: int = 1000,
    role: str = "user",
    message: int = 0,
    text: str = "x",
) -> Segment:
    """Return a segment of which only the facts matter."""
    return Segment(message, 0, len(text), kind, role, text, tokens, message)


def policy(*rules: Rule) -> Policy:
    """Return a policy with these rules."""
    return Policy("team", "abc", Mode.ENFORCE, 2.0, rules)


def decide(rule: Rule, facts: Segment, model: str = "gpt-4o") -> tuple[str, str, str]:
    """Return the method, the rule and the reason for one segment under one rule."""
    [decision] = make_plan(policy(rule), [facts], model).decisions
    return decision.use.method, decision.rule, decision.why


def test_the_first_rule_that_matches_decides() -> None:
    """Order is precedence; the plan carries the policy's name, mode and deadline."""
    rules = (
        Rule("tools", When(segment=(Kind.TOOL_RESULT,)), Use("lossless")),
        Rule("documents", When(segment=(Kind.CONTEXT,)), HALF),
        Rule("rest", When(), Use("lossless")),
    )
    plan = make_plan(policy(*rules), [segment(), segment(Kind.HISTORY)], "m")
    assert [(d.rule, d.use.method) for d in plan.decisions] == [
        ("documents", "selective_context"),
        ("rest", "lossless"),
    ]
    assert plan.decisions[0].why == "rule `documents` matched"
    assert (plan.policy, plan.mode, plan.deadline_s) == ("team@abc", Mode.ENFORCE, 2.0)


def test_what_no_rule_matches_is_kept() -> None:
    """The default is to leave alone, and to say why."""
    assert decide(Rule("r", When(role=("tool",)), HALF), segment()) == (
        "keep",
        "",
        "kept: no rule matched",
    )
    [decision] = make_plan(policy(), [segment()], "m").decisions
    assert decision.why == "kept: the policy has no rules"


def test_a_small_segment_is_kept_unless_the_rule_sets_its_own_minimum() -> None:
    """Under 300 tokens there is little to win and much to lose."""
    small = segment(tokens=MIN_TOKENS - 1)
    kept = "kept: 299 tokens are under the minimum of 300 (rule `r` sets none)"
    assert decide(Rule("r", When(), HALF), small) == ("keep", "r", kept)
    assert decide(Rule("r", When(), HALF), segment(tokens=MIN_TOKENS))[0] == "selective_context"
    assert decide(Rule("r", When(min_tokens=5), HALF), small)[0] == "selective_context"


@pytest.mark.parametrize("kind", [Kind.INSTRUCTION, Kind.QUESTION])
def test_instructions_and_questions_are_kept_unless_named(kind: Kind) -> None:
    """A broad rule is not for what steers the answer."""
    facts = segment(kind)
    assert decide(Rule("r", When(), HALF), facts)[::2] == (
        "keep",
        f"kept: no rule names {kind} segments",
    )
    assert decide(Rule("r", When(segment=(kind,)), HALF), facts)[0] == "selective_context"


def test_naming_the_role_names_its_instructions_but_not_its_questions() -> None:
    """`role: system` can mean nothing but the instruction; `role: user` means the documents."""
    system = segment(Kind.INSTRUCTION, role="system")
    assert decide(Rule("r", When(role=("system",)), HALF), system)[0] == "selective_context"
    assert decide(Rule("r", When(role=("user",)), HALF), segment(Kind.QUESTION))[0] == "keep"


@pytest.mark.parametrize(
    ("when", "why"),
    [
        (When(segment=(Kind.HISTORY,)), "it is for history segments, not context"),
        (When(role=("tool", "assistant")), "it is for the role tool or assistant, not user"),
        (When(model=("gpt-5*",)), "it is for the model gpt-5*, not gpt-4o"),
        (When(min_tokens=2000), "it is for at least 2000 tokens, not 1000"),
        (When(max_tokens=999), "it is for at most 999 tokens, not 1000"),
    ],
)
def test_every_condition_can_say_why_it_does_not_hold(when: When, why: str) -> None:
    """`elision explain` shows it beside each rule."""
    rules = policy(Rule("a", when, HALF), Rule("b", When(), HALF), Rule("c", When(max_tokens=2000), HALF))
    assert [(miss.rule, miss.why) for miss in misses(rules, segment(), "gpt-4o")] == [
        ("a", why),
        ("c", "rule `b` above decides"),
    ]


def test_model_globs_match_whole_names() -> None:
    """`gpt-4` is not `gpt-4o`."""
    assert decide(Rule("r", When(model=("gpt-4",)), HALF), segment())[0] == "keep"
    assert decide(Rule("r", When(model=("x", "gpt-4?")), HALF), segment())[0] == "selective_context"


def test_each_segment_is_read_for_the_question_of_its_own_turn() -> None:
    """A tool's result belongs to the question before it; nothing belongs to a later one."""
    segments = [
        segment(Kind.INSTRUCTION, role="system", message=0),
        segment(message=1, text="doc"),
        segment(Kind.QUESTION, message=1, text=" first? "),
        segment(Kind.HISTORY, role="assistant", message=2),
        segment(Kind.TOOL_RESULT, role="tool", message=3),
        segment(message=4),
        segment(Kind.QUESTION, message=5, text="a"),
        segment(message=5),
        segment(Kind.QUESTION, message=5, text="b"),
    ]
    named = When(segment=tuple(Kind))
    plan = make_plan(policy(Rule("r", named, HALF)), segments, "m")
    questions = [decision.question for decision in plan.decisions]
    assert questions == [
        "",
        "first?",
        "first?",
        "first?",
        "first?",
        "",
        "a\n\nb",
        "a\n\nb",
        "a\n\nb",
    ]


KINDS = st.sampled_from(list(Kind))
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
WHENS = st.builds(
    When,
    role=st.lists(ROLES, max_size=2).map(tuple),
    segment=st.lists(KINDS, max_size=2).map(tuple),
    model=st.lists(st.sampled_from(["a", "a*"]), max_size=1).map(tuple),
    min_tokens=st.integers(0, 3),
    max_tokens=st.none() | st.integers(0, 3),
)
FACTS = st.builds(segment, kind=KINDS, tokens=st.integers(0, 4), role=ROLES)


@given(WHENS, WHENS, FACTS, st.sampled_from(["a", "ab", "b"]))
def test_a_condition_that_covers_another_leaves_it_nothing(
    first: When, second: When, facts: Segment, model: str
) -> None:
    """Only a rule that can truly never be reached is refused."""
    rules = policy(Rule("first", first, Use()), Rule("second", second, Use()))
    [decision] = make_plan(rules, [facts], model).decisions
    assert not (covers(first, second) and decision.rule == "second")


@given(st.lists(st.tuples(KINDS, ROLES, st.integers(0, 2000)), max_size=8), st.integers(0, 8))
def test_what_comes_later_changes_no_decision(facts: list[tuple[Kind, str, int]], length: int) -> None:
    """Promise 4: every turn decides alike about the messages that it repeats."""
    segments = [segment(k, t, r, message=n, text=f"t{n}") for n, (k, r, t) in enumerate(facts)]
    rules = policy(Rule("r", When(segment=tuple(Kind)), HALF))
    whole = make_plan(rules, segments, "m").decisions
    assert make_plan(rules, segments[:length], "m").decisions == whole[:length]
