"""A file of lines that is begun anew when it is large."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.accounts.rotating_file import RotatingFile


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Have this process write no file larger than so many bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_lines_are_there_and_older_files_beside(tmp_path: Path) -> None:
    """In order, whole, and only so many files."""
    path = tmp_path / "a.jsonl"
    file = RotatingFile(path, 20, 2)
    for number in range(8):
        file.append([b"line %03d\n" % number] * 2)
    file.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "a.jsonl.1", "a.jsonl.2"]
    assert path.read_bytes() == b"line 007\n" * 2
    assert (tmp_path / "a.jsonl.1").read_bytes() == b"line 006\n" * 2
    assert (tmp_path / "a.jsonl.2").read_bytes() == b"line 005\n" * 2
    assert path.stat().st_mode & 0o777 == 0o600
    assert file.lines == 16


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 40), max_size=8), max_size=8), st.integers(1, 60))
def test_no_line_is_split_or_lost(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], max_bytes: int
) -> None:
    """Whatever their lengths; no file with more than one line is too large."""
    path = tmp_path_factory.mktemp("lines") / "a"
    file = RotatingFile(path, max_bytes, 100)
    lines = [[b"%d:" % n + b"x" * n + b"\n" for n in batch] for batch in batches]
    for batch in lines:
        file.append(batch)
    file.close()
    files = sorted(path.parent.iterdir(), key=lambda p: -int(p.suffix[1:] or 0))
    contents = [p.read_bytes() for p in files]
    assert b"".join(contents) == b"".join(line for batch in lines for line in batch)
    assert all(len(text) <= max_bytes or text.count(b"\n") == 1 for text in contents)


def test_without_older_files_the_newest_begins_anew(tmp_path: Path) -> None:
    """`files: 0` keeps one."""
    file = RotatingFile(tmp_path / "a", 5, 0)
    file.append([b"one\n", b"two\n"])
    file.close()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"two\n"


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    """As logrotate does it."""
    path = tmp_path / "a"
    file = RotatingFile(path, 1000, 1)
    file.append([b"one\n"])
    path.rename(tmp_path / "moved")
    file.append([b"two\n"])
    file.close()
    assert (path.read_bytes(), (tmp_path / "moved").read_bytes()) == (b"two\n", b"one\n")


def test_a_broken_last_line_stays_alone(tmp_path: Path) -> None:
    """Of a process that was killed while it wrote."""
    path = tmp_path / "a"
    path.write_bytes(b"one\ntw")
    file = RotatingFile(path, 1000, 1)
    file.append([b"three\n"])
    file.close()
    assert path.read_bytes() == b"one\ntw\nthree\n"


def test_what_the_disk_does_not_take_whole_it_does_not_take(tmp_path: Path) -> None:
    """A part of a line is taken back, and later lines are whole."""
    path = tmp_path / "a"
    file = RotatingFile(path, 10_000, 1)
    file.append([b"one\n"])
    with file_limit(10), pytest.raises(OSError, match=os.strerror(27)):
        file.append([b"a line that is too long\n"])
    assert (path.read_bytes(), file.lines) == (b"one\n", 1)
    file.append([b"two\n"])
    file.close()
    assert (path.read_bytes(), file.lines) == (b"one\ntwo\n", 2)
