"""Prompts are held above the minimum that a provider caches."""

import json
from dataclasses import replace

import pytest

from elision.compressors.base import Outcome, Span
from elision.policies.economy import Outlook, Ruling
from elision.policies.model import (
    DROP,
    Decision,
    Endpoint,
    History,
    Mode,
    Policy,
    PrefixTerms,
    Rule,
    Use,
    When,
)
from elision.policies.segments import cut
from elision.proxy.bodies import parse
from elision.proxy.ledger import Conversation, Known, Recalled
from elision.proxy.ledger_entries import Entry, Figures
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned
from elision.proxy.prefix_guard import (
    CACHE_MINIMUM,
    Held,
    PrefixGuard,
    foreseen,
    given_back_words,
    outlook_of,
    prompt_tokens,
    sent_tokens,
)
from fakes.planned import planned

TERMS = PrefixTerms(0.1, 1.25, 512, source="a page")
WORDS = 738
"""Of the prompt: 2 and 720 and 4, with 4 for each of two messages and 4 for the whole."""


def a_plan(use: Use, terms: PrefixTerms = TERMS, mode: Mode = Mode.ENFORCE, turns: int = 5) -> Planned:
    policy = Policy(
        "team", "abc", mode, 2.0, (Rule("all", When(), use),), history=History(expected_turns=turns)
    )
    return replace(planned(policy), terms=terms)


def shortened(decision: Decision, tokens: int) -> Fate:
    """Return a fate that keeps the first words."""
    text = " ".join(decision.segment.text.split()[:tokens])
    outcome = Outcome(text, decision.segment.tokens, tokens, (Span(0, len(text)),), "any", "f")
    return Fate(decision, outcome)


def carried_out(aim: Held, tokens: int) -> list[Fate]:
    return [shortened(decision, tokens) for decision in aim.decisions if decision.compresses]


HALF = Use("any", rate=0.5)


def test_a_prompt_is_weighed_whole() -> None:
    """Texts as they are counted, or as they were sent; tools by their bytes; a frame for each message."""
    plan = a_plan(HALF)
    assert prompt_tokens(plan, {}) == WORDS
    assert prompt_tokens(plan, {0: 1, 1: 100}) == 1 + 100 + 12
    tools = replace(plan, body=replace(plan.body, others=((0, 41), (50, 90))))
    assert prompt_tokens(tools, {}) == WORDS + 81 // 4
    counted = replace(plan, facts=replace(plan.facts, other_tokens=7))
    assert prompt_tokens(counted, {}) == WORDS + 7


def test_an_outlook_is_the_policys_or_what_is_asked() -> None:
    """With the prices of the model at hand."""
    plan = a_plan(HALF, turns=3)
    assert outlook_of(plan, {}) == Outlook(plan.terms, 3)
    assert outlook_of(plan, {}, 9) == Outlook(plan.terms, 9)


def test_a_conversation_is_expected_to_grow_as_it_did() -> None:
    """By the mean of its turns after the first, as they were sent."""
    plan = a_plan(HALF)
    first, document, question = plan.segments
    later = tuple(replace(segment, turn=2) for segment in (document, question))
    grown = replace(plan, segments=(first, *later))
    assert outlook_of(grown, {}).growth == (720 + 4 + 4) // 2
    assert outlook_of(grown, {0: 1, 1: 100}).growth == (100 + 4) // 2


def test_targets_are_raised_before_anything_is_compressed() -> None:
    """Half of 720 would fall below 512; so much more is kept that 576 tokens are aimed at, and a little."""
    plan = a_plan(HALF)
    aim = PrefixGuard(plan, {}).aim(plan.plan.decisions)
    [document] = [decision for decision in aim.decisions if decision.compresses]
    assert document.use == Use("any", tokens=576)
    assert document.why.endswith("held above the cache minimum")
    assert aim.verdict is not None
    assert (aim.verdict.ruling, aim.verdict.sent) == (Ruling.MINIMUM, 576)
    done = PrefixGuard(plan, {}).hold(aim, carried_out(aim, 556))
    assert done.verdict is not None
    assert (done.verdict.sent, [fate.reason for fate in done.fates]) == (574, [""])
    assert done.verdict.words == "kept=cache_minimum,tokens=738>378>574,minimum=512,turns=5,bill=1292>1004"


