"""A file that outlives kills, damage and the hands of others."""

import asyncio
import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.accounts.sqlite_file import ForeignFileError
from elision.proxy.disk_file import DiskFile, Item
from elision.proxy.store import Kind, make_key, scope_of
from fakes import disk_writer
from fakes.disk_writer import BATCH, items_of, key_of

LIMIT = 64 << 20
GARBAGE = b"this is no database, but it is long enough to be looked at" * 200


class Opener(Protocol):
    """Opens a file for a test, and closes it after the test."""

    def __call__(self, path: Path, limit: int = LIMIT) -> DiskFile: ...


@pytest.fixture
def opened() -> Iterator[Opener]:
    files: list[DiskFile] = []

    def opener(path: Path, limit: int = LIMIT) -> DiskFile:
        files.append(DiskFile(path, limit, wait_s=30))
        return files[-1]

    yield opener
    for file in files:
        file.close()


def item(key: bytes, value: bytes, life_s: float = 60, *, only_new: bool = False) -> Item:
    return Item(key, value, time.time() + life_s, only_new)


async def started(path: Path, *arguments: str) -> asyncio.subprocess.Process:
    """Start another process that uses the file."""
    command = (sys.executable, str(disk_writer.__file__), str(path), *arguments)
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


def test_values_are_found_by_whoever_opens_the_file(opened: Opener, tmp_path: Path) -> None:
    """Those that live; the last word counts, or the first where that is wanted."""
    file, other = opened(tmp_path / "kept.db"), opened(tmp_path / "kept.db")
    file.write([item(b"a", b"1"), item(b"b", b"2", -1), item(b"c", b"3")])
    other.write([item(b"a", b"4"), item(b"b", b"5", only_new=True), item(b"c", b"6", only_new=True)])
    assert other.read([b"a", b"b", b"c", b"d", b"a"]) == file.read([b"a", b"b", b"c"])
    assert file.read([b"a", b"b", b"c"]) == {b"a": b"4", b"b": b"5", b"c": b"3"}
    file.drop([b"a", b"d"])
    assert other.read([b"a"]) == {}
    file.close()
    other.close()
    assert opened(tmp_path / "kept.db").read([b"c"]) == {b"c": b"3"}


def test_as_many_keys_are_asked_for_as_there_are(opened: Opener, tmp_path: Path) -> None:
    """A long conversation has more than SQLite takes in one question."""
    file = opened(tmp_path / "kept.db")
    keys = [number.to_bytes(4, "big") for number in range(300_000)]
    file.write([item(key, b"1") for key in (keys[0], keys[511], keys[512], keys[-1])])
    assert set(file.read(keys)) == {keys[0], keys[511], keys[512], keys[-1]}
    assert file.read([]) == {}


def test_a_process_that_is_stopped_in_its_turn_holds_nobody_up_for_ever(tmp_path: Path) -> None:
    """Nor at the opening, where going on would be wrong: there it is an error."""
    path = tmp_path / "kept.db"
    file = DiskFile(path, LIMIT, wait_s=0.01)
    file.write([item(b"a", b"1")])
    held = [os.open(f"{path}.{name}", os.O_RDWR) for name in ("turn", "lock")]
    for descriptor in held:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    file.write([item(b"b", b"2")])
    assert file.read([b"a", b"b"]) == {b"a": b"1", b"b": b"2"}
    file.close()
    with pytest.raises(OSError, match="held by another process"):
        file.read([b"a"])
    for descriptor in held:
        os.close(descriptor)
    assert file.read([b"a"]) == {b"a": b"1"}
    file.close()


def test_a_value_is_added_where_none_lives(opened: Opener, tmp_path: Path) -> None:
    """What has ended gives way."""
    file = opened(tmp_path / "kept.db")
    assert file.add(item(b"a", b"1", -1, only_new=True))
    assert file.add(item(b"a", b"2", only_new=True))
    assert not file.add(item(b"a", b"3", only_new=True))
    assert file.read([b"a"]) == {b"a": b"2"}


