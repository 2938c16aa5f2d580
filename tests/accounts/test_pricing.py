"""What there is to bill, and by what."""

import time
from dataclasses import replace

import pytest

from elision.accounts.money import Basis, Money
from elision.accounts.prices import Prices
from elision.accounts.pricing import Priced
from elision.accounts.records import Report, RequestRecord, Shortened
from elision.accounts.usage import Answered, Usage
from elision.config.accounts import PriceEntry
from elision.config.prefix_terms import PrefixEntry

PRICING = Priced(
    Prices(
        [PriceEntry(input=2, output=10, cache_read=0.2, models=("m", "m-2026"))],
        "none",
        prefix_terms=[PrefixEntry(models=("m",), read=0.1, minimum=1024, ttl_s=300, granule=1)],
    )
)
REPORT = Report(
    policy="p@1",
    mode="enforce",
    model="m",
    encoding="o200k_base",
    tokens_before=4000,
    tokens_after=2500,
    known_before=3000,
    known_after=2000,
    messages=4,
    new_messages=1,
    shortened=(Shortened(0, 2000, 1000, 4, True), Shortened(2000, 500, 500, 1, False)),
)
RECORD = RequestRecord(
    "id", "POST", "/v1/chat/completions", 200, REPORT, at=time.time(), tokens_saved=1500, body_bytes=10
)
USAGE = Usage(2512, 7, 2009)


def answered(usage: Usage | None, model: str = "m-2026") -> RequestRecord:
    """Return a record of an answer."""
    return replace(RECORD, answered=Answered(usage, model))


def test_before_the_answer_the_prompt_is_estimated() -> None:
    """What is known is warm in both bills: 1,000 tokens at a tenth, and 500 at their price."""
    assert PRICING.estimate(REPORT, "") == Money(
        500 * 2000 + 2000 * 200, 500 * 2000 + 1000 * 200, Basis.ESTIMATE
    )


def test_after_the_answer_the_bill_counts() -> None:
    """What was read, what was answered."""
    settled = PRICING.settle(answered(USAGE))
    assert settled.money == Money(503 * 2000 + 2009 * 200 + 7 * 10_000, 500 * 2000 + 1000 * 200, Basis.BILLED)
    assert (settled.tokens_saved, settled.basis) == (1500, Basis.BILLED)


def test_a_stream_without_usage_stays_an_estimate() -> None:
    """Of the prompt alone: nobody knows what was answered."""
    settled = PRICING.settle(answered(None))
    assert settled.money == PRICING.estimate(REPORT, "")
    assert settled.basis is Basis.ESTIMATE


def test_an_upstream_that_counts_fewer_tokens_corrects_what_was_saved() -> None:
    """To what share of ours it counts."""
    settled = PRICING.settle(answered(Usage(1250, 7)))
    assert (settled.tokens_saved, settled.basis) == (750, Basis.BILLED)


@pytest.mark.parametrize("status", [0, 400, 429, 500, 502])
def test_errors_cost_nothing_and_save_nothing(status: int) -> None:
    """Ours and the upstream's, and where the client had left before any answer."""
    settled = PRICING.settle(replace(answered(USAGE), status=status))
    assert (settled.money, settled.tokens_saved) == (None, 0)


def test_answers_of_our_own_cost_nothing_and_save_nothing() -> None:
    """Such as what `x-elision: explain` shows, or what /v1/compress makes: it may never be sent."""
    settled = PRICING.settle(replace(RECORD, body_bytes=0))
    assert (settled.money, settled.tokens_saved) == (None, 0)


def test_a_model_that_nobody_knows_has_tokens_only() -> None:
    """No money is claimed; tokens are settled all the same."""
    unknown = replace(answered(USAGE, "x"), report=replace(REPORT, model="x"))
    assert PRICING.estimate(unknown.report, "") is None
    settled = PRICING.settle(unknown)
    assert (settled.money, settled.tokens_saved, settled.basis) == (None, 1500, Basis.BILLED)


def test_what_passes_through_costs_and_saves_nothing() -> None:
    """Its model is known from the answer."""
    passed = replace(answered(Usage(100, 1)), report=Report(), tokens_saved=0)
    assert PRICING.settle(passed).money == Money(100 * 2000 + 10_000, 0, Basis.BILLED)


def test_what_passes_through_and_states_no_usage_is_not_priced() -> None:
    """Nobody counted it."""
    passed = replace(answered(None), report=Report(), tokens_saved=0)
    assert PRICING.settle(passed) is passed
    assert PRICING.estimate(Report(), "") is None


def test_an_audit_saves_nothing() -> None:
    """It costs what it costs."""
    report = replace(REPORT, mode="audit", shortened=())
    settled = PRICING.settle(replace(answered(USAGE), report=report, tokens_saved=0))
    assert settled.tokens_saved == 0
    assert settled.money == Money(503 * 2000 + 2009 * 200 + 7 * 10_000, 0, Basis.BILLED)
    money = PRICING.estimate(report, "")
    assert money is not None
    assert money.saved == 0


def test_embeddings_have_prompts_only() -> None:
    """There is no cache of them."""
    report = Report(
        mode="enforce",
        model="m",
        encoding="o200k_base",
        tokens_before=900,
        tokens_after=600,
        shortened=(Shortened(0, 600, 300, 1, False),),
    )
    settled = PRICING.settle(replace(answered(Usage(600, 0)), report=report, tokens_saved=300))
    assert settled.money == Money(600 * 2000, 300 * 2000, Basis.BILLED)


def test_evidence_of_a_cache_goes_before_what_is_believed_of_it() -> None:
    """The terms say that there is no discount; the answer states that tokens were read."""
    none = Prices(
        [PriceEntry(input=2, output=10, cache_read=0.2)],
        "none",
        prefix_terms=[PrefixEntry(read=1, granule=1)],
    )
    settled = Priced(none).settle(answered(USAGE))
    assert settled.money is not None
    assert settled.money.saved == 500 * 2000 + 1000 * 200
    unstated = Priced(none).settle(answered(None))
    assert unstated.money is not None
    assert unstated.money.saved == 1500 * 2000
