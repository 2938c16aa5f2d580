"""Tests of elision.policies.engine."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.policies.conditions import Subject, conditions_of, mismatch
from elision.policies.engine import budget_of, make_plan, misses
from elision.policies.model import (
    Budget,
    Decision,
    Facts,
    Kind,
    Mark,
    Mode,
    Permissions,
    Plan,
    Policy,
    Position,
    Rule,
    Segment,
    Use,
    When,
    Wish,
)
from fakes.conversations import BUDGETS, CONVERSATIONS, FACTS, PLAIN_WHENS, WHENS, policies
from fakes.senses import Watched

HALF = Use("selective_context", 0.5)
HALVES = Rule("r", When(), HALF)
ALL = Permissions(rate=True)


def segment(
    kind: Kind = Kind.CONTEXT, role: str = "user", message: int = 0, text: str = "x", turn: int = 0
) -> Segment:
    """Return a segment of a thousand tokens of which only the facts matter."""
    return Segment(message, 0, len(text), kind, role, text, 1000, message, turn, 1000)


def policy(*rules: Rule, mode: Mode = Mode.ENFORCE, permissions: Permissions = ALL) -> Policy:
    """Return a policy with these rules."""
    return Policy("team", "abc", mode, 2.0, rules, permissions=permissions)


def plan(rules: Policy, *segments: Segment, wish: Wish | None = None) -> Plan:
    """Return the plan of a request with such a wish."""
    return make_plan(rules, segments, Facts("m", wish=wish or Wish()), Watched().senses)


def test_a_plan_carries_its_policys_name_mode_and_deadline() -> None:
    """Headers, log and pipeline read them."""
    made = plan(policy(HALVES), segment(), segment(Kind.HISTORY))
    assert [(d.rule, d.use) for d in made.decisions] == [("r", HALF)] * 2
    assert (made.policy, made.mode, made.deadline_s) == ("team@abc", Mode.ENFORCE, 2.0)
    assert (made.notes, made.compresses) == ((), True)
    assert plan(policy(HALVES)).decisions == ()


def test_positions_are_told_from_the_requests_last_turn() -> None:
    """The same rule, three turns."""
    early = Rule("r", When(position=(Position.EARLIER,)), HALF)
    made = plan(policy(early), *(segment(message=turn, turn=turn) for turn in range(3)))
    assert [decision.rule for decision in made.decisions] == ["", "r", ""]


@pytest.mark.parametrize(
    ("mode", "wished", "planned"),
    [
        (Mode.ENFORCE, None, Mode.ENFORCE),
        (Mode.ENFORCE, Mode.AUDIT, Mode.AUDIT),
        (Mode.ENFORCE, Mode.OFF, Mode.OFF),
        (Mode.AUDIT, None, Mode.AUDIT),
        (Mode.AUDIT, Mode.AUDIT, Mode.AUDIT),
        (Mode.AUDIT, Mode.OFF, Mode.OFF),
        (Mode.OFF, None, Mode.OFF),
        (Mode.OFF, Mode.AUDIT, Mode.OFF),
        (Mode.OFF, Mode.OFF, Mode.OFF),
    ],
)
def test_a_wish_may_do_less_than_the_policy_never_more(
    mode: Mode, wished: Mode | None, planned: Mode
) -> None:
    """Off stays off, audit does not become enforce."""
    made = plan(policy(HALVES, mode=mode), segment(), wish=Wish(wished))
    assert (made.mode, made.notes) == (planned, ())


def test_a_request_that_wants_nothing_of_us_gets_nothing() -> None:
    """Every segment is kept, with the request's wish as the reason; so does `explain` say."""
    rules = policy(HALVES)
    made = plan(rules, segment(), wish=Wish(Mode.OFF))
    [decision] = made.decisions
    assert decision.why == "kept: the request asks for `x-elision: off`"
    assert decision == Decision(segment(), Use(), "", decision.why)
    assert not made.compresses
    [miss] = misses(rules, [segment()], 0, Facts(wish=Wish(Mode.OFF)), Watched().senses)
    assert (miss.rule, miss.why) == ("r", "the request asks for `x-elision: off`")


def test_a_wish_that_the_policy_does_not_allow_counts_for_nothing_and_is_told() -> None:
    """The plan is as without it, but for the note."""
    strict = policy(HALVES, permissions=Permissions(off=False, audit=False, rate=False))
    plain = plan(strict, segment())
    wishes = {
        Wish(Mode.OFF): "x-elision: off is not allowed by this policy",
        Wish(Mode.AUDIT): "x-elision: audit is not allowed by this policy",
        Wish(rate=0.2): "x-elision-rate is not allowed by this policy",
    }
    for wish, note in wishes.items():
        assert plan(strict, segment(), wish=wish) == replace(plain, notes=(note,))


