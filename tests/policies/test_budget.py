"""The budget controller: exact, monotone, never above the budget but for what must stay."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.budget import Budgeted, apply_budget
from elision.policies.model import (
    DROP,
    KEEP,
    Budget,
    Decision,
    Facts,
    Kind,
    Mode,
    Scope,
    Senses,
    Use,
)
from fakes.budgets import (
    BUDGETS,
    KEPT,
    RATES,
    SENSES,
    SQUEEZE,
    TIDY,
    USES,
    decide,
    documents,
    in_quarters,
    quarter,
    some_plans,
)

TENS = tuple(letter * 10 for letter in "abcde")


def apply(
    *decisions: Decision, budget: Budget, facts: Facts | None = None, senses: Senses = SENSES
) -> Budgeted:
    return apply_budget(decisions, budget, facts or Facts(), senses)


def cost(decision: Decision) -> int:
    """Return what a decision keeps, as its use says."""
    tokens, use = decision.segment.tokens, decision.use
    if use.method == DROP:
        return 0
    if use.method != "squeeze":
        return tokens
    rate = tokens if use.rate is None else -int(-use.rate * tokens // 1)
    return min(tokens, rate if use.tokens is None else use.tokens)


def total(decisions: Sequence[Decision]) -> int:
    return sum(map(cost, decisions))


def shown(budgeted: Budgeted) -> list[tuple[str, str, int]]:
    return [(d.segment.text, d.use.method, cost(d)) for d in budgeted.decisions]


# --- what is governed, and what there is to share


def test_what_is_compressed_gets_what_is_not_kept() -> None:
    """Half of 120 tokens, 20 of them kept: 40 are left for the other 100."""
    kept = decide("q" * 20, KEPT, kind=Kind.QUESTION)
    done = apply(decide("c" * 100), kept, budget=Budget(rate=0.5))
    assert done.decisions[0].use == replace(SQUEEZE, tokens=40)
    assert done.decisions[0].why == "rule `r` matched; the budget leaves 40 of 100 tokens"
    assert done.decisions[1] == kept
    assert done.notes == ()


def test_a_rate_is_rounded_down_and_taken_as_it_is_written() -> None:
    """Never above what was asked: .55 of 101 tokens are 55; and .29 of 100 are 29."""
    assert total(apply(decide("c" * 101), budget=Budget(rate=0.55)).decisions) == 55
    assert total(apply(decide("c" * 100), budget=Budget(rate=0.29)).decisions) == 29


@pytest.mark.parametrize(
    ("use", "costs"),
    [
        (KEPT, 50),
        (TIDY, 50),
        (replace(SQUEEZE, rate=0.33), 17),
        (replace(SQUEEZE, tokens=11), 11),
        (replace(SQUEEZE, tokens=99), 50),
        (Use(DROP), 0),
    ],
)
def test_what_is_not_governed_costs_what_it_keeps(use: Use, costs: int) -> None:
    """Kept: all; a rate of its own, rounded up; tokens of its own; lossless: counted as saving nothing."""
    other = decide("o" * 50, use)
    done = apply(decide("c" * 100, source=1), other, budget=Budget(tokens=90))
    assert done.decisions[1] == other
    assert cost(done.decisions[0]) == 90 - costs


def test_our_own_tags_are_not_counted() -> None:
    """A tag leaves before the text is forwarded: a rate is of what remains, and it costs nothing."""
    tag = decide("<elision>", Use(DROP))
    tag = replace(tag, segment=replace(tag.segment, tag=True))
    assert cost(apply(tag, decide("c" * 100), budget=Budget(rate=0.5)).decisions[1]) == 50


def test_a_rule_that_is_off_keeps() -> None:
    """Its segment goes out whole, so it costs all its tokens."""
    off = decide("o" * 30, mode=Mode.OFF)
    done = apply(decide("c" * 100), off, budget=Budget(tokens=80))
    assert done.decisions[1] == off
    assert cost(done.decisions[0]) == 50


def test_nothing_governed_nothing_said() -> None:
    """A plan that a budget cannot change is returned as it is, however small the budget."""
    decisions = decide("k" * 50, KEPT), decide("t" * 50, TIDY)
    assert apply(*decisions, budget=Budget(tokens=1)) == Budgeted(decisions)


def test_there_is_room_for_all_of_it() -> None:
    """A generous budget compresses nothing, and asks nothing of the texts."""

    def never(text: str, classes: tuple[str, ...] | None = None) -> int:
        raise AssertionError(text)

    senses = replace(SENSES, count=never, protected=never)
    done = apply(decide("c" * 100), documents(*TENS), budget=Budget(tokens=150), senses=senses)
    assert [d.use.method for d in done.decisions] == [KEEP, KEEP]
    assert done.decisions[0].why == "rule `r` matched; the budget leaves room for all of it"


# --- fitting a window


@pytest.mark.parametrize(
    ("budget", "facts", "room"),
    [
        (Budget(fit=True), Facts(window=1_000, reply_tokens=500), 492),
        (Budget(fit=True, reply=300), Facts(window=1_000, reply_tokens=500), 692),
        (Budget(fit=True, window=800), Facts(window=1_000, reply_tokens=500), 292),
        (Budget(fit=True), Facts(window=1_000, reply_tokens=500, other_tokens=92), 400),
        (Budget(fit=True), Facts(window=1_000), 742),
        (Budget(fit=True), Facts(window=100_000), 95_896),
        (Budget(fit=True), Facts(window=100, reply_tokens=500), 1),
    ],
)
def test_fit_leaves_room_for_the_reply_and_the_rest(budget: Budget, facts: Facts, room: int) -> None:
    """Window less reply, tools and four tokens for each message and the reply's start."""
    assert total(apply(decide("c" * 99_000), budget=budget, facts=facts).decisions) == room


