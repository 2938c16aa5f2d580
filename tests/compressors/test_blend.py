"""The formula says what its plain reading says, and its numbers are read strictly."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.blend import BLEND, Blend
from elision.compressors.errors import WeightsMissing
from elision.compressors.units import words

# "so the tokenizer runs": one token each, three for the tokenizer.
TEXT = "so the tokenizer runs"
BOUNDS = np.asarray([(0, 2), (3, 6), (7, 16), (17, 21)])
OFFSETS = np.asarray([(0, 2), (3, 6), (7, 12), (12, 14), (14, 16), (17, 21)])
CHANCES = np.asarray([0.1, 0.2, 0.8, 0.9, 0.7, 0.4])


def plain(blend: Blend, read: list[tuple[str, list[float]]]) -> list[float]:
    """The formula word by word, as its description has it."""
    scores = []
    for at, (word, chances) in enumerate(read):
        if not chances:
            scores.append(math.log(1e-6))
            continue
        held = [min(max(chance, 1e-6), 1 - 1e-6) for chance in chances]
        odds = sum(math.log(chance / (1 - chance)) for chance in held) / len(held)
        mentions = min(sum(other == word for other, _ in read[: at + 1]), 4) if word[0].isupper() else 1
        chance = 1 / (1 + math.exp(-odds))
        scores.append(math.log(chance) - blend.repeat * math.log(mentions))
    found = []
    for i, score in enumerate(scores):
        beside = max(scores[max(i - 1, 0) : i] + scores[i + 1 : i + 2], default=score)
        found.append(score + blend.neighbour * max(beside - score, 0.0))
    return found


@given(
    read=st.lists(
        st.tuples(st.sampled_from(("Fox", "Den", "oak")), st.lists(st.floats(0, 1), max_size=3)),
        min_size=1,
        max_size=12,
    ),
    numbers=st.tuples(*[st.floats(0, 1)] * 2),
)
def test_the_formula_is_its_plain_reading(
    read: list[tuple[str, list[float]]], numbers: tuple[float, float]
) -> None:
    """Fast and slow agree for any chances, words without a token among them."""
    text = " ".join(word for word, _ in read)
    places = [
        (4 * at + i, 4 * at + i + 1) for at, (_, chances) in enumerate(read) for i in range(len(chances))
    ]
    chances = np.asarray([chance for _, of_word in read for chance in of_word])
    found = Blend(*numbers).importance(
        text, words(text), np.asarray(places, np.int64).reshape(-1, 2), chances
    )
    assert found == pytest.approx(plain(Blend(*numbers), read), abs=1e-9)


def test_without_numbers_words_rank_as_their_tokens_say() -> None:
    """The formula of zeros is the mean of the tokens' log-odds."""
    order = np.argsort(-Blend().importance(TEXT, BOUNDS, OFFSETS, CHANCES))
    assert order.tolist() == [2, 3, 1, 0]


def test_a_neighbour_lifts_and_never_lowers() -> None:
    """The words on both sides of the likeliest rise; it stays where it was."""
    alone, lifted = (Blend(share).importance(TEXT, BOUNDS, OFFSETS, CHANCES) for share in (0.0, 0.5))
    assert lifted[1] == pytest.approx((alone[1] + alone[2]) / 2)
    assert lifted[2] == alone[2]
    assert (lifted >= alone).all()


def test_what_was_named_before_counts_less() -> None:
    """Names and numbers, case and marks aside; the fourth and all later alike; other words as ever."""
    text = "Ada, ADA. (Ada) Ada Ada ada 7 it it 7"
    bounds = words(text)
    found = Blend(0.0, 1.0).importance(text, bounds, bounds, np.full(len(bounds), 0.5))
    assert np.exp(found).tolist() == pytest.approx(
        [1 / 2, 1 / 4, 1 / 6, 1 / 8, 1 / 8, 1 / 2, 1 / 2, 1 / 2, 1 / 2, 1 / 4]
    )


def test_tokens_between_words_count_for_none() -> None:
    """What a tokenizer makes of whitespace changes nothing; a word without a token goes last."""
    bounds = np.asarray([(0, 2), (4, 6), (8, 9)])
    offsets, chances = np.asarray([(0, 2), (3, 4), (4, 6)]), np.asarray([0.5, 1.0, 0.25])
    found = Blend().importance("go  up  .", bounds, offsets, chances)
    assert found.tolist() == pytest.approx([math.log(0.5), math.log(0.25), math.log(1e-6)])
    assert Blend().importance("", bounds[:0], OFFSETS, CHANCES).shape == (0,)


def test_numbers_are_read_from_beside_the_weights(tmp_path: Path) -> None:
    """No file means none of it; a file says both."""
    assert Blend.read(tmp_path) == Blend(0.0, 0.0)
    (tmp_path / BLEND).write_text('{"neighbour": 0.25, "repeat": 1}')
    assert Blend.read(tmp_path) == Blend(0.25, 1.0)
    assert Blend.read(tmp_path).label == "neighbour=0.25 repeat=1"


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"neighbour": 0},
        {"neighbour": 2, "repeat": 0},
        {"neighbour": 0, "repeat": 0, "x": 1},
        {"neighbour": "a", "repeat": 0},
        [],
    ],
)
def test_wrong_numbers_are_named(tmp_path: Path, told: object) -> None:
    """The file is said, and what it must hold."""
    (tmp_path / BLEND).write_text(json.dumps(told))
    with pytest.raises(WeightsMissing, match=r"blend\.json"):
        Blend.read(tmp_path)