@pytest.mark.parametrize(("asked", "kept"), [(700, 704), (360, 360), (363, 368), (355, 360), (31, 31)])
def test_a_budgets_target_is_rounded_up_where_a_prefix_is_billed_less(asked: int, kept: int) -> None:
    """By a thirty-second at most, so that questions of other lengths leave the same of a document."""
    plan = a_plan(Use("any", tokens=asked), replace(TERMS, minimum=0))
    aim = PrefixGuard(plan, {}).aim(plan.plan.decisions)
    assert [decision.use.tokens for decision in aim.decisions if decision.compresses] == [kept]
    full = a_plan(Use("any", tokens=asked), PrefixTerms())
    assert PrefixGuard(full, {}).aim(full.plan.decisions) == Held(full.plan.decisions)


def test_what_a_method_takes_beyond_its_target_is_taken_back() -> None:
    """Just above the minimum is not far enough: our count may be wrong by a sixteenth."""
    plan = a_plan(HALF)
    aim = PrefixGuard(plan, {}).aim(plan.plan.decisions)
    done = PrefixGuard(plan, {}).hold(aim, carried_out(aim, 520))
    assert [fate.reason for fate in done.fates] == [CACHE_MINIMUM]
    assert done.fates[0].decision in done.decisions
    assert not any(decision.compresses for decision in done.decisions)
    assert done.verdict is not None
    assert done.verdict.sent == WORDS


def test_where_the_minimum_is_too_near_nothing_is_compressed() -> None:
    """Then no compressor is asked, and the reason is told."""
    plan = a_plan(HALF, replace(TERMS, minimum=700))
    aim = PrefixGuard(plan, {}).aim(plan.plan.decisions)
    assert not any(decision.compresses for decision in aim.decisions)
    assert [fate.reason for fate in aim.fates] == [CACHE_MINIMUM]
    done = PrefixGuard(plan, {}).hold(aim, ())
    assert [fate.reason for fate in done.fates] == [CACHE_MINIMUM]
    assert done.verdict is not None
    assert done.verdict.words == "kept=cache_minimum,tokens=738>378>738,minimum=700,turns=5,bill=1292>1292"


@pytest.mark.parametrize(
    ("terms", "turns"),
    [(replace(TERMS, minimum=64), 5), (replace(TERMS, minimum=4096), 5), (PrefixTerms(), 5)],
)
def test_far_from_a_minimum_nothing_changes(terms: PrefixTerms, turns: int) -> None:
    """Decisions are the same objects, so that their outcomes are found."""
    plan = a_plan(HALF, terms, turns=turns)
    aim = PrefixGuard(plan, {}).aim(plan.plan.decisions)
    assert aim == Held(plan.plan.decisions)
    fates = carried_out(aim, 360)
    assert PrefixGuard(plan, {}).hold(aim, fates) == Held(plan.plan.decisions, tuple(fates))


def test_where_no_turn_is_expected_a_prompt_may_fall_below() -> None:
    """It is told, and done."""
    plan = a_plan(HALF, turns=0)
    aim = PrefixGuard(plan, {}).aim(plan.plan.decisions)
    done = PrefixGuard(plan, {}).hold(aim, carried_out(aim, 360))
    assert done.verdict is not None
    assert done.verdict.words == "below=cache_minimum,tokens=738>378,minimum=512,turns=0,bill=922>378"
    assert [fate.shortened for fate in done.fates] == [True]


def test_a_method_without_a_target_is_looked_at_afterwards() -> None:
    """What it will take away is not known before; it may be taken back all the same."""
    plan = a_plan(Use("lossless"))
    aim = PrefixGuard(plan, {}).aim(plan.plan.decisions)
    assert aim == Held(plan.plan.decisions)
    done = PrefixGuard(plan, {}).hold(aim, carried_out(aim, 400))
    assert [fate.reason for fate in done.fates] == [CACHE_MINIMUM]


