"""Tests of elision.policies.judge."""

from dataclasses import replace

import pytest

from elision.policies.conditions import conditions_of
from elision.policies.judge import MIN_TOKENS, Judge, at_least, least_tokens
from elision.policies.model import (
    DROP,
    KEEP,
    Budget,
    Decision,
    Facts,
    Kind,
    Mark,
    Mode,
    Permissions,
    Policy,
    Rule,
    Segment,
    TextKind,
    Use,
    When,
)
from fakes.senses import Watched

HALF = Use("selective_context", 0.5)
HALVES = Rule("r", When(), HALF)
PLAIN = Policy("team", "abc", Mode.ENFORCE, 2.0, ())


def segment(
    text: str = "prose en",
    kind: Kind = Kind.CONTEXT,
    tokens: int = 1000,
    mark: Mark | None = None,
    *,
    tag: bool = False,
) -> Segment:
    """Return a segment of which only the facts matter."""
    return Segment(0, 0, len(text), kind, "user", text, tokens, mark=mark, tag=tag)


def decide(
    subject: Segment,
    *rules: Rule,
    policy: Policy = PLAIN,
    rate: float | None = None,
    default_method: str = "any",
) -> Decision:
    """Return the decision about a segment that is asked "Why?"."""
    bound = [(rule, conditions_of(rule.when, Facts(), 0)) for rule in rules]
    senses = Watched(default_method).senses
    return Judge(replace(policy, rules=rules), senses, bound, rate).decide(subject, "Why?")


def kept(decision: Decision) -> str:
    """Return why a segment is kept."""
    assert decision.use.method == KEEP
    assert not decision.compresses
    return decision.why


def test_the_first_rule_that_matches_decides() -> None:
    """Order is precedence; the decision carries the rule's name, use and the question."""
    tools = Rule("tools", When(segment=(Kind.TOOL_RESULT,)), Use("lossless"))
    documents = Rule("documents", When(segment=(Kind.CONTEXT,)), HALF)
    rest = Rule("rest", When(), Use("lossless"))
    made = decide(segment(), tools, documents, rest)
    assert (made.rule, made.use, made.question) == ("documents", HALF, "Why?")
    assert made.why == "rule `documents` matched"
    assert decide(segment(kind=Kind.HISTORY), tools, documents, rest).rule == "rest"


def test_what_no_rule_matches_is_kept() -> None:
    """The default is to leave alone, and to say why."""
    assert kept(decide(segment(), Rule("r", When(role=("tool",)), HALF))) == "kept: no rule matched"
    assert kept(decide(segment())) == "kept: the policy has no rules"
    question = segment(kind=Kind.QUESTION)
    assert kept(decide(question, HALVES)) == "kept: no rule names question segments"
    assert kept(decide(segment(), Rule("r", When(), Use()))) == "kept: rule `r` says so"


def test_a_small_block_is_kept_unless_the_rule_sets_its_own_minimum() -> None:
    """Under 300 tokens there is little to win and much to lose; the message's block counts."""
    small = segment(tokens=MIN_TOKENS - 1)
    why = "kept: 299 tokens are under the minimum of 300 (rule `r` sets none)"
    assert kept(decide(small, HALVES)) == why
    assert decide(replace(small, block_tokens=MIN_TOKENS), HALVES).compresses
    assert decide(small, Rule("r", When(min_tokens=5), HALF)).compresses
    assert decide(small, Rule("r", When(), replace(HALF, min_tokens=299))).compresses
    high = Rule("r", When(min_tokens=5), replace(HALF, min_tokens=2000))
    assert kept(decide(segment(), high)) == "kept: 1000 tokens are under the minimum of 2000"
    assert least_tokens(high) == 2000


