"""Units are where a reader of the language would see them, and never lose a character."""

from itertools import pairwise

import numpy as np
import pytest
import regex  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.compressors.units import Agg, Level, may_cut, phrases, sentences, split, unit_importance, words

ALPHABET = st.sampled_from(
    [
        *"aBz .!?…\n\t,;'\"()3-",
        "。",
        "！",
        "日",
        "本",
        "ท",
        "ี่",
        "ខ",
        "្",
        "ម",
        "🎉",
        "👩‍👩‍👧",
        "👍🏽",
        "e\u0301",
        "the ",
        "Mr. ",
    ]
)
TEXTS = st.lists(ALPHABET, max_size=60).map("".join) | st.text()


@given(TEXTS, st.sampled_from(list(Level)))
def test_units_are_ascending_disjoint_and_cover_all_but_whitespace(text: str, level: Level) -> None:
    """No character is lost, none is in two units, no unit begins or ends with whitespace."""
    bounds = split(text, level)
    assert bounds.shape[1] == 2
    assert (bounds[:, 0] < bounds[:, 1]).all()
    assert (bounds[1:, 0] >= bounds[:-1, 1]).all()
    covered = np.zeros(len(text), bool)
    for start, end in bounds.tolist():
        covered[start:end] = True
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
    assert all(covered[i] or c.isspace() for i, c in enumerate(text))


CLUSTERS = st.sampled_from(
    [
        *(
            "a",
            "Z",
            "é",
            "e\u0301\u0323",
            "ß",
            "q\u0308",
            "ώ",
            "Щ",
            "й",
            "\u0627\u064b",
            "\u05d0\u05b8",
            "क्ष",
            "त्रि",
            "நி",
        ),
        *(
            "ที่",
            "น้ำ",
            "เกม",
            "ໃຈ",
            "ຄຳ",
            "ខ្មែរ",
            "မြန်",
            "བཀྲ་",
            "漢",
            "か\u3099",
            "コー",
            "ｶﾞ",
            "葛\U000e0100",
            "한",
            "\u1112\u1161\u11ab",
        ),
        *(
            "🎉",
            "👩‍👩‍👧",
            "👍🏽",
            "🇫🇷🇩🇪",
            "1️⃣",
            "❤️‍🔥",
            "🏴\U000e0067\U000e0062\U000e007f",
            "\u200d",
            "\ufe0f",
            "\u0301",
        ),
        *(" ", "\n", "\r\n", ".", "。", "「", "」", "-", "\u200b", "\ud83d", "\u0966", "㊗️"),
    ]
)


@settings(max_examples=1000)
@given(st.lists(CLUSTERS, max_size=30).map("".join), st.sampled_from(list(Level)))
def test_what_readers_see_as_one_character_is_never_cut(text: str, level: Level) -> None:
    """Between two units stands a border of Unicode's extended grapheme clusters, or whitespace."""
    borders = {match.end() for match in regex.finditer(r"\X", text)}
    for (_, left), (right, _) in pairwise(split(text, level).tolist()):
        assert left < right or left in borders
    assert all(at in borders for at in range(1, len(text)) if may_cut(text, at))


