"""Documents are ranked as the papers say, and what each may keep adds up to the budget."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.causal_lm import CausalLM
from elision.compressors.document_ranking import (
    RESTRICTION,
    Condition,
    Query,
    Reorder,
    best_first,
    bm25_scores,
    context_budget,
    dynamic_rates,
    model_scores,
    read_context_budget,
    reordered,
    slopes,
    staying,
)
from elision.compressors.errors import BadOption
from elision.compressors.weights import resolve
from elision.policies import ranking
from fakes.tiny_lm import save_tiny_lm

QUESTION = "Who jumps over the lazy dog?"
DOCUMENTS = [
    "The meeting of 12 May was not held in Geneva.",
    "A quick brown fox jumps over dogs, he said.",
    "",
    "日本語の文。 Reports may be filed by anyone.",
]


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


def plain_mean(lm: CausalLM, before: str, text: str) -> float:
    """Return the mean of -ln p(token | BOS, before, tokens before it), by one whole softmax."""
    return float(lm.surprisal_plain(text, before).nll.mean()) if text else 0.0


@pytest.mark.parametrize("condition", list(Condition))
def test_scores_are_the_papers(lm: CausalLM, condition: Condition) -> None:
    """Mean surprise of the question and the restriction after the document, one at a time and slowly."""
    other = Query(DOCUMENTS[:2], "Where?", Condition.NONE)
    [_, found] = model_scores(lm, [other, Query(DOCUMENTS, QUESTION, condition)])
    for score, document in zip(found, DOCUMENTS, strict=True):
        plain = {
            Condition.NONE: lambda text: plain_mean(lm, "", text),
            Condition.BEFORE: lambda text: -plain_mean(lm, QUESTION + "\n\n", text),
            Condition.AFTER: lambda text: -plain_mean(lm, text, QUESTION + RESTRICTION),
        }[condition](document)
        assert score == pytest.approx(plain, rel=1e-4)


def test_a_long_document_is_as_good_as_its_best_part(lm: CausalLM) -> None:
    """What answers the question may stand where the model would not have read it."""
    one, other = "Reports may be filed by anyone. " * 300, "A quick brown fox jumps over dogs. " * 300
    assert min(lm.count(one), lm.count(other)) > 1000
    query = Query([one, other, one + other, other + one], QUESTION, Condition.AFTER)
    [[first, second, *both]] = model_scores(lm, [query])
    assert abs(first - second) > 0.1
    assert both == pytest.approx([max(first, second)] * 2, abs=0.05)


@pytest.mark.parametrize("condition", [Condition.BEFORE, Condition.AFTER])
def test_of_a_huge_question_the_end_is_asked(lm: CausalLM, condition: Condition) -> None:
    """It is read for every document: a question of pages times hundreds of documents has no end."""
    end = "Which of the reports may be filed by anyone? " * 60
    assert lm.count(end) > 256
    found = [
        model_scores(lm, [Query(DOCUMENTS, before + end, condition)])
        for before in ("", "The quick brown fox. " * 500)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("question", "documents"),
    [
        ("which fox jumps", ["the lazy dog", "a fox that jumps and jumps", "fox", ""]),
        ("the", ["the the the", "the", "nothing"]),
        ("日本語の文", ["日本の歴史", "日本語の文法です", "漢字"]),
        ("", ["a", "b"]),
    ],
)
def test_both_rooms_rank_by_words_alike(question: str, documents: list[str]) -> None:
    """The policies' BM25 is the same formula, over words that are told apart much alike."""
    ours = bm25_scores(question, documents)
    assert best_first(ours) == ranking.best_first(question, documents)
    if question.isascii():
        assert ours == pytest.approx(ranking.bm25(question, documents))


def test_a_word_weighs_by_how_rare_it_is() -> None:
    """By hand: two documents of one word each, of which one holds what is asked."""
    [one, other] = bm25_scores("fox", ["fox", "dog"])
    assert one == pytest.approx(log(2) * 2.5 / 2.5)
    assert other == 0.0