def test_a_text_that_the_method_may_not_touch_is_kept_and_no_other_rule_is_tried() -> None:
    """The first match decides, even where it can do nothing."""
    lower = Rule("lower", When(), Use("lossless"))
    made = decide(segment("prose de"), HALVES, lower)
    assert kept(made).startswith("kept: selective_context is for the language en")
    assert made.rule == "r"
    named = Rule("named", When(language=("de",)), HALF)
    assert decide(segment("prose de"), named).compresses


def test_a_rule_may_be_in_audit_or_off() -> None:
    """Its decisions say so; off keeps."""
    audited = decide(segment(), Rule("r", When(), replace(HALF, mode=Mode.AUDIT)))
    assert (audited.mode, audited.compresses) == (Mode.AUDIT, True)
    off = Rule("r", When(), replace(HALF, mode=Mode.OFF))
    assert kept(decide(segment(), off)) == "kept: rule `r` is off"
    assert kept(decide(segment(mark=Mark(rate=0.4)), off)) == "kept: rule `r` is off"


def test_the_budget_says_how_far_where_the_rule_does_not() -> None:
    """Without either there is nothing to do, which is said; a rate of 1 is nothing to do as well."""
    unsaid = Rule("r", When(), Use("any"))
    budgeted = replace(PLAIN, budget=Budget(rate=0.3))
    assert decide(segment(), unsaid, policy=budgeted).use == Use("any")
    assert "nothing says how far to go" in kept(decide(segment(), unsaid))
    assert "a rate of 1 keeps all" in kept(decide(segment(), Rule("r", When(), Use("any", 1.0))))
    assert decide(segment(), Rule("r", When(), Use("lossless"))).compresses


def test_a_wished_rate_goes_before_the_rules_but_not_before_the_budget() -> None:
    """The budget has the wished rate itself; a method that takes no rate gets none."""
    rules = (HALVES,)
    made = decide(segment(), *rules, rate=0.7)
    assert (made.use, made.why) == (
        replace(HALF, rate=0.7),
        "rule `r` matched, the request asks to keep 0.7",
    )
    tokens = Rule("r", When(), Use("any", tokens=9))
    assert decide(segment(), tokens, rate=0.7).use == Use("any", 0.7)
    budgeted = replace(PLAIN, budget=Budget(rate=0.3))
    assert decide(segment(), Rule("r", When(), Use("any")), policy=budgeted, rate=0.7).use == Use("any")
    assert decide(segment(), Rule("r", When(), Use("lossless")), rate=0.7).use == Use("lossless")
    assert kept(decide(segment(), Rule("r", When(), Use()), rate=0.7)) == "kept: rule `r` says so"


def test_our_own_tags_are_left_out_and_what_a_user_marks_off_stays() -> None:
    """Both before any rule."""
    tag = decide(segment("<elision off>", tag=True), HALVES)
    assert (tag.use.method, tag.drops, tag.rule, tag.why) == (DROP, True, "", "inline tag")
    off = decide(segment(mark=Mark(keep=True)), HALVES)
    assert (kept(off), off.rule) == ("kept: the user marked it off", "")


@pytest.mark.parametrize("kind", [Kind.INSTRUCTION, Kind.QUESTION, Kind.CONTEXT])
def test_what_a_user_marks_is_compressed_whatever_it_is_and_however_small(kind: Kind) -> None:
    """The user said so; no rule is needed."""
    made = decide(segment(kind=kind, tokens=20, mark=Mark(rate=0.4)))
    assert (made.use, made.rule, made.why) == (Use("any", 0.4), "", "the user marked it")


def test_a_tag_goes_before_the_rule_and_takes_from_it_what_it_does_not_say() -> None:
    """Method, rate, options, deadline."""
    rule = Rule(
        "r", When(), Use("selective_context", tokens=9, options=(("unit", "phrase"),), deadline_s=0.5)
    )
    both = decide(segment(mark=Mark(rate=0.4)), rule)
    assert both.use == replace(rule.use, rate=0.4, tokens=None)
    assert (both.rule, both.why) == ("r", "the user marked it (rule `r` matched)")
    assert decide(segment(mark=Mark()), rule).use == rule.use
    other = decide(segment(mark=Mark(method="any")), rule)
    assert other.use == Use("any", tokens=9, deadline_s=0.5)
    assert decide(segment(mark=Mark()), Rule("r", When(), Use())).use == Use("any", 0.5)