def test_a_wished_rate_goes_before_rules_and_budget_but_not_under_the_least_allowed() -> None:
    """A budget of tokens or of the window becomes one of the wished rate."""
    low = plan(policy(HALVES), segment(), wish=Wish(rate=0.02))
    assert low.decisions[0].use.rate == 0.1
    assert low.notes == ("x-elision-rate: 0.02 is not allowed, this policy allows no less than 0.1",)
    open_rule = policy(Rule("r", When(), Use("any")))
    for budget in (Budget(rate=0.9), Budget(tokens=3), Budget(fit=True, window=10)):
        rules = replace(open_rule, budget=budget)
        [decision] = plan(rules, segment(), wish=Wish(rate=0.25)).decisions
        assert decision.use.tokens == 250


def test_a_request_is_planned_by_the_policys_budget_at_the_rate_that_is_wished() -> None:
    """As far as the policy permits; without a budget there is none."""
    rules = replace(policy(), budget=Budget(tokens=100), permissions=replace(ALL, min_rate=0.2))
    assert budget_of(rules, Facts()) == rules.budget
    assert budget_of(rules, Facts(wish=Wish(rate=0.1))) == Budget(rate=0.2)
    assert budget_of(replace(rules, permissions=Permissions()), Facts(wish=Wish(rate=0.1))) == rules.budget
    assert budget_of(policy(), Facts()) is None


def test_the_budget_shares_out_what_rules_leave_open_and_its_notes_are_told() -> None:
    """Whoever cannot keep to a budget says so."""
    rules = replace(policy(Rule("r", When(), Use("any"))), budget=Budget(rate=0.4))
    made = plan(rules, segment(), segment(Kind.QUESTION))
    assert [(d.use.method, d.use.tokens) for d in made.decisions] == [("any", 1), ("keep", None)]
    assert len(made.notes) >= 1
    assert plan(rules, segment()).decisions[0].use.tokens == 400


def test_each_segment_is_read_for_the_question_of_its_own_turn() -> None:
    """A tool's result belongs to the question before it; nothing belongs to a later turn."""
    segments = [
        segment(Kind.INSTRUCTION, "system", 0),
        segment(Kind.DEMONSTRATIONS, "system", 1),
        segment(message=2, text="doc"),
        segment(message=3, text="doc"),
        segment(Kind.QUESTION, message=3, text=" first? "),
        segment(Kind.HISTORY, "assistant", 4, turn=1),
        segment(Kind.TOOL_RESULT, "tool", 5, turn=1),
        segment(message=6, turn=1),
        segment(Kind.TOOL_RESULT, "tool", 7, turn=1),
        segment(Kind.HISTORY, "assistant", 8, turn=2),
        segment(Kind.QUESTION, message=9, text="a", turn=2),
        segment(message=9, turn=2),
        segment(Kind.QUESTION, message=9, text="b", turn=2),
        segment(Kind.QUESTION, message=10, text="c", turn=2),
        segment(message=11, turn=2),
    ]
    made = plan(policy(Rule("r", When(segment=tuple(Kind)), HALF)), *segments)
    first, both = "first?", "a\n\nb"
    assert [decision.question for decision in made.decisions] == [
        *["", first, first, first, first],
        *[first, first, "", ""],
        *["", both, both, both, "c", "a\n\nb\n\nc"],
    ]


def test_every_rule_that_did_not_decide_says_why() -> None:
    """`elision explain` shows it beside the one that did."""
    rules = policy(
        Rule("a", When(segment=(Kind.HISTORY,)), HALF),
        Rule("b", When(), HALF),
        Rule("c", When(max_tokens=2000), HALF),
    )
    found = misses(rules, [segment()], 0, Facts(), Watched().senses)
    assert [(miss.rule, miss.why) for miss in found] == [
        ("a", "it is for history segments, not context"),
        ("c", "rule `b` above decides"),
    ]


def test_where_a_tag_decides_no_rule_does() -> None:
    """Unless the policy leaves tags unread, or the tag says how far only."""
    off = replace(segment(), mark=Mark(keep=True))
    senses = Watched().senses
    for said in (off, replace(segment(), tag=True)):
        [miss] = misses(policy(HALVES), [said], 0, Facts(), senses)
        assert miss.why == "an inline tag decides"
    deaf = policy(HALVES, permissions=Permissions(marks=False))
    assert misses(deaf, [off], 0, Facts(), senses) == ()
    assert misses(policy(HALVES), [replace(segment(), mark=Mark(rate=0.4))], 0, Facts(), senses) == ()


