"""One SQLite file that the workers of a machine share: opened, mended, read, written, trimmed.

Everything here blocks; `elision.proxy.store_disk` calls it in threads of its own. An object is one
connection, for one thread at a time; any number of objects, in any number of processes, may hold
the same file, and any of them may be killed at any moment (write-ahead log, `synchronous=NORMAL`).

A file that SQLite finds damaged is moved aside, and whoever looks next begins a fresh one. A
connection to a file that is no longer the one of this name is never closed: SQLite, closing the
last one, would remove the log *of that name*, which by then is the fresh file's.
"""

import errno
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import NamedTuple

from elision.proxy.store import SCOPE_BYTES, Kept, Kind

_APPLICATION = 0x456C6973
_LAYOUT = 1
_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_STEP_ROWS = 1000
_ASKED_AT_ONCE = 512
"""Keys in one question: SQLite takes 999 values at least, and more only where it was built so."""

_LOOK_EVERY_S = 0.002
_SWEEP_EVERY_S = 30.0
_DAMAGED_KEPT = 3
"""Damaged files that are left to be looked at; a failing disk must not be filled with them."""

_COMPANIONS = ("-wal", "-shm")
_TABLE = (
    "CREATE TABLE kept (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, "
    "value BLOB NOT NULL, ends REAL NOT NULL)"
)
"""Rows lie in the order in which they were written, so that dropping the oldest empties whole pages."""


class ForeignFileError(Exception):
    """The file is a database of some other program; it is left alone."""


class Item(NamedTuple):
    """A value to be written; `ends` by the clock on the wall, which outlives a process."""

    key: bytes
    value: bytes
    ends: float
    only_new: bool


