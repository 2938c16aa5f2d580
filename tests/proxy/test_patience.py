"""Moments that are put off while somebody waits for them."""

import pytest

from elision.proxy.patience import Patience


def test_a_moment_is_put_off_but_never_brought_forward() -> None:
    """Who has less time waits for less; the others are not to lose by it."""
    patience, heard = Patience(100.0), []
    with patience.heard_by(lambda: heard.append(patience.ends)):
        for ends in (90.0, 110.0, 110.0, 120.0):
            patience.prolong(ends)
    patience.prolong(130.0)
    assert heard == [110.0, 120.0], "who listens no more is not told"
    assert patience.ends == 130.0


def test_seconds_that_are_left_run_out() -> None:
    """By the monotonic clock."""
    assert 9 < Patience.of(10).left_s <= 10
    assert Patience.of(0).left_s <= 0


def test_who_fails_hears_no_more() -> None:
    """The block's own error goes on."""
    patience = Patience.of(1)
    heard: list[int] = []
    with pytest.raises(ValueError, match="broken"), patience.heard_by(lambda: heard.append(1)):
        raise ValueError("broken")
    patience.prolong(patience.ends + 1)
    assert heard == []
