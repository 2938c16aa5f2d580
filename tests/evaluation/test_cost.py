"""What asking will cost is said beforehand."""

from elision.compressors.tokens import Counters
from elision.evaluation.cost import Price, bill_of
from elision.evaluation.reader import Ask


def test_tokens_are_counted_and_priced() -> None:
    """Prompts by our counter with their frame, answers as long as they may be."""
    counter = Counters().counter_for("gpt-4o")
    asks = [Ask("word " * 1000, 100)] * 10
    prompt = counter.count("word " * 1000) + 8
    bill = bill_of(asks, counter, Price(2.0, 10.0))
    assert (bill.requests, bill.prompt_tokens, bill.most_completion_tokens) == (10, 10 * prompt, 1000)
    least = 10 * prompt * 2 / 1_000_000
    assert f"between {least:.2f} and {least + 0.01:.2f}" in str(bill)
    assert f"10 requests, about {10 * prompt:,} prompt tokens and at most 1,000 completion" in str(bill)


def test_without_a_price_none_is_made_up() -> None:
    """Prices change; the user knows theirs."""
    bill = bill_of([], Counters().counter_for("gpt-4o"), None)
    assert "not known, say --price" in str(bill)
