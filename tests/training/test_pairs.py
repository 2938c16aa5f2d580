"""Files of texts and pairs are read strictly, with the line that is wrong."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.config.errors import ConfigError
from elision.training.pairs import Pair, Text, read_pairs, read_texts, write_pairs

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)


def written(folder: Path, *rows: object) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def test_texts_have_names(tmp_path: Path) -> None:
    """Their own, or their number; further fields do no harm."""
    file = written(
        tmp_path, {"text": "one", "id": "a", "year": 1}, {"text": "two"}, {"text": "three", "id": 7}
    )
    assert read_texts(file) == [Text("a", "one"), Text("2", "two"), Text("7", "three")]


def test_pairs_need_no_more_than_two_texts(tmp_path: Path) -> None:
    """A pair without a group is a text of its own."""
    file = written(
        tmp_path,
        {"original": "one two", "compressed": "two"},
        {"id": "b#1", "group": "b", "original": "x y", "compressed": "y", "source": "m"},
    )
    assert read_pairs(file) == [Pair("1", "1", "one two", "two", "pairs"), Pair("b#1", "b", "x y", "y", "m")]


@given(st.lists(st.tuples(names, words, words, names), min_size=1, max_size=5, unique_by=lambda row: row[0]))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    """Line separators, quotes and signs of all planes included."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    pairs = [Pair(name, group, one, two, "t") for name, one, two, group in rows]
    write_pairs(file, pairs)
    assert read_pairs(file) == pairs


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"original": "a"}, ":2: `compressed` must be a string"),
        ({"original": 3, "compressed": "a"}, ":2: `original` must be a string"),
        ({"original": "a", "compressed": " \n"}, ":2: `compressed` is empty; take the line out"),
        ({"original": "a\ud800", "compressed": "a"}, ":2: `original` has half a surrogate pair at 1"),
        ({"original": "a", "compressed": "a", "id": 1.5}, ":2: `id` must be a string or a whole number"),
        ({"original": "a", "compressed": "a", "group": True}, ":2: `group` must be a string or"),
        ({"original": "a", "compressed": "a", "id": "1"}, "the id '1' is there more than once"),
        ([1], ":2: must be a JSON object"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: object, message: str) -> None:
    """With its file, and what to do."""
    file = written(tmp_path, {"original": "a", "compressed": "a"}, row)
    with pytest.raises(ConfigError) as refused:
        read_pairs(file)
    assert message in str(refused.value)
    assert str(file) in str(refused.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """It is a mistake, not a small data set."""
    with pytest.raises(ConfigError, match="holds nothing"):
        read_texts(written(tmp_path))


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    """And no half a file is left."""
    with pytest.raises(ConfigError, match="cannot be written"):
        write_pairs(tmp_path / "no" / "pairs.jsonl", [])
    assert list(tmp_path.iterdir()) == []
