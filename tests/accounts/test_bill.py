"""Bills worked out by hand, and what an unshortened prompt would have cost."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.accounts.bill import (
    Rates,
    Saved,
    Tariff,
    Terms,
    as_sent,
    bill,
    nanos,
    reconciled,
    unshortened,
    unshortened_bill,
)
from elision.accounts.prices import Asked, Prices
from elision.accounts.records import Report, Shortened
from elision.accounts.usage import Usage

ATTO_OF_A_DOLLAR_A_MTOK = 10**12
RATES = Rates(*(price * ATTO_OF_A_DOLLAR_A_MTOK // 10 for price in (20, 100, 2, 25, 40)))
"""2, 10, 0.2, 2.5 and 4 dollars per million tokens."""
TARIFF = Tariff(((0, RATES),))
TIERED = Tariff(((0, RATES), (1000, Rates(*(2 * rate for rate in RATES)))))
WARM = Terms(0.1, 1024, 1, 300.0)
ROUNDED = WARM._replace(granule=128)

PRICES = Prices()

KNOWN = Shortened(ahead=100, after=2000, saved=1000, left=3, known=True)
NEW = Shortened(ahead=2100, after=400, saved=600, left=1, known=False)
REPORT = Report(
    mode="enforce",
    encoding="o200k_base",
    tokens_before=4100,
    tokens_after=2500,
    known_before=3100,
    known_after=2100,
    messages=4,
    new_messages=1,
    shortened=(KNOWN, NEW),
)
SAVED = Saved(1000, 600, is_billed=True)


def test_every_sort_of_token_has_its_price() -> None:
    """1,000 plain, 3,000 read, 400 written for minutes, 100 for an hour, 50 answered."""
    usage = Usage(4500, 50, 3000, 500, 0, 100)
    assert bill(TARIFF, usage) == 1000 * 2000 + 3000 * 200 + 400 * 2500 + 100 * 4000 + 50 * 10_000


def test_the_tier_of_a_long_prompt_holds_for_all_of_its_tokens() -> None:
    """From one token beyond its start on, the answer's too."""
    assert bill(TIERED, Usage(1000, 1)) == 1000 * 2000 + 10_000
    assert bill(TIERED, Usage(1001, 1)) == 1001 * 4000 + 20_000


def test_shortening_below_a_tier_saves_the_dearer_rate() -> None:
    """Both bills are worked out by the table's own tiers."""
    sent = Usage(900, 10)
    report = Report(mode="enforce", tokens_before=1200, tokens_after=900, shortened=(NEW._replace(ahead=0),))
    would = unshortened(sent, report, Saved(0, 300), WARM, discount=True)
    assert unshortened_bill(TIERED, WARM, sent, would) == 1200 * 4000 + 10 * 20_000


def test_what_a_request_costs_beside_its_tokens_is_billed() -> None:
    """As some search APIs have it."""
    assert bill(replace(TARIFF, per_request=5 * 10**15), Usage(0, 0)) == 5_000_000


@pytest.mark.parametrize(("atto", "nano"), [(499_999_999, 0), (500_000_000, 1), (1_500_000_000, 2)])
def test_nano_dollars_are_rounded_half_up(atto: int, nano: int) -> None:
    """Once, at the end."""
    assert nanos(atto) == nano


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5.6", "claude-sonnet-4-5", "gemini-2.5-pro", "gpt-4"])
@settings(deadline=None)
@given(
    prompt=st.integers(0, 600_000),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    answer=st.integers(0, 100_000),
)
def test_bills_are_those_of_genai_prices(
    model: str, prompt: int, shares: tuple[float, float], answer: int
) -> None:
    """Decimal for decimal, tiers among them, rounded half up to nano-dollars."""
    at = 1_795_000_000.0
    read = int(prompt * shares[0])
    written = int((prompt - read) * shares[1])
    usage = TheirUsage(
        input_tokens=prompt, output_tokens=answer, cache_read_tokens=read, cache_write_tokens=written
    )
    offer = PRICES.of(Asked(model), at)
    assert offer is not None
    theirs = calc_price(usage, model, genai_request_timestamp=datetime.fromtimestamp(at, UTC)).total_price
    expected = (theirs * 10**9).quantize(Decimal(1), ROUND_HALF_UP)
    assert bill(offer.tariff, Usage(prompt, answer, read, written)) == int(expected)


