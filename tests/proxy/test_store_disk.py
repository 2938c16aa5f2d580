"""The disk never holds up the event loop, and its troubles are misses."""

import asyncio
import errno
import resource
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elision.accounts.sqlite_file import ForeignFileError
from elision.proxy.store import Kind, StoreUnreachable, make_key, scope_of
from elision.proxy.store_disk import DiskStore, reason_of

KEYS = [make_key(scope_of("a"), Kind.MESSAGE, bytes([number]) * 16) for number in range(3)]
LIMIT = 64 << 20


def store(folder: Path, **options: float) -> DiskStore:
    return DiskStore(folder / "kept.db", LIMIT, patience_s=options.get("patience_s", 30))


async def until_kept(disk: DiskStore, key: bytes) -> None:
    """Wait until a value has gone down."""
    async with asyncio.timeout(20):
        while await disk.get_many([key]) == [None]:
            await asyncio.sleep(0.01)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


async def test_a_value_survives_a_restart(tmp_path: Path) -> None:
    """What was put before closing is there after it."""
    first = store(tmp_path)
    await first.put_many({KEYS[0]: b"1"}, 60)
    await first.put_many({KEYS[0]: b"2", KEYS[1]: b"3"}, 60, only_new=True)
    await first.close()
    second = store(tmp_path)
    assert await second.get_many(KEYS) == [b"1", b"3", None]
    assert await second.get_many([]) == []
    assert (second.level, second.trouble, dict(second.failures)) == ("disk", "", {})
    await second.close()


async def test_workers_see_one_anothers_values(tmp_path: Path) -> None:
    """And only one of them gets a lease."""
    mine, other = store(tmp_path), store(tmp_path)
    await mine.put_many({KEYS[0]: b"1"}, 60)
    await until_kept(other, KEYS[0])
    assert [await mine.add(KEYS[1], b"", 60), await other.add(KEYS[1], b"", 60)] == [True, False]
    await mine.drop([KEYS[0], KEYS[1]])
    assert await other.get_many(KEYS) == [None, None, None]
    assert await other.add(KEYS[1], b"", 60)
    await mine.close()
    await other.close()


async def test_writes_that_come_together_go_down_together(tmp_path: Path) -> None:
    """Thousands at once, and none is lost; the file's size is told."""
    disk = store(tmp_path)
    keys = [make_key(scope_of("a"), Kind.SCORES, number.to_bytes(16, "big")) for number in range(5000)]
    await asyncio.gather(*(disk.put_many({key: key}, 60) for key in keys))
    await until_kept(disk, keys[-1])
    assert await disk.get_many(keys) == keys
    assert disk.held_bytes > 5000 * 50
    assert disk.evictions == 0
    await disk.close()


async def test_a_failing_disk_is_misses_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Leases are given, since nobody else can have them; afterwards all is well again."""
    disk = store(tmp_path)
    await disk.put_many({KEYS[0]: b"1"}, 60)
    await until_kept(disk, KEYS[0])
    with full_disk():
        for number in range(3):
            await disk.put_many({KEYS[1]: b"%d" % number}, 60)
            assert await disk.add(KEYS[2], b"", 60)
        async with asyncio.timeout(20):
            while not disk.trouble:
                await asyncio.sleep(0.01)
        assert disk.trouble in ("io", "full")
        assert await disk.get_many(KEYS) == [b"1", None, None]
        troubled = caplog.text
    await disk.put_many({KEYS[1]: b"now"}, 60)
    await until_kept(disk, KEYS[1])
    assert await disk.add(KEYS[2], b"", 60)
    assert (disk.trouble, sum(disk.failures.values()) >= 4) == ("", True)
    assert troubled.count("Cannot write") == 1
    assert "works again" in caplog.text
    await disk.close()


async def test_a_place_that_cannot_be_written_is_misses(tmp_path: Path) -> None:
    """Every call answers; who looks into the store is told why it cannot."""
    (tmp_path / "folder").write_text("a file is in the way")
    disk = DiskStore(tmp_path / "folder" / "kept.db", LIMIT)
    await disk.put_many({KEYS[0]: b"1"}, 60)
    assert await disk.get_many(KEYS) == [None, None, None]
    assert await disk.add(KEYS[0], b"1", 60)
    await disk.drop(KEYS)
    assert disk.trouble == "cannot_open"
    with pytest.raises(StoreUnreachable, match=r"kept\.db"):
        await disk.kept()
    with pytest.raises(StoreUnreachable, match=r"kept\.db"):
        await disk.clear(None, lambda _: None)
    await disk.close()
    assert disk.failures["cannot_open"] >= 3


async def test_a_hanging_disk_costs_one_request_its_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes while that read is overdue gets its misses at once."""
    disk = store(tmp_path, patience_s=0.05)
    hangs = threading.Event()
    reads = 0

    def hang(_self: object, _keys: object) -> dict[bytes, bytes]:
        nonlocal reads
        reads += 1
        hangs.wait()
        return {KEYS[0]: b"late"}

    with monkeypatch.context() as patched:
        patched.setattr("elision.proxy.disk_file.DiskFile.read", hang)
        assert await asyncio.gather(*(disk.get_many(KEYS) for _ in range(3))) == [[None] * 3] * 3
        assert [await disk.get_many(KEYS) for _ in range(20)] == [[None] * 3] * 20
        assert (disk.trouble, disk.failures["slow"], reads) == ("slow", 23, 1)
        hangs.set()
        async with asyncio.timeout(20):
            while await disk.get_many(KEYS[:1]) != [b"late"]:
                await asyncio.sleep(0.01)
    assert disk.trouble == ""
    await disk.close()


