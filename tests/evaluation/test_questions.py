"""Sets of short questions: rows become items, splits do not overlap."""

import gzip
import json
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation.questions import cmrc, nq_open, own, squad


def nq_row(at: int) -> str:
    passage = {"title": "T", "text": f"passage {at}"}
    return json.dumps({"question": f"q{at}", "answers": [f"a{at}"], "ctxs": [passage]})


def test_the_splits_of_natural_questions_share_no_row(tmp_path: Path) -> None:
    """1,400 rows train, 300 develop, 300 test, in the order of the file."""
    file = tmp_path / "nq.jsonl"
    file.write_text("\n".join(nq_row(at) for at in range(2000)))
    found = {split: nq_open(file, split) for split in ("train", "dev", "test")}
    assert {split: len(items) for split, items in found.items()} == {"train": 1400, "dev": 300, "test": 300}
    assert (found["dev"][0].id, found["dev"][-1].id, found["test"][0].id) == ("1400", "1699", "1700")
    first = found["dev"][0]
    assert (first.text, first.question, first.answers) == ("passage 1400", "q1400", ("a1400",))


def test_a_row_without_a_passage_is_refused(tmp_path: Path) -> None:
    """There is nothing to shorten."""
    file = tmp_path / "nq.jsonl"
    file.write_text(json.dumps({"question": "q", "answers": ["a"], "ctxs": []}))
    with pytest.raises(ConfigError, match=r"nq.jsonl:1: `ctxs` is empty"):
        nq_open(file, "train")


def squad_file(folder: Path) -> Path:
    asked = {
        "id": "Q1",
        "question": "谁？",
        "answers": [{"text": "光荣"}, {"text": "光荣"}, {"text": "公司"}],
    }
    data = {"data": [{"paragraphs": [{"context": "光荣公司", "qas": [asked]}]}]}
    file = folder / "squad.json.gz"
    file.write_bytes(gzip.compress(json.dumps(data).encode()))
    return file


def test_squads_format_is_read(tmp_path: Path) -> None:
    """Equal golds once; questions about one passage form a group; Chinese is asked in Chinese."""
    [item] = cmrc(squad_file(tmp_path), "dev")
    assert (item.id, item.text, item.answers) == ("Q1", "光荣公司", ("光荣", "公司"))
    assert "根据" in item.form.template
    [english] = squad(squad_file(tmp_path), "dev")
    assert english.form.template.startswith("Answer the question")
    assert english.group == item.group


def test_ones_own_traffic_needs_only_texts(tmp_path: Path) -> None:
    """Questions, answers, names and groups are taken where they are given."""
    file = tmp_path / "own.jsonl"
    rows = [
        {"text": "one"},
        {"text": "two", "question": "q", "answers": "a", "id": "x", "group": "g"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    plain, full = own(file, "test")
    assert (plain.id, plain.question, plain.answers) == ("1", "", ())
    assert (full.id, full.question, full.answers, full.group) == ("x", "q", ("a",), "g")
