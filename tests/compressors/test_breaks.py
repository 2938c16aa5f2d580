"""Long work can be interrupted where it says so, and nowhere else."""

import pytest

from elision.compressors.breaks import Abandoned, breaks, give_way


def test_whoever_listens_is_called_at_every_break() -> None:
    """And nobody after the block."""
    calls: list[str] = []
    with breaks(lambda: calls.append("a")):
        give_way()
        give_way()
    give_way()
    assert calls == ["a", "a"]


def test_work_done_in_a_break_has_a_listener_of_its_own() -> None:
    """So that what is done in between cannot be interrupted by what it interrupts."""
    calls: list[str] = []
    with breaks(lambda: calls.append("outer")):
        give_way()
        with breaks(lambda: calls.append("inner")):
            give_way()
        give_way()
    assert calls == ["outer", "inner", "outer"]


def test_abandoned_work_ends_where_it_gives_way() -> None:
    """The listener's error goes through, and the listener is gone after it."""

    def over() -> None:
        raise Abandoned

    with pytest.raises(Abandoned), breaks(over):
        give_way()
    assert give_way() is None  # type: ignore[func-returns-value]
