"""Prices: the operator's first, then the table's, by upstream and model."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from elision.accounts.bill import Rates, Tariff
from elision.accounts.prices import Asked, Prices
from elision.config.accounts import PriceEntry
from elision.config.prefix_terms import PrefixEntry

DOLLAR = 10**12
"""A dollar per million tokens, in atto-dollars a token."""
AT = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
URLS = {
    "openai": "https://api.openai.com",
    "router": "https://openrouter.ai/api",
    "azure": "https://contoso.openai.azure.com/openai",
    "own": "http://10.0.0.1:8000",
}


def tariff(prices: Prices, *asked: str, at: float = AT) -> Tariff | None:
    """Return what a request pays."""
    offer = prices.of(Asked(*asked), at)
    return offer.tariff if offer is not None else None


def rates(prices: Prices, *asked: str, at: float = AT) -> Rates | None:
    """Return what a small prompt of a request pays."""
    found = tariff(prices, *asked, at=at)
    return found.rates(1) if found is not None else None


def test_the_operator_s_first_match_counts() -> None:
    """Before the table; by either name of the model, with a vendor or without; and by upstream."""
    prices = Prices(
        [
            PriceEntry(input=1, output=2, models=("llama-3*",), upstreams=("own",)),
            PriceEntry(input=3, cache_read=0.5, cache_write=4, models=("gpt-*",)),
        ],
        urls=URLS,
    )
    own = Rates(*(price * DOLLAR for price in (1, 2, 1, 1, 1)))
    assert rates(prices, "meta/Llama-3.3-70b", "", "own") == own
    assert rates(prices, "deployment", "llama-3.3", "own") == own
    assert rates(prices, "llama-3.3-70b", "", "openai") is None
    ours = Rates(3 * DOLLAR, 0, DOLLAR // 2, 4 * DOLLAR, 4 * DOLLAR)
    assert rates(prices, "gpt-4o", "", "openai") == ours


def test_without_the_table_there_are_the_operator_s_prices_alone() -> None:
    """And nothing of the package is loaded."""
    prices = Prices((), "none", URLS)
    prices.load()
    assert tariff(prices, "gpt-4o", "", "openai") is None


@pytest.mark.parametrize(
    ("asked", "dollars"),
    [
        (("gpt-4o", "", "openai"), 2.5),
        (("my-deployment", "gpt-4o-2024-08-06", "azure"), 2.5),
        (("openai/gpt-4o", "", "router"), 2.5),
        (("anthropic/claude-sonnet-5", "", "own"), 2),
        (("claude-sonnet-5", "", "own"), 2),
        (("text-embedding-3-small", "", "own"), 0.02),
        (("gpt-4o", "", "nowhere"), 2.5),
    ],
)
def test_the_table_is_found_by_url_vendor_and_model(asked: tuple[str, ...], dollars: float) -> None:
    """The answer's model before the request's, which may be an alias."""
    found = rates(Prices(urls=URLS), *asked)
    assert found is not None
    assert found.input == int(dollars * DOLLAR)


@pytest.mark.parametrize(
    "asked",
    [("nobody-knows-it", "", "own"), ("llama-3.3-70b", "", "own"), ("gpt-99", "", "openai"), ("", "", "")],
)
def test_what_nobody_knows_has_no_price(asked: tuple[str, ...]) -> None:
    """Nor has what many serve, at an address that is nobody's."""
    assert tariff(Prices(urls=URLS), *asked) is None


def test_prices_depend_on_the_time() -> None:
    """DeepSeek's on the hour of the day; what was found is not kept beyond its minute."""
    prices = Prices()
    noon, night = (datetime(2026, 11, 21, hour, tzinfo=UTC).timestamp() for hour in (12, 2))
    day, peak = (rates(prices, "deepseek-v4-pro", at=at) for at in (noon, night))
    assert day is not None
    assert peak is not None
    assert peak.input > day.input
    assert rates(prices, "deepseek-v4-pro", at=noon) == day


def test_a_service_tier_has_its_own_prices() -> None:
    """As the answer names it."""
    prices = Prices(urls=URLS)
    default, priority, other = (
        rates(prices, "gpt-4o", "", "openai", tier) for tier in ("", "priority", "unheard-of")
    )
    assert default is not None
    assert priority is not None
    assert priority.input > default.input
    assert other == default


def test_tiers_of_long_prompts_are_taken_over() -> None:
    """Beyond 272,000 tokens."""
    found = tariff(Prices(), "gpt-5.6")
    assert found is not None
    assert found.rates(272_001).input == 2 * found.rates(272_000).input


def test_a_price_of_reading_that_is_not_told_is_marked() -> None:
    """It is taken for that of input, and not believed."""
    found = tariff(Prices(urls=URLS), "gpt-4", "", "openai")
    assert found is not None
    assert not found.states_reads
    assert found.rates(1).read == found.rates(1).input


def test_terms_of_the_cache_come_along() -> None:
    """An operator's before the table's."""
    offer = Prices(prefix_terms=[PrefixEntry(models=("gpt-4o",), minimum=7)]).of(Asked("gpt-4o"), AT)
    assert offer is not None
    assert (offer.terms.minimum, offer.terms.granule) == (7, 128)


def test_names_of_models_are_not_remembered_without_end() -> None:
    """Clients choose them; what was known before is found again."""
    prices = Prices([PriceEntry(input=1, models=("m*",))], "none")
    first = prices.of(Asked("m"), AT)
    assert all(prices.of(Asked(f"x{number}"), AT) is None for number in range(10_000))
    assert prices.of(Asked("m"), AT) == first


def test_nothing_is_loaded_before_it_is_asked() -> None:
    """The table takes a third of a second."""
    code = (
        "import sys; from elision.accounts.prices import Prices; "
        "from elision.accounts.pricing import Priced; Priced(Prices()); print('genai_prices' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.strip() == "False"