class DiskFile:
    """A connection to the file, made when it is first needed.

    Every method may raise sqlite3.Error, OSError or ForeignFileError; the next call tries anew.

    Args:
        path: of the file; its folder is made, for its owner alone, if it is not there.
        limit_bytes: what values may take, with their share of pages and indexes.
        wait_s: how long other processes' writes are waited for.
    """

    def __init__(self, path: Path, limit_bytes: int, wait_s: float) -> None:
        self.held_bytes = 0
        self.evictions = 0
        self._path = path
        self._limit = limit_bytes
        self._wait_s = wait_s
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._swept = time.monotonic()

    def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values of those keys that have one."""
        found: dict[bytes, bytes] = {}
        now = time.time()
        with self._working() as connection:
            for at in range(0, len(keys), _ASKED_AT_ONCE):
                asked = list(keys[at : at + _ASKED_AT_ONCE])
                # Powers of two, so that SQLite has few statements to prepare and remember.
                asked += asked[:1] * ((1 << (len(asked) - 1).bit_length()) - len(asked))
                marks = ",".join("?" * len(asked))
                statement = f"SELECT key, value FROM kept WHERE key IN ({marks}) AND ends > ?"  # noqa: S608
                found.update(connection.execute(statement, (*asked, now)))
        return found

    def write(self, items: Sequence[Item]) -> None:
        """Keep values, in one transaction; drop the oldest where the limit is exceeded."""
        now = time.time()
        new = [item for item in items if item.only_new]
        with self._writing() as connection:
            with _transaction(connection):
                connection.executemany(
                    "DELETE FROM kept WHERE key = ? AND ends <= ?", [(item.key, now) for item in new]
                )
                connection.executemany(
                    "INSERT OR IGNORE INTO kept (key, value, ends) VALUES (?, ?, ?)",
                    [item[:3] for item in new],
                )
                connection.executemany(
                    "INSERT OR REPLACE INTO kept (key, value, ends) VALUES (?, ?, ?)",
                    [item[:3] for item in items if not item.only_new],
                )
            self._trim(connection, len(items))

    def add(self, item: Item) -> bool:
        """Keep a value where there is none that lives; return whether there was none."""
        with self._writing() as connection, _transaction(connection):
            connection.execute("DELETE FROM kept WHERE key = ? AND ends <= ?", (item.key, time.time()))
            added = connection.execute(
                "INSERT OR IGNORE INTO kept (key, value, ends) VALUES (?, ?, ?)", item[:3]
            )
            return added.rowcount == 1

    def drop(self, keys: Sequence[bytes]) -> None:
        """Forget values."""
        with self._writing() as connection, _transaction(connection):
            connection.executemany("DELETE FROM kept WHERE key = ?", [(key,) for key in keys])

    def kept(self, of: bytes | None) -> list[Kept]:
        """Return what is kept of one scope or all, by scope and kind."""
        first, beyond = _range(of)
        now = time.time()
        with self._working() as connection:
            rows = connection.execute(
                f"SELECT substr(key, 1, {SCOPE_BYTES}) AS scope, substr(key, {SCOPE_BYTES + 1}, 1) AS kind, "  # noqa: S608
                "count(*), sum(length(key) + length(value)), min(ends) FROM kept "
                "WHERE key >= ? AND key < ? AND ends > ? AND kind != ? GROUP BY 1, 2 ORDER BY 1, 2",
                (first, beyond, now, Kind.CLEARED.value),
            )
            return [Kept(scope, kind, count, size, ends - now) for scope, kind, count, size, ends in rows]

    def clear(self, scope: bytes | None) -> Iterator[int]:
        """Forget what is kept of one scope or all, overwriting it; yield how many went, step by step."""
        first, beyond = _range(scope)
        statement = (
            f"DELETE FROM kept WHERE id IN (SELECT id FROM kept WHERE key >= ? AND key < ? "  # noqa: S608
            f"AND substr(key, {SCOPE_BYTES + 1}, 1) != ? LIMIT {_STEP_ROWS})"
        )
        with self._working() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            while gone := connection.execute(statement, (first, beyond, Kind.CLEARED.value)).rowcount:
                yield gone
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._is_current():
            connection.close()
        else:
            _keep_for_good(connection)

    @contextmanager
    def _working(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection to the file that has the name now; move the file aside if it is damaged."""
        if self._connection is None or not self._is_current():
            self.close()
            self._open()
        connection = self._connection
        if connection is None:
            raise ValueError("opening the file left no connection")
        try:
            yield connection
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                with _locked(f"{self._path}.lock", self._wait_s):
                    if self._is_current():
                        self._move_aside(error)
                self.close()
            raise

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose turn it is to write.

        SQLite would have many writers wait by looking again and again, ever less often; a lock of the
        system's lets them come one by one. It is a courtesy: what makes writing safe is SQLite's own, so
        that whoever has waited long for one who does not go on (a process that is stopped) goes first.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _turn(f"{self._path}.turn", self._wait_s), self._working() as connection:
            yield connection

    def _is_current(self) -> bool:
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(f"{self._path}.lock", self._wait_s):
            _make(self._path)
            self._inode = self._path.stat().st_ino
            try:
                _refuse_emptied(self._path)
                self._connection = _connected(self._path, self._wait_s)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._move_aside(error)
                _make(self._path)
                self._inode = self._path.stat().st_ino
                self._connection = _connected(self._path, self._wait_s)
            _narrow(self._path)

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        """Give the file, with its log, another name. The lock must be held."""
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        self._path.rename(aside)
        for companion in _COMPANIONS:
            with suppress(FileNotFoundError):
                Path(f"{self._path}{companion}").rename(f"{aside}{companion}")
        for old in sorted(self._path.parent.glob(f"{escape(self._path.name)}.damaged-*[0-9]"))[
            :-_DAMAGED_KEPT
        ]:
            for suffix in ("", *_COMPANIONS):
                Path(f"{old}{suffix}").unlink(missing_ok=True)
        log = logging.getLogger("elision.cache")
        log.warning("%s is damaged (%s); moved to %s, a fresh one is begun.", self._path, error, aside.name)

    def _trim(self, connection: sqlite3.Connection, written: int) -> None:
        """Drop what has ended now and then, and the oldest where there is too much."""
        if time.monotonic() - self._swept > _SWEEP_EVERY_S:
            self._swept = time.monotonic()
            ended = f"SELECT id FROM kept WHERE ends <= ? LIMIT {_STEP_ROWS}"  # noqa: S608
            while _dropped(connection, ended, time.time()) == _STEP_ROWS:
                pass
        self.held_bytes = _used_bytes(connection)
        while self.held_bytes > self._limit:
            # More goes than came, or the limit would never be reached again.
            gone = _dropped(connection, "SELECT id FROM kept ORDER BY id LIMIT ?", 2 * written + 16)
            self.evictions += gone
            self.held_bytes = _used_bytes(connection)
            if gone == 0:
                break


