"""What a prefix is worth: bills, the cliff below a provider's minimum, steps."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.economy import (
    LONGER,
    Known,
    Outlook,
    Ruling,
    aimed,
    conversation_bill,
    is_cached,
    is_uncached,
    judge_step,
    raised,
    request_bill,
    restored,
    running_bill,
    turns_needed,
)
from elision.policies.model import PrefixTerms

GPT_4O = PrefixTerms(0.5, 1.0, 1024, 3600, 128)
GPT_5 = PrefixTerms(0.1, 1.0, 1024, 86400, 128)
GPT_6 = PrefixTerms(0.1, 1.25, 1024, 86400)
SMALL = (PrefixTerms(0.5, 1.0, 32), PrefixTerms(0.1, 1.0, 32), PrefixTerms(0.1, 1.25, 32), PrefixTerms())

terms_of = st.sampled_from(SMALL)
turns_of = st.integers(0, 12)
outlook_of = st.builds(Outlook, terms_of, turns_of, st.integers(0, 9))


def subsets(savings: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for size in range(len(savings) + 1):
        yield from combinations(range(len(savings)), size)


def slow_bill(tokens: int, warm: int, outlook: Outlook) -> Fraction:
    """Return a conversation's bill token by token, as a provider's meter would."""
    terms = outlook.terms
    read, write = Fraction(str(terms.read)), Fraction(str(terms.write))
    total = Fraction(0)
    for _ in range(outlook.turns + 1):
        hits = warm // terms.granule * terms.granule if terms.minimum <= min(warm, tokens) else 0
        for place in range(tokens):
            is_cached = tokens >= terms.minimum
            total += read if place < hits and is_cached else write if is_cached else 1
        warm, tokens = tokens, tokens + outlook.growth
    return total


@pytest.mark.parametrize(
    ("tokens", "warm", "terms", "bill"),
    [
        (900, 900, GPT_5, 900),
        (1500, 0, GPT_5, 1500),
        (1500, 1500, GPT_5, Fraction(1408, 10) + 92),
        (1500, 1000, GPT_5, 1500),
        (1500, 0, GPT_6, 1875),
        (1500, 1500, GPT_6, 150),
        (1000, 0, GPT_6, 1000),
        (2000, 3000, GPT_6, 200),
        (7, 7, PrefixTerms(), 7),
    ],
)
def test_a_request_is_billed_as_the_provider_does(
    tokens: int, warm: int, terms: PrefixTerms, bill: Fraction
) -> None:
    """Nothing below the minimum, reads in whole granules, the rest written; no rounding of ours."""
    assert request_bill(tokens, warm, terms) == bill


@given(st.integers(0, 80), st.integers(0, 80), outlook_of, st.integers(1, 8))
def test_a_conversations_bill_is_the_meters(tokens: int, warm: int, outlook: Outlook, granule: int) -> None:
    """Against a count of every single token; the running bill ends with it."""
    outlook = replace(outlook, terms=replace(outlook.terms, granule=granule))
    warm = min(warm, tokens)
    assert conversation_bill(tokens, warm, outlook) == slow_bill(tokens, warm, outlook)
    assert list(running_bill(tokens, warm, outlook))[-1] == conversation_bill(tokens, warm, outlook)


def test_the_cliff_of_the_papers_example() -> None:
    """1,500 tokens made 900 where 1,024 is the minimum and reads cost a tenth: kept."""
    found = restored([600], 1500, Outlook(GPT_6, 5))
    assert found.indices == (0,)
    assert (found.verdict.ruling, found.verdict.sent) == (Ruling.MINIMUM, 1500)
    assert [found.verdict.bill_after, found.verdict.bill_sent] == [Fraction(5400), Fraction(1875 + 5 * 150)]


def test_as_little_is_taken_back_as_leads_above_the_minimum() -> None:
    """Of 300, 120, 100 and 80 tokens saved, 200 are wanted: those of 120 and 80, exactly."""
    found = restored([300, 120, 100, 80], 1488, Outlook(GPT_6, 5))
    assert found.indices == (1, 3)
    assert found.verdict.sent == 1088


@pytest.mark.parametrize(
    ("savings", "before", "outlook", "ruling"),
    [
        ([600], 1500, Outlook(GPT_6, 0), Ruling.BELOW),
        ([1400], 1500, Outlook(GPT_6, 5), Ruling.BELOW),
        ([600], 1500, Outlook(PrefixTerms(), 5), Ruling.CLEAR),
        ([300], 900, Outlook(GPT_6, 5), Ruling.CLEAR),
        ([600], 1900, Outlook(GPT_6, 5), Ruling.CLEAR),
        ([], 1500, Outlook(GPT_6, 5), Ruling.CLEAR),
        ([0, 0], 1500, Outlook(GPT_6, 5), Ruling.CLEAR),
    ],
)
def test_nothing_is_taken_back_where_that_would_not_pay(
    savings: list[int], before: int, outlook: Outlook, ruling: Ruling
) -> None:
    """No further turn, so short that it wins, no discount, never cached, still cached, nothing saved."""
    found = restored(savings, before, outlook)
    assert found.indices == ()
    assert (found.verdict.sent, found.verdict.ruling) == (before - sum(savings), ruling)


@given(st.lists(st.integers(0, 25), max_size=5), st.integers(0, 60), outlook_of, st.integers(30, 34))
def test_the_bill_with_us_is_never_above_the_bill_without(
    savings: list[int], rest: int, outlook: Outlook, minimum: int
) -> None:
    """However many of the expected turns come, and though our count is wrong by a sixteenth.

    Of a conversation that does not grow four times as many may come.
    """
    before = rest + sum(savings)
    found = restored(savings, before, outlook)
    sent = before - sum(saving for i, saving in enumerate(savings) if i not in found.indices)
    assert sent == found.verdict.sent
    terms = replace(outlook.terms, minimum=minimum if outlook.terms.minimum else 0)
    turns = outlook.turns * (1 if outlook.growth else LONGER)
    true = Outlook(terms, turns, outlook.growth)
    mine, others = running_bill(sent, 0, true), running_bill(before, 0, true)
    assert all(bill <= other for bill, other in zip(mine, others, strict=True))


@given(
    st.lists(st.integers(0, 25), max_size=5), st.integers(0, 40), outlook_of, st.integers(0, 30), st.data()
)
def test_nor_is_it_where_tools_are_less_than_they_were_guessed_to_be(
    savings: list[int], rest: int, outlook: Outlook, doubt: int, data: st.DataObject
) -> None:
    """Whatever part of what is doubted is not there, before and after anything is compressed."""
    before = rest + doubt + sum(savings)
    doubting = replace(outlook, doubt=doubt)
    aim = aimed(before, before - sum(savings), doubting).sent
    missing = data.draw(st.integers(0, doubt))
    for sent in (aim, restored(savings, before, doubting).verdict.sent):
        mine, others = (running_bill(tokens - missing, 0, outlook) for tokens in (sent, before))
        assert all(bill <= other for bill, other in zip(mine, others, strict=True))


@given(st.lists(st.integers(0, 25), max_size=5), st.integers(0, 60), terms_of, turns_of)
def test_what_is_taken_back_is_the_best_of_all_choices(
    savings: list[int], rest: int, terms: PrefixTerms, turns: int
) -> None:
    """Against every subset, tried one by one with every minimum that there may be."""
    outlook = Outlook(terms, turns)
    before = rest + sum(savings)
    found = restored(savings, before, outlook).verdict
    if not outlook.terms.minimum or found.ruling is Ruling.CLEAR:
        assert found.sent == found.after
        return
    longer = replace(outlook, turns=turns * LONGER)
    assumed = {m: replace(longer, terms=replace(terms, minimum=m)) for m in range(30, 35)}
    without = {m: list(running_bill(before, 0, o)) for m, o in assumed.items()}
    best = without[34][turns]
    for chosen in subsets(savings):
        total = rest + sum(savings[i] for i in chosen)
        bills = {m: list(running_bill(total, 0, o)) for m, o in assumed.items()}
        if all(mine <= other for m in bills for mine, other in zip(bills[m], without[m], strict=True)):
            best = min(best, bills[34][turns])
    assert list(running_bill(found.sent, 0, assumed[34]))[turns] == best


@given(st.integers(0, 90), st.integers(0, 90), outlook_of)
def test_an_aim_is_never_dearer_than_no_shortening(before: int, after: int, outlook: Outlook) -> None:
    """And lies between the two, so that it can be reached."""
    after = min(before, after)
    found = aimed(before, after, outlook)
    assert after <= found.sent <= before
    assert found.sent in {after, before, *(36 - turn * outlook.growth for turn in range(outlook.turns + 1))}
    bills = zip(running_bill(found.sent, 0, outlook), running_bill(before, 0, outlook), strict=True)
    assert all(mine <= others for mine, others in bills)


def test_a_prompt_that_grows_is_not_kept_from_the_minimum() -> None:
    """760 tokens pass 1,024 in the next turn, 610 only in the one after it: nothing is taken away.

    Shortened in every turn, such a conversation costs 4,230 tokens where it would have cost 3,600.
    """
    grows = Outlook(PrefixTerms(0.1, 1.0, 1024), 5, 340)
    found = aimed(760, 610, grows)
    assert (found.ruling, found.sent) == (Ruling.MINIMUM, 760)
    assert restored([150], 760, grows).indices == (0,)
    assert aimed(760, 610, replace(grows, growth=0)).ruling is Ruling.CLEAR


def test_a_first_prompt_that_would_stay_below_is_expected_to_grow() -> None:
    """340 tokens cost a little less than 1,111 at a quarter of the price; with 100 more in a turn, more."""
    first = Outlook(PrefixTerms(0.25, 1.0, 1024), 5)
    assert aimed(1111, 340, first).ruling is Ruling.MINIMUM
    assert aimed(1111, 120, first).ruling is Ruling.BELOW


def test_growth_is_not_relied_on_to_pass_the_minimum() -> None:
    """1,400 tokens after one long turn: the next ones may be short, and 540 would stay below for long."""
    grows = Outlook(GPT_6, 5, 1280)
    found = aimed(1400, 540, grows)
    assert (found.ruling, found.sent) == (Ruling.MINIMUM, 1152)
    assert restored([860], 1400, grows).indices == (0,)


def test_a_prompt_is_aimed_a_little_above_the_minimum() -> None:
    """So that a method that takes a little more than it was told does not end below."""
    found = aimed(1500, 900, Outlook(GPT_6, 5))
    assert (found.ruling, found.sent) == (Ruling.MINIMUM, 1152)
    assert found.bill_sent == Fraction(5, 4) * 1152 + 5 * Fraction(1152, 10)


def test_what_was_to_be_taken_away_is_shared_out_again() -> None:
    """Every text keeps more, in proportion to its size, and none more than it has."""
    assert raised([100, 50], [200, 100], 30) == (120, 60)
    assert raised([100, 50], [110, 100], 60) == (110, 100)
    assert raised([], [], 5) == ()


@pytest.mark.parametrize(("share", "turns"), [(Fraction(1, 2), 11), (Fraction(1, 3), 5)])
def test_the_turns_that_a_step_needs_are_those_of_the_formula(share: Fraction, turns: int) -> None:
    """To a half: more than 10.5; to a third, by w = 1.25 and r = 0.1: more than 4.75."""
    broken = 9000
    saving = int(broken * (1 - share))
    assert turns_needed(broken, saving, GPT_6) == turns
    known = Known(broken, 0)
    assert judge_step(broken, saving, known, Outlook(GPT_6, turns)).ruling is Ruling.STEP
    waiting = judge_step(broken, saving, known, Outlook(GPT_6, turns - 1))
    assert (waiting.ruling, waiting.needs, waiting.sent) == (Ruling.WAIT, turns, broken)


def test_a_cold_prefix_is_broken_at_once() -> None:
    """Nothing is lost that is not lost already; one that may still be there is warm."""
    cold = Known(9000, 1000, GPT_6.ttl_s + 1)
    assert judge_step(9000, 100, cold, Outlook(GPT_6, 0)).ruling is Ruling.STEP
    assert judge_step(9000, 100, replace(cold, age_s=GPT_6.ttl_s), Outlook(GPT_6, 5)).ruling is Ruling.WAIT


def test_where_a_repeated_prefix_costs_the_full_price_a_step_pays_at_once() -> None:
    """There is nothing to lose; where it costs nothing, it never pays."""
    assert judge_step(9000, 100, Known(9000, 0), Outlook(PrefixTerms(), 0)).ruling is Ruling.STEP
    free = judge_step(9000, 100, Known(9000, 0), Outlook(PrefixTerms(read=0.0), 50))
    assert (free.ruling, free.needs) == (Ruling.WAIT, None)


@given(
    st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)).map(sorted),
    st.integers(0, 60),
    outlook_of,
    st.booleans(),
)
def test_a_step_that_is_taken_lowers_the_bill(
    places: list[int], saving: int, outlook: Outlook, cold: bool
) -> None:
    """As the meter counts it over the expected turns; one that waits would not."""
    head, warm, before = places
    saving = min(saving, warm - head)
    known = Known(warm, head, outlook.terms.ttl_s + 1 if cold else 0.0)
    verdict = judge_step(before, saving, known, outlook)
    kept = slow_bill(before, 0 if cold else warm, outlook)
    taken = slow_bill(before - saving, 0 if cold else head, outlook)
    if verdict.ruling is Ruling.STEP:
        assert taken < kept
    elif not outlook.terms.minimum:
        assert saving == 0 or taken >= kept
    assert verdict.bill_sent <= verdict.bill_before


def test_a_verdict_says_its_arithmetic_in_a_few_words() -> None:
    """For a header: pairs of a name and what it is, no blanks."""
    kept = restored([600], 1500, Outlook(GPT_6, 5)).verdict
    assert kept.words == "kept=cache_minimum,tokens=1500>900>1500,minimum=1024,turns=5,bill=2625>2625"
    below = restored([1400], 1500, Outlook(GPT_4O, 1)).verdict
    assert below.words == "below=cache_minimum,tokens=1500>100,minimum=1024,turns=1,bill=2296>200"
    known = Known(9000, 1000)
    taken = judge_step(9000, 4000, known, Outlook(GPT_4O, 5)).words
    assert taken == "step=taken,tokens=9000>5000,broken=8000,turns=5,bill=27120>17520"
    waits = judge_step(9000, 4000, known, Outlook(GPT_6, 5)).words
    assert waits == "step=waits,tokens=9000>5000,turns=5,needs=11"
    assert restored([10], 5000, Outlook(GPT_5, 5)).verdict.words == ""


def test_a_verdict_says_its_arithmetic_in_a_sentence() -> None:
    """For a person; every number that the decision rests on is in it."""
    clear = aimed(5000, 4000, Outlook(GPT_5, 5)).sentence
    assert clear == "5000 tokens become 4000; no minimum of the provider's cache lies between"
    assert aimed(5000, 5000, Outlook(GPT_5, 5)).sentence == "5000 tokens, none of which is taken away"
    kept = aimed(1500, 900, Outlook(GPT_6, 5)).sentence
    assert kept == (
        "1500 tokens would become 900, and the provider caches nothing under 1024: with 5 further turns the "
        "bill is 5400 tokens so, 2625 tokens as they are; 1152 are sent, for 2016 tokens"
    )
    assert aimed(1100, 900, Outlook(GPT_6, 5)).sentence.endswith("; nothing is taken away")
    assert "with no further turn the bill" in aimed(1100, 900, Outlook(GPT_6, 0)).sentence
    known = Known(9000, 1000)
    waits = judge_step(9000, 4000, known, Outlook(GPT_6, 1)).sentence
    assert waits.startswith("9000 tokens could become 5000 if 8000 of a known prefix are sent anew: with 1 ")
    assert waits.endswith("it would pay from 11 further turns on")
    assert judge_step(9000, 0, known, Outlook(GPT_6, 1)).sentence.endswith("it never pays")
    assert judge_step(9000, 4000, known, Outlook(GPT_4O, 5)).sentence.endswith("it is done")


@given(st.integers(0, 60), terms_of)
def test_a_prompt_is_cached_or_not_or_nobody_knows(tokens: int, terms: PrefixTerms) -> None:
    """By a sixteenth about the minimum."""
    outlook = Outlook(terms, 5)
    assert is_cached(tokens, terms) == (tokens >= (34 if terms.minimum else 0))
    assert is_uncached(tokens, outlook) == (tokens < (30 if terms.minimum else 0))
