"""Profile `compat` does what the reference's control flow does, read slowly: its faults are there."""

from pathlib import Path

import numpy as np
import pytest

from elision.compressors.base import Method, Target
from elision.compressors.causal_lm import CausalLM
from elision.compressors.engine import Engine
from elision.compressors.errors import CompressionError
from elision.compressors.llmlingua_compat import Compat, CompatOptions, windows_of
from elision.compressors.tokens import Counters
from elision.compressors.weights import resolve
from fakes.tiny_lm import save_tiny_lm

TEXT = (
    "A witness said that the meeting of 12 May 1987 was not held in Geneva. Reports may be filed by "
    "anyone; 3.5 percent of them were late, he said. It was the best of times. "
) * 4


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


def losses(lm: CausalLM, ids: list[int]) -> list[float]:
    """Without BOS: of the second token on."""
    hidden = lm.run(np.asarray([ids], np.int64), np.arange(len(ids))[None], None, None)[0]
    return [float(one) for one in lm.nll(hidden[:-1], np.asarray(ids[1:], np.int64))]


def slowly(lm: CausalLM, text: str, rate: float, size: int) -> str:
    """Algorithms.md 2a', token by token: everything is read anew for every window."""
    ids = lm.encode(text)
    share = rate * len(ids) / (len(ids) + 2 + 1)
    lengths = [size - 1]
    while sum(lengths) + size < len(ids) + 2:
        lengths.append(size)
    lengths.append(len(ids) + 2 - sum(lengths))
    known: list[float] = []
    end, before = min(size, len(ids)), 0
    while end <= len(ids):
        now = losses(lm, ids[:end] if known else ids)
        # What was read of the window before is read again, after what stays of it is known.
        known = known[:before] + now[before:] + known[len(now) :] if known else now
        before = end - size
        end = before + lengths.pop(0)
        ranked = sorted(known, reverse=True)
        bar = ranked[max(0, min(len(ranked) - 1, int(len(ranked) * share) - 1))]
        stays = [not before <= i < end or i >= len(known) or known[i] > bar for i in range(len(ids))]
        end += size - sum(not flag for flag in stays[:end])
        known = [loss for loss, flag in zip(known, stays, strict=False) if flag]
        ids = [one for one, flag in zip(ids, stays, strict=True) if flag]
    return lm.decode(ids)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("size", [20, 50])
def test_it_is_the_slow_transcription(lm: CausalLM, rate: float, size: int) -> None:
    """Memory of what was read gives what reading everything anew gives."""
    made = Compat(lm, Counters(), CompatOptions(iterative_size=size))
    found = made.compress_prompt([TEXT], rate=rate)
    assert found == slowly(lm, TEXT, rate, size)
    assert lm.count(found) < lm.count(TEXT)


def test_a_loss_decides_about_the_token_before_its_own(lm: CausalLM) -> None:
    """The off-by-one: what stays goes with the surprise of its successor."""
    ids = lm.encode(TEXT)
    size = len(ids)
    made = Compat(lm, Counters(), CompatOptions(iterative_size=size))
    found = lm.encode(made.compress_prompt([TEXT], rate=0.5))
    now = losses(lm, ids)
    bar = sorted(now, reverse=True)[int(len(now) * 0.5 * len(ids) / (len(ids) + 3)) - 1]
    kept = [one for one, loss in zip(ids, now, strict=False) if loss > bar]
    assert found[: len(kept) - 1] == kept[: len(kept) - 1]


def test_texts_of_less_than_a_window_are_left_alone(lm: CausalLM) -> None:
    """So is whatever is left over after the last full window."""
    text = "A witness said that the meeting was not held, and nobody but the fox was late."
    found = Compat(lm, Counters()).compress_prompt([text], rate=0.5)
    assert found == text or lm.count(found) < lm.count(text) < 200
    made = Compat(lm, Counters(), CompatOptions(iterative_size=50))
    assert made.compress_prompt([TEXT], rate=0.5)[-20:] == TEXT[-20:]


