"""Ranking by BM25: what is asked about comes first, in any script, the same way every time."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.ranking import best_first, bm25, words


def test_the_text_that_answers_comes_first() -> None:
    """The words of the question decide; a text without them comes last."""
    texts = ["Boats sail on the river.", "Rates are kept low.", "A river bank is a place by the river."]
    assert best_first("Where is the river bank?", texts) == (2, 0, 1)


def test_a_rare_word_outweighs_a_common_one() -> None:
    """What every text holds tells none from the others."""
    texts = ["report report report", "report Zanzibar", "report again"]
    assert best_first("the report on Zanzibar", texts)[0] == 1


def test_a_long_text_wins_nothing_by_its_length() -> None:
    """The same mention counts for less among many other words."""
    short, long = "the quay burned", "the quay burned " + "and other things happened " * 30
    scores = bm25("quay", [long, short])
    assert scores[1] > scores[0] > 0


def test_scores_are_those_of_the_formula() -> None:
    """One word, twice in the first of two texts of length 3 and 1: worked by hand."""
    weight = math.log(1 + 1.5 / 1.5)
    norm = 1.5 * (0.25 + 0.75 * 3 / 2)
    assert bm25("fox", ["fox fox den", "owl"]) == pytest.approx((weight * 2 * 2.5 / (2 + norm), 0.0))


def test_a_word_asked_twice_counts_once() -> None:
    """Saying a word again in the question does not make it weigh more."""
    texts = ["a fox", "an owl"]
    assert bm25("fox fox fox", texts) == bm25("fox", texts)


@pytest.mark.parametrize("question", ["", "?!", "unheard of"])
def test_without_a_common_word_the_order_stays(question: str) -> None:
    """Equals stay as they stood."""
    assert best_first(question, ["one", "two", "three"]) == (0, 1, 2)


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("東京タワーの高さは？", "東京タワーは333メートルです。", "大阪城は豊臣秀吉が築いた。"),
        ("长城有多长？", "长城的总长超过两万公里。", "故宫位于北京市中心。"),
        ("한국의 수도는?", "수도는 서울이다.", "부산은 항구 도시이다."),
        ("ประเทศไทยมีเมืองหลวงอะไร", "เมืองหลวงคือกรุงเทพ", "ช้างเป็นสัตว์ใหญ่"),
        ("हिन्दी कहाँ बोली जाती है?", "भारत में हिन्दी बोली जाती है।", "यह एक नदी का नाम था।"),
        ("ما هي عاصمة مصر؟", "عاصمة مصر القاهرة.", "النيل نهر طويل."),
        ("Где столица России?", "СТОЛИЦА России Москва.", "Байкал очень глубок."),
        ("Où est le CAFÉ?", "le cafe\u0301 du coin", "une boulangerie"),
    ],
)
def test_every_script_is_read(question: str, right: str, wrong: str) -> None:
    """With spaces between words or without, composed or not, in upper case or lower."""
    assert best_first(question, [wrong, right]) == (1, 0)


def test_words_of_unspaced_scripts_are_pairs() -> None:
    """Neighbouring characters, and what stands between them whole; one alone is a word."""
    assert words("東京都 GPT4東京 木") == ["東京", "京都", "gpt4", "東京", "木"]
    assert words("東京v2") == ["東京", "v2"]


def test_vowel_signs_stay_with_their_letters() -> None:
    """An Indic word is one word, and punctuation is none."""
    assert words("हिन्दी, snake_case! it's") == ["हिन्दी", "snake", "case", "it", "s"]


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=6))
def test_every_text_has_its_place(question: str, texts: list[str]) -> None:
    """Any text can be ranked: each index once, and scores are numbers of zero or more."""
    assert sorted(best_first(question, texts)) == list(range(len(texts)))
    assert all(math.isfinite(score) and score >= 0 for score in bm25(question, texts))


@given(st.text("ab ", max_size=8), st.lists(st.text("ab ", max_size=8), unique=True, max_size=5), st.data())
def test_scores_go_with_their_texts(question: str, texts: list[str], data: st.DataObject) -> None:
    """The order in which texts are given changes no score."""
    shuffled = data.draw(st.permutations(texts))
    assert dict(zip(shuffled, bm25(question, shuffled), strict=True)) == dict(
        zip(texts, bm25(question, texts), strict=True)
    )
