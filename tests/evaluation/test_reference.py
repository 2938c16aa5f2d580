"""LLMLingua in its own environment is a compressor like any other, for as long as it is open."""

import json
from pathlib import Path

import pytest

from elision.compressors.base import Target
from elision.compressors.errors import BadOption, CompressionError, WeightsMissing
from elision.evaluation.reference import Options, Reference
from fakes.llmlingua import environment

TARGET = Target(0.5, model="gpt-4o", protect=())


def weights(folder: Path) -> Path:
    """Save what a newer transformers would have saved, but for the weights themselves."""
    folder.mkdir()
    config = {"dtype": "float16", "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "TokenizersBackend"}))
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    return folder


def reference(folder: Path) -> Reference:
    return Reference(Options(environment(folder), str(weights(folder / "weights"))), folder / "cache")


def test_texts_are_asked_one_by_one(tmp_path: Path) -> None:
    """Of one process, which ends when it is closed; the counts are for whoever asked."""
    with reference(tmp_path) as compressor:
        found = compressor.compress(["one two three", "four"], [TARGET, TARGET])
        assert [outcome.text.partition(" ")[2] for outcome in found] == [
            "cpu 0.5 3: one two three",
            "cpu 0.5 1: four",
        ]
        assert compressor.fingerprint.startswith("llmlingua_reference/1 llmlingua=9.1 weights=")
        assert found[0].fingerprint == compressor.fingerprint


def test_nothing_starts_without_a_text(tmp_path: Path) -> None:
    """Where everything was done before, no model is loaded."""
    with reference(tmp_path) as compressor:
        assert compressor.compress([], []) == []
        assert not list((tmp_path / "packages").glob("__pycache__"))


def test_a_death_is_told_with_its_last_words(tmp_path: Path) -> None:
    """Whoever compares methods sees why."""
    with pytest.raises(CompressionError, match="no memory for this"), reference(tmp_path) as compressor:
        compressor.compress(["too much"], [TARGET])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target(tokens=5, model="gpt-4o", protect=()), "say how far by --rate"),
        (Target(0.5, model="gpt-4o", protect=None), "compare it with --protect none"),
    ],
)
def test_what_it_cannot_do_is_refused(target: Target, message: str, tmp_path: Path) -> None:
    """It is not measured under a promise that it does not keep."""
    with reference(tmp_path) as compressor, pytest.raises(BadOption, match=message):
        compressor.compress(["text"], [target])


def test_the_model_is_laid_out_as_older_transformers_read_it(tmp_path: Path) -> None:
    """Without its angles at the top of the file it would be another model, and nobody would see it."""
    own = reference(tmp_path)
    with own as compressor:
        [outcome] = compressor.compress(["one two three"], [TARGET])
        folder = Path(outcome.text.split()[0])
        config = json.loads((folder / "config.json").read_text())
        assert (config["rope_theta"], config["torch_dtype"]) == (100000.0, "float16")
        assert "rope_parameters" not in config
        assert (
            json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"]
            == "PreTrainedTokenizerFast"
        )
        assert (folder / "model.safetensors").read_text() == "{}"
    assert not folder.exists()


def test_options_are_read() -> None:
    """Of the two that there are; anything else is a mistake."""
    assert Options.read({"python": "/x/bin/python"}) == Options(Path("/x/bin/python"))
    with pytest.raises(BadOption, match="weights=3"):
        Options.read({"weights": 3})


def test_an_environment_without_it_is_told(tmp_path: Path) -> None:
    """With the commands that make one."""
    with pytest.raises(WeightsMissing, match=r"pip install llmlingua==0\.2\.2"):
        Reference(Options(tmp_path / "bin" / "python"))
