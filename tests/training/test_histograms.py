"""The filters are shown as they cut."""

import sys
from pathlib import Path

import pytest

from elision.evaluation.errors import PackageMissing
from elision.training.filters import Filtered
from elision.training.histograms import draw

FILTERS = (Filtered("VR", (0.0, 0.1, 0.5), 0.42, 1), Filtered("AG", (0.0, 0.1), float("inf"), 0))


def test_the_same_figures_are_the_same_picture(tmp_path: Path) -> None:
    """A PNG of both filters."""
    draw(FILTERS, tmp_path / "a.png")
    draw(FILTERS, tmp_path / "b.png")
    content = (tmp_path / "a.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert content == (tmp_path / "b.png").read_bytes()


def test_without_matplotlib_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture, and no half of one."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PackageMissing, match="pip install"):
        draw(FILTERS, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
