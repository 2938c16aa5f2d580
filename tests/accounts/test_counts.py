"""Counts of several workers, made one."""

from hypothesis import given
from hypothesis import strategies as st

from elision.accounts.counts import Counts, Wide, expanded, joined, lasting

ROWS = st.dictionaries(st.sampled_from([("a",), ("b",), ("c",)]), st.tuples(st.integers(0, 9)), max_size=3)
COUNTS = st.dictionaries(st.sampled_from(["elision_cache_hits", "elision_ready", "x"]), ROWS, max_size=3)


@given(COUNTS, COUNTS, COUNTS)
def test_the_order_of_workers_does_not_matter(one: Counts, two: Counts, three: Counts) -> None:
    """Nor who is joined with whom first."""
    assert joined([one, two, three]) == joined([three, joined([two, one])])


def test_gauges_are_joined_as_the_catalogue_says() -> None:
    """Sums where they add up, else the most or the least that a worker says."""
    first: Counts = {
        "elision_in_flight": {(): (2,)},
        "elision_ready": {(): (1,)},
        "elision_policy_refused": {(): (0,)},
    }
    second: Counts = {
        "elision_in_flight": {(): (3,)},
        "elision_ready": {(): (0,)},
        "elision_policy_refused": {(): (1,)},
    }
    assert joined([first, second]) == {
        "elision_in_flight": {(): (5,)},
        "elision_ready": {(): (0,)},
        "elision_policy_refused": {(): (1,)},
    }


def test_counters_and_histograms_add_up() -> None:
    """Number by number, label by label; what was joined is not changed."""
    one: Counts = {"elision_ratio": {("a",): (1, 2, 3), ("b",): (1, 1, 1)}}
    other: Counts = {"elision_ratio": {("a",): (1, 0, 4)}}
    assert joined([one, other]) == {"elision_ratio": {("a",): (2, 2, 7), ("b",): (1, 1, 1)}}
    assert one["elision_ratio"][("a",)] == (1, 2, 3)


def test_gauges_do_not_outlive_their_worker() -> None:
    """Counters do."""
    counts: Counts = {"elision_in_flight": {(): (2,)}, "elision_policy_loads": {(): (1,)}}
    assert lasting(counts) == {"elision_policy_loads": {(): (1,)}}


def test_a_wide_row_is_read_as_its_families() -> None:
    """With their further labels; zeros are no samples."""
    wide = Wide("w", (("f", ()), ("g", ("x",)), ("g", ("y",)), ("h", ())))
    counts: Counts = {"w": {("t",): (1, 2, 3, 0)}, "other": {(): (4,)}}
    assert expanded(counts, wide) == {
        "f": {("t",): (1,)},
        "g": {("t", "x"): (2,), ("t", "y"): (3,)},
        "other": {(): (4,)},
    }
