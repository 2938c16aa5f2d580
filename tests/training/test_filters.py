"""The worst pairs go, by percentile; pairs without fault never do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.training.annotate import Annotation, annotate
from elision.training.filters import good


def found(variation: float, gap: float) -> Annotation:
    """An annotation of a thousand words with these rates."""
    known = round(1000 * (1 - variation))
    kept = known - round(1000 * gap)
    words = tuple((at, at + 1) for at in range(1000))
    return Annotation(words, tuple(at < kept for at in range(1000)), 1000, known)


def test_the_worst_tenth_by_invention_goes_first_then_by_gap() -> None:
    """The second limit is of what the first filter left."""
    pairs = [found(at / 100, 0.0) for at in range(10)] + [found(0.0, at / 100) for at in range(10)]
    stay, (first, second) = good(pairs)
    assert (first.name, first.dropped, len(first.values)) == ("VR", 2, 20)
    assert first.limit == pytest.approx(0.071)
    assert (second.name, second.dropped, len(second.values)) == ("AG", 2, 18)
    assert stay == [*range(8), *range(10, 18)]


def test_what_is_without_fault_stays() -> None:
    """Where nine of ten are faultless the percentile is zero, and says nothing against them."""
    pairs = [annotate("one two three", "one three")] * 30
    stay, filters = good(pairs)
    assert stay == list(range(30))
    assert [one.dropped for one in filters] == [0, 0]


def test_a_hundred_is_no_filter() -> None:
    """Not even of the worst."""
    pairs = [found(0.9, 0.05), found(0.0, 0.0)]
    stay, filters = good(pairs, 100, 100)
    assert stay == [0, 1]
    assert all(one.limit == float("inf") for one in filters)


@given(
    st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.4)), max_size=30), st.floats(1, 99), st.floats(1, 99)
)
def test_who_stays_is_no_worse_than_who_goes(
    rates: list[tuple[float, float]], variation: float, gap: float
) -> None:
    """And the figures add up."""
    pairs = [found(*one) for one in rates]
    stay, (first, second) = good(pairs, variation, gap)
    assert len(stay) == len(pairs) - first.dropped - second.dropped
    assert all(pairs[at].variation < first.limit or pairs[at].variation < 1e-9 for at in stay)
    assert all(pairs[at].gap < second.limit or pairs[at].gap < 1e-9 for at in stay)


def test_the_figures_are_told() -> None:
    """Median, 90th percentile, how many went."""
    _, (first, _) = good([found(at / 10, 0.0) for at in range(10)])
    assert str(first) == "VR: median 0.450, 90th percentile 0.810; dropped 1 of 10"