async def test_a_reader_who_leaves_early_leaves_no_hanging_disk_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deadlines are often shorter than the patience with a disk; what hangs is overdue all the same."""
    disk = store(tmp_path, patience_s=0.05)
    hangs = threading.Event()

    def hang(_self: object, _keys: object) -> dict[bytes, bytes]:
        hangs.wait()
        return {}

    with monkeypatch.context() as patched:
        patched.setattr("elision.proxy.disk_file.DiskFile.read", hang)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await disk.get_many(KEYS)
        await asyncio.sleep(0.05)
        step = disk.get_many(KEYS)
        with pytest.raises(StopIteration) as ended:
            step.send(None)  # it ends without ever waiting
        assert (ended.value.value, disk.trouble) == ([None] * 3, "slow")
        hangs.set()
        await disk.close()


async def test_what_waits_for_a_slow_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond that, values are not kept; a lease is given when the disk does not answer."""
    disk = store(tmp_path, patience_s=0.05)
    hangs = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr("elision.proxy.disk_file.DiskFile.write", lambda *_: hangs.wait())
        for key in KEYS * 3:
            await disk.put_many({key: bytes(4 << 20)}, 60)
        assert disk.failures["overflow"] >= 3
        assert await disk.add(KEYS[0], b"", 60)
        assert disk.failures["slow"] == 1
        hangs.set()
        await disk.close()


async def test_what_is_kept_is_told_and_cleared_with_progress(tmp_path: Path) -> None:
    """Step by step."""
    disk = store(tmp_path)
    keys = [make_key(scope_of("a"), Kind.SCORES, number.to_bytes(16, "big")) for number in range(2500)]
    await disk.put_many(dict.fromkeys(keys, b"1"), 60)
    await disk.close()
    disk = store(tmp_path)
    assert [kept.entries for kept in await disk.kept()] == [2500]
    told: list[int] = []
    assert await disk.clear(scope_of("a"), told.append) == 2500
    assert told == [1000, 2000, 2500]
    assert await disk.kept() == []
    await disk.close()


def test_every_failure_has_one_word() -> None:
    """For metrics and the log."""

    def of_sqlite(code: int) -> sqlite3.Error:
        error = sqlite3.OperationalError("?")
        error.sqlite_errorcode = code
        return error

    told: dict[str, list[Exception]] = {
        "full": [of_sqlite(sqlite3.SQLITE_FULL), OSError(errno.ENOSPC, "?"), OSError(errno.EDQUOT, "?")],
        "read_only": [of_sqlite(sqlite3.SQLITE_READONLY | 1 << 8), OSError(errno.EROFS, "?")],
        "busy": [of_sqlite(sqlite3.SQLITE_BUSY), OSError(errno.EAGAIN, "?")],
        "damaged": [of_sqlite(sqlite3.SQLITE_CORRUPT), of_sqlite(sqlite3.SQLITE_IOERR_SHORT_READ)],
        "io": [of_sqlite(sqlite3.SQLITE_IOERR | 3 << 8)],
        "cannot_open": [of_sqlite(sqlite3.SQLITE_CANTOPEN), OSError(errno.ENOENT, "?"), OSError("?")],
        "foreign": [ForeignFileError("?")],
        "error": [sqlite3.ProgrammingError("?")],
    }
    assert {reason: {reason_of(error) for error in errors} for reason, errors in told.items()} == {
        reason: {reason} for reason in told
    }