def test_what_a_budget_leaves_out_is_put_back() -> None:
    """A whole document that would be dropped stays, with the reason."""
    plan = a_plan(HALF)
    decisions = [
        replace(decision, use=Use(DROP)) if decision.compresses else decision
        for decision in plan.plan.decisions
    ]
    aim = PrefixGuard(plan, {0: 402}).aim(decisions)
    done = PrefixGuard(plan, {0: 402}).hold(aim, ())
    assert not any(decision.drops for decision in done.decisions)
    assert [fate.reason for fate in done.fates] == [CACHE_MINIMUM]
    assert done.verdict is not None
    assert done.verdict.sent == WORDS + 400


def test_what_is_only_audited_saves_nothing() -> None:
    """So nothing of it need be taken back."""
    plan = a_plan(HALF, mode=Mode.AUDIT)
    aim = PrefixGuard(plan, {}).aim(plan.plan.decisions)
    assert aim == Held(plan.plan.decisions)
    assert PrefixGuard(plan, {}).hold(aim, carried_out(aim, 360)).verdict is None


def test_what_was_sent_before_counts_as_it_was_sent() -> None:
    """With 2,000 tokens before it, a short tail is no matter of the minimum."""
    plan = a_plan(HALF)
    aim = PrefixGuard(plan, {0: 2000}).aim(plan.plan.decisions)
    assert aim == Held(plan.plan.decisions)


def test_a_plan_is_foreseen_without_being_carried_out() -> None:
    """In audit too; with so many turns as are asked about."""
    assert foreseen(a_plan(HALF, mode=Mode.AUDIT)).sent == 576
    assert foreseen(a_plan(HALF), 0).ruling is Ruling.BELOW
    assert foreseen(a_plan(Use("any", tokens=700))).ruling is Ruling.CLEAR
    assert foreseen(a_plan(Use("lossless"))).before == WORDS


def test_a_guard_may_be_off() -> None:
    """Where it is not our business what the provider keeps."""
    plan = a_plan(HALF)
    guard = PrefixGuard(plan, {}, is_off=True)
    aim = guard.aim(plan.plan.decisions)
    fates = carried_out(aim, 360)
    assert guard.hold(aim, fates) == Held(plan.plan.decisions, tuple(fates))
    assert guard.hold(aim, fates).words == ()


def test_above_the_minimum_nothing_is_weighed_any_more() -> None:
    """What was sent before stays, so a long conversation costs no arithmetic; without a cache none does."""
    plan = a_plan(HALF)
    assert [PrefixGuard.of(plan, {0: tokens}).is_off for tokens in (543, 544)] == [False, True]
    assert PrefixGuard.of(a_plan(HALF, turns=0), {}).is_off
    unknown = replace(plan, policy=replace(plan.policy, history=History(compress_unknown=True)))
    assert PrefixGuard.of(unknown, {}).is_off
    assert PrefixGuard.of(replace(plan, body=replace(plan.body, thread=b'"r1"')), {}).is_off


def conversed(turns: int, terms: PrefixTerms, sent: int = 200) -> tuple[Planned, Recalled]:
    """Return a request after so many turns of some 60 tokens; its document, of 363, was sent as so many."""
    document = "<document>\n" + "The mill stood by the river. " * 60 + "\n</document>\n\nWho owned it?"
    messages = [{"role": "user", "content": document}]
    for _ in range(turns):
        messages += [
            {"role": "assistant", "content": "It is not known. " * 12},
            {"role": "user", "content": "And now?"},
        ]
    body = parse(json.dumps({"model": "m", "messages": messages}).encode(), Endpoint.CHAT)
    plan = a_plan(HALF, terms)
    segments = cut(body.texts, plan.senses.count)
    known = {
        index: Known(Entry(0, (), Figures((("history", 48, 48),)))) for index in range(len(messages) - 2)
    }
    known[0] = Known(Entry(0, (), Figures((("context", 368, sent),))), {0: "shorter"} if sent < 368 else {})
    ended = frozenset(range(1, len(messages) - 1, 2))
    conversation = Conversation(body, b"s" * 8, b"d" * 16 * len(messages), "team@abc")
    return (
        replace(plan, body=body, segments=segments),
        Recalled(conversation, "team@abc", known, ended),
    )