def test_an_unknown_window_is_no_budget() -> None:
    """Then there is no telling that anything must go: what the budget would govern is kept."""
    done = apply(decide("c" * 100), decide("t" * 50, TIDY), budget=Budget(fit=True))
    assert [d.use for d in done.decisions] == [KEPT, TIDY]
    assert done.notes == ("no budget is applied: the model's context window is not known",)


def test_a_budget_without_an_amount_is_none() -> None:
    """Total: it says so, instead of raising."""
    assert apply(decide("c" * 9), budget=Budget()).decisions[0].use == KEPT


# --- sharing out


def test_instruction_and_question_get_their_rates_and_material_the_rest() -> None:
    """Their .85 and .9, as LLMLingua has it; 175 tokens remain for the other 400."""
    instruction = decide("i" * 100, kind=Kind.INSTRUCTION)
    question = decide("q" * 100, kind=Kind.QUESTION)
    done = apply(
        instruction,
        decide("c" * 300),
        decide("t" * 100, kind=Kind.TOOL_RESULT),
        question,
        budget=Budget(tokens=350),
    )
    assert [cost(d) for d in done.decisions] == [85, 131, 44, 90]
    assert done.notes == ()


def test_what_material_leaves_over_goes_back() -> None:
    """When all that stays of the material has room, instruction and question get more than their rates."""
    question = decide("q" * 100, kind=Kind.QUESTION)
    done = apply(documents("a" * 30, "b" * 300), question, budget=Budget(tokens=125, granularity=1))
    assert shown(done) == [("a" * 30, KEEP, 30), ("b" * 300, DROP, 0), ("q" * 100, "squeeze", 95)]


def test_bounds_hold() -> None:
    """A kind's most leaves tokens to the others, its least takes them."""
    budget = Budget(tokens=100, max_rates=((Kind.CONTEXT, 0.2),), min_rates=((Kind.HISTORY, 0.9),))
    context, history = decide("c" * 100), decide("h" * 50, kind=Kind.HISTORY)
    assert [cost(d) for d in apply(context, history, budget=budget).decisions] == [20, 50]
    tight = replace(budget, tokens=55)
    assert [cost(d) for d in apply(context, history, budget=tight).decisions] == [10, 45]


def test_a_most_holds_where_there_is_room() -> None:
    """It bounds what is kept, not only what is shared out."""
    done = apply(decide("c" * 100), budget=Budget(rate=1.0, max_rates=((Kind.CONTEXT, 0.5),)))
    assert total(done.decisions) == 50


def test_protected_spans_cost_budget() -> None:
    """What cannot be cut counts: the other segment gets less."""
    done = apply(decide("X" * 30 + "x" * 20), decide("c" * 50), budget=Budget(tokens=40))
    assert [cost(d) for d in done.decisions] == [30, 10]


