"""The types of what is kept of requests."""

from dataclasses import fields

from elision.accounts.archive import OVERHEAD_BOUNDS_MS, RATIO_BOUNDS, Sums


def test_no_requests_have_no_sums() -> None:
    """A bucket more than bounds, for what lies above the last."""
    nothing = Sums()
    assert len(nothing.overhead) == len(OVERHEAD_BOUNDS_MS) + 1
    assert len(nothing.ratios) == len(RATIO_BOUNDS) + 1
    assert not any(getattr(nothing, field.name) for field in fields(Sums) if field.type == "int")