@pytest.mark.parametrize(("turns", "back"), [(1, []), (2, [0]), (3, []), (9, [])])
def test_what_was_too_small_to_be_cached_is_given_back_once(turns: int, back: list[int]) -> None:
    """By the request in which the client's own prompt passes the minimum of 512; no sooner, no later."""
    plan, recalled = conversed(turns, replace(TERMS, minimum=512))
    given = PrefixGuard.of(plan, sent_tokens(recalled)).given_back(recalled)
    assert list(given) == back
    if back:
        assert given[0].sent == {}
        assert given[0].figures == Figures((("context", 368, 368),), (), (CACHE_MINIMUM,))
        assert given_back_words(given) == ("returned=cache_minimum,messages=1",)


def test_nothing_is_given_back_that_may_be_cached_or_was_sent_as_it_is() -> None:
    """Nor for a retry, nor where the guard is off."""
    terms = replace(TERMS, minimum=512)
    plan, recalled = conversed(2, terms)
    guard = PrefixGuard.of(plan, sent_tokens(recalled))
    retried = replace(recalled, ended=frozenset({1, 3, 5}))
    assert guard.given_back(retried) == {}
    assert replace(guard, is_off=True).given_back(recalled) == {}
    whole, known = conversed(2, terms, 368)
    assert PrefixGuard.of(whole, sent_tokens(known)).given_back(known) == {}
    small, seen = conversed(2, replace(TERMS, minimum=64))
    assert PrefixGuard.of(small, sent_tokens(seen)).given_back(seen) == {}
    assert given_back_words({}) == ()


def test_what_others_shortened_is_given_back_where_a_new_conversation_would_be_too_small_for_it() -> None:
    """They went on with more; this one, as the client has it, would be cached from its first request on."""
    plan, recalled = conversed(1, replace(TERMS, minimum=384))
    shared = replace(recalled, known={0: recalled.known[0]}, ended=frozenset())
    assert list(PrefixGuard.of(plan, sent_tokens(shared)).given_back(shared)) == [0]
    running = replace(shared, ended=frozenset({1}))
    assert PrefixGuard.of(plan, sent_tokens(running)).given_back(running) == {}
    for minimum in (300, 640):  # cached as it is sent, and not even as the client has it
        other = replace(plan, terms=replace(TERMS, minimum=minimum))
        known = {0: recalled.known[0]} if minimum > 300 else conversed(1, TERMS, 330)[1].known
        assert PrefixGuard.of(other, {0: 330}).given_back(replace(shared, known=known)) == {}


def test_a_prompt_that_is_mostly_tools_is_held_as_if_half_of_them_were_not_there() -> None:
    """Their tokens are a guess by their bytes; what is sure is what is held above the minimum."""
    plan = a_plan(HALF)
    tools = replace(plan, facts=replace(plan.facts, other_tokens=300))
    assert outlook_of(tools, {}).doubt == 150
    aim = PrefixGuard(tools, {}).aim(tools.plan.decisions)
    assert aim.verdict is not None
    assert (aim.verdict.ruling, aim.verdict.after, aim.verdict.sent) == (Ruling.MINIMUM, 678, 576 + 150)
    many = replace(plan, facts=replace(plan.facts, other_tokens=900))
    assert PrefixGuard(many, {}).aim(many.plan.decisions).verdict is None


def test_what_is_foreseen_is_what_would_be_done() -> None:
    """No prompt is held where the guard is off, and what is only audited takes nothing away."""
    plan = a_plan(HALF)
    assert foreseen(plan).ruling is Ruling.MINIMUM
    kept = replace(plan, body=replace(plan.body, thread=b'"r1"'))
    loose = replace(plan, policy=replace(plan.policy, history=History(compress_unknown=True)))
    for told in (kept, loose):
        assert (foreseen(told).sent, foreseen(told).outlook.turns) == (foreseen(told).after, 0)
    decisions = tuple(replace(decision, mode=Mode.AUDIT) for decision in plan.plan.decisions)
    audited = replace(plan, plan=replace(plan.plan, decisions=decisions))
    assert (foreseen(audited).before, foreseen(audited).after) == (WORDS, WORDS)