def test_the_best_documents_stay_and_are_compressed_together() -> None:
    """Two neighbours that stay are one text; what goes is named with its rank, in its place."""
    texts = ("Of whales. ", "Of rails. ", "Of tides. ", "Of the tides of spring. ")
    done = apply(documents(*texts, question="What are tides?"), budget=Budget(tokens=18))
    assert shown(done) == [
        (texts[0], DROP, 0),
        (texts[1], DROP, 0),
        (texts[2] + texts[3], "squeeze", 18),
    ]
    assert done.decisions[0].why == (
        "rule `r` matched; 2 of 4 documents stay; the budget leaves this one out, ranked 3"
    )
    assert done.decisions[2].why == (
        "rule `r` matched; 2 of 4 documents stay; the budget leaves 18 of 34 tokens"
    )


def test_demonstrations_stay_in_their_order() -> None:
    """Nothing is asked of them: the first stay."""
    decision = documents(*TENS)
    decision = replace(decision, segment=replace(decision.segment, kind=Kind.DEMONSTRATIONS))
    done = apply(decision, budget=Budget(tokens=10))
    assert shown(done)[0] == ("a" * 10 + "b" * 10, "squeeze", 10)
    assert "2 of 5 demonstrations stay" in done.decisions[0].why


def test_a_slope_gives_the_best_ranked_more() -> None:
    """LongLLMLingua: .5 + .3 for the first of three, .5 - .3 for the last, and not a token lost."""
    decision = documents("a" * 100, "b" * 100, "c" * 100)
    done = apply(decision, budget=Budget(tokens=150, slope=0.3))
    assert [cost(d) for d in done.decisions] == [80, 50, 20]


@pytest.mark.parametrize(
    ("slope", "allotted"), [(0.0, [102, 330, 0, 110, 36]), (0.3, [102, 90, 170, 130, 0, 50, 36])]
)
def test_the_example_of_the_documents_is_true(slope: float, allotted: list[int]) -> None:
    """docs/budget.md: 1,156 tokens, half of them, five documents ranked 3, 1, 2, 5, 4."""
    texts = [(word * 200)[:200] for word in ("a b ", "a b c d ", "a b c ", "x y ", "a ")]
    decisions = (
        decide("i" * 120, kind=Kind.INSTRUCTION),
        documents(*texts, question="a b c d", source=1),
        decide("q" * 36, KEPT, kind=Kind.QUESTION, source=2),
    )
    done = apply(*decisions, budget=Budget(rate=0.5, slope=slope))
    assert [cost(d) for d in done.decisions] == allotted
    assert sum(allotted) == 578


def test_nothing_is_left_out_where_the_policy_forbids_it() -> None:
    """Without coarse selection every document is compressed."""
    done = apply(documents(*TENS), budget=Budget(tokens=7, coarse=False))
    assert shown(done) == [("".join(TENS), "squeeze", 7)]


def test_no_text_becomes_empty() -> None:
    """With `min_examples: 0` all documents may go, but not where nothing else is in their text."""
    budget = Budget(tokens=20, min_examples=0)
    question = decide("q" * 20, KEPT, kind=Kind.QUESTION, source=1)
    alone = apply(documents(*TENS), question, budget=budget)
    assert [d.use.method for d in alone.decisions] == ["squeeze", *[DROP] * 4, KEEP]
    beside = apply(documents(*TENS, source=1), question, budget=budget)
    assert [d.use.method for d in beside.decisions] == [*[DROP] * 5, KEEP]


# --- giving way


LOUD = documents(*(letter * 8 + "XY" for letter in "abcde"))
ASKED = decide("q" * 20, kind=Kind.QUESTION)


@pytest.mark.parametrize(
    ("tokens", "notes"),
    [
        (34, ()),
        (27, ()),
        (20, ("instruction and question get 4 tokens less than their rates ask for",)),
    ],
)
def test_instruction_and_question_give_way_first(tokens: int, notes: tuple[str, ...]) -> None:
    """The documents are three at least; below their protected spans the question pays."""
    done = apply(LOUD, ASKED, budget=Budget(tokens=tokens, min_examples=3))
    assert done.notes == notes
    assert total(done.decisions) == tokens


