"""int8 ONNX says what the weights say, nearly; a window's scores are its own; torch is not needed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from elision.compressors.breaks import Abandoned, breaks
from elision.compressors.errors import WeightsMissing
from elision.compressors.onnx_classifier import OnnxClassifier, export
from elision.compressors.token_classifier import ONNX_FILE
from elision.compressors.torch_classifier import TorchClassifier
from fakes.tiny_classifier import (
    save_tiny_bert,
    save_tiny_kompress,
    save_tiny_mobilebert,
    save_tiny_modernbert,
    save_tiny_xlmr,
)


def converted(folder: Path) -> Path:
    export(folder, folder / ONNX_FILE, lambda _step: None)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(save_tiny_bert(tmp_path_factory.mktemp("bert")))


@pytest.mark.parametrize(
    "save", [save_tiny_bert, save_tiny_mobilebert, save_tiny_xlmr, save_tiny_modernbert, save_tiny_kompress]
)
def test_both_engines_give_the_same_scores(save: Callable[[Path], Path], tmp_path: Path) -> None:
    """Correlation above 0.99 and nine of ten decisions alike, random weights being the worst case;
    `export` itself compares the graph before quantisation, to 1e-3, at three lengths.
    """
    folder = converted(save(tmp_path))
    small, exact = OnnxClassifier.load(folder, 2), TorchClassifier.load(folder)
    draw = np.random.default_rng(0)
    ids = exact.vocabulary.ids
    for length in (40, 300, 510):
        window = np.concatenate(([ids["cls"]], draw.integers(5, exact.vocabulary.size, length), [ids["sep"]]))
        (found,), (wanted,) = small.probabilities([window]), exact.probabilities([window])
        assert np.corrcoef(found, wanted)[0, 1] > 0.99
        kept = (found > np.median(found)) == (wanted > np.median(wanted))
        assert kept.mean() > 0.9


def test_scores_do_not_depend_on_company_or_threads(bert: Path) -> None:
    """The same bits alone, among others, with one thread and with three."""
    draw = np.random.default_rng(1)
    windows = [draw.integers(5, 100, n) for n in (5, 200, 33, 512, 33)]
    single, many = OnnxClassifier.load(bert, 1), OnnxClassifier.load(bert, 3)
    together = many.probabilities(windows)
    alone = [single.probabilities([window])[0] for window in windows]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))
    assert single.fingerprint == many.fingerprint


def test_no_windows_give_no_scores(bert: Path) -> None:
    """A batch of texts without words."""
    assert OnnxClassifier.load(bert, 2).probabilities([]) == []


def test_running_needs_neither_torch_nor_transformers(bert: Path) -> None:
    """The base install has neither."""
    code = (
        "import sys; import numpy as np; from pathlib import Path\n"
        "from elision.compressors.token_classifier import Engine, load_classifier\n"
        f"classifier = load_classifier(Path({str(bert)!r}), Engine.ONNX, 1)\n"
        "assert len(classifier.probabilities([np.asarray([2, 7, 3])])[0]) == 3\n"
        "print([m for m in ('torch', 'transformers', 'onnx') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_an_unprepared_folder_says_how_to_prepare_it(tmp_path: Path) -> None:
    """The remedy is a command."""
    with pytest.raises(WeightsMissing, match="elision models add"):
        OnnxClassifier.load(save_tiny_bert(tmp_path))


def test_a_broken_graph_is_named(tmp_path: Path) -> None:
    """The library's own exception does not escape."""
    save_tiny_bert(tmp_path)
    (tmp_path / ONNX_FILE).write_bytes(b"not a graph")
    with pytest.raises(WeightsMissing, match=r"cannot load .*model\.onnx"):
        OnnxClassifier.load(tmp_path)


def test_a_window_longer_than_the_model_reads_is_refused(bert: Path) -> None:
    """Rather than an error inside the graph."""
    with pytest.raises(WeightsMissing, match="600 tokens; the model reads 512"):
        OnnxClassifier.load(bert).probabilities([np.full(600, 7)])


def test_nothing_but_the_graph_is_left(bert: Path) -> None:
    """The fp32 graph, and its tensors of gigabytes, are gone; int8 is a good deal smaller."""
    left = {path.name for path in bert.iterdir()}
    assert left == {
        "config.json",
        "model.onnx",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_long_work_can_be_given_up(bert: Path) -> None:
    """Between windows, with nothing half done: the next call finds all in order."""
    classifier = OnnxClassifier.load(bert, 2)
    windows = [np.asarray([2, 7, 8, 3])] * 40

    def give_up() -> None:
        raise Abandoned("nobody waits")

    with pytest.raises(Abandoned), breaks(give_up):
        classifier.probabilities(windows)
    assert len(classifier.probabilities(windows)) == 40
