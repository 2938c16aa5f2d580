"""What the queue expects follows what was measured, and too little knowledge refuses nothing."""

import pytest

from elision.proxy.pace import Pace, size_of


def paced(*batches: tuple[int, float]) -> Pace:
    pace = Pace()
    for tokens, seconds in batches:
        pace.learn(tokens, seconds)
    return pace


@pytest.mark.parametrize(("text", "tokens"), [("", 1), ("abcdefgh", 2), ("漢字漢字", 3), ("\ud800" * 4, 3)])
def test_sizes_are_estimated_without_a_tokenizer(text: str, tokens: int) -> None:
    """Any string has one, lone surrogates included."""
    assert size_of(text) == tokens


def test_before_three_batches_nothing_is_promised_or_refused() -> None:
    """The first batches pay for caches and compilation."""
    pace = paced((100, 50.0), (100, 50.0))
    assert (pace.seconds_for(10**6), pace.tokens_in(0.001)) == (0.0, 0.0)


def test_a_start_and_a_rate_are_told_apart() -> None:
    """Small batches say nothing bad of large ones: 10 ms, and a millisecond for each ten tokens."""
    pace = paced(*((tokens, 0.01 + tokens * 1e-4) for tokens in (10, 500, 30, 2000, 80, 10)))
    assert pace.seconds_for(100_000) == pytest.approx(10.01, rel=1e-6)
    assert pace.seconds_for(1) == pytest.approx(0.0101, rel=1e-6)
    assert pace.tokens_in(0.11) == pytest.approx(1000, rel=1e-6)
    assert pace.tokens_in(0.001) == 0


def test_batches_of_one_size_give_a_rate_only() -> None:
    """Nothing tells their start from their tokens."""
    assert paced(*[(1000, 0.5)] * 4).seconds_for(2000) == pytest.approx(1.0)


def test_what_is_known_follows_a_change() -> None:
    """A machine that others use gets slower and faster."""
    pace = paced(*[(1000, 0.1)] * 50)
    for _ in range(30):
        pace.learn(1000, 1.0)
    assert pace.seconds_for(1000) == pytest.approx(1.0, rel=0.1)


def test_noise_never_makes_tokens_free() -> None:
    """Where larger batches happened to be faster, the mean's tenth is the least."""
    pace = paced((100, 2.0), (1000, 1.0), (5000, 0.5))
    assert pace.seconds_for(10**6) > 10