def test_a_tag_that_does_not_say_how_far_leaves_it_to_rule_wish_budget_or_half() -> None:
    """In this order of what is there; what the tag says itself no wish changes."""
    bare, budgeted = segment(mark=Mark()), replace(PLAIN, budget=Budget(rate=0.3))
    assert decide(bare, HALVES, rate=0.7).use.rate == 0.7
    assert decide(bare, HALVES, policy=budgeted).use.rate == 0.5
    assert decide(bare, policy=budgeted, rate=0.7).use == Use("any")
    assert decide(bare, rate=0.7).use.rate == 0.7
    assert decide(bare).use.rate == 0.5
    assert decide(segment(mark=Mark(rate=0.4)), rate=0.7).use.rate == 0.4


def test_a_tag_keeps_no_less_than_the_policy_allows() -> None:
    """And one that asks for all of it gets all of it."""
    policy = replace(PLAIN, permissions=Permissions(min_rate=0.3))
    assert decide(segment(mark=Mark(rate=0.01)), policy=policy).use.rate == 0.3
    assert "a rate of 1 keeps all" in kept(decide(segment(mark=Mark(rate=1.0))))


def test_a_rate_is_for_a_method_that_takes_one() -> None:
    """A tag with a rate in a part whose rule uses `lossless` means the default method."""
    rule = Rule("r", When(), Use("lossless"))
    assert decide(segment(mark=Mark(rate=0.4)), rule).use == Use("any", 0.4)
    assert decide(segment(mark=Mark()), rule).use == Use("lossless")
    assert decide(segment(mark=Mark(rate=0.4, method="lossless")), HALVES).use == Use("lossless")


@pytest.mark.parametrize("kind", [TextKind.CODE, TextKind.JSON, TextKind.ENCODED])
def test_a_tag_alone_opens_no_code_json_or_encoded_text(kind: TextKind) -> None:
    """A user may mark more than was meant; a method in the tag, or the kind in the rule, opens it."""
    text = f"{kind} en"
    refused = kept(decide(segment(text, mark=Mark(rate=0.4))))
    assert refused == f"kept: {kind} is left alone unless it is named; name a method in the tag to allow it"
    assert decide(segment(text, mark=Mark(rate=0.4, method="any"))).compresses
    named = Rule("r", When(text_kind=(kind,)), Use("any", 0.5))
    assert decide(segment(text, mark=Mark(rate=0.4)), named).use.rate == 0.4


def test_a_tag_with_a_method_that_is_none_keeps() -> None:
    """`drop` is ours, not a user's; `keep` is understood."""
    for method in ("unheard-of", DROP):
        why = f"kept: the tag asks for the method {method}, which is not known"
        assert kept(decide(segment(mark=Mark(method=method)), HALVES)) == why
    assert kept(decide(segment(mark=Mark(method=KEEP)), HALVES)) == "kept: the tag asks for the method keep"


def test_a_policy_may_leave_tags_and_marks_unread() -> None:
    """Then rules alone decide."""
    deaf = replace(PLAIN, permissions=Permissions(marks=False))
    for said in (segment(tag=True), segment(mark=Mark(keep=True)), segment(mark=Mark(rate=0.9))):
        assert decide(said, HALVES, policy=deaf).use == HALF


@pytest.mark.parametrize(
    ("asked", "got"), [(0.5, 0.5), (0.05, 0.1), (1.0, 1.0), (7.0, 1.0), (float("nan"), 1.0), (-1.0, 0.1)]
)
def test_any_number_becomes_a_share_that_is_allowed(asked: float, got: float) -> None:
    """What cannot be a share keeps everything."""
    assert at_least(asked, 0.1) == got
