"""The shared words are values: equal when their parts are, and safe as keys."""

from elision.compressors.base import Job, Method, Span, Target


def test_equal_jobs_are_one_key() -> None:
    """Batches do equal jobs once, caches find them again."""
    one = Job("x", Method("lossless"), Target(rate=0.5, protect=("urls",)))
    other = Job("x", Method("lossless", ()), Target(0.5, None, "", "", ("urls",)))
    assert len({one, other}) == 1


def test_spans_sort_by_place() -> None:
    """By start, then by end."""
    assert sorted([Span(2, 3), Span(0, 5), Span(0, 2)]) == [Span(0, 2), Span(0, 5), Span(2, 3)]
