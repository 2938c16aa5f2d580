"""`make eval`, small: its own commands, read from the Makefile, over a made-up data folder.

The two methods that take seconds for a text are left out; each has tests of its own.
"""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elision.proxy.cli import app
from fakes.eval_data import data_folder

ROOT = Path(__file__).parent.parent
METHODS = ["random", "lead", "tfidf", "frequency:level=word,table=wordfreq", "frequency", "embedded"]
PICTURES = {
    "questions": {"nq_open-test-survival.png"},
    "documents": {"scientific_qa-test-survival.png", "topics-test-survival.png"},
    "people": {"broadcast-test-unit_f1.png", "bnc-test-unit_f1.png"},
    "protected": {"nq_open-test-survival.png", "scientific_qa-test-survival.png"},
}
WRITTEN = {"outcomes.jsonl", "answers.jsonl", "scores.jsonl", "table.json", "table.md"}


def commands(data: Path, out: Path, slow: str) -> list[list[str]]:
    """Return the command lines of `elision eval` that `make eval` would run."""
    told = subprocess.run(
        ["make", "-n", "eval", f"EVAL_DATA={data}", f"EVAL_OUT={out}", f"EVAL_SLOW={slow}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [words[1:] for line in told if "elision eval " in line and (words := shlex.split(line))]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_eval_compares_all_methods_and_writes_everything(tmp_path: Path) -> None:
    """Tables, scores and curves of every set, with differences to the unigram model."""
    out = tmp_path / "out"
    for arguments in commands(data_folder(tmp_path / "data"), out, ""):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    assert {folder.name for folder in out.iterdir()} == set(PICTURES)
    for name, pictures in PICTURES.items():
        assert {file.name for file in (out / name).iterdir()} == WRITTEN | pictures
        lines = json.loads((out / name / "table.json").read_text())["lines"]
        assert list(dict.fromkeys(line["cell"]["method"] for line in lines)) == METHODS
        for line in lines:
            assert line["items"] == 3
            assert bool(line["differences"]) == (line["cell"]["method"] != METHODS[3])
            # What is protected stays, however little is asked for.
            if name in ("questions", "documents"):
                assert line["kept"] <= float(line["cell"]["target"])


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_slow_methods_take_part_in_two_runs(tmp_path: Path) -> None:
    """As the variable names them."""
    found = commands(tmp_path, tmp_path, "selective_context@5")
    assert [("selective_context@5" in arguments) for arguments in found] == [True, False, True, False]