def test_then_documents_give_way_then_everything_then_the_budget() -> None:
    """The stated order, and the last note says how far the budget was missed."""
    first = "instruction and question get 17 tokens less than their rates ask for"
    last = "what is compressed goes down to its bounds and protected spans"
    budget = Budget(tokens=2, granularity=9)
    assert apply(LOUD, ASKED, budget=budget).notes == (
        first,
        last,
        "the budget of 2 tokens cannot be met: 3 are kept or protected",
    )
    loud = documents(*("X" * 6 + letter * 4 for letter in "abcde"))
    done = apply(loud, decide("Q" * 5, kind=Kind.QUESTION), budget=Budget(tokens=20, granularity=9))
    assert done.notes == ("2 documents or demonstrations stay, where coarse selection would keep 5",)
    assert total(done.decisions) == 20


def test_notes_hold_no_text() -> None:
    """Numbers and kinds only: notes go to logs."""
    done = apply(decide("SECRET" * 9), decide("k" * 40, KEPT), budget=Budget(tokens=1))
    assert done.notes
    assert not re.search("SECRET|k{3}", "".join(done.notes))


def test_rules_in_audit_are_counted_as_if_enforced_and_that_is_said() -> None:
    """An audit shows what enforcing would do; what it does not save meanwhile is no secret."""
    audited = decide("c" * 100, mode=Mode.AUDIT)
    done = apply(audited, decide("d" * 100), budget=Budget(tokens=100))
    assert [cost(d) for d in done.decisions] == [50, 50]
    assert done.decisions[0].mode is Mode.AUDIT
    assert done.notes == ("rules in audit: 50 tokens counted as left out are sent",)
    assert apply(audited, budget=Budget(tokens=50)).notes == ()


# --- turns


PAIRS = [("c", SQUEEZE), ("k", KEPT)]


def test_each_turn_keeps_to_the_rate() -> None:
    """And notes name the turn, counted from 1."""
    turns = [decide("c" * 100, source=n, turn=n) for n in range(2)]
    kept = decide("k" * 100, KEPT, source=2, turn=1)
    done = apply(*turns, kept, budget=Budget(rate=0.4))
    assert [cost(d) for d in done.decisions] == [40, 1, 100]
    assert done.notes == (
        "turn 2: what is compressed goes down to its bounds and protected spans",
        "turn 2: the budget of 80 tokens cannot be met: 101 are kept or protected",
    )


