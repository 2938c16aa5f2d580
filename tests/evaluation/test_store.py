"""A stopped run goes on: rows are kept at once, a cut last line is no row."""

from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation.store import Store, key_of


def test_rows_are_found_again(tmp_path: Path) -> None:
    """In the same run and in the next, whatever they hold."""
    file = tmp_path / "new" / "rows.jsonl"
    with Store(file) as store:
        store.put("k", {"text": "é\u2028\n"})
        assert store.get("k") == {"key": "k", "text": "é\u2028\n"}
        assert file.read_bytes().endswith(b"\n")
    with Store(file) as again:
        assert again.get("k") == {"key": "k", "text": "é\u2028\n"}
        assert again.get("other") is None


def test_a_line_that_was_cut_is_done_again(tmp_path: Path) -> None:
    """What a killed run left unfinished neither counts nor spoils the next row."""
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"key": "a", "x": 1}\n{"key": "b", "x"')
    with Store(file) as store:
        assert store.get("b") is None
        store.put("b", {"x": 2})
    with Store(file) as again:
        assert (again.get("a"), again.get("b")) == ({"key": "a", "x": 1}, {"key": "b", "x": 2})


@pytest.mark.parametrize("content", ["no json\n", "[]\n", '{"x": 1}\n'])
def test_another_file_is_not_written_to(tmp_path: Path, content: str) -> None:
    """A folder with something else of that name is refused, with a remedy."""
    file = tmp_path / "rows.jsonl"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"rows.jsonl:1: no row of a run; use another --out"), Store(file):
        pass
    assert file.read_text() == content


def test_a_folder_that_cannot_be_made_is_the_operators_fault(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"), Store(tmp_path / "file" / "rows.jsonl"):
        pass


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    """Each would cut what the other is writing; the file is free again when the first is done."""
    file = tmp_path / "rows.jsonl"
    with Store(file) as store:
        with pytest.raises(ConfigError, match="another run is using it"), Store(file):
            pass
        store.put("k", {})
    with Store(file) as again:
        assert again.get("k") == {"key": "k"}


def test_keys_tell_everything_apart() -> None:
    """Neither joining strings nor a missing value makes two keys equal."""
    keys = {key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("abc", None), key_of("abc", 1.0)}
    assert len(keys) == 5
    assert key_of("\ud800") == key_of("\ud800")
