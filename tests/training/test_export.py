"""What is exported says what the checkpoint says, and its manifest is true."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from elision.compressors.checkpoints import Prepared, Store
from elision.compressors.onnx_classifier import OnnxClassifier
from elision.compressors.token_classifier import MANIFEST, load_classifier
from elision.compressors.torch_classifier import TorchClassifier
from elision.config.errors import ConfigError
from elision.training.export import export
from fakes.tiny_classifier import save_tiny_bert

# Eight bits for weights and activations: what quantisation costs, not what conversion costs.
INT8_TOLERANCE = 0.05


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("trained") / "checkpoint", 0)


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> tuple[Path, Prepared]:
    out = checkpoint.parent / "exported"
    return out, export(checkpoint, out, licence="Apache-2.0")


def test_scores_are_those_of_the_checkpoint(checkpoint: Path, exported: tuple[Path, Prepared]) -> None:
    """Within a twentieth for every token of any length of window."""
    torch, onnx = TorchClassifier.load(checkpoint), load_classifier(exported[0])
    assert isinstance(onnx, OnnxClassifier)
    windows = [np.random.RandomState(n).randint(5, 200, n) for n in (3, 40, 200)]
    for expected, found in zip(torch.probabilities(windows), onnx.probabilities(windows), strict=True):
        assert np.abs(expected - found).max() < INT8_TOLERANCE


def test_the_manifest_states_every_file(exported: tuple[Path, Prepared]) -> None:
    """Sizes and sums are those of the files, and the file says what the function returned."""
    out, manifest = exported
    assert msgspec.json.decode((out / MANIFEST).read_bytes(), type=Prepared) == manifest
    there = {path.name for path in out.iterdir()} - {MANIFEST}
    assert (
        there
        == set(manifest.files)
        == {"model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json"}
    )
    for name, file in manifest.files.items():
        content = (out / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
    assert manifest.licence == "Apache-2.0"


def test_a_policy_can_name_the_folder(exported: tuple[Path, Prepared], tmp_path: Path) -> None:
    """The store finds it by its path, without anything prepared."""
    assert Store(tmp_path).locate(str(exported[0])) == exported[0]


def test_weights_can_go_along(checkpoint: Path, tmp_path: Path) -> None:
    """For a GPU the safetensors stand beside the graph, and the manifest says so."""
    manifest = export(checkpoint, tmp_path / "out", keep_weights=True)
    assert manifest.engines == ("onnx", "torch")
    assert "model.safetensors" in manifest.files


def test_files_can_stand_beside_the_weights(checkpoint: Path, tmp_path: Path) -> None:
    """They are in the manifest like all others, and so is what changes the graph."""

    def finish(folder: Path) -> None:
        assert (folder / "model.onnx").is_file()
        (folder / "blend.json").write_text("{}")

    manifest = export(checkpoint, tmp_path / "out", finish=finish)
    assert (tmp_path / "out" / "blend.json").read_text() == "{}"
    assert manifest.files["blend.json"].size == 2


def test_nothing_is_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    """A folder that is there stays as it is."""
    with pytest.raises(ConfigError, match="already"):
        export(checkpoint, tmp_path)
