"""When a server in trouble is left alone, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.breaker import Breaker, BreakerLimits, BreakerState

LIMITS = BreakerLimits(failures=3, pause_s=0.1, longest_pause_s=1.0)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    """One that succeeds in between starts the count anew; only the one that opens it is told so."""
    breaker = Breaker(LIMITS, lambda: 0.0)
    assert [breaker.fail(), breaker.fail()] == [False, False]
    breaker.succeed()
    assert [breaker.fail(), breaker.fail(), breaker.fail(), breaker.fail()] == [False, False, True, False]
    assert breaker.state is BreakerState.OPEN
    assert not breaker.is_closed


def test_a_failure_that_would_repeat_itself_opens_it_at_once() -> None:
    """A lost connection, for one."""
    breaker = Breaker(LIMITS, lambda: 0.0)
    assert breaker.fail(at_once=True)
    assert breaker.state is BreakerState.OPEN


def test_a_probe_closes_it_or_opens_it_again() -> None:
    """Half open, it still lets no request through."""
    breaker = Breaker(LIMITS, lambda: 0.0)
    breaker.fail(at_once=True)
    breaker.probe()
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.is_closed
    assert not breaker.fail()
    assert str(breaker.state) == "open"
    breaker.probe()
    breaker.close()
    assert breaker.is_closed


def test_pauses_double_to_a_limit_and_begin_anew_after_a_success() -> None:
    """A probe that is answered is no success yet: a server that limps is asked ever more rarely."""
    breaker = Breaker(LIMITS, lambda: 1.0)
    assert [breaker.next_pause_s() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    breaker.close()
    assert breaker.next_pause_s() == 1.0
    breaker.succeed()
    assert breaker.next_pause_s() == 0.1


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
def test_a_pause_is_half_to_all_of_what_it_may_be(chances: list[float]) -> None:
    """Workers that lost the same server do not come back in step, nor ever later than the limit."""
    fates = iter(chances)
    breaker = Breaker(LIMITS, lambda: next(fates))
    for number in range(len(chances)):
        longest = min(LIMITS.pause_s * 2**number, LIMITS.longest_pause_s)
        assert longest / 2 <= breaker.next_pause_s() <= longest
