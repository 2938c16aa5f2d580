"""A SQLite file that outlives damage and the hands of others."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from elision.accounts.sqlite_file import FileKind, ForeignFileError, SharedFile, is_damage, transaction

KIND = FileKind(0x456C6954, 1, ("CREATE TABLE noted (word TEXT)",), "elision.accounts")
GARBAGE = b"this is no database, but it is long enough to be looked at" * 200

Opener = Callable[..., SharedFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "noted.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Opener]:
    files: list[SharedFile] = []

    def opener(kind: FileKind = KIND, wait_s: float = 30.0) -> SharedFile:
        files.append(SharedFile(path, kind, wait_s))
        return files[-1]

    yield opener
    for file in files:
        file.close()


def note(file: SharedFile, word: str) -> None:
    with file.writing() as connection, transaction(connection):
        connection.execute("INSERT INTO noted VALUES (?)", (word,))


def noted(file: SharedFile) -> list[str]:
    with file.working() as connection:
        return [word for (word,) in connection.execute("SELECT word FROM noted ORDER BY rowid")]


def test_all_who_open_it_share_it(opened: Opener, path: Path) -> None:
    """It is begun by the first, for its owner alone, and outlives them all."""
    first, second = opened(), opened()
    note(first, "a")
    note(second, "b")
    assert noted(first) == noted(second) == ["a", "b"]
    assert {entry.stat().st_mode & 0o077 for entry in (path.parent, *path.parent.iterdir())} == {0}
    first.close()
    second.close()
    assert noted(opened()) == ["a", "b"]


def test_a_transaction_is_done_whole_or_not_at_all(opened: Opener) -> None:
    """Whatever ends it."""
    file = opened()
    note(file, "a")

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO noted VALUES ('b')")
        raise KeyError

    with pytest.raises(KeyError), file.writing() as connection, transaction(connection):
        fail(connection)
    note(file, "c")
    assert noted(file) == ["a", "c"]


def test_every_connection_is_prepared(opened: Opener, path: Path) -> None:
    """Before it is used, also where the file was there before."""
    note(opened(), "a")

    def prepare(connection: sqlite3.Connection) -> None:
        connection.create_function("doubled", 1, lambda word: word * 2)

    kind = FileKind(KIND.application, KIND.layout, KIND.tables, KIND.log, prepare)
    with opened(kind).working() as connection:
        assert connection.execute("SELECT doubled(word) FROM noted").fetchall() == [("aa",)]


def test_a_damaged_file_is_moved_aside(opened: Opener, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With its content, told in the log; a fresh one is begun at once."""
    path.parent.mkdir()
    path.write_bytes(GARBAGE)
    file = opened()
    note(file, "a")
    assert noted(file) == ["a"]
    [aside] = path.parent.glob("noted.db.damaged-*")
    assert aside.read_bytes() == GARBAGE
    assert "a fresh one is begun" in caplog.text


def test_damage_that_is_found_in_use_is_an_error_once(opened: Opener, path: Path) -> None:
    """Both who had it open go on with the fresh file."""
    first, second = opened(), opened()
    for number in range(200):
        note(first, f"{number}" * 100)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    descriptor = os.open(path, os.O_RDWR)
    os.pwrite(descriptor, b"\xff" * (path.stat().st_size - 4096), 4096)
    os.close(descriptor)
    with pytest.raises(sqlite3.DatabaseError) as raised:
        noted(first)
    assert is_damage(raised.value)
    note(second, "b")
    assert noted(first) == noted(second) == ["b"]


def test_few_damaged_files_are_kept(opened: Opener, path: Path) -> None:
    """A failing disk is not filled with them."""
    path.parent.mkdir()
    for _ in range(6):
        path.write_bytes(GARBAGE)
        file = opened()
        note(file, "a")
        file.close()
        path.unlink()
    assert len(list(path.parent.glob("noted.db.damaged-*"))) == 3


def test_a_file_of_another_layout_is_moved_aside(opened: Opener, path: Path) -> None:
    """Nobody can read what is in it."""
    note(opened(), "a")
    later = FileKind(KIND.application, 2, KIND.tables, KIND.log)
    note(opened(later), "b")
    assert noted(opened(later)) == ["b"]
    assert list(path.parent.glob("noted.db.damaged-*"))


def test_another_programs_database_is_left_alone(opened: Opener, path: Path) -> None:
    """Every time."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    file = opened()
    for _ in range(2):
        with pytest.raises(ForeignFileError, match="another program"):
            noted(file)
    assert path.read_bytes() == before


def test_a_file_that_was_removed_is_begun_anew(opened: Opener, path: Path) -> None:
    """By everybody who had it open."""
    first, second = opened(), opened()
    note(first, "a")
    assert noted(second) == ["a"]
    path.unlink()
    note(second, "b")
    assert noted(first) == noted(second) == ["b"]


def test_whoever_is_stopped_in_its_turn_holds_nobody_up_for_ever(opened: Opener, path: Path) -> None:
    """Writing goes on; opening, where going on would be wrong, is an error."""
    file = opened(wait_s=0.01)
    note(file, "a")
    held = [os.open(f"{path}.{name}", os.O_RDWR) for name in ("turn", "lock")]
    try:
        for descriptor in held:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        note(file, "b")
        file.close()
        with pytest.raises(OSError, match="held by another process"):
            noted(file)
    finally:
        for descriptor in held:
            os.close(descriptor)
    assert noted(file) == ["a", "b"]