def test_turns_that_give_way_alike_are_told_of_together() -> None:
    """A long conversation has a line for each step, not for each step of each turn."""
    plan = [decide(letter * 100, use, source=n, turn=n // 2) for n, (letter, use) in enumerate(PAIRS * 9)]
    notes = apply(*plan[:6], budget=Budget(rate=0.4)).notes
    assert notes == (
        "turns 1, 2 and 3 together: what is compressed goes down to its bounds and protected spans",
        "turns 1, 2 and 3 together: the budget of 240 tokens cannot be met: 303 are kept or protected",
    )
    for note in apply(*plan, budget=Budget(rate=0.4)).notes:
        assert note.startswith("turns 1, 2, 3, 4, 5, 6 and 3 more together: ")


def test_a_request_may_be_one_scope() -> None:
    """Then what one turn keeps, another pays for."""
    turns = [decide("c" * 100, turn=0), decide("k" * 100, KEPT, turn=1)]
    done = apply(*turns, budget=Budget(rate=0.6, scope=Scope.REQUEST))
    assert [cost(d) for d in done.decisions] == [20, 100]


# --- whatever the plan


@given(some_plans(), BUDGETS, RATES, st.booleans())
def test_the_segments_stay_the_texts(
    plan: tuple[Decision, ...], budget: Budget, rate: float, coarsely: bool
) -> None:
    """Cut or not, in order and without a gap; what no budget governs is untouched."""
    plan, senses = (in_quarters(plan), replace(SENSES, count=quarter)) if coarsely else (plan, SENSES)
    done = apply(*plan, budget=replace(budget, rate=rate), senses=senses).decisions
    for source in {d.segment.source for d in plan}:
        before = [d.segment for d in plan if d.segment.source == source]
        after = [d.segment for d in done if d.segment.source == source]
        assert "".join(s.text for s in after) == "".join(s.text for s in before)
        assert [s.start for s in after] == [0, *(s.end for s in after[:-1])]
    others = [d for d in plan if d.use != SQUEEZE]
    assert [d for d in done if d in others] == others


@given(some_plans(), BUDGETS, st.integers(0, 200), st.booleans())
def test_the_budget_is_kept_or_everything_is_at_its_least(
    plan: tuple[Decision, ...], budget: Budget, tokens: int, coarsely: bool
) -> None:
    """Above the budget is only what no smaller budget could leave out either."""
    plan, senses = (in_quarters(plan), replace(SENSES, count=quarter)) if coarsely else (plan, SENSES)
    done = apply(*plan, budget=replace(budget, tokens=tokens), senses=senses)
    missed = any("cannot be met" in note for note in done.notes)
    if total(done.decisions) > tokens and any(d.use == SQUEEZE for d in plan):
        assert missed
        least = apply(*plan, budget=replace(budget, tokens=0), senses=senses)
        assert done.decisions == least.decisions
    else:
        assert not missed


def test_a_bound_is_reckoned_document_by_document_in_a_large_budget_too() -> None:
    """Lest a larger budget, under which all documents stay, keep less of their headings."""
    text = decide("Xaa", pieces=((0, 1), (2, 3)))
    bounds = ((Kind.CONTEXT, 0.6),)
    kept = [total(apply(text, budget=Budget(tokens=n, max_rates=bounds)).decisions) for n in range(5)]
    assert kept == sorted(kept)


@given(some_plans(), BUDGETS, st.integers(0, 200), st.integers(0, 40))
def test_a_larger_budget_keeps_more(
    plan: tuple[Decision, ...], budget: Budget, tokens: int, more: int
) -> None:
    """Monotone in the total; and what a smaller budget does not leave out, a larger one does not."""
    small = apply(*plan, budget=replace(budget, tokens=tokens)).decisions
    large = apply(*plan, budget=replace(budget, tokens=tokens + more)).decisions
    assert total(small) <= total(large)
    assert total(large) <= max(tokens + more, total(small))

    def left_out(decisions: Sequence[Decision]) -> set[tuple[int, int]]:
        return {
            (d.segment.source, at)
            for d in decisions
            if d.drops
            for at in range(d.segment.start, d.segment.end)
        }

    assert left_out(large) <= left_out(small)


@given(some_plans(), BUDGETS, st.integers(0, 200))
def test_the_budget_is_used_up_where_it_can_be(
    plan: tuple[Decision, ...], budget: Budget, tokens: int
) -> None:
    """Below the budget is only what is at its most: conserved to the token."""
    done = apply(*plan, budget=replace(budget, tokens=tokens, max_rates=())).decisions
    if total(done) < tokens:
        assert not any(d.use.method == "squeeze" and d.use not in USES for d in done)


@given(some_plans(), BUDGETS, RATES, st.data())
def test_later_turns_change_nothing_in_earlier_ones(
    plan: tuple[Decision, ...], budget: Budget, rate: float, data: st.DataObject
) -> None:
    """Promise 4: what a conversation's beginning is made into does not depend on its end."""
    last = data.draw(st.integers(0, 3))
    earlier = tuple(d for d in plan if d.segment.turn <= last)
    budget = replace(budget, rate=rate)
    whole, part = apply(*plan, budget=budget), apply(*earlier, budget=budget)
    assert tuple(d for d in whole.decisions if d.segment.turn <= last) == part.decisions


@given(some_plans(), BUDGETS, RATES)
def test_every_text_keeps_something(plan: tuple[Decision, ...], budget: Budget, rate: float) -> None:
    """A text with visible characters is never dropped whole, and every target is one a method takes."""
    done = apply(*plan, budget=replace(budget, rate=rate)).decisions
    for source in {d.segment.source for d in plan}:
        if any(d.segment.text.strip() for d in plan if d.segment.source == source):
            staying = [d.segment.text for d in done if d.segment.source == source and not d.drops]
            assert any(text.strip() for text in staying)
    assert all(d.use.tokens is None or d.use.tokens >= 1 for d in done)
    assert all(d.use.tokens is not None or d.use.rate is not None for d in done if d.use.method == "squeeze")


@given(some_plans(), BUDGETS, RATES, st.data())
def test_the_order_of_the_texts_does_not_matter(
    plan: tuple[Decision, ...], budget: Budget, rate: float, data: st.DataObject
) -> None:
    """Permuted texts get what they got, odd tokens included; texts that are equal are alike."""
    plan = tuple(replace(d, segment=replace(d.segment, turn=0)) for d in plan)
    if len({d.segment.text for d in plan}) < len(plan):
        return
    shuffled = data.draw(st.permutations(plan))
    budget = replace(budget, rate=rate)
    one, other = apply(*plan, budget=budget), apply(*shuffled, budget=budget)
    assert set(one.decisions) == set(other.decisions)
    assert one.notes == other.notes
