"""`elision recover` writes an answer in the words of the prompt as it was."""

import io
import sys
from pathlib import Path

import pytest

from elision.proxy.cli import run

ORIGINAL = "The vault holds Marguerite Oswald's emerald\r\nchess set."


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Return the arguments that name a prompt, before and after."""
    (tmp_path / "original").write_bytes(ORIGINAL.encode())
    (tmp_path / "compressed").write_text("vault Marguerite Oswald set")
    return ["--original", str(tmp_path / "original"), "--compressed", str(tmp_path / "compressed")]


def test_an_answer_in_a_file_is_recovered(
    files: list[str], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Byte by byte as the prompt has it; how much was exchanged is told beside it."""
    (tmp_path / "answer").write_text("It is Marguerite Oswald set!\n")
    assert run(["recover", *files, str(tmp_path / "answer")]) == 0
    told = capfdbinary.readouterr()
    assert told.out == b"It is Marguerite Oswald's emerald\r\nchess set!\n"
    assert told.err == b"note: 1 stretch recovered\n"


def test_an_answer_comes_from_standard_input(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With `-`; what quotes nothing is as it was."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("né".encode())))
    assert run(["recover", *files, "-"]) == 0
    assert capfdbinary.readouterr() == ("né".encode(), b"note: 0 stretches recovered\n")


def test_what_cannot_be_read_is_told(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file, one that is not UTF-8, standard input asked for twice."""
    assert run(["recover", *files, str(tmp_path / "none")]) == 2
    (tmp_path / "latin").write_bytes(b"\xe9")
    assert run(["recover", *files, str(tmp_path / "latin")]) == 2
    assert run(["recover", *files[:3], "-", "-"]) == 2
    told = capsys.readouterr().err
    assert "cannot be read" in told
    assert "not UTF-8 at byte 0" in told
    assert "read only once" in told
