"""A checkpoint's family is what its config says; its vocabulary is read from its files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from elision.compressors.errors import WeightsMissing
from elision.compressors.onnx_classifier import OnnxClassifier, export
from elision.compressors.token_classifier import (
    ONNX_FILE,
    Engine,
    Family,
    load_classifier,
    read_vocabulary,
)
from elision.compressors.torch_classifier import TorchClassifier
from fakes.tiny_classifier import (
    save_tiny_bert,
    save_tiny_kompress,
    save_tiny_mobilebert,
    save_tiny_modernbert,
    save_tiny_xlmr,
)


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("save", "family", "max_tokens"),
    [
        (save_tiny_bert, Family.BERT, 512),
        (save_tiny_mobilebert, Family.BERT, 512),
        (save_tiny_xlmr, Family.XLM_R, 512),
        (save_tiny_modernbert, Family.MODERNBERT, 1024),
        (save_tiny_kompress, Family.MODERNBERT, 1024),
    ],
)
def test_families_are_told_by_model_type(
    save: Callable[[Path], Path], family: Family, max_tokens: int, tmp_path: Path
) -> None:
    """Whatever the folder is called; XLM-R's first two positions are not for tokens."""
    found = read_vocabulary(save(tmp_path / "any name"))
    assert (found.family, found.max_tokens) == (family, max_tokens)
    assert {"cls", "sep", "pad", "unk"} <= set(found.ids)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    """The message names those that are known."""
    save_tiny_bert(tmp_path)
    change(tmp_path / "config.json", model_type="t5")
    with pytest.raises(WeightsMissing, match="model_type 't5' is not supported; known: bert"):
        read_vocabulary(tmp_path)


def test_a_classifier_of_more_than_two_classes_is_refused(tmp_path: Path) -> None:
    """Which of them would mean keep?"""
    save_tiny_bert(tmp_path)
    change(tmp_path / "config.json", id2label={"0": "O", "1": "B", "2": "I"})
    with pytest.raises(WeightsMissing, match="3 labels"):
        read_vocabulary(tmp_path)


def test_marks_may_have_other_names(tmp_path: Path) -> None:
    """`tokenizer_config.json` overrules the family's own."""
    save_tiny_bert(tmp_path)
    change(tmp_path / "tokenizer_config.json", unk_token={"content": "the"})
    assert read_vocabulary(tmp_path).specials["unk"] == "the"


def test_a_tokenizer_without_the_marks_is_refused(tmp_path: Path) -> None:
    """The message names the file and the mark."""
    save_tiny_bert(tmp_path)
    change(tmp_path / "tokenizer_config.json", sep_token="[NONE]")
    with pytest.raises(WeightsMissing, match=r"tokenizer\.json has no sep token"):
        read_vocabulary(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_broken_files_are_named(content: str, tmp_path: Path) -> None:
    """No bare exception of a library."""
    save_tiny_bert(tmp_path)
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(WeightsMissing, match=r"tokenizer\.json"):
        read_vocabulary(tmp_path)


def test_the_engine_is_onnx_where_a_model_was_prepared(tmp_path: Path) -> None:
    """Without a GPU; otherwise PyTorch, unless one of them is asked for by name."""
    save_tiny_bert(tmp_path)
    assert isinstance(load_classifier(tmp_path, threads=1), TorchClassifier)
    export(tmp_path, tmp_path / ONNX_FILE, lambda _step: None)
    assert isinstance(load_classifier(tmp_path, threads=1), OnnxClassifier)
    assert isinstance(load_classifier(tmp_path, Engine.TORCH, 1), TorchClassifier)
