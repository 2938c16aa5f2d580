"""The way that docs/training.md shows is one that can be gone, from texts to a shorter report."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from elision.config.errors import ConfigError
from elision.proxy.cli import app, run
from elision.training.pairs import read_pairs
from elision.training.records import read_records
from fakes.reader import reading
from fakes.teacher import FakeTeacher
from fakes.tiny_classifier import save_tiny_bert

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
REPORT = (ROOT / "docs" / "examples" / "demo" / "report.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def commands() -> list[list[str]]:
    """Return the commands of the example as lists of arguments, the teacher's own start apart."""
    [block] = re.findall(r"```sh\n(.*?)```", section("The whole way"), re.DOTALL)
    lines = [shlex.split(line) for line in block.splitlines()]
    return [line[1:] for line in lines if line[:2] != ["elision", "upstream"]]


@pytest.fixture
def teacher() -> Iterator[str]:
    """Run a teacher that is late, fails, invents and babbles; return its URL."""
    with reading(FakeTeacher(invents=6, babbles=5), [429, 500]) as server:
        yield server.url


def test_the_example_runs(
    teacher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Command by command as it stands there, but for the teacher, and a tiny encoder for speed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ELISION_SETTINGS", raising=False)
    paragraphs = [one for one in REPORT.split("\n\n") if len(one.split()) > 20]
    rows = [{"id": f"report-{at}", "text": text} for at, text in enumerate(paragraphs)]
    Path("texts.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    Path("report.txt").write_text(REPORT, "utf-8")
    base = save_tiny_bert(tmp_path / "base", 0)
    swapped = {"http://127.0.0.1:8485/v1": teacher, "packaged": str(base)}
    distil, train, compress = ([swapped.get(word, word) for word in command] for command in commands())
    # Until nothing is missing any more, as the report says.
    assert 0 in (run(distil), run(distil))
    assert len(read_pairs(Path("distil/pairs.jsonl"))) == len(paragraphs)
    assert run(train) == 0
    assert len(list(read_records(Path("own/held-out.jsonl")))) > 0
    capsys.readouterr()
    assert run(compress) == 0
    shorter = capsys.readouterr().out
    assert len(shorter) < len(REPORT)
    signs = iter(REPORT)
    assert all(sign in signs for sign in shorter if not sign.isspace())


def test_the_options_are_those_that_there_are() -> None:
    """None is promised that is not there, and none of the command's own is kept from the reader."""
    groups = getattr(typer.main.get_command(app), "commands")["train"].commands  # noqa: B009 - not in typer's types
    for title, name in (("Collecting pairs", "distil"), ("Training", "llmlingua2")):
        table = [line for line in section(title).splitlines() if line.startswith("| `--")]
        named = set(re.findall(r"`(--[a-z-]+)`", " ".join(table)))
        there = {flag for parameter in groups[name].params for flag in parameter.opts}
        assert named == there - {"--settings", "--help"}


def test_the_rows_shown_are_rows_that_are_read(tmp_path: Path) -> None:
    """Whoever copies them has a file that trains."""
    [row] = re.findall(r"```json\n(.*?)```", section("Labels of your own"), re.DOTALL)
    (tmp_path / "labels.jsonl").write_text(row, "utf-8")
    [one] = read_records(tmp_path / "labels.jsonl")
    assert [one.text[start:end] for start, end in one.words] == ["Paid", "4,000", "in", "May"]
    (tmp_path / "labels.jsonl").write_text(row.replace("0.4", "4"), "utf-8")
    with pytest.raises(ConfigError, match=r"labels\.jsonl:1: .* from 0 to 1"):
        list(read_records(tmp_path / "labels.jsonl"))
