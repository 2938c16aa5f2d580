"""What each piece keeps adds up to the budget, whoever said what of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.arrangement import arranged
from elision.compressors.base import Span
from elision.compressors.documents import cut
from elision.compressors.shares import Part, frames, shared, tokens_in

TEXT = "Read:\n\n[1] aaaa aaaa aaaa\n\n[2] bbbb bbbb\n\n[3] cccc cccc cccc cccc"


def starts(text: str) -> np.ndarray:
    """Return where tokens start: each character is one."""
    return np.arange(len(text), dtype=np.int64)


def kept(parts: list[Part]) -> float:
    return sum(part.rate * (part.span.end - part.span.start) for part in parts)


def test_documents_have_rates_by_their_rank_and_short_frames_stay() -> None:
    """The sum is the budget, and better documents keep more, wherever they stand."""
    told = arranged(TEXT, cut(TEXT), (1, 0, 2))
    parts = shared(told, starts(told.text), 40, {0: 0.0, 1: 0.3, 2: -0.3}, [])
    assert "".join(told.text[part.span.start : part.span.end] for part in parts) == told.text
    [head, second, first, third] = parts
    assert head == Part(Span(0, len("Read:\n\n")), 1.0)
    assert [one.span for one in parts[:1]] == frames(told, starts(told.text))
    assert second.rate - first.rate == pytest.approx(first.rate - third.rate) == pytest.approx(0.3)
    assert kept(parts) == pytest.approx(40)


def test_what_somebody_gave_a_rate_has_it() -> None:
    """All and nothing are what they say; others move with their document."""
    told = arranged(TEXT, cut(TEXT), (0, 1, 2))
    first, second, third = told.documents
    fixed = [
        Part(Span(first.start, first.start + 9), 0.0),
        Part(Span(first.start + 4, first.end), 1.0),
        Part(second, 0.5),
    ]
    parts = shared(told, starts(told.text), 45, {0: 0.2, 1: 0.1, 2: -0.3}, fixed)
    rates = {(part.span.start, part.span.end): part.rate for part in parts}
    assert rates[first.start + 4, first.start + 9] == 0.0
    assert rates[first.start + 9, first.end] == 1.0
    assert rates[second.start, second.end] == pytest.approx(0.6)
    assert 0 < rates[third.start, third.end] < 1
    assert kept(parts) == pytest.approx(45)


@given(st.integers(0, len(TEXT)), st.floats(-1, 1), st.permutations(range(3)), st.integers(1, 3))
def test_the_budget_is_kept_wherever_it_can_be(
    budget: int, delta: float, order: list[int], count: int
) -> None:
    """It is met exactly unless frames alone have more, or all documents less."""
    told = arranged(TEXT, cut(TEXT), order[:count])
    above = dict(zip(order[:count], np.linspace(delta, -delta, count).tolist(), strict=True))
    parts = shared(told, starts(told.text), budget, above, [])
    least = sum(span.end - span.start for span in frames(told, starts(told.text)))
    assert kept(parts) == pytest.approx(min(max(budget, least), len(told.text)), abs=1e-6)
    assert all(0 <= part.rate <= 1 for part in parts)


def test_tokens_belong_to_where_they_start() -> None:
    """So that pieces' tokens add up."""
    assert tokens_in(np.array([0, 3, 5, 9]), Span(3, 9)) == 2
