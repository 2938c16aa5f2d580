"""Data sets are found by name or path, and taken evenly."""

import json
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation.tasks import read_dataset, spread, tasks


def own_file(folder: Path, count: int) -> Path:
    file = folder / "own.jsonl"
    file.write_text("\n".join(json.dumps({"text": f"text {at}"}) for at in range(count)))
    return file


def test_items_are_spread_over_the_whole_split() -> None:
    """Sets are sorted, by task for instance: the first hundred would be of one."""
    assert spread(list(range(10)), 4) == [0, 2, 5, 7]
    assert spread(list(range(3)), 4) == [0, 1, 2]
    assert spread(list(range(3)), None) == [0, 1, 2]


def test_a_set_is_read_from_a_path(tmp_path: Path) -> None:
    """The name says how, the path says where."""
    found = read_dataset(f"own={own_file(tmp_path, 5)}", Path("nowhere"), None, 2)
    assert (found.name, [item.text for item in found.items]) == ("own test", ["text 0", "text 2"])


def test_sets_of_one_format_are_called_after_their_files(tmp_path: Path) -> None:
    """Two files in SQuAD's format are two sets, and may be in one run."""
    asked = {"question": "q", "answers": [{"text": "text"}]}
    content = json.dumps({"data": [{"paragraphs": [{"context": "a text", "qas": [asked]}]}]})
    for name in ("first.json", "second.v2.json"):
        (tmp_path / name).write_text(content)
    found = [
        read_dataset(f"squad={tmp_path / name}", tmp_path, None, None)
        for name in ("first.json", "second.v2.json")
    ]
    assert [one.name for one in found] == ["squad first", "squad second"]


def test_a_set_is_found_below_the_data_folder(tmp_path: Path) -> None:
    """Where the table says; the split is in the file's name or in the rows."""
    (tmp_path / "stories").mkdir()
    asked = {"question_text": "q", "responses": [{"response_text": "a"}]}
    (tmp_path / "stories" / "squality_train.jsonl").write_text(
        json.dumps({"document": "d", "questions": [asked]})
    )
    found = read_dataset("squality", tmp_path, "train", None)
    assert (found.name, len(found.items)) == ("squality train", 1)


@pytest.mark.parametrize(
    ("written", "split", "message"),
    [
        ("nq_opn", None, "did you mean 'nq_open'"),
        ("cmrc", "test", "cmrc has no 'test'; known: dev"),
        ("longbench", None, "say where its file lies: longbench=PATH"),
        ("nq_open", None, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, written: str, split: str | None, message: str) -> None:
    """Each message says how to mend it."""
    with pytest.raises(ConfigError, match=message):
        read_dataset(written, tmp_path, split, None)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    """A mean of nothing would be shown as nothing."""
    with pytest.raises(ConfigError, match="no items of own"):
        read_dataset(f"own={own_file(tmp_path, 0)}", tmp_path, None, None)


@pytest.mark.parametrize("name", sorted(tasks()))
def test_every_set_has_a_split(name: str) -> None:
    """The first is what is taken where none is named."""
    assert tasks()[name].splits