def test_only_the_owner_may_read(opened: Opener, tmp_path: Path) -> None:
    """File, log and lock, in a folder that is made for them; a file with a wider mode is narrowed."""
    path = tmp_path / "folder" / "kept.db"
    file = opened(path)
    file.write([item(b"a", b"1")])
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    assert modes == dict.fromkeys(
        ("kept.db", "kept.db-wal", "kept.db-shm", "kept.db.lock", "kept.db.turn"), 0o600
    )
    assert path.parent.stat().st_mode & 0o777 == 0o700
    file.close()
    path.chmod(0o644)
    opened(path).write([item(b"a", b"1")])
    files = [entry for entry in path.parent.iterdir() if entry.name.startswith("kept.db")]
    assert {entry.stat().st_mode & 0o777 for entry in files} == {0o600}


def test_the_oldest_go_when_the_limit_is_reached(opened: Opener, tmp_path: Path) -> None:
    """The newest stay, and the file keeps to its limit; what is written again is new again."""
    path = tmp_path / "kept.db"
    file = opened(path, limit=1 << 20)
    first = items_of(0)
    file.write(first)
    for number in range(1, 1000):
        file.write(items_of(number))
        if number % 20 == 0:
            file.write(first)
    file.close()
    assert file.held_bytes <= 1 << 20
    assert file.evictions > 1000
    assert path.stat().st_size < (1 << 20) * 1.25
    kept = [len(opened(path).read([item.key for item in items_of(number)])) for number in (0, 1, 500, 999)]
    assert kept == [BATCH, 0, 0, BATCH]


def test_a_value_larger_than_the_limit_wedges_nothing(opened: Opener, tmp_path: Path) -> None:
    """It goes again, and others are kept."""
    file = opened(tmp_path / "kept.db", limit=100_000)
    file.write([item(b"a", bytes(1 << 20))])
    file.write([item(b"b", b"1")])
    assert file.read([b"a", b"b"]) == {b"b": b"1"}