def test_what_the_cache_made_cheap_is_worth_little() -> None:
    """2,110 tokens were read: those saved of them would have been read too; the new ones would not."""
    would = unshortened(Usage(2520, 5, 2110), REPORT, SAVED, WARM, discount=True)
    assert would == Usage(4120, 5, 3110)


def test_where_writing_costs_a_fee_new_tokens_would_have_been_written() -> None:
    """All beyond what was read, as all beyond it was."""
    would = unshortened(Usage(2520, 5, 2110, 410), REPORT, SAVED, WARM, discount=True)
    assert would == Usage(4120, 5, 3110, 1010)


def test_what_lies_behind_the_last_mark_would_not_have_been_written() -> None:
    """A client marked what to keep: before the message that was shortened now."""
    would = unshortened(Usage(2520, 5, 1000, 1100), REPORT, SAVED, WARM, discount=True)
    assert would == Usage(4120, 5, 2000, 1100)


def test_what_is_written_for_an_hour_stays_so() -> None:
    """By the share that was."""
    would = unshortened(Usage(2520, 5, 2110, 410, 0, 410), REPORT, SAVED, WARM, discount=True)
    assert would.cache_write_1h_tokens == would.cache_write_tokens == 1010


def test_a_new_message_that_was_read_begins_as_another_did() -> None:
    """Then what was saved of it would have been read too."""
    would = unshortened(Usage(2520, 5, 2510), REPORT, SAVED, WARM, discount=True)
    assert would == Usage(4120, 5, 4110)


def test_a_message_that_is_surely_behind_what_was_read_would_not_have_been() -> None:
    """The cache had lost the later ones."""
    second = KNOWN._replace(ahead=1900, after=200, saved=400, left=2)
    report = replace(REPORT, shortened=(KNOWN._replace(after=1800, saved=600), second, NEW))
    would = unshortened(Usage(2520, 5, 1500), report, SAVED, WARM, discount=True)
    assert would.cached_tokens == 1500 + 600


def test_a_cold_cache_would_have_been_cold() -> None:
    """What was known was large enough to be read, and was not."""
    would = unshortened(Usage(2520, 5), REPORT, SAVED, WARM, discount=True)
    assert would == Usage(4120, 5)


def test_below_the_minimum_the_cache_is_taken_for_warm() -> None:
    """Nothing tells otherwise: only shortening kept the prompt from being cached."""
    would = unshortened(Usage(2520, 5), REPORT, SAVED, WARM._replace(minimum=2800), discount=True)
    assert would.cached_tokens == 3117
    old = replace(REPORT, known_age_s=301.0)
    assert unshortened(Usage(2520, 5), old, SAVED, WARM._replace(minimum=2800), discount=True) == Usage(
        4120, 5
    )


def test_below_the_minimum_nothing_would_have_been_cached_either() -> None:
    """The client's prompt was too small as well."""
    would = unshortened(Usage(2520, 5), REPORT, SAVED, WARM._replace(minimum=4200), discount=True)
    assert would.cached_tokens == 0


def test_who_breaks_a_prefix_pays_for_it() -> None:
    """Only the head was read; all that was known would have been, and the answer that follows it."""
    report = replace(REPORT, stepped=True, answer_tokens=50)
    would = unshortened(Usage(2520, 5, 1100), report, SAVED, WARM, discount=True)
    assert would == Usage(4120, 5, 2520 - 400 - 3 + 1000 + 50)
    cold = replace(report, known_age_s=301.0)
    assert unshortened(Usage(2520, 5, 1100), cold, SAVED, WARM, discount=True).cached_tokens == 1100


def test_rounded_hits_are_taken_for_the_larger_ones() -> None:
    """2,048 were read, of what may have been 2,117: with 1,000 more, 3,072 would have been."""
    would = unshortened(Usage(2520, 5, 2048), REPORT, SAVED, ROUNDED, discount=True)
    assert would.cached_tokens == 3072


def test_where_reading_is_not_cheaper_nothing_is_made_of_it() -> None:
    """What was known costs what it costs."""
    assert unshortened(Usage(2520, 5), REPORT, SAVED, WARM, discount=False) == Usage(4120, 5)