def test_windows_are_cut_as_the_reference_cuts_them() -> None:
    """The first has one token fewer; a context of several windows' length has whole ones."""
    assert windows_of([30, 30], 30, 50) == [[(30, 30 / 61), (19, 30 / 61)], [(11, 30 / 61)]]
    assert windows_of([180], 0, 50) == [[(49, 0.0)], [(50, 0.0)], [(50, 0.0)], [(31, 0.0)]]
    assert windows_of([10], -5, 50) == [[(10, 0.0)]]
    assert windows_of([49], 500, 50) == [[(49, 1.0)]]


def test_contexts_stay_until_the_budget_is_overdrawn(lm: CausalLM) -> None:
    """The most perplexing first; they stand in their order, instruction and question around them."""
    contexts = [f"{word} {TEXT[:150]}" for word in ("One.", "Two.", "Three.", "Four.")]
    options = CompatOptions(iterative_size=2000, context_budget="*1")
    found = Compat(lm, Counters(), options).compress_prompt(
        contexts, instruction="Read this.", question="Who?", rate=0.5
    )
    parts = found.split("\n\n")
    assert parts[0] == "Read this."
    assert parts[-1] == "Who?"
    order = sorted(contexts, key=lambda one: -float(np.mean(losses(lm, lm.encode(one)))))
    assert len(parts) < 6
    assert all(any(part[:2] in one[:4] for one in order[: len(parts) - 2]) for part in parts[1:-1])


def test_texts_beyond_the_models_positions_go_through(tmp_path: Path) -> None:
    """Cells are dropped after the first ten, tokens from the front; what was popped comes first again."""
    lm = CausalLM.load(resolve(str(save_tiny_lm(tmp_path / "m", window=128)), tmp_path / "c"))
    made = Compat(lm, Counters(), CompatOptions(iterative_size=40))
    found = made.compress_prompt([TEXT * 2], rate=0.7)
    assert found.endswith(TEXT[-20:])
    assert 0 < lm.count(found) < lm.count(TEXT * 2)


def test_without_words_contexts_stand_as_they_are(lm: CausalLM) -> None:
    """`use_token_level_filter`: false."""
    contexts = [f"{word} {TEXT[:150]} did n't ." for word in ("One.", "Two.", "Three.", "Four.")]
    options = CompatOptions(context_budget="*1", use_token_level_filter=False)
    made = Compat(lm, Counters(), options)
    parts = made.compress_prompt(contexts, rate=0.5).split("\n\n")
    assert 0 < len(parts) < 4
    assert set(parts) < set(contexts)
    assert made.fingerprint != Compat(lm, Counters(), CompatOptions(context_budget="*1")).fingerprint


def test_where_the_reference_crashes_so_it_is_said(lm: CausalLM) -> None:
    """The original goes out instead."""
    with pytest.raises(CompressionError, match="one token"):
        Compat(lm, Counters()).compress_prompt(["A", TEXT], rate=0.5)


def test_it_is_a_profile_of_the_method(tmp_path: Path) -> None:
    """Outcomes have no slices; without a target, or if it does not help, the original goes."""
    weights = str(save_tiny_lm(tmp_path))
    method = Method("llmlingua", (("iterative_size", 50), ("profile", "compat"), ("weights", weights)))
    made = Engine(Counters()).compressor(method)
    assert isinstance(made, Compat)
    # Whatever the machine does fast: in bf16 other tokens fall below the threshold.
    assert "weights=float32" in made.fingerprint
    short, bare, long = made.compress(["A fox.", TEXT, TEXT], [Target(rate=0.5), Target(), Target(tokens=90)])
    assert (short.reason, bare.reason, long.reason) == ("not_shorter", "no_target", "")
    assert long.kept == ()
    assert long.tokens_after < long.tokens_before
