"""What was seen of an answer."""

from elision.accounts.usage import NOTHING_SEEN, Answered, Usage


def test_of_what_nobody_read_nothing_is_known() -> None:
    """Not even that it used nothing."""
    assert Answered() == NOTHING_SEEN
    assert NOTHING_SEEN.usage is None


def test_a_cache_that_is_not_spoken_of_was_not_used() -> None:
    """Neither read nor written."""
    usage = Usage(5, 2)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (0, 0, 0)
