"""The selector keeps its budget, its protected spans, and nothing that is not the original's."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.compressors.base import Span, Target, Units
from elision.compressors.protect import merged
from elision.compressors.select import budget_tokens, select, select_plain, touching, unit_costs
from elision.compressors.units import words

WORDS = st.sampled_from(["a", "fox", "don't", "漢", "字、", "🎉", "end.", "é", "e\u0301", "ไทย", "."])
GAPS = st.sampled_from([" ", " ", "  ", "\n", "\n\n", " \n \n ", "", "\r\n"])
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=25).map(lambda pairs: "".join(w + g for w, g in pairs))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Units, tuple[Span, ...], np.ndarray, Target]:
    text = draw(GAPS) + draw(TEXTS)
    bounds = words(text)
    importance = draw(st.lists(st.integers(0, 4), min_size=len(bounds), max_size=len(bounds)))
    spans = draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, 4)), max_size=3))
    protected = merged((a, min(a + n, len(text))) for a, n in spans)
    starts = sorted(draw(st.sets(st.integers(0, max(0, len(text) - 1)), max_size=len(text))))
    target = draw(st.builds(Target, rate=st.floats(0.01, 1)) | st.builds(Target, tokens=st.integers(1, 30)))
    units = Units(bounds, np.asarray(importance, np.float64))
    return text, units, protected, np.asarray(starts, np.int64), target


@settings(max_examples=500)
@given(cases())
def test_the_fast_selector_equals_the_plain_one(
    case: tuple[str, Units, tuple[Span, ...], np.ndarray, Target],
) -> None:
    """Two independent readings of the same rules."""
    assert select(*case) == select_plain(*case)


@settings(max_examples=300)
@given(cases())
def test_protected_spans_survive_and_slices_are_in_order(
    case: tuple[str, Units, tuple[Span, ...], np.ndarray, Target],
) -> None:
    """Every protected character that any unit holds is inside one kept slice."""
    text, _, protected, _, _ = case
    kept = select(*case)
    assert all(a.end < b.start for a, b in pairwise(kept))
    inside = {i for span in kept for i in range(span.start, span.end)}
    for span in protected:
        assert all(i in inside or text[i].isspace() for i in range(span.start, span.end))
    for left, right in pairwise(kept):
        last, first = text[left.end - 1], text[right.start]
        assert not (last.isascii() and last.isalnum() and first.isascii() and first.isalnum())


@settings(max_examples=300)
@given(cases())
def test_the_budget_is_kept_to_one_unit(
    case: tuple[str, Units, tuple[Span, ...], np.ndarray, Target],
) -> None:
    """Never above, unless forced units or words that may not be joined make it so."""
    text, units, protected, starts, target = case
    if not len(units.bounds) or any(not g for g in _gaps(text, units)):
        return
    cost, edges = unit_costs(units.bounds, starts)
    forced = touching(units.bounds, protected)
    kept = select(*case)
    stays = np.array([any(s.start <= a and b <= s.end for s in kept) for a, b in units.bounds.tolist()])
    spent, budget = edges + cost[stays].sum(), budget_tokens(target, len(starts))
    assert spent <= max(budget, edges + cost[forced].sum())
    dropped = ~stays & (cost <= budget - edges - cost[forced].sum())
    if dropped.any():
        assert spent + cost[dropped].max() > budget


def _gaps(text: str, units: Units) -> list[str]:
    return [
        text[a:b] for a, b in zip(units.bounds[:-1, 1].tolist(), units.bounds[1:, 0].tolist(), strict=True)
    ]


def choose(text: str, importance: list[float], tokens: int, protected: tuple[Span, ...] = ()) -> str:
    bounds = words(text)
    units = Units(bounds, np.asarray(importance, np.float64))
    kept = select(text, units, protected, bounds[:, 0].copy(), Target(tokens=tokens))
    return "".join(text[span.start : span.end] for span in kept)


def test_a_dropped_run_leaves_its_strongest_gap() -> None:
    """Paragraphs stay apart, lines stay apart, words stay apart; whichever gap says so best."""
    assert choose("a b\n\nc d", [1, 0, 0, 1], 2) == "a\n\nd"
    assert choose("a\nb c", [1, 0, 1], 2) == "a\nc"
    assert choose("a b c", [1, 0, 1], 2) == "a c"
    assert choose("漢字語", [1, 0, 1], 2) == "漢語"


def test_a_mark_hangs_on_what_is_kept_before_it() -> None:
    """A full stop that is a unit of its own, and a forced line end, have no space before them."""
    assert chosen("the fish . x", [(0, 3), (4, 8), (9, 10), (11, 12)], [1, 0, 1, 0]) == "the ."
    assert chosen("the fish. x", [(0, 3), (4, 8), (8, 9), (10, 11)], [1, 0, 1, 0]) == "the."
    assert chosen("a b \n c", [(0, 1), (2, 3), (4, 5), (6, 7)], [1, 0, 1, 1]) == "a\n c"


def chosen(text: str, bounds: list[tuple[int, int]], importance: list[int]) -> str:
    units = Units(np.asarray(bounds, np.int64), np.asarray(importance, np.float64))
    starts = units.bounds[:, 0].copy()
    kept = select(text, units, (), starts, Target(tokens=sum(importance)))
    return "".join(text[span.start : span.end] for span in kept)


def test_whitespace_at_the_edges_stays() -> None:
    """What follows the text in its message must not be joined to it."""
    assert choose("\n a b c \n\n", [0, 1, 0], 1) == "\n b \n\n"


def test_ties_go_to_the_earlier_unit() -> None:
    """Equal importance: reading order decides."""
    assert choose("a b c d", [1, 1, 1, 1], 2) == "a b"


def test_words_that_would_be_joined_are_not_both_kept() -> None:
    """Without a space to keep between them, the less important one goes, or both forced, none."""
    assert choose("fox漢dog", [2, 0, 1], 2) == "fox"
    assert choose("fox漢dog", [1, 0, 2], 2) == "dog"
    assert choose("fox漢dog", [1, 0, 2], 2, (Span(0, 1), Span(5, 6))) == "fox漢dog"


def test_a_unit_larger_than_the_budget_does_not_empty_the_text() -> None:
    """It is passed over, and smaller units are taken."""
    text = "a b c"
    units = Units(np.array([[0, 3], [4, 5]]), np.array([9.0, 1.0]))
    assert select(text, units, (), np.array([0, 2, 4]), Target(tokens=1)) == (Span(4, 5),)


@pytest.mark.parametrize("target", [Target(rate=0.0), Target(rate=1.1), Target(tokens=0)])
def test_impossible_budgets_are_refused(target: Target) -> None:
    """The message says what was asked."""
    with pytest.raises(ValueError, match="got"):
        budget_tokens(target, 10)


def test_two_hundred_thousand_words_are_selected() -> None:
    """Half of them, by a rate of a half."""
    text = "word " * 200_000
    bounds = words(text)
    importance = np.random.default_rng(0).random(len(bounds))
    kept = select(text, Units(bounds, importance), (), bounds[:, 0].copy(), Target(rate=0.5))
    assert sum(span.end - span.start for span in kept) == 500_000
