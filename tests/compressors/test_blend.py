"""The formula says what its plain reading says, and its numbers are read strictly."""

import json
import math
from dataclasses import asdict
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


Chances = list[tuple[float, float]]
LIMITS = (1, 1, 100, 100, 30, 1)


def chance_of(chances: list[float]) -> float:
    """The chance of a word from those of its tokens."""
    held = [min(max(chance, 1e-6), 1 - 1e-6) for chance in chances]
    return 1 / (1 + math.exp(-sum(math.log(chance / (1 - chance)) for chance in held) / max(len(held), 1)))


def plain(blend: Blend, read: list[tuple[str, Chances]]) -> list[float]:
    """The formula word by word, as its description has it."""
    scores = []
    for at, (word, chances) in enumerate(read):
        mentions = min(sum(other == word for other, _ in read[: at + 1]), 4) if word[0].isupper() else 1
        asked = math.log(chance_of([first for first, _ in chances])) - blend.repeat * math.log(mentions)
        scores.append(asked if chances else math.log(1e-6))
    weight = max(blend.frame, blend.frame_short * min(1, blend.short / len(read)) ** 4)
    found = []
    for i, (score, (_, chances)) in enumerate(zip(scores, read, strict=True)):
        beside = max(scores[max(i - 1, 0) : i] + scores[i + 1 : i + 2], default=score)
        frame = math.log(chance_of([second for _, second in chances]))
        frame -= blend.pieces * math.log(max(len(chances), 1))
        found.append(score + blend.neighbour * max(beside - score, 0.0) + weight * frame)
    return found


@given(
    read=st.lists(
        st.tuples(
            st.sampled_from(("Fox", "Den", "oak")),
            st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3),
        ),
        min_size=1,
        max_size=12,
    ),
    numbers=st.tuples(*[st.floats(0, limit) for limit in LIMITS]),
)
def test_the_formula_is_its_plain_reading(
    read: list[tuple[str, Chances]], numbers: tuple[float, ...]
) -> None:
    """Fast and slow agree for any chances, words without a token among them."""
    text = " ".join(word for word, _ in read)
    places = [
        (4 * at + i, 4 * at + i + 1) for at, (_, chances) in enumerate(read) for i in range(len(chances))
    ]
    chances = np.asarray([chance for _, of_word in read for chance in of_word]).reshape(-1, 2)
    found = Blend(*numbers).importance(
        text, words(text), np.asarray(places, np.int64).reshape(-1, 2), chances
    )
    assert found == pytest.approx(plain(Blend(*numbers), read), abs=1e-6)


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


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("a b", 16.0),
        ("a b c d", 16.0),
        ("a b c d e f g h", 1.0),
        ("A b. C d.", 4.0),
        ("A b. C d. E f. G h.", 0.5),
        ("a " * 64, 0.5),
    ],
)
def test_the_shorter_a_text_the_more_its_frame_counts(text: str, weight: float) -> None:
    """In one sentence of up to `short` words all of it; then less, by length and sentences; never none."""
    blend, bounds = Blend(frame=0.5, frame_short=16.0, short=4), words(text)
    found = blend.importance(text, bounds, bounds, np.asarray([(1.0, 0.5)] * len(bounds)))
    assert found == pytest.approx(np.full(len(bounds), weight * math.log(0.5)), abs=1e-5)


def test_a_model_with_one_head_has_no_frame() -> None:
    """The numbers for it change nothing then."""
    with_it, without = (
        blend.importance(TEXT, BOUNDS, OFFSETS, CHANCES) for blend in (Blend(frame=9.0, pieces=1.0), Blend())
    )
    assert with_it.tolist() == without.tolist()


def test_tokens_between_words_count_for_none() -> None:
    """What a tokenizer makes of whitespace changes nothing; a word without a token goes last."""
    bounds = np.asarray([(0, 2), (4, 6), (8, 9)])
    offsets, chances = np.asarray([(0, 2), (3, 4), (4, 6)]), np.asarray([0.5, 1.0, 0.25])
    found = Blend().importance("go  up  .", bounds, offsets, chances)
    assert found.tolist() == pytest.approx([math.log(0.5), math.log(0.25), math.log(1e-6)])
    assert Blend().importance("", bounds[:0], OFFSETS, CHANCES).shape == (0,)


def test_numbers_are_read_from_beside_the_weights(tmp_path: Path) -> None:
    """No file means none of it; a file says all."""
    assert Blend.read(tmp_path) == Blend()
    (tmp_path / BLEND).write_text(json.dumps(asdict(Blend(0.25, 1.0, 2, 3, 30, 0.5))))
    assert Blend.read(tmp_path) == Blend(0.25, 1.0, 2.0, 3.0, 30.0, 0.5)
    told = "neighbour=0.25 repeat=1 frame=2 frame_short=3 short=30 pieces=0.5"
    assert Blend.read(tmp_path).label == told


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"neighbour": 0, "repeat": 0},
        asdict(Blend(neighbour=2)),
        asdict(Blend(frame=-1)),
        asdict(Blend()) | {"x": 1},
        asdict(Blend()) | {"neighbour": "a"},
        [],
    ],
)
def test_wrong_numbers_are_named(tmp_path: Path, told: object) -> None:
    """The file is said, and what it must hold."""
    (tmp_path / BLEND).write_text(json.dumps(told))
    with pytest.raises(WeightsMissing, match=r"blend\.json"):
        Blend.read(tmp_path)
