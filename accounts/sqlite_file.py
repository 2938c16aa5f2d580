"""A SQLite file that several processes share: opened, begun, and set aside when it is damaged.

Everything here blocks. An object is one connection, for one thread at a time; any number of objects,
in any number of processes, may hold the same file, and any of them may be killed at any moment
(write-ahead log, `synchronous=NORMAL`).

A file that SQLite finds damaged, or that another version wrote, is moved aside, and whoever looks
next begins a fresh one. A connection to a file that is no longer the one of this name is never
closed: SQLite, closing the last one, would remove the log *of that name*, which by then is the
fresh file's.
"""

import errno
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

_DAMAGE = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_LOOK_EVERY_S = 0.002
_DAMAGED_KEPT = 3
"""Damaged files that are left to be looked at; a failing disk must not be filled with them."""
_COMPANIONS = ("-wal", "-shm")


class ForeignFileError(Exception):
    """The file is a database of some other program; it is left alone."""


def _as_it_is(connection: sqlite3.Connection) -> None:
    """Prepare nothing."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is.

    Attributes:
        application: SQLite's `application_id`.
        layout: its `user_version`; a file of another one is set aside.
        tables: statements that begin an empty file.
        log: name of the logger that tells of damage.
        prepare: given every new connection.
    """

    application: int
    layout: int
    tables: tuple[str, ...]
    log: str
    prepare: Callable[[sqlite3.Connection], None] = _as_it_is


class SharedFile:
    """A connection to the file, made when it is first needed.

    Every method may raise sqlite3.Error, OSError or ForeignFileError; the next call tries anew.

    Args:
        path: of the file; its folder is made, for its owner alone, if it is not there.
        kind: what it holds.
        wait_s: how long other processes' writes are waited for.
    """

    def __init__(self, path: Path, kind: FileKind, wait_s: float) -> None:
        self._path = path
        self._kind = kind
        self._wait_s = wait_s
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    @contextmanager
    def working(self) -> Iterator[sqlite3.Connection]:
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
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose turn it is to write.

        SQLite would have many writers wait by looking again and again, ever less often; a lock of the
        system's lets them come one by one. It is a courtesy: what makes writing safe is SQLite's own, so
        that whoever has waited long for one who does not go on (a process that is stopped) goes first.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _turn(f"{self._path}.turn", self._wait_s), self.working() as connection:
            yield connection

    def close(self) -> None:
        """Let go of the file."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._is_current():
            connection.close()
        else:
            _keep_for_good(connection)

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
                self._connection = self._connected()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._move_aside(error)
                _make(self._path)
                self._inode = self._path.stat().st_ino
                self._connection = self._connected()
            _narrow(self._path)

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        """Give the file, with its log, another name. The lock must be held."""
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        self._path.rename(aside)
        for companion in _COMPANIONS:
            with suppress(FileNotFoundError):
                Path(f"{self._path}{companion}").rename(f"{aside}{companion}")
        damaged = sorted(self._path.parent.glob(f"{escape(self._path.name)}.damaged-*[0-9]"))
        for old in damaged[:-_DAMAGED_KEPT]:
            for suffix in ("", *_COMPANIONS):
                Path(f"{old}{suffix}").unlink(missing_ok=True)
        log = logging.getLogger(self._kind.log)
        log.warning(
            "%s cannot be used (%s); moved to %s, a fresh one is begun.", self._path, error, aside.name
        )

    def _connected(self) -> sqlite3.Connection:
        """Return a connection to our own kind of database; an empty one becomes that."""
        connection = sqlite3.connect(
            self._path, timeout=self._wait_s, isolation_level=None, check_same_thread=False
        )
        try:
            self._settle(connection)
            self._kind.prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _settle(self, connection: sqlite3.Connection) -> None:
        is_begun = holds(connection, self._kind, self._path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        if not is_begun:
            with transaction(connection):
                connection.execute(f"PRAGMA application_id = {self._kind.application}")
                connection.execute(f"PRAGMA user_version = {self._kind.layout}")
                for statement in self._kind.tables:
                    connection.execute(statement)


def holds(connection: sqlite3.Connection, kind: FileKind, path: Path) -> bool:
    """Return whether a file holds what its kind does; False where it is empty yet.

    Raises:
        ForeignFileError: it is another program's.
        sqlite3.DatabaseError: as of damage, where another version of Elision wrote it.
    """
    [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return False
    application, layout = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != kind.application:
        raise ForeignFileError(f"{path} is a database of another program")
    if layout != kind.layout:
        told = f"another version of Elision wrote it: layout {layout}, where this one has {kind.layout}"
        raise _damage(told)
    return True


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing, alone."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # some failures have ended the transaction themselves
            connection.execute("ROLLBACK")
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file is no database, or ends where it must not."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE or code == sqlite3.SQLITE_IOERR_SHORT_READ


def _damage(told: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(told)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


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


def _keep_for_good(connection: sqlite3.Connection) -> None:
    """Hold a connection until the process ends, when nobody closes it: in a thread that waits for ever."""

    def hold(_held: sqlite3.Connection) -> None:
        threading.Event().wait()

    threading.Thread(target=hold, args=(connection,), daemon=True, name="elision-file-left").start()