def test_a_table_that_does_not_tell_of_reading_is_not_believed() -> None:
    """The provider read from a cache: what more would have been read is worth what its terms say."""
    unknown = replace(TARIFF, tiers=((0, RATES._replace(read=RATES.input)),), states_reads=False)
    sent = Usage(2520, 0, 2110)
    would = unshortened(sent, REPORT, SAVED, WARM, discount=True)
    assert unshortened_bill(unknown, WARM, sent, would) == (2520 + 600) * 2000 + 1000 * 200


@settings(deadline=None)
@given(st.integers(0, 2520), st.integers(0, 2520), st.booleans(), st.sampled_from([1, 128]))
def test_the_client_s_prompt_never_had_less_read_or_fewer_tokens(
    read: int, written: int, stepped: bool, granule: int
) -> None:
    """Whatever the provider read and wrote; and parts are never more than the whole."""
    sent = Usage(2520, 5, read, min(written, 2520 - read))
    report = replace(REPORT, stepped=stepped)
    would = unshortened(sent, report, SAVED, WARM._replace(granule=granule), discount=True)
    assert would.prompt_tokens == 4120
    assert would.cached_tokens >= sent.cached_tokens
    assert would.cached_tokens + would.cache_write_tokens <= 4120


def test_a_count_that_is_exact_is_borne_out() -> None:
    """Frames of messages are more, by the upstream's count; that corrects nothing."""
    assert reconciled(REPORT, Usage(2520, 5)) == Saved(1000, 600, is_billed=True)
    assert reconciled(REPORT, None) == Saved(1000, 600)


def test_who_counted_too_much_saved_less() -> None:
    """The upstream's whole prompt has half as many tokens as our texts."""
    assert reconciled(REPORT, Usage(1250, 5)) == Saved(500, 300, is_billed=True, times=1250, per=2500)


@pytest.mark.parametrize(
    ("prompt", "saved", "is_billed"),
    [
        (2600, 1600, True),  # what frames explain
        (3225, 2000, True),  # 3,125 and five frames
        (2500 * 2 + 101, 1600, False),  # something that we do not see
    ],
)
def test_an_estimate_is_corrected_by_no_more_than_is_sure(prompt: int, saved: int, is_billed: bool) -> None:
    """By the prompt's tokens less the largest frames around its messages."""
    found = reconciled(replace(REPORT, encoding="~o200k_base"), Usage(prompt, 5))
    assert (found.known + found.new, found.is_billed) == (saved, is_billed)


def test_beside_tools_an_estimate_stays_one() -> None:
    """The prompt holds what is not counted."""
    report = replace(REPORT, encoding="~o200k_base", has_more=True)
    assert reconciled(report, Usage(3225, 5)) == Saved(1000, 600)


def test_an_expected_prompt_is_read_as_far_as_it_is_known() -> None:
    """If it is surely large enough, and neither too old nor broken."""
    assert as_sent(REPORT, WARM, discount=True) == Usage(2500, 0, 2100)
    assert as_sent(REPORT, WARM._replace(minimum=2000), discount=True) == Usage(2500, 0)
    assert as_sent(REPORT, WARM, discount=False) == Usage(2500, 0)
    assert as_sent(replace(REPORT, stepped=True), WARM, discount=True) == Usage(2500, 0)
    assert as_sent(replace(REPORT, known_age_s=301.0), WARM, discount=True) == Usage(2500, 0)


def test_what_began_alike_in_the_client_s_words_would_have_been_read() -> None:
    """By a provider that finds beginnings; not by one that takes a fee and keeps whole messages."""
    report = replace(REPORT, alike=4000)
    sent = Usage(2520, 5, 2110)
    assert unshortened(sent, report, SAVED, WARM, discount=True).cached_tokens == 4020
    fee = WARM._replace(write=1.25)
    assert unshortened(sent, report, SAVED, fee, discount=True).cached_tokens == 3110
    assert (
        unshortened(replace(sent, cache_write_tokens=9), report, SAVED, WARM, discount=True).cached_tokens
        == 3110
    )
    assert unshortened(sent, report, SAVED, WARM, discount=False).cached_tokens == 2110
