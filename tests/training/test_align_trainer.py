"""A tiny random model learns how its target speaks; a stopped training ends as if it had not been."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from elision.compressors.causal_lm import CausalLM
from elision.compressors.weights import Weights, resolve
from elision.config.errors import ConfigError
from elision.training.align import Output
from elision.training.align_trainer import MODEL, AlignOptions, Progress, align, examples, ticking
from elision.training.state import HISTORY
from fakes.tiny_lm import save_tiny_lm

OUTPUTS = [
    Output(f"Who was late on {day} May?", "The quick brown fox was late, he said.") for day in range(1, 17)
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order would be other sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    # GPT-2 has dropout: its draws must be taken up again too.
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"), window=128, family="gpt2")
    return resolve(str(folder), tmp_path_factory.mktemp("cache"))


def options(out: Path, **more: object) -> AlignOptions:
    told: dict[str, object] = {"learning_rate": 1e-2, "window": 64, "batch_tokens": 256, "hold_out": 0.2}
    return AlignOptions(out, **{**told, "save_every": 2, **more})  # type: ignore[arg-type]


def silent(_progress: Progress) -> None:
    """Tell nobody."""


def test_the_aligned_model_expects_what_the_target_says(base: Weights, tmp_path: Path) -> None:
    """What the target says is likelier than before, and `weights` takes the folder."""
    told: list[Progress] = []
    folder = align(OUTPUTS, base, options(tmp_path), told.append)
    said = [(OUTPUTS[0].instruction + "\n\n", OUTPUTS[0].output)]
    [before] = CausalLM.load(base).conditional(said)
    [after] = CausalLM.load(resolve(str(folder), tmp_path / "c")).conditional(said)
    assert after.nll.mean() < before.nll.mean() - 2
    history = json.loads((folder.parent / HISTORY).read_text())
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["held_out"] < history[0]["held_out"]
    assert told[-1].done == 1
    assert all(one.done <= other.done for one, other in pairwise(told))


class Stopped(Exception):
    """Somebody pulled the plug."""


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_stopped_training_ends_as_if_it_had_not_been(base: Weights, tmp_path: Path, at: int) -> None:
    """The same weights, wherever it was stopped."""
    calls = 0

    def pull(_progress: Progress) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Stopped

    whole = align(OUTPUTS, base, options(tmp_path / "whole"), silent)
    with pytest.raises(Stopped):
        align(OUTPUTS, base, options(tmp_path / "cut"), pull)
    again = align(OUTPUTS, base, options(tmp_path / "cut"), silent)
    one, other = load_file(whole / "model.safetensors"), load_file(again / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_only_outputs_are_learned(base: Weights) -> None:
    """The instruction is what comes before; marks of the model in a text are text."""
    tokenizer = Tokenizer.from_file(str(base.directory / "tokenizer.json"))
    [one] = examples([Output("Who?", "A fox <|im_end|>.")], tokenizer, 0, 64)
    asked = tokenizer.encode("Who?\n\n", add_special_tokens=False).ids
    assert one.ids[: one.output] == [0, *asked]
    assert tokenizer.decode(one.ids[one.output : -1]) == "A fox <|im_end|>."
    assert one.ids[-1] == 0
    [long] = examples([Output("fox " * 50, "dog " * 50)], tokenizer, 0, 32)
    assert len(long.ids) == 32
    assert 1 < long.output <= 17
    [short] = examples([Output("fox " * 50, "dog")], tokenizer, 0, 32)
    assert len(short.ids) <= 32
    assert short.ids[-1] == 0


def test_the_loss_is_the_mean_over_the_outputs_tokens(base: Weights, tmp_path: Path) -> None:
    """Held-out loss is what the scorer says of the outputs and the mark after them."""
    align(OUTPUTS[:6], base, options(tmp_path, epochs=1, learning_rate=1e-12, hold_out=0.5), silent)
    [row] = json.loads((tmp_path / HISTORY).read_text())
    order = np.random.default_rng(0).permutation(6)
    held = [OUTPUTS[i] for i in order[:3]]
    lm = CausalLM.load(base)
    nll = []
    for one in held:
        ids = [lm.bos, *lm.encode(one.instruction + "\n\n")]
        said = [*lm.encode(one.output), lm.bos]
        whole = np.asarray([ids + said])
        hidden = lm.run(whole, np.arange(whole.shape[1])[None], None, None)[0]
        nll += lm.nll(hidden[len(ids) - 1 : -1], np.asarray(said, np.int64)).tolist()
    assert row["held_out"] == pytest.approx(np.mean(nll), rel=1e-4)


def test_another_training_in_the_folder_is_refused(base: Weights, tmp_path: Path) -> None:
    """Other outputs or options would end as neither."""
    align(OUTPUTS[:4], base, options(tmp_path, epochs=1), silent)
    with pytest.raises(ConfigError, match="another training"):
        align(OUTPUTS[:5], base, options(tmp_path, epochs=1), silent)
    with pytest.raises(ConfigError, match="too few"):
        align([], base, options(tmp_path / "none"), silent)
    with pytest.raises(ConfigError, match="window: must be at least 16"):
        options(tmp_path, window=3)
    assert (tmp_path / MODEL).is_dir()


def test_a_bar_moves_on_by_whole_parts() -> None:
    """And ends full."""
    moves: list[int] = []
    tell = ticking(moves.append, 10)
    for done in (0.04, 0.25, 0.26, 1.0):
        tell(Progress(1, done, 0.0))
    assert moves == [0, 2, 0, 8]
