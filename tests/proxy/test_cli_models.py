"""`elision models` lists and verifies; `elision models add` prepares, once, and says so."""

import json
from pathlib import Path

import pytest

from elision.proxy.cli import run
from fakes.tiny_classifier import save_tiny_bert


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "elision" / "models"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_tiny_bert(tmp_path / "tiny")


def test_without_models_the_command_that_adds_one_is_shown(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And where they would lie."""
    assert run(["models"]) == 0
    assert capsys.readouterr().out == f"no models in {cache}; prepare one: elision models add ID|PATH\n"


def test_a_model_is_added_and_listed(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what a policy calls it; a second time there is nothing to do."""
    assert run(["models", "add", str(checkpoint)]) == 0
    assert capsys.readouterr().out.startswith("tiny: prepared, ")
    assert run(["models", "add", str(checkpoint)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("tiny: already prepared, ")
    assert "in a policy: weights: tiny" in told.out
    assert told.err == ""
    assert run(["models"]) == 0
    assert {"tiny", "bert", "onnx", "512"} <= set(capsys.readouterr().out.split())


def test_models_are_told_as_json(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For other tools: sums, sizes, origin."""
    run(["models", "add", str(checkpoint), "--torch"])
    capsys.readouterr()
    assert run(["models", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["source"], row["engines"]) == ("tiny", str(checkpoint), ["onnx", "torch"])
    assert len(row["sha256"]["model.onnx"]) == 64


def test_changed_files_are_found(checkpoint: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--verify` names them and exits with 1."""
    run(["models", "add", str(checkpoint)])
    assert run(["models", "--verify"]) == 0
    (cache / "tiny" / "model.onnx").write_bytes(b"")
    assert run(["models"]) == 0
    capsys.readouterr()
    assert run(["models", "--verify"]) == 1
    assert capsys.readouterr().err == "error: tiny: model.onnx has changed since it was prepared\n"


def test_what_cannot_be_added_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip in a path is no traceback."""
    assert run(["models", "add", str(tmp_path / "none")]) == 3
    assert capsys.readouterr().err.startswith("error: no checkpoint at ")