def _connected(path: Path, wait_s: float) -> sqlite3.Connection:
    """Return a connection to our own kind of database; an empty one becomes that."""
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
    try:
        [application], [layout], [tables] = (
            connection.execute(asked).fetchone()
            for asked in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_schema",
            )
        )
        if tables and application != _APPLICATION:
            raise ForeignFileError(f"{path} is a database of another program")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        if tables and layout != _LAYOUT:
            raise _damage(f"layout {layout} of another version")
        if not tables:
            with _transaction(connection):
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_LAYOUT}")
                connection.execute(_TABLE)
                connection.execute("CREATE INDEX kept_ends ON kept (ends)")
    except BaseException:
        connection.close()
        raise
    return connection


def _damage(told: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(told)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file is no database, or ends where it must not."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _make(path: Path) -> None:
    """Make an empty file that only its owner may read, unless there is one; the lock must be held.

    SQLite gives the log the same mode. An existing file is never opened here: closing it would
    release the locks that SQLite holds on it in this process.
    """
    if path.exists():
        return
    for companion in _COMPANIONS:
        Path(f"{path}{companion}").unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _narrow(path: Path) -> None:
    """Let nobody but its owner read a file that proved to be ours, or its log."""
    for suffix in ("", *_COMPANIONS):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").chmod(0o600)


def _refuse_emptied(path: Path) -> None:
    """Take a file that was emptied under its log for damaged; SQLite would wait for a lock in vain.

    Raises: sqlite3.DatabaseError.
    """
    log = Path(f"{path}-wal")
    if path.stat().st_size == 0 and log.exists() and log.stat().st_size > 0:
        raise _damage("emptied by somebody")


@contextmanager
def _locked(name: str, wait_s: float) -> Iterator[None]:
    """Be the only one, of all processes, who holds the lock of a name; it goes with the process.

    Raises: OSError (EAGAIN) if another holds it for longer than `wait_s`.
    """
    with _turn(name, wait_s) as is_mine:
        if not is_mine:
            raise OSError(errno.EAGAIN, "held by another process", name)
        yield


@contextmanager
def _turn(name: str, wait_s: float) -> Iterator[bool]:
    """Wait for the lock of a name, so long at most; yield whether it is held now."""
    descriptor = os.open(name, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        yield _locks(descriptor, time.monotonic() + wait_s)
    finally:
        os.close(descriptor)


def _locks(descriptor: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK_EVERY_S)
        else:
            return True


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # some failures have ended the transaction themselves
            connection.execute("ROLLBACK")
        raise


def _dropped(connection: sqlite3.Connection, chosen: str, bound: float) -> int:
    return connection.execute(f"DELETE FROM kept WHERE id IN ({chosen})", (bound,)).rowcount  # noqa: S608


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    used: int = (pages - free) * size
    return used


def _range(scope: bytes | None) -> tuple[bytes, bytes]:
    """Return the first key of a scope, or of all, and one beyond the last."""
    last = b"\xff" * 64
    return (b"", last) if scope is None else (scope, scope + last)


def _keep_for_good(connection: sqlite3.Connection) -> None:
    """Hold a connection until the process ends, when nobody closes it: in a thread that waits for ever."""

    def hold(_held: sqlite3.Connection) -> None:
        threading.Event().wait()

    threading.Thread(target=hold, args=(connection,), daemon=True, name="elision-disk-left").start()
