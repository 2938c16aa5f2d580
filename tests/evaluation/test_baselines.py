"""Baselines are what their names say, and keep as much as any other method."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Target
from elision.compressors.tokens import Counters
from elision.evaluation.baselines import (
    FULL,
    LEAD,
    NONE,
    RANDOM,
    TFIDF,
    Lead,
    RandomWords,
    TfIdf,
    make_baseline,
)

TEXT = (
    "The river rose in the night and the village woke to water in the streets, so the people took "
    "what they could carry and went up the hill, where the old church stood, and waited for the morning."
)


@pytest.fixture(scope="module")
def counters() -> Counters:
    return Counters()


def shortened(name: str, counters: Counters, rate: float = 0.5, seed: int = 1) -> str:
    compressor = make_baseline(name, counters, seed, [TEXT, "The hill was old."])
    [outcome] = compressor.compress([TEXT], [Target(rate, model="gpt-4o", protect=())])
    assert outcome.reason == ""
    assert outcome.tokens_after == counters.counter_for("gpt-4o").count(outcome.text)
    return outcome.text


@pytest.mark.parametrize("name", [RANDOM, LEAD, TFIDF])
@pytest.mark.parametrize("rate", [0.33, 0.5])
def test_the_budget_is_kept(name: str, rate: float, counters: Counters) -> None:
    """At most the target, and at most one word less."""
    total = counters.counter_for("gpt-4o").count(TEXT)
    kept = counters.counter_for("gpt-4o").count(shortened(name, counters, rate))
    assert rate * total - 3 < kept <= rate * total


def test_lead_is_a_beginning(counters: Counters) -> None:
    """Words in their order, from the first, until the budget is spent."""
    found = shortened(LEAD, counters)
    assert TEXT.startswith(found.rstrip("."))


def test_random_words_depend_on_seed_and_text_only(counters: Counters) -> None:
    """Neither on the batch nor on what was asked before."""
    assert shortened(RANDOM, counters) == shortened(RANDOM, counters)
    assert shortened(RANDOM, counters) != shortened(RANDOM, counters, seed=2)
    alone = RandomWords(1).score([TEXT], [""])[0]
    among = RandomWords(1).score(["before", TEXT], ["", ""])[1]
    assert alone.importance.tolist() == among.importance.tolist()
    assert RandomWords(1).fingerprint != RandomWords(2).fingerprint


def test_tf_idf_prefers_what_is_frequent_here_and_rare_elsewhere() -> None:
    """tf * (ln((1 + N) / (1 + df)) + 1), worked out by hand."""
    scorer = TfIdf.of(["the fox", "the dog", "the dog"])
    [units] = scorer.score(["The fox, the end -"], [""])
    # Two different texts; "the" stands in both, "fox" in one, "end" in none, "-" is no word.
    assert units.importance.tolist() == pytest.approx(
        [2 / 5 * 1.0, 1 / 5 * (0.405465 + 1), 2 / 5 * 1.0, 1 / 5 * (1.098612 + 1), 0.0], rel=1e-4
    )


def test_the_corpus_is_part_of_the_fingerprint() -> None:
    """Other texts, other weights: nothing of another run may be taken for this one's."""
    assert TfIdf.of(["a"]).fingerprint != TfIdf.of(["b"]).fingerprint
    assert TfIdf.of(["a", "b"]).fingerprint == TfIdf.of(["b", "a", "a"]).fingerprint


def test_all_and_nothing(counters: Counters) -> None:
    """The two ends of every curve, with exact counts."""
    target = Target(model="gpt-4o")
    [full] = make_baseline(FULL, counters, 0, []).compress([TEXT], [target])
    [none] = make_baseline(NONE, counters, 0, []).compress([TEXT], [target])
    assert (full.text, full.tokens_after) == (TEXT, full.tokens_before)
    assert (none.text, none.tokens_after, none.tokens_before) == ("", 0, full.tokens_before)


@given(st.text(max_size=60))
def test_any_text_can_be_scored(text: str) -> None:
    """As many importances as words, all finite, in every script."""
    for scorer in (RandomWords(0), Lead(), TfIdf.of([text])):
        [units] = scorer.score([text], [""])
        assert len(units.bounds) == len(units.importance)
