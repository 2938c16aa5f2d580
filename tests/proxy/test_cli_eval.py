"""Tests of elision.proxy.cli_eval: flags, what is told where, exit codes, and no cost to other commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from elision.proxy.cli import run
from elision.proxy.commands import EXIT_USAGE, EXIT_WRONG
from fakes.evaluated import dataset
from fakes.reader import reading


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELISION_SETTINGS", raising=False)


@pytest.fixture
def own(tmp_path: Path) -> str:
    """Return one's own traffic, as the command line names it."""
    rows = [
        {"id": item.id, "text": item.text, "question": item.question, "answers": item.answers}
        for item in dataset().items
    ]
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return f"own={file}"


def ran(out: Path, *arguments: str) -> int:
    return run(
        ["eval", *arguments, "--method", "full", "--method", "random", "--rate", "0.5", "--out", str(out)]
    )


def test_a_table_is_told_and_kept(own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output the table, on standard error where the rest is."""
    out = tmp_path / "out"
    assert ran(out, own, "--baseline", "full", "--no-curves") == 0
    streams = capsys.readouterr()
    assert streams.out == (out / "table.md").read_text()
    assert "| `random` | 0.5 |" in streams.out
    assert f"tables, scores and curves are in {out}" in streams.err


def test_a_reader_is_asked_with_a_key_from_the_environment(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key is in no flag and in no file."""
    monkeypatch.setenv("READER_KEY", "secret")
    with reading(lambda prompt: "Ada Holm") as reader:
        flags = (
            "--reader",
            reader.url,
            "--reader-model",
            "tiny",
            "--reader-key",
            "READER_KEY",
            "--no-curves",
        )
        assert ran(tmp_path / "out", own, *flags) == 0
        assert set(reader.keys) == {"Bearer secret"}
    assert "| EM | F1 |" in capsys.readouterr().out
    assert not any("secret" in file.read_text() for file in (tmp_path / "out").iterdir())


def test_a_reader_elsewhere_needs_a_yes(own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bill comes first."""
    flags = ("--reader", "https://reader.invalid/v1", "--reader-model", "big", "--price", "2,10")
    assert ran(tmp_path / "out", own, *flags) == EXIT_USAGE
    note, error = capsys.readouterr().err.splitlines()
    assert "6 requests" in note
    assert "at the price given" in note
    assert error.startswith("error: --yes")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--reader-model", "m"), "--reader: say the URL"),
        (("--reader", "http://x/v1"), "--reader-model"),
        (("--reader", "http://x/v1", "--reader-key", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE is not set"),
        (("--price", "2"), "--price: must be two numbers"),
        (("--protect", "numbrs"), "numbrs"),
        (("--method", "randm"), "did you mean 'random'"),
        (("--split", "dev"), "own has no 'dev'"),
    ],
)
def test_wrong_flags_are_refused(
    own: str, tmp_path: Path, flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, before anything is done."""
    assert ran(tmp_path / "out", own, *flags) == EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_reader_that_refuses_is_told(own: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what it said."""
    with reading(str.upper, [400] * 9) as reader:
        flags = ("--reader", reader.url, "--reader-model", "tiny")
        assert ran(tmp_path / "out", own, *flags) == EXIT_WRONG
    assert "status 400" in capsys.readouterr().err


@pytest.mark.parametrize(("protect", "kept"), [("product", True), ("none", False), ("numbers", True)])
def test_protection_is_for_all_methods_alike(
    own: str, tmp_path: Path, protect: str, kept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """None by default, so that methods are compared by themselves; random words lose the year."""
    code = run(
        [
            "eval",
            own,
            "--method",
            "lead",
            "--rate",
            "0.1",
            "--protect",
            protect,
            "--no-curves",
            "--out",
            str(tmp_path / "o"),
        ]
    )
    assert code == 0
    rows = [json.loads(line) for line in (tmp_path / "o" / "scores.jsonl").read_text().splitlines()]
    [of_the_year] = [row for row in rows if row["item"] == "1"]
    assert bool(of_the_year["values"]["survival"]) is kept
    assert capsys.readouterr().out


def test_other_commands_do_not_load_it() -> None:
    """Nobody who serves or compresses waits for what evaluates."""
    code = (
        "import sys, elision.proxy.cli; "
        "print([m for m in sys.modules if 'evaluation' in m or m in ('httpx', 'matplotlib', 'numpy')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