def test_texts_are_studied_only_where_a_rule_or_a_method_depends_on_it() -> None:
    """Instructions and questions, small blocks and kept ones cost nothing."""
    watched = Watched()
    rules = policy(Rule("keep", When(segment=(Kind.HISTORY,)), Use()), HALVES)
    segments = [
        segment(Kind.INSTRUCTION, "system", text="a"),
        segment(Kind.QUESTION, text="b"),
        segment(Kind.HISTORY, "assistant", text="c"),
        replace(segment(text="d"), tokens=9, block_tokens=9),
        segment(text="e"),
    ]
    make_plan(rules, segments, Facts(), watched.senses)
    assert watched.asked == {("text_kind", "e"): 1, ("language", "e"): 1}


# --- properties


def spans(segments: tuple[Segment, ...]) -> list[tuple[int, int, str]]:
    return [(segment.source, segment.start, segment.text) for segment in segments]


def joined(decisions: tuple[Decision, ...], segments: tuple[Segment, ...]) -> list[tuple[int, int, str]]:
    """Put parts that a budget made of a segment together again."""
    rest = list(decisions)
    whole: list[tuple[int, int, str]] = []
    for one in segments:
        text = ""
        while len(text) < len(one.text):
            part = rest.pop(0).segment
            assert (part.source, part.start) == (one.source, one.start + len(text))
            text += part.text
        whole.append((one.source, one.start, text))
    assert not rest
    return whole


@given(policies(WHENS), CONVERSATIONS, FACTS)
def test_any_plan_covers_the_segments_in_their_order(
    rules: Policy, segments: tuple[Segment, ...], facts: Facts
) -> None:
    """Total: nothing raises, nothing is lost, every fate has a reason, and again it is the same."""
    made = make_plan(rules, segments, facts, Watched().senses)
    assert joined(made.decisions, segments) == spans(segments)
    assert all(decision.why for decision in made.decisions)
    assert make_plan(rules, segments, facts, Watched().senses) == made


@given(policies(WHENS), CONVERSATIONS, FACTS)
def test_the_first_match_wins_as_a_plain_reading_has_it(
    rules: Policy, segments: tuple[Segment, ...], facts: Facts
) -> None:
    """Also in the words of `misses`: rules above did not match, rules below came too late."""
    rules = replace(rules, budget=None, permissions=Permissions(marks=False, off=False))
    senses = Watched().senses
    last = max((segment.turn for segment in segments), default=0)
    made = make_plan(rules, segments, facts, senses)
    for index, decision in enumerate(made.decisions):
        subject = Subject(decision.segment, senses)
        why = [mismatch(conditions_of(rule.when, facts, last), subject) for rule in rules.rules]
        first = why.index("") if "" in why else len(why)
        assert decision.rule == ("" if first == len(why) else rules.rules[first].name)
        found = misses(rules, segments, index, facts, senses)
        late = [f"rule `{decision.rule}` above decides"] * len(why[first + 1 :])
        assert [miss.why for miss in found] == [*why[:first], *late]


@settings(max_examples=300)
@given(policies(PLAIN_WHENS, BUDGETS | BUDGETS | st.none()), CONVERSATIONS, FACTS, st.integers(1, 2))
def test_what_comes_later_changes_no_decision(
    rules: Policy, segments: tuple[Segment, ...], facts: Facts, turns: int
) -> None:
    """Promise 4: every request decides alike about the turns that it repeats.

    For policies without the positions `earlier` and `last`, with budgets per turn, and headers alike.
    """
    known = tuple(segment for segment in segments if segment.turn < turns)
    whole = make_plan(rules, segments, facts, Watched().senses).decisions
    begun = make_plan(rules, known, facts, Watched().senses).decisions
    assert begun == whole[: len(begun)]
    assert all(decision.segment.turn >= turns for decision in whole[len(begun) :])


@given(policies(WHENS), CONVERSATIONS, FACTS)
def test_a_method_gets_only_what_it_was_made_for_unless_told(
    rules: Policy, segments: tuple[Segment, ...], facts: Facts
) -> None:
    """Promise 3: code and other languages reach a method only where a rule or a tag names them."""
    senses = Watched().senses
    named = {rule.name for rule in rules.rules if rule.when.text_kind or rule.when.language}
    for decision in make_plan(rules, segments, facts, senses).decisions:
        mark = decision.segment.mark
        if decision.compresses and decision.rule not in named and not (mark and mark.method):
            assert not decision.segment.text.startswith("code")
            if decision.use.method == "selective_context":
                assert " de " not in decision.segment.text
