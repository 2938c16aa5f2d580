"""Tests of elision.policies.conditions."""

from dataclasses import fields, replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.policies.conditions import (
    Subject,
    conditions_of,
    covers,
    headers_met,
    kinds_of,
    matches,
    mismatch,
)
from elision.policies.model import Endpoint, Facts, Kind, Position, Rule, Segment, TextKind, Use, When
from fakes.conversations import CONVERSATIONS, FACTS, SEGMENTS, WHENS
from fakes.senses import Watched

REQUEST = Facts("gpt-4o", Endpoint.CHAT, "east", {"x-app": "search"})
SEGMENT = Segment(0, 0, 1, Kind.CONTEXT, "user", "prose en x", 400, 1, 1, 1000)


def why_not(when: When, segment: Segment = SEGMENT, facts: Facts = REQUEST) -> str:
    """Return which condition does not hold in a conversation of three turns."""
    return mismatch(conditions_of(when, facts, 2), Subject(segment, Watched().senses))


@pytest.mark.parametrize(
    ("when", "why"),
    [
        (When(endpoint=(Endpoint.RESPONSES,)), "it is for the endpoint responses, not chat"),
        (When(model=("gpt-5*", "o?")), "it is for the model gpt-5* or o?, not gpt-4o"),
        (When(upstream=("w*",)), "it is for the upstream w*, not east"),
        (
            When(header=(("x-team", "a"),)),
            "it is for requests with x-team: a, and this one has no x-team",
        ),
        (
            When(header=(("x-app", "b*"),)),
            "it is for requests with x-app: b*, and this one's x-app is another",
        ),
        (When(segment=(Kind.HISTORY,)), "it is for history segments, not context"),
        (When(role=("tool", "assistant")), "it is for the role tool or assistant, not user"),
        (When(min_tokens=1001), "it is for at least 1001 tokens, not 1000"),
        (When(max_tokens=999), "it is for at most 999 tokens, not 1000"),
        (When(min_turn=3), "it is for turn 3 and later, not 2"),
        (When(max_turn=1), "it is for turn 1 and before, not 2"),
        (When(position=(Position.FIRST,)), "it is for first turns, not turn 2 of 3"),
        (When(position=(Position.LAST,)), "it is for last turns, not turn 2 of 3"),
        (When(text_kind=(TextKind.LOG,)), "it is for texts of the kind log, not prose"),
        (When(language=("de", "fr")), "it is for the language de or fr, not en"),
    ],
)
def test_every_condition_can_say_why_it_does_not_hold(when: When, why: str) -> None:
    """`elision explain` shows it beside each rule."""
    assert why_not(when) == why


@pytest.mark.parametrize(
    "when",
    [
        When(),
        When(endpoint=(Endpoint.CHAT,), model=("x", "gpt-4?"), upstream=("e*",)),
        When(header=(("x-app", "se*"), ("x-app", "search"))),
        When(role=("user",), segment=(Kind.CONTEXT,), min_tokens=1000, max_tokens=1000),
        When(min_turn=2, max_turn=2, position=(Position.EARLIER,)),
        When(text_kind=(TextKind.PROSE,), language=("en",)),
    ],
)
def test_a_rule_matches_where_all_of_its_conditions_hold(when: When) -> None:
    """Bounds are inclusive, tokens those of the block, turns counted from 1."""
    assert why_not(when) == ""


def test_globs_match_whole_values() -> None:
    """`gpt-4` is not `gpt-4o`; what is not named is called none; a language may not be plain."""
    assert why_not(When(model=("gpt-4",))) == "it is for the model gpt-4, not gpt-4o"
    assert why_not(When(model=("a",)), facts=Facts()) == "it is for the model a, not none"
    unclear = replace(SEGMENT, text="prose ?? x")
    assert why_not(When(language=("en",)), unclear).endswith("not one that is not plain")


@pytest.mark.parametrize(
    ("turn", "last", "standing"),
    [(0, 0, {"first", "last"}), (0, 2, {"first"}), (1, 2, {"earlier"}), (2, 2, {"last"})],
)
def test_a_turn_is_first_or_last_or_else_earlier(turn: int, last: int, standing: set[str]) -> None:
    """An only turn is both; `earlier` is neither."""
    subject = Subject(replace(SEGMENT, turn=turn), Watched().senses)
    found = {
        position.value
        for position in Position
        if matches(conditions_of(When(position=(position,)), REQUEST, last), subject)
    }
    assert found == standing


def test_instructions_and_questions_must_be_named() -> None:
    """A broad rule is not for what steers the answer; the role `system` names its instruction."""
    assert Kind.QUESTION not in kinds_of(When(role=("user",)))
    assert Kind.INSTRUCTION not in kinds_of(When())
    assert kinds_of(When(role=("system",))) == set(Kind) - {Kind.QUESTION}
    assert kinds_of(When(role=("user",), segment=(Kind.QUESTION,))) == {Kind.QUESTION}


def test_a_text_is_studied_only_if_all_else_holds_and_once() -> None:
    """A sense may take a tenth of a millisecond; planning has five for a hundred messages."""
    watched = Watched()
    subject = Subject(SEGMENT, watched.senses)
    far = When(text_kind=(TextKind.PROSE,), language=("en",), max_tokens=1)
    assert not matches(conditions_of(far, REQUEST, 2), subject)
    assert not watched.asked
    near = When(text_kind=(TextKind.PROSE,), language=("de",))
    assert [mismatch(conditions_of(near, REQUEST, 2), subject) for _ in range(2)] != ["", ""]
    assert set(watched.asked.values()) == {1}


