"""What requests begin with alike is sent alike."""

from dataclasses import replace

import pytest

from elision.policies.engine import make_plan
from elision.policies.model import (
    Budget,
    Decision,
    Kind,
    Mode,
    Policy,
    PrefixTerms,
    Rule,
    Segment,
    Use,
    When,
)
from elision.proxy.ledger import Conversation, Ledger, Recalled
from elision.proxy.ledger_chain import Origin
from elision.proxy.planner import Planned
from elision.proxy.prefix_guard import Held, PrefixGuard
from elision.proxy.shared_heads import heads_of
from elision.proxy.steady_heads import SHARED_HEAD, How, Sharing, Steady, foreseen_head
from elision.proxy.store import MemoryStore
from fakes.planned import planned

TERMS = PrefixTerms(0.1, minimum=64)
DOCUMENTS = Rule("documents", When(segment=(Kind.CONTEXT,)), Use("any"))
POLICY = Policy("team", "abc", Mode.ENFORCE, 2.0, (DOCUMENTS,), Budget(rate=0.5))
NOW = 1_000_000.0


def asks(decision: Decision) -> bool:
    """What is made of a text depends on its question."""
    return bool(decision.question)


def never(decision: Decision) -> bool:
    """No method here reads the question."""
    return False


def a_plan(policy: Policy = POLICY, terms: PrefixTerms = TERMS) -> Planned:
    return replace(planned(policy), terms=terms)


def conversation_of(plan: Planned) -> Conversation:
    memory = MemoryStore(1 << 20)
    return Ledger(memory, memory).conversation(plan.body, Origin(model="m"), "team", "team@abc")


def asked(plan: Planned, question: str) -> Planned:
    """Return the plan of the same prompt with another question."""
    last = plan.segments[-1]
    other = replace(last, text=question, tokens=len(question.split()))
    segments = (*plan.segments[:-1], other)
    made = make_plan(plan.policy, segments, plan.facts, plan.senses)
    return replace(plan, segments=segments, plan=made)


def sharing(plan: Planned, kept: dict[bytes, bytes], reads: bool = True) -> Sharing:
    conversation = conversation_of(plan)
    recalled = Recalled(conversation, "team@abc", {}, others=dict(kept))
    return Sharing(plan, heads_of(plan, conversation), recalled, {0, 1}, NOW, asks if reads else never)


def decided(plan: Planned, kept: dict[bytes, bytes], reads: bool = True) -> tuple[Steady, Held]:
    """Return what is decided, and take note of it."""
    one = sharing(plan, kept, reads)
    steady = one.decided()
    aim = PrefixGuard.of(plan, {}).aim(steady.decisions)
    kept |= one.noted(steady, aim)
    return steady, aim


def material(steady: Steady) -> list[tuple[str, Use]]:
    """Return what is done with a document."""
    return [(one.segment.text, one.use) for one in steady.decisions if one.segment.kind is Kind.CONTEXT]


def test_a_document_that_comes_again_is_sent_alike_before_every_question() -> None:
    """The first time by the plan, then unit by unit, at the budget's rate, and with no question."""
    kept: dict[bytes, bytes] = {}
    plan = a_plan()
    first, _ = decided(plan, kept)
    second, _ = decided(asked(plan, "When was it built, and by whom, and why just there?"), kept)
    third, _ = decided(asked(plan, "Why?"), kept)
    assert (first.how, second.how, third.how) == (How.FIRST, How.STEADY, How.STEADY)
    assert first.decisions == plan.plan.decisions
    assert sharing(plan, kept).is_known
    assert not sharing(plan, {}).is_known
    assert material(second) == material(third)
    compressed = [one for one in second.decisions if one.compresses]
    assert {(one.use.rate, one.use.tokens, one.question) for one in compressed} == {(0.5, None, "")}
    assert second.words == (f"head=steady,tokens={second.before}>{second.after}",)
    assert first.words == ()


def test_decisions_cover_every_text_in_order() -> None:
    """Whatever is shared, nothing is lost or told twice."""
    kept: dict[bytes, bytes] = {}
    plan = a_plan()
    decided(plan, kept)
    steady, _ = decided(asked(plan, "Why?"), kept)
    said = "".join(one.segment.text for one in steady.decisions if one.segment.message == 1)
    parts = [one.segment for one in steady.decisions]
    assert said == "".join(s.text for s in plan.segments[1:-1]) + "Why?"
    assert parts == sorted(parts, key=lambda segment: (segment.source, segment.start))


def test_so_much_stays_as_it_was_as_the_minimum_asks_for() -> None:
    """From the beginning on; what follows is shortened."""
    kept: dict[bytes, bytes] = {}
    plan = a_plan(terms=replace(TERMS, minimum=256))
    decided(plan, kept)
    steady, _ = decided(asked(plan, "Why?"), kept)
    uses = [use.method for _, use in material(steady)]
    assert uses == sorted(uses, key=lambda method: method != "keep")
    assert {"keep", "any"} == set(uses)
    assert steady.after >= 256 * 9 // 8
    assert {fate.reason for fate in steady.fates} == {SHARED_HEAD}
    assert {id(fate.decision) for fate in steady.fates} <= {id(one) for one in steady.decisions}


