"""Files of data sets are read packed or not, and what is wrong with them is said with its place."""

import gzip
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation.files import located_rows, read_json, read_rows, rows, text_of, texts_of


def test_a_packed_file_is_found_by_its_own_name(tmp_path: Path) -> None:
    """Users unpack some files and not others."""
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"x": 1}\n\n{"x": 2}\n'))
    assert read_rows(tmp_path / "a.jsonl") == [{"x": 1}, {"x": 2}]
    assert read_rows(tmp_path / "a.jsonl.gz") == [{"x": 1}, {"x": 2}]


def test_a_list_is_read_as_lines_are(tmp_path: Path) -> None:
    """Both forms are common."""
    (tmp_path / "a.json").write_text('[{"x": 1}]')
    assert read_rows(tmp_path / "a.json") == [{"x": 1}]


def test_rows_know_their_places(tmp_path: Path) -> None:
    """By line, empty ones counted; in a list by index."""
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n\n{"x": 2}\n')
    (tmp_path / "a.json").write_text('[{"x": 1}]')
    lines = tmp_path / "a.jsonl"
    assert located_rows(lines) == [(f"{lines}:1", {"x": 1}), (f"{lines}:3", {"x": 2})]
    assert located_rows(tmp_path / "a.json") == [(f"{tmp_path / 'a.json'}[0]", {"x": 1})]


def test_line_separators_within_strings_do_not_end_lines(tmp_path: Path) -> None:
    """U+2028 may stand in JSON as it is."""
    (tmp_path / "a.jsonl").write_text('{"x": "a\u2028b"}', encoding="utf-8")
    assert read_rows(tmp_path / "a.jsonl") == [{"x": "a\u2028b"}]


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not JSON"), ("3", "must be a JSON object"), ("[3]", r"\[0\]")]
)
def test_what_is_no_row_is_refused_with_its_line(tmp_path: Path, content: str, message: str) -> None:
    """The file and the line are named."""
    file = tmp_path / "a.jsonl"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message) as refused:
        read_rows(file)
    assert str(file) in str(refused.value)


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    """What cannot be read is no empty set."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_json(tmp_path / "none.json")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"{}")[:-4])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_json(tmp_path / "a.json")


def test_fields_are_what_they_must_be() -> None:
    """A number in a text's place is found before anything is measured."""
    assert text_of({"a": "x"}, "a", "here") == "x"
    assert texts_of({"a": "x"}, "a", "here") == ("x",)
    assert texts_of({"a": ["x", "y"]}, "a", "here") == ("x", "y")
    with pytest.raises(ConfigError, match="here: `a` must be a string"):
        text_of({"a": 3}, "a", "here")
    with pytest.raises(ConfigError, match="list of strings"):
        texts_of({"a": [3]}, "a", "here")
    with pytest.raises(ConfigError, match="must be a list"):
        rows(None, "here")