@pytest.mark.parametrize("content", [GARBAGE, b"SQLite format 3\0" + GARBAGE])
def test_a_damaged_file_is_moved_aside(
    opened: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """With a warning, and kept for whoever wants to know; a fresh one serves at once."""
    path = tmp_path / "kept.db"
    path.write_bytes(content)
    file = opened(path)
    file.write([item(b"a", b"1")])
    assert file.read([b"a"]) == {b"a": b"1"}
    [aside] = tmp_path.glob("kept.db.damaged-*")
    assert aside.read_bytes() == content
    assert f"moved to {aside.name}" in caplog.text


def test_damaged_files_do_not_fill_the_disk(opened: Opener, tmp_path: Path) -> None:
    """The last three are left, with their logs."""
    path = tmp_path / "kept.db"
    for number in range(5):
        path.write_bytes(GARBAGE + b"%d" % number)
        (tmp_path / "kept.db-wal").write_bytes(b"a log")
        file = opened(path)
        file.read([b"a"])
        file.close()
    left = sorted(tmp_path.glob("kept.db.damaged-*[0-9]"))
    assert [file.read_bytes()[-1:] for file in left] == [b"2", b"3", b"4"]
    assert len(list(tmp_path.glob("kept.db.damaged-*-wal"))) <= 3


def test_a_file_that_is_damaged_while_it_is_open_is_moved_aside_once(opened: Opener, tmp_path: Path) -> None:
    """Every process that has it open goes on with the same fresh one."""
    path = tmp_path / "kept.db"
    files = [opened(path) for _ in range(3)]
    for number in range(50):
        files[0].write(items_of(number))
    files[0].close()
    files[1].read([b"a"])
    files[2].read([b"a"])
    size = path.stat().st_size
    with path.open("r+b") as damaged:
        damaged.seek(100)
        damaged.write(os.urandom(size - 100))
    failed = 0
    for file in (files[1], files[2], files[0]):
        try:
            file.write([item(b"b", b"2")])
        except sqlite3.DatabaseError:
            failed += 1
            file.write([item(b"b", b"2")])
    assert failed == 1
    assert len(list(tmp_path.glob("kept.db.damaged-*[0-9]"))) == 1
    files[1].write([item(b"c", b"3")])
    for file in files:
        assert file.read([b"b", b"c"]) == {b"b": b"2", b"c": b"3"}
        file.close()
    assert opened(path).read([b"b", b"c"]) == {b"b": b"2", b"c": b"3"}


@pytest.mark.parametrize("part", ["kept.db", "kept.db-wal"])
@pytest.mark.parametrize("left", [0, 3])
def test_a_file_that_is_cut_short_while_it_is_open_gives_way(
    opened: Opener, tmp_path: Path, part: str, left: int
) -> None:
    """Or its log; after an error at most, who has it open goes on with a fresh one, as do newcomers."""
    path = tmp_path / "kept.db"
    files = [opened(path), opened(path)]
    for number in range(100):
        files[0].write(items_of(number))
    files[1].read([b"a"])
    os.truncate(tmp_path / part, left * 4096)
    files.append(opened(path))
    for file in files * 2:
        with suppress(sqlite3.DatabaseError):
            file.write([item(b"b", b"2")])
    for file in files:
        file.write([item(b"c", b"3")])
        assert file.read([b"c"]) == {b"c": b"3"}
        file.close()


def test_a_file_that_was_removed_is_begun_anew(opened: Opener, tmp_path: Path) -> None:
    """By all who had it open; what they leave behind harms nobody."""
    path = tmp_path / "kept.db"
    files = [opened(path) for _ in range(3)]
    for file in files:
        file.write([item(b"a", b"1")])
    path.unlink()
    for number, file in enumerate(files):
        file.write([item(b"%d" % number, b"2")])
    for file in files:
        assert set(file.read([b"a", b"0", b"1", b"2"])) == {b"0", b"1", b"2"}
        file.close()
    assert set(opened(path).read([b"a", b"0", b"1", b"2"])) == {b"0", b"1", b"2"}


def test_another_programs_database_is_left_alone(opened: Opener, tmp_path: Path) -> None:
    """A wrong path must not cost anybody a table."""
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE precious (x)")
    theirs.close()
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(ForeignFileError, match=r"theirs\.db is a database of another program"):
        opened(path).write([item(b"a", b"1")])
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_of_another_layout_is_moved_aside(opened: Opener, tmp_path: Path) -> None:
    """Ours, of another version: nothing in it can be read."""
    path = tmp_path / "kept.db"
    file = opened(path)
    file.write([item(b"a", b"1")])
    file.close()
    with sqlite3.connect(path) as changed:
        changed.execute("PRAGMA user_version = 99")
    changed.close()
    assert opened(path).read([b"a"]) == {}
    assert len(list(tmp_path.glob("kept.db.damaged-*"))) == 1


def test_a_folder_that_cannot_be_made_is_an_error_each_time(opened: Opener, tmp_path: Path) -> None:
    """Until it can."""
    (tmp_path / "folder").write_text("a file is in the way")
    file = opened(tmp_path / "folder" / "kept.db")
    for _ in range(2):
        with pytest.raises(OSError, match=r"exists|directory"):
            file.read([b"a"])
    (tmp_path / "folder").unlink()
    assert file.read([b"a"]) == {}


def test_what_is_kept_is_told_by_scope_and_kind(opened: Opener, tmp_path: Path) -> None:
    """What has ended is not kept, and the mark of a clearing is no value."""
    file = opened(tmp_path / "kept.db")
    a, b = scope_of("a"), scope_of("b")
    file.write(
        [
            item(make_key(a, Kind.MESSAGE, bytes(16)), bytes(10), 50),
            item(make_key(a, Kind.MESSAGE, bytes(17)), bytes(20), 90),
            item(make_key(a, Kind.OUTCOME, bytes(16)), bytes(30), 90),
            item(make_key(b, Kind.OUTCOME, bytes(16)), bytes(40), 90),
            item(make_key(b, Kind.SCORES, bytes(16)), bytes(40), -1),
            item(make_key(b, Kind.CLEARED, bytes(16)), bytes(40), 90),
        ]
    )
    told = {(kept.scope, kept.kind): (kept.entries, kept.held_bytes) for kept in file.kept(None)}
    assert told == {(a, b"m"): (2, 81), (a, b"o"): (1, 55), (b, b"o"): (1, 65)}
    [first, _] = file.kept(a)
    assert 40 < first.first_ends_s <= 50


def test_one_teams_values_are_cleared_and_overwritten(opened: Opener, tmp_path: Path) -> None:
    """No trace of them is left on the disk, neither in the file nor in its log."""
    path = tmp_path / "kept.db"
    file = opened(path)
    secret = b"the secret of team a"
    mine = [make_key(scope_of("a"), Kind.MESSAGE, number.to_bytes(16, "big")) for number in range(2500)]
    theirs, mark = (
        make_key(scope_of(team), kind, bytes(16)) for team, kind in (("b", Kind.MESSAGE), ("a", Kind.CLEARED))
    )
    file.write([item(key, secret) for key in mine])
    file.write([item(theirs, b"1"), item(mark, b"2")])
    steps = list(file.clear(scope_of("a")))
    assert (len(steps), sum(steps)) == (3, 2500)
    assert file.read([mine[0], theirs, mark]) == {theirs: b"1", mark: b"2"}
    left = b"".join(entry.read_bytes() for entry in tmp_path.iterdir())
    assert secret not in left
    assert sum(file.clear(None)) == 1


async def test_a_killed_process_leaves_whole_batches(opened: Opener, tmp_path: Path) -> None:
    """However often, in the middle of whatever: what was said to be down is there."""
    path = tmp_path / "kept.db"
    said: list[int] = []
    for round_ in range(6):
        process = await started(path, "write")
        assert process.stdout is not None
        said += [int(await process.stdout.readline()) for _ in range(20 + 7 * round_)]
        process.kill()
        said += [
            int(line)
            for line in (await process.stdout.read()).splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
        await process.wait()
    file = opened(path)
    found = {number: file.read([one.key for one in items_of(number)]) for number in said}
    assert {len(values) for values in found.values()} == {BATCH}
    assert all(set(values.values()) == {items_of(number)[0].value} for number, values in found.items())
    file.close()
    with sqlite3.connect(path) as looked:
        assert looked.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        counts = looked.execute("SELECT count(*) FROM kept GROUP BY substr(key, 10, 16)").fetchall()
    looked.close()
    assert set(counts) == {(BATCH,)}
    assert not list(tmp_path.glob("*.damaged-*"))


async def test_of_several_processes_one_is_the_first_to_add(opened: Opener, tmp_path: Path) -> None:
    """For every key exactly one."""
    processes = [await started(tmp_path / "kept.db", "add", "200") for _ in range(3)]
    won: list[int] = []
    for process in processes:
        output, _ = await process.communicate()
        assert process.returncode == 0
        won += map(int, output.split())
    assert sorted(won) == list(range(200))
    assert len(opened(tmp_path / "kept.db").read([key_of(number) for number in range(200)])) == 200


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "new", "add", "drop", "reopen"]),
        st.sampled_from([b"a", b"b", b"c"]),
        st.binary(max_size=3),
        st.booleans(),
        st.integers(0, 1),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_a_file_is_a_mapping_whoever_looks(steps: list[tuple[str, bytes, bytes, bool, int]]) -> None:
    """Two connections, any order of writes: the same values as in a dictionary."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "kept.db"
        files, model = [DiskFile(path, LIMIT, 30) for _ in range(2)], dict[bytes, bytes]()
        for what, key, value, lives, who in steps:
            one = item(key, value, 60 if lives else -60, only_new=what != "put")
            added = key not in model
            if what == "reopen":
                files[who].close()
            elif what == "drop":
                files[who].drop([key])
                model.pop(key, None)
            elif what == "add":
                assert files[who].add(one) == added
            else:
                files[who].write([one])
            if what == "put" or (what in ("new", "add") and added):
                model.pop(key, None)
                model |= {key: value} if lives else {}
            assert files[1 - who].read([b"a", b"b", b"c"]) == model
        for file in files:
            file.close()
