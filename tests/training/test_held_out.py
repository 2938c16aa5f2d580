"""Decisions are compared with labels word by word, of the model as it is used."""

from pathlib import Path

import numpy as np
import pytest

from elision.training.held_out import compare, measure
from elision.training.records import LabelledText
from fakes.tiny_classifier import save_tiny_bert


def flags(written: str) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.asarray([sign == "1" for sign in written])


def test_figures_by_hand() -> None:
    """Ten words of two texts, five labelled keep, four kept, three of them rightly."""
    found = compare(
        [flags("110010"), flags("1100")], [flags("110000"), flags("1001")], [flags("111000"), flags("1100")]
    )
    assert (found.texts, found.words) == (2, 10)
    assert (found.labelled, found.kept) == (0.5, 0.4)
    assert found.precision == pytest.approx(3 / 4)
    assert found.recall == pytest.approx(3 / 5)
    assert found.accuracy == pytest.approx(7 / 10)
    assert found.f1 == pytest.approx(2 / 3)
    assert found.ranked == pytest.approx(4 / 5)
    assert found.keep_all == pytest.approx(2 / 3)
    assert any("token F1 0.667 (keeping all 0.667)" in line for line in found.lines())


def test_a_model_that_keeps_nothing_has_no_precision() -> None:
    """And no division by zero."""
    found = compare([flags("10")], [flags("00")], [flags("01")])
    assert (found.precision, found.recall, found.f1, found.ranked) == (0.0, 0.0, 0.0, 0.0)


def test_a_model_is_asked_as_users_ask_it(tmp_path: Path) -> None:
    """Of words that may be cut otherwise than it cuts them; labels turned round turn the figures round."""
    folder = save_tiny_bert(tmp_path / "model", 0)
    texts = [f"the council item {at} , report of the city budget" for at in range(9)]
    words = ((0, 3), (4, 11), (12, 16))
    records = [LabelledText(text, words, (1.0, 0.0, 0.6), "m") for text in texts]
    ticks: list[int] = []
    found = measure(folder, records, ticks.append, threads=1)
    assert sum(ticks) == found.texts == 9
    assert found.words == 27
    assert found.labelled == pytest.approx(2 / 3)
    swapped = [LabelledText(text, words, (0.0, 1.0, 0.4), "m") for text in texts]
    other = measure(folder, swapped, ticks.append, threads=1)
    assert other.accuracy == pytest.approx(1 - found.accuracy)
    assert other.kept == found.kept