@given(TEXTS)
def test_phrases_are_made_of_whole_words(text: str) -> None:
    """A phrase begins where a word begins and ends where one ends."""
    inner = words(text)
    outer = phrases(text)
    assert set(outer[:, 0].tolist()) <= set(inner[:, 0].tolist())
    assert set(outer[:, 1].tolist()) <= set(inner[:, 1].tolist())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is. It was! Is it? Yes", ["It is.", "It was!", "Is it?", "Yes"]),
        ("Dr. Smith paid 3.5 dollars. He left.", ["Dr. Smith paid 3.5 dollars.", "He left."]),
        ("See J. K. Rowling and the U.S. Army. Done.", ["See J. K. Rowling and the U.S. Army.", "Done."]),
        ("Use v1.2.3 of https://a.b/c.html now. Ok.", ["Use v1.2.3 of https://a.b/c.html now.", "Ok."]),
        ("Nuts, bolts, etc. were sold. End.", ["Nuts, bolts, etc. were sold.", "End."]),
        ("Nuts, bolts, etc. They sold.", ["Nuts, bolts, etc.", "They sold."]),
        ("He said no. See Fig. 3 there.", ["He said no.", "See Fig. 3 there."]),
        ("He waited... and left... Then rain.", ["He waited... and left...", "Then rain."]),
        ('"Stop!" he said. "Why?" She ran.', ['"Stop!" he said.', '"Why?"', "She ran."]),
        ("1. First thing.\n2. Second thing.", ["1. First thing.", "2. Second thing."]),
        (
            "这是第一句。这是第二句！「真的？」是；好",
            ["这是第一句。", "这是第二句！", "「真的？」", "是；", "好"],
        ),
        ("यह एक है। यह दो है।", ["यह एक है।", "यह दो है।"]),
        ("یہ ایک ہے۔یہ دو ہے۔", ["یہ ایک ہے۔", "یہ دو ہے۔"]),
        ("ይህ ነው። ያ ነው።", ["ይህ ነው።", "ያ ነው።"]),
        ("هل هذا؟ نعم. انتهى", ["هل هذا؟", "نعم.", "انتهى"]),
        ("¿Qué es? El Sr. López vino. ¡Sí!", ["¿Qué es?", "El Sr. López vino.", "¡Sí!"]),
        ("A title\n\nA paragraph", ["A title", "A paragraph"]),
        (
            "This line is long enough to have been wrapped\nby an editor. Next.",
            ["This line is long enough to have been wrapped\nby an editor.", "Next."],
        ),
        ("- one\n- two", ["- one", "- two"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_readers_see_them_end(text: str, expected: list[str]) -> None:
    """End marks of several scripts; none inside abbreviations, numbers, versions and URLs."""
    assert [text[a:b] for a, b in sentences(text).tolist()] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("two words", ["two", "words"]),
        ("日本語、です", ["日", "本", "語、", "で", "す"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),
        ("a👩‍👩‍👧b 👍🏽", ["a👩‍👩‍👧b", "👍🏽"]),
        ("GPT模型 ok", ["GPT", "模", "型", "ok"]),
        ("か\u3099", ["か\u3099"]),
        ("「コンピュータ」は早い", ["「コンピュータ」", "は", "早", "い"]),
        ("เกมน้ำดี", ["เก", "ม", "น้ำ", "ดี"]),
        ("བཀྲ་ཤིས་", ["བཀྲ་", "ཤིས་"]),
        ("한국어 문장", ["한국어", "문장"]),
    ],
)
def test_words_are_never_cut_inside_a_character(text: str, expected: list[str]) -> None:
    """Combining marks, stacked consonants and emoji sequences stay whole."""
    assert [text[a:b] for a, b in words(text).tolist()] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the old king of northern France was ill", ["the old king", "of", "northern France", "was", "ill"]),
        (
            "She quickly gave him a red book, paper and ink",
            ["She", "quickly", "gave", "him", "a red book,", "paper", "and", "ink"],
        ),
        ("el viejo rey estaba enfermo", ["el", "viejo", "rey", "estaba", "enfermo"]),
    ],
)
def test_phrases_are_noun_chunks_of_english(text: str, expected: list[str]) -> None:
    """Determiners open a chunk, function words stand alone, other languages fall back to words."""
    assert [text[a:b] for a, b in phrases(text).tolist()] == expected


@pytest.mark.parametrize("run", [".", " ", "\n", "a", "日", "-", ". ", "\"'", "1.", "(", "a.b"])
def test_a_million_equal_characters_are_split(run: str) -> None:
    """No pattern backtracks; a quadratic one would outlast the test's timeout."""
    text = run * (1_000_000 // len(run)) + "x"
    for level in Level:
        assert len(split(text, level)) >= 1


def test_a_token_that_spans_units_is_shared() -> None:
    """Its self-information is split evenly; the mean counts it as that part of a token."""
    bounds = np.array([[0, 2], [2, 3], [4, 6]])
    offsets = np.array([[0, 3], [3, 4], [3, 5], [5, 6]])
    nll = np.array([4.0, 100.0, 3.0, 1.0])
    assert unit_importance(bounds, offsets, nll, Agg.SUM).tolist() == [2.0, 2.0, 4.0]
    assert unit_importance(bounds, offsets, nll, Agg.MEAN).tolist() == [4.0, 4.0, 2.0]


def test_a_unit_may_be_worth_its_best_part() -> None:
    """All of a part counts for each unit that it touches; what has none is worth the least of all."""
    bounds = np.array([[0, 2], [2, 3], [4, 6], [7, 9]])
    offsets = np.array([[0, 3], [3, 4], [4, 5], [5, 6]])
    scores = np.array([-4.0, 100.0, -3.0, -6.0])
    assert unit_importance(bounds, offsets, scores, Agg.MAX).tolist() == [-4.0, -4.0, -3.0, -6.0]
    assert unit_importance(bounds, offsets[:0], scores[:0], Agg.MAX).tolist() == [0.0] * 4


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2)), max_size=12), st.randoms())
def test_the_sum_over_units_is_the_sum_over_tokens(shape: list[tuple[int, int]], random: object) -> None:
    """No self-information is lost or counted twice, however tokens and units overlap."""
    edges = np.cumsum([0, *(a + b for a, b in shape)])
    bounds = np.array([[e, e + a] for e, (a, _) in zip(edges, shape, strict=False)]).reshape(-1, 2)
    offsets = np.array([[s, s + 1] for s in range(edges[-1])]).reshape(-1, 2)
    nll = np.random.default_rng(len(shape)).random(len(offsets))
    inside = [any(a <= s < b for a, b in bounds.tolist()) for s in range(edges[-1])]
    total = unit_importance(bounds, offsets, nll, Agg.SUM).sum()
    assert total == pytest.approx(nll[np.array(inside, bool)].sum())