def test_what_no_question_had_a_part_in_is_repeated() -> None:
    """With the target of the first time, however long the next question is."""
    kept: dict[bytes, bytes] = {}
    policy = replace(POLICY, budget=Budget(rate=0.5, coarse=False))
    plan = a_plan(policy)
    _, first = decided(plan, kept, reads=False)
    long = asked(plan, "Why? " * 60)
    assert [one.use.tokens for one in long.plan.decisions] != [one.use.tokens for one in first.decisions]
    second, _ = decided(long, kept, reads=False)
    assert second.how is How.REPEATED
    target = {one.use.tokens for one in first.decisions if one.compresses}
    assert {one.use.tokens for one in second.decisions if one.compresses} == target


def test_what_became_too_small_is_not_repeated() -> None:
    """With a long question the first prompt was large enough; what it began with was not."""
    kept: dict[bytes, bytes] = {}
    plan = a_plan(replace(POLICY, budget=Budget(rate=0.3, coarse=False)), replace(TERMS, minimum=512))
    long = asked(plan, "Why? " * 700)
    first, _ = decided(long, kept, reads=False)
    second, _ = decided(asked(plan, "Who? " * 650), kept, reads=False)
    assert (first.how, second.how) == (How.FIRST, How.STEADY)
    assert second.after >= 512 * 9 // 8


@pytest.mark.parametrize("terms", [replace(TERMS, minimum=2000), PrefixTerms()])
def test_what_is_not_cached_is_decided_as_ever(terms: PrefixTerms) -> None:
    """The prompt is too small, or there is no cache."""
    kept: dict[bytes, bytes] = {}
    plan = a_plan(terms=terms)
    decided(plan, kept)
    again = asked(plan, "Why?")
    steady, _ = decided(again, kept)
    assert steady.how is How.FIRST
    assert steady.decisions == again.plan.decisions


def test_what_is_new_is_planned_as_if_the_rest_were_not_there() -> None:
    """Another document after the one that is known has half of its own tokens."""
    kept: dict[bytes, bytes] = {}
    plan = a_plan()
    decided(plan, kept)
    longer = lengthened(plan, " ".join(["The weir was mended."] * 100))
    steady, _ = decided(longer, kept)
    rest = [one for one in steady.decisions if one.use.tokens is not None]
    assert steady.how is How.STEADY
    assert len(rest) == 1
    assert "The weir" in rest[0].segment.text


def test_a_question_that_is_shared_still_ranks_what_follows() -> None:
    """It is planned with it, and told once."""
    kept: dict[bytes, bytes] = {}
    plan = a_plan()
    first = asked_first(plan, "")
    decided(first, kept)
    longer = asked_first(plan, " ".join(["The weir was mended."] * 100))
    steady, _ = decided(longer, kept)
    assert steady.how is How.STEADY
    assert [one.question for one in steady.decisions if one.use.tokens is not None] == ["Who owned it?"]
    assert [one.segment.text for one in steady.decisions].count("Who owned it?\n\n") == 1


def asked_first(plan: Planned, more: str) -> Planned:
    """Return the plan of a prompt whose question comes first, and whose document goes on."""
    system, document, question = plan.segments
    text = "Who owned it?\n\n"
    question = replace(question, text=text, start=0, end=len(text), tokens=3)
    whole = document.text + more
    start, end = len(text), len(text) + len(whole)
    longer = replace(document, text=whole, start=start, end=end, tokens=len(whole.split()))
    segments: tuple[Segment, ...] = (system, question, longer)
    made = make_plan(plan.policy, segments, plan.facts, plan.senses)
    return replace(plan, segments=segments, plan=made)


def lengthened(plan: Planned, more: str) -> Planned:
    """Return the plan of a prompt whose document goes on."""
    system, document, question = plan.segments
    whole = document.text + more
    longer = replace(document, text=whole, end=document.start + len(whole), tokens=len(whole.split()))
    moved = replace(question, start=longer.end, end=longer.end + len(question.text))
    segments: tuple[Segment, ...] = (system, longer, moved)
    made = make_plan(plan.policy, segments, plan.facts, plan.senses)
    return replace(plan, segments=segments, plan=made)


@pytest.mark.parametrize("use", [Use("lossless"), Use("any", tokens=100)])
def test_what_has_no_rate_is_shortened_as_one_or_not_at_all(use: Use) -> None:
    """A method without a target may need the whole of its text."""
    kept: dict[bytes, bytes] = {}
    plan = a_plan(Policy("team", "abc", Mode.ENFORCE, 2.0, (replace(DOCUMENTS, use=use),)))
    decided(plan, kept)
    steady, _ = decided(asked(plan, "Why?"), kept)
    assert [one.segment for one in steady.decisions][:2] == list(plan.segments[:2])


def test_what_would_be_sent_is_foreseen() -> None:
    """Before and after, up to the end of the material; None where there is none."""
    plan = a_plan()
    before, after = foreseen_head(plan) or (0, 0)
    assert before == 2 + 720 + 4
    assert before // 2 <= after < before
    assert foreseen_head(a_plan(replace(POLICY, rules=()))) is None
    assert foreseen_head(a_plan(terms=replace(TERMS, minimum=2000))) is None
    assert foreseen_head(a_plan(terms=replace(TERMS, whole_messages=True))) is None