def plainly_matches(when: When, segment: Segment, facts: Facts, last_turn: int) -> bool:
    """Return whether a rule matches, by its definition."""
    senses = Watched().senses
    block = max(segment.block_tokens, segment.tokens)
    named = when.segment or (set(when.role) & {"system", "developer"} and segment.kind is Kind.INSTRUCTION)
    turn = segment.turn
    standing = [Position.FIRST] * (turn == 0) + [Position.LAST] * (turn == last_turn)
    return all(
        (
            segment.kind in when.segment if when.segment else True,
            named or segment.kind not in (Kind.INSTRUCTION, Kind.QUESTION),
            not when.role or segment.role in when.role,
            not when.model or any(fnmatchcase(facts.model, glob) for glob in when.model),
            not when.upstream or any(fnmatchcase(facts.upstream, glob) for glob in when.upstream),
            not when.endpoint or facts.endpoint in when.endpoint,
            when.min_tokens <= block <= (block if when.max_tokens is None else when.max_tokens),
            not when.text_kind or senses.text_kind(segment.text) in when.text_kind,
            not when.language or senses.language(segment.text) in when.language,
            not when.position or bool(set(standing or [Position.EARLIER]) & set(when.position)),
            when.min_turn <= turn + 1 <= (turn + 1 if when.max_turn is None else when.max_turn),
            all(n in facts.headers and fnmatchcase(facts.headers[n], glob) for n, glob in when.header),
        )
    )


@given(WHENS, CONVERSATIONS, FACTS)
def test_matching_is_what_it_is_defined_to_be(
    when: When, segments: tuple[Segment, ...], facts: Facts
) -> None:
    """The quick way and the slow one agree, and there is a reason where there is no match."""
    last = max((segment.turn for segment in segments), default=0)
    conditions = conditions_of(when, facts, last)
    for segment in segments:
        subject = Subject(segment, Watched().senses)
        expected = plainly_matches(when, segment, facts, last)
        assert matches(conditions, subject) is expected
        assert (mismatch(conditions, subject) == "") is expected


NAMES = [field.name for field in fields(When)]


@settings(max_examples=500)
@given(WHENS, WHENS, st.sets(st.sampled_from(NAMES), max_size=4), SEGMENTS, FACTS)
def test_a_condition_that_covers_another_leaves_it_nothing(
    first: When, other: When, differing: set[str], segment: Segment, facts: Facts
) -> None:
    """Only a rule that can truly never be reached is refused."""
    second = replace(first, **{name: getattr(other, name) for name in differing})
    last = 2
    if covers(first, second) and plainly_matches(second, segment, facts, last):
        assert plainly_matches(first, segment, facts, last)


@given(WHENS)
def test_a_condition_covers_itself(when: When) -> None:
    """The same rule twice: the second is never reached."""
    assert covers(when, when)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (When(model=("*",)), When()),
        (When(model=("gpt-*",)), When(model=("gpt-4o", "gpt-5"))),
        (When(upstream=("e?st", "w")), When(upstream=("east", "w"))),
        (When(endpoint=tuple(Endpoint)), When()),
        (When(text_kind=tuple(TextKind)), When(text_kind=(TextKind.LOG,))),
        (When(position=tuple(Position)), When()),
        (When(position=(Position.FIRST, Position.LAST)), When(position=(Position.LAST,))),
        (When(position=(Position.FIRST,)), When(max_turn=1)),
        (When(max_turn=1), When(position=(Position.FIRST,))),
        (When(min_turn=2, max_turn=5), When(min_turn=3, max_turn=4)),
        (When(header=(("x-a", "*"),)), When(header=(("x-b", "1"), ("x-a", "v*")))),
        (When(header=(("x-a", "v*"),)), When(header=(("x-a", "v2"),))),
        (When(role=("user", "tool")), When(role=("tool",))),
        (When(language=("en", "de")), When(language=("de",))),
        (When(min_tokens=5), When(min_tokens=6, max_tokens=9)),
    ],
)
def test_what_is_certainly_covered_is_found(first: When, second: When) -> None:
    """Each condition can make a rule unreachable."""
    assert covers(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (When(model=("gpt-?",)), When(model=("gpt-*",))),
        (When(header=(("x-a", "*"),)), When()),
        (When(header=(("x-a", "1"),)), When(header=(("x-a", "*"),))),
        (When(position=(Position.FIRST, Position.EARLIER)), When(position=(Position.LAST,))),
        (When(max_turn=3), When()),
        (When(language=("en",)), When()),
        (When(text_kind=(TextKind.CODE,)), When()),
        (When(endpoint=(Endpoint.CHAT,)), When()),
    ],
)
def test_what_may_match_elsewhere_is_not_covered(first: When, second: When) -> None:
    """A rule that could be reached is never refused."""
    assert not covers(first, second)


def test_the_conditions_on_headers_that_hold_are_told_in_the_rules_order() -> None:
    """Each once; nothing where no rule asks."""
    rules = [
        Rule(f"rule-{n}", When(header=asked), Use())
        for n, asked in enumerate(
            [(("x-class", "a*"), ("x-place", "*")), (), (("x-class", "a*"),), (("x-class", "b"),)]
        )
    ]
    assert headers_met(rules, {"x-class": "ab"}) == "100"
    assert headers_met(rules, {"x-class": "b", "x-place": ""}) == "011"
    assert headers_met(rules, {}) == "000"
    assert headers_met(rules[1:2], {"x-class": "b"}) == ""