@given(st.lists(st.sampled_from("abcde") | st.sampled_from(["né", "漢字", "?"]), max_size=12), st.data())
def test_any_words_can_be_ranked(terms: list[str], data: st.DataObject) -> None:
    """Scores are never negative, and a document of none of the words has none."""
    documents = data.draw(
        st.lists(st.lists(st.sampled_from([*terms, "zz"]), max_size=9).map(" ".join), max_size=5)
    )
    scores = bm25_scores(" ".join(terms), documents)
    assert all(score >= 0 for score in scores)
    assert all(
        not score for score, text in zip(scores, documents, strict=True) if set(text.split()) <= {"zz", "?"}
    )
    assert sorted(best_first(scores)) == list(range(len(documents)))


@pytest.mark.parametrize(
    ("written", "tokens"),
    [("+100", 300), ("-50", 150), ("*1.2", 240), ("/2", 100), (" * 2 ", 400), ("+0", 200)],
)
def test_a_context_budget_is_read(written: str, tokens: float) -> None:
    """The reference evaluates it as Python; here it is a sign and a number."""
    assert context_budget(written, 200) == pytest.approx(tokens)


@pytest.mark.parametrize(
    "written", ["100", "", "+", "+1e9", "*-2", "/0", "+1;import os", "**2", "+" + "9" * 20]
)
def test_anything_else_is_no_context_budget(written: str) -> None:
    """Nothing that is written there is run."""
    with pytest.raises(BadOption, match="context_budget must be"):
        read_context_budget(written)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12), st.integers(-20, 400), st.data())
def test_documents_stay_until_the_budget_is_spent(sizes: list[int], budget: int, data: st.DataObject) -> None:
    """Without the last one they are within it; the forced ones and the best one stay in any case."""
    ranked = data.draw(st.permutations(range(len(sizes))))
    forced = data.draw(st.sets(st.sampled_from(ranked), max_size=2))
    kept = staying(ranked, sizes, budget, forced)
    assert list(kept) == [at for at in ranked if at in kept]
    assert forced <= set(kept)
    free = [at for at in kept if at not in forced]
    assert kept[0] == ranked[0] or forced
    if len(free) > 1:
        assert sum(sizes[at] for at in (*forced, *free[:-1])) < budget
    if len(kept) < len(sizes):
        assert sum(sizes[at] for at in kept) >= budget
        assert free == [at for at in ranked if at not in forced][: len(free)]


@given(st.lists(st.integers(0, 99), unique=True, max_size=12))
def test_reordering_keeps_every_document_once(ranked: list[int]) -> None:
    """In two stages the best stand at both ends, and the least in the middle."""
    assert reordered(ranked, Reorder.SORT) == tuple(ranked)
    assert reordered(ranked, Reorder.ORIGINAL) == tuple(sorted(ranked))
    both = reordered(ranked, Reorder.TWO_STAGE)
    assert sorted(both) == sorted(ranked)
    rank = [ranked.index(one) for one in both]
    peak = rank.index(max(rank)) if rank else 0
    assert rank[: peak + 1] == sorted(rank[: peak + 1])
    assert rank[peak:] == sorted(rank[peak:], reverse=True)


def test_slopes_go_from_the_best_to_the_last() -> None:
    """delta (1 - 2 r / (n - 1)), and nothing for a document alone."""
    assert slopes(5, 0.4) == pytest.approx([0.4, 0.2, 0.0, -0.2, -0.4])
    assert slopes(1, 0.4) == [0.0]
    assert slopes(0, 0.4) == []


@given(st.lists(st.integers(0, 500), min_size=1, max_size=12), st.floats(0, 1), st.floats(-1, 1))
def test_dynamic_rates_keep_the_budget_exactly(sizes: list[int], share: float, delta: float) -> None:
    """Bounds that cut a rate off are made up for by the others."""
    budget = share * sum(sizes)
    rates = dynamic_rates(sizes, budget, slopes(len(sizes), delta))
    assert all(0 <= rate <= 1 for rate in rates)
    assert float(np.dot(sizes, rates)) == pytest.approx(budget, abs=1e-6)
    assert rates == sorted(rates, reverse=delta >= 0) or not sum(sizes)


def test_dynamic_rates_are_the_papers_where_no_bound_is_met() -> None:
    """With documents of one length the common rate is tau."""
    rates = dynamic_rates([100] * 3, 150, slopes(3, 0.3))
    assert rates == pytest.approx([0.8, 0.5, 0.2])
