"""A tiny random BERT learns, a stopped training ends as if it had not been stopped, mistakes are named."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from elision.compressors.llmlingua2 import word_bounds
from elision.compressors.torch_classifier import TorchClassifier
from elision.config.errors import ConfigError
from elision.training.records import LabelledText
from elision.training.state import HISTORY, STATE
from elision.training.trainer import Progress, TrainOptions, silent, train
from fakes.tiny_classifier import save_tiny_bert

WORDS = ("council", "meeting", "the", "of", "and", "budget", "with", "report")
WANTED = frozenset(("council", "meeting", "budget", "report"))


def labelled(seed: int) -> LabelledText:
    drawn = np.random.RandomState(seed).choice(WORDS, 24)
    text = " ".join(drawn)
    bounds = tuple((int(start), int(end)) for start, end in word_bounds(text))
    labels = tuple(0.9 if text[start:end] in WANTED else 0.0 for start, end in bounds)
    return LabelledText(text, bounds, labels, "synthetic")


TEXTS = [labelled(seed) for seed in range(24)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("base"), 0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order would be other sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def options(base: Path, out: Path) -> TrainOptions:
    return TrainOptions(
        base, out, epochs=3, learning_rate=5e-3, window=24, batch_tokens=96, hold_out=0.2, save_every=2
    )


class Stopped(Exception):
    """Somebody pulled the plug."""


def test_loss_falls_and_the_words_are_learned(base: Path, tmp_path: Path) -> None:
    """After three epochs words that were to be kept are likelier than any other."""
    told: list[Progress] = []
    checkpoint = train(TEXTS, options(base, tmp_path), told.append)
    assert told[-1].done == 1
    assert told[-1].held_out is not None
    assert told[-1].held_out < told[0].loss - 0.1
    classifier = TorchClassifier.load(checkpoint)
    encoded = classifier.vocabulary.tokenizer().encode("the council of budget")
    (chances,) = classifier.probabilities([np.asarray(encoded.ids)])
    assert min(chances[2], chances[4]) > max(chances[1], chances[3])


def test_a_stopped_training_ends_with_the_same_weights(base: Path, tmp_path: Path) -> None:
    """Stopped within the second epoch and called again, it forgets nothing, dropout's numbers included."""
    whole = train(TEXTS, options(base, tmp_path / "whole"), silent)
    stopping = options(base, tmp_path / "stopped")

    def stop(progress: Progress) -> None:
        if progress.done > 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        train(TEXTS, stopping, stop)
    assert (tmp_path / "stopped" / STATE).is_file()
    resumed = train(TEXTS, stopping, silent)
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert (whole.parent / HISTORY).read_text() == (resumed.parent / HISTORY).read_text()


def test_a_finished_training_is_not_done_again(base: Path, tmp_path: Path) -> None:
    """Called once more it says where the checkpoint is, and takes no step."""
    first = train(TEXTS, options(base, tmp_path), silent)
    told: list[Progress] = []
    assert train(TEXTS, options(base, tmp_path), told.append) == first
    assert told == []


def test_another_training_is_never_continued(base: Path, tmp_path: Path) -> None:
    """Other texts or other options in the same folder are refused, by name of the file."""
    train(TEXTS, options(base, tmp_path), silent)
    with pytest.raises(ConfigError, match=r"state\.pt: another training"):
        train(TEXTS[1:], options(base, tmp_path), silent)
    with pytest.raises(ConfigError, match="another training"):
        train(TEXTS, dataclasses.replace(options(base, tmp_path), seed=1), silent)


def test_frozen_layers_stay_as_they_are(base: Path, tmp_path: Path) -> None:
    """The embeddings and the lowest layer keep their weights to the bit; the layer above learns."""
    frozen = dataclasses.replace(options(base, tmp_path), frozen_layers=1, epochs=1)
    before, after = (
        load_file(folder / "model.safetensors") for folder in (base, train(TEXTS, frozen, silent))
    )
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if ".embeddings." in name or ".layer.0." in name} <= same
    assert not any(".layer.1.output.dense" in name for name in same)


def test_wrong_options_are_named_together(tmp_path: Path) -> None:
    """All of what is wrong is said at once."""
    with pytest.raises(ConfigError) as caught:
        TrainOptions(tmp_path, tmp_path, epochs=0, hold_out=1.0)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["epochs", "hold_out"]


def test_no_base_and_no_texts_are_told(base: Path, tmp_path: Path) -> None:
    """Nothing is trained from nothing."""
    with pytest.raises(ConfigError, match="no checkpoint"):
        train(TEXTS, options(tmp_path / "nowhere", tmp_path), silent)
    with pytest.raises(ConfigError, match="too few"):
        train([], options(base, tmp_path), silent)
