"""Scores as bytes: what the selector sees of them survives the way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from elision.compressors.base import Target, Units
from elision.compressors.scores import LEVELS, LIMIT_BYTES, pack, quantised, unpack
from elision.compressors.select import select
from elision.compressors.units import words

TEXT = "the fox was late and it jumps over lazy dogs while he said that the meeting was held. " * 3

PIECES = st.tuples(st.integers(0, 300), st.integers(1, 70_000), st.floats(-1e300, 1e300))


def units_of(pieces: list[tuple[int, int, float]]) -> tuple[Units, int]:
    """Return units of such gaps, lengths and importances, and the length of a text that holds them."""
    gaps, lengths, importance = (np.asarray([piece[at] for piece in pieces]) for at in range(3))
    ends = np.cumsum(gaps.astype(np.int64) + lengths.astype(np.int64))
    bounds = np.stack((ends - lengths.astype(np.int64), ends), 1).reshape(-1, 2)
    return Units(bounds.astype(np.int64), importance.astype(np.float64)), int(ends[-1]) + 3 if pieces else 3


@given(st.lists(PIECES, max_size=40))
def test_quantised_units_come_back_equal(pieces: list[tuple[int, int, float]]) -> None:
    """Offsets of any size, any order of importance."""
    units, length = units_of(pieces)
    sent = quantised(units)
    back = unpack(pack(sent, length), length)
    assert back is not None
    assert back.bounds.tolist() == sent.bounds.tolist()
    assert back.importance.tolist() == sent.importance.tolist()
    assert back.bounds.dtype == np.int64
    assert quantised(back).importance.tolist() == sent.importance.tolist()


def ranked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return quantised(Units(np.zeros((len(values), 2), np.int64), values)).importance


@given(st.lists(st.sampled_from([0.0, 0.1, 0.10001, 0.2, 7.0, -3.0, -3.0001, 1e-300]), min_size=1))
def test_order_and_equality_are_what_is_kept(importance: list[float]) -> None:
    """The selector asks for nothing else."""
    values = np.asarray(importance, np.float64)
    ranks = ranked(values)
    assert (np.sign(values[:, None] - values) == np.sign(ranks[:, None] - ranks)).all()
    assert ranks.min() == 0


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=30))
def test_nothing_passes_what_matters_more(importance: list[float]) -> None:
    """However near the values are."""
    ranks = ranked(np.sort(np.asarray(importance, np.float64)))
    assert (np.diff(ranks) >= 0).all()


def test_what_differs_by_the_noise_of_sums_is_equal() -> None:
    """Nearly always: of 2,000 values found twice, with the noise of 32-bit sums between them."""
    random = np.random.default_rng(1)
    values = random.random(2000)
    again = values * (1 + 2e-7 * random.standard_normal(2000))
    ranks = ranked(np.concatenate((values, again)))
    assert (ranks[:2000] == ranks[2000:]).mean() > 0.97


@given(st.lists(st.integers(0, 1000), min_size=60, max_size=60), st.floats(0.05, 0.95))
def test_a_selection_of_quantised_units_is_that_of_the_units(importance: list[int], rate: float) -> None:
    """To the character, where values differ by more than noise."""
    bounds = words(TEXT)
    units = Units(bounds, np.resize(np.asarray(importance, np.float64) / 1000, len(bounds)))
    starts, target = bounds[:, 0], Target(rate=rate)
    assert select(TEXT, quantised(units), (), starts, target) == select(TEXT, units, (), starts, target)


def test_more_values_than_levels_are_made_fewer_in_their_order() -> None:
    """Neighbours become equal; the best stays the best."""
    # Of both signs and many magnitudes, so that rounding leaves more than there are levels.
    spread = np.ldexp(1.0, np.arange(12))[:, None] * (1 + np.arange(LEVELS // 4) * 4 / LEVELS)
    values = np.random.default_rng(0).permutation(np.concatenate((-spread.ravel(), spread.ravel())))
    ranks = ranked(values)
    assert (np.diff(ranks[np.argsort(values)]) >= 0).all()
    assert (len(np.unique(ranks)), ranks.max()) == (LEVELS, LEVELS - 1)


def test_a_word_of_a_text_takes_three_or_four_bytes() -> None:
    """One for the gap, one for its length, one or two for its rank."""
    bounds = words(TEXT)
    few = pack(quantised(Units(bounds, np.resize([0.5, 0.1], len(bounds)))), len(TEXT))
    assert len(few) == 12 + 3 * len(bounds)
    long = words(TEXT * 20)
    many = pack(quantised(Units(long, np.arange(len(long)) / 7)), len(TEXT) * 20)
    assert len(many) == 12 + 4 * len(long)


def test_scores_that_are_too_many_are_not_packed() -> None:
    """They would take longer to fetch than a cache may."""
    count = LIMIT_BYTES // 4
    ends = np.arange(1, count + 1) * 2
    units = quantised(Units(np.stack((ends - 1, ends), 1), np.arange(count, dtype=np.float64)))
    assert pack(units, 2 * count) == b""
    fewer = Units(units.bounds[:-10], units.importance[:-10])
    assert 0 < len(pack(fewer, 2 * count)) <= LIMIT_BYTES


@pytest.mark.parametrize(
    "spoilt", ["", "cut", "longer", "format", "other text", "width", "beyond", "empty unit"]
)
def test_bytes_that_are_not_this_texts_scores_are_nothing(spoilt: str) -> None:
    """Another format's, another text's, torn ones: as if there were none."""
    units = quantised(Units(np.asarray([[0, 3], [4, 9]]), np.asarray([0.5, 0.1])))
    data = pack(units, 9)
    cases = {
        "": (data, 9),
        "cut": (data[:-1], 9),
        "longer": (data + b"\0", 9),
        "format": (b"\x09" + data[1:], 9),
        "other text": (data, 10),
        "width": (data[:9] + b"\x03" + data[10:], 9),
        "beyond": (data[:-6] + b"\x07" + data[-5:], 9),
        "empty unit": (data[:-4] + b"\x00" + data[-3:], 9),
    }
    assert (unpack(*cases[spoilt]) is None) == bool(spoilt)


@given(st.binary(max_size=60))
def test_foreign_bytes_never_fail(data: bytes) -> None:
    """Nothing, or units that lie within the text."""
    units = unpack(data, 9)
    assert units is None or not len(units.bounds) or 0 <= units.bounds.min() <= units.bounds.max() <= 9
