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

# "so the tokenizer runs": one token each, three for the tokenizer.
BOUNDS = np.asarray([(0, 2), (3, 6), (7, 16), (17, 21)])
OFFSETS = np.asarray([(0, 2), (3, 6), (7, 12), (12, 14), (14, 16), (17, 21)])
CHANCES = np.asarray([0.1, 0.2, 0.8, 0.9, 0.7, 0.4])


def plain(blend: Blend, tokens: list[list[float]]) -> list[float]:
    """The formula word by word, as its description has it."""
    scores = []
    for chances in tokens:
        if not chances:
            scores.append(math.log(1e-6))
            continue
        odds = [math.log(min(max(p, 1e-6), 1 - 1e-6) / (1 - min(max(p, 1e-6), 1 - 1e-6))) for p in chances]
        chance = 1 / (1 + math.exp(-sum(odds) / len(odds)))
        scores.append(math.log(chance) - blend.cost * math.log(len(chances)))
    found = []
    for i, score in enumerate(scores):
        beside = max(scores[max(i - 1, 0) : i] + scores[i + 1 : i + 2], default=score)
        found.append(score + blend.neighbour * max(beside - score, 0.0))
    return found


@given(
    tokens=st.lists(st.lists(st.floats(0, 1), max_size=4), min_size=1, max_size=12),
    cost=st.floats(0, 1),
    neighbour=st.floats(0, 1),
)
def test_the_formula_is_its_plain_reading(tokens: list[list[float]], cost: float, neighbour: float) -> None:
    """Fast and slow agree for any chances, words without a token among them."""
    starts = np.cumsum([0, *(len(one) + 2 for one in tokens)])
    bounds = np.asarray([(start, start + len(one) + 1) for start, one in zip(starts, tokens, strict=False)])
    places = [
        (start + i, start + i + 1)
        for (start, _), one in zip(bounds, tokens, strict=True)
        for i in range(len(one))
    ]
    chances = np.asarray([chance for one in tokens for chance in one])
    blend = Blend(cost, neighbour)
    found = blend.importance(bounds, np.asarray(places, np.int64).reshape(-1, 2), chances)
    assert found == pytest.approx(plain(blend, tokens), abs=1e-9)


def test_without_numbers_words_rank_as_their_tokens_say() -> None:
    """The formula of zeros is the mean of the tokens' log-odds."""
    order = np.argsort(-Blend().importance(BOUNDS, OFFSETS, CHANCES))
    assert order.tolist() == [2, 3, 1, 0]


def test_a_word_of_many_tokens_costs_more() -> None:
    """At the full cost a chance of .8 for three tokens is worth less than .4 for one."""
    plain_, costly = (Blend(cost).importance(BOUNDS, OFFSETS, CHANCES) for cost in (0.0, 1.0))
    assert plain_[2] > plain_[3]
    assert costly[2] < costly[3]
    assert costly[3] == plain_[3]


def test_a_neighbour_lifts_and_never_lowers() -> None:
    """The words on both sides of the likeliest rise; it stays where it was."""
    alone, lifted = (Blend(0.0, share).importance(BOUNDS, OFFSETS, CHANCES) for share in (0.0, 0.5))
    assert lifted[1] == pytest.approx((alone[1] + alone[2]) / 2)
    assert lifted[2] == alone[2]
    assert (lifted >= alone).all()


def test_tokens_between_words_count_for_none() -> None:
    """What a tokenizer makes of whitespace changes nothing; a word without a token goes last."""
    bounds = np.asarray([(0, 2), (4, 6), (8, 9)])
    found = Blend().importance(bounds, np.asarray([(0, 2), (3, 4), (4, 6)]), np.asarray([0.5, 1.0, 0.25]))
    assert found.tolist() == pytest.approx([math.log(0.5), math.log(0.25), math.log(1e-6)])
    assert Blend().importance(bounds[:0], OFFSETS, CHANCES).shape == (0,)


def test_numbers_are_read_from_beside_the_weights(tmp_path: Path) -> None:
    """No file means none of it; a file says both numbers."""
    assert Blend.read(tmp_path) == Blend(0.0, 0.0)
    (tmp_path / BLEND).write_text('{"cost": 0.5, "neighbour": 0.25}')
    assert Blend.read(tmp_path) == Blend(0.5, 0.25)
    assert Blend.read(tmp_path).label == "cost=0.5 neighbour=0.25"


@pytest.mark.parametrize(
    "told",
    [{}, {"cost": 0.5}, {"cost": 2, "neighbour": 0}, {"cost": 0, "neighbour": 0, "x": 1}, [], {"cost": "a"}],
)
def test_wrong_numbers_are_named(tmp_path: Path, told: object) -> None:
    """The file is said, and what it must hold."""
    (tmp_path / BLEND).write_text(json.dumps(told))
    with pytest.raises(WeightsMissing, match=r"blend\.json"):
        Blend.read(tmp_path)
