"""A second head learns from a layer that is there, and leaves what the classifier says as it was."""

from pathlib import Path

import numpy as np
import pytest

from elision.compressors.errors import WeightsMissing
from elision.compressors.onnx_classifier import OnnxClassifier
from elision.compressors.token_classifier import ONNX_FILE
from elision.training.export import export
from elision.training.records import LabelledText
from elision.training.second_head import Head, attach, fit, teach
from fakes.tiny_classifier import save_tiny_bert

WANTED = ("council", "budget")
TEXTS = ["the council of the city", "a budget for the council", "the report with a budget and an item"]


def labelled(text: str) -> LabelledText:
    ranges, at = [], 0
    for word in text.split():
        ranges.append((at, at + len(word)))
        at += len(word) + 1
    return LabelledText(text, tuple(ranges), tuple(float(word in WANTED) for word in text.split()), "tried")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export(save_tiny_bert(tmp_path / "base", 0), tmp_path / "made")
    return tmp_path / "made"


def test_it_says_what_it_was_taught_beside_what_was_said_before(folder: Path) -> None:
    """Of words seen in teaching the wanted ones are likelier; the first number has not moved."""
    before = OnnxClassifier.load(folder, 1)
    vocabulary = before.vocabulary
    head = teach(folder / ONNX_FILE, map(labelled, TEXTS * 4), vocabulary, 32)
    attach(folder / ONNX_FILE, head)
    after = OnnxClassifier.load(folder, 1)
    read = vocabulary.tokenizer().encode(TEXTS[0])
    window = np.asarray(read.ids, np.int64)
    (was,), (now,) = before.probabilities([window]), after.probabilities([window])
    assert now.shape == (len(window), 2)
    assert now[:, 0].tolist() == was.tolist()
    said = dict(zip(read.tokens, now[:, 1].tolist(), strict=True))
    assert said["council"] > max(said["of"], said["city"])
    assert before.fingerprint != after.fingerprint


def test_the_fit_finds_what_made_the_labels() -> None:
    """Soft labels of a known head give back that head."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(4000, 3)).astype(np.float16)
    labels = 1 / (1 + np.exp(-(rows.astype(np.float64) @ [2.0, -1.0, 0.0] + 0.5)))
    weights, bias = fit(rows, labels)
    assert weights.tolist() == pytest.approx([2.0, -1.0, 0.0], abs=0.05)
    assert bias == pytest.approx(0.5, abs=0.05)


def test_a_graph_has_one_second_head(folder: Path) -> None:
    """Nor is one put on a layer that is not there."""
    with pytest.raises(WeightsMissing, match="no 'nowhere'"):
        attach(folder / ONNX_FILE, Head("nowhere", np.zeros(32), 0.0))


def test_nothing_is_fitted_to_nothing(folder: Path) -> None:
    """Without a labelled token there is no head."""
    vocabulary = OnnxClassifier.load(folder, 1).vocabulary
    with pytest.raises(ValueError, match="no labelled token"):
        teach(folder / ONNX_FILE, [], vocabulary, 32)
