"""The SQLite file of values that the workers of a machine share: read, written, trimmed.

Everything here blocks; `elision.proxy.store_disk` calls it in threads of its own. How such a file is
opened, and set aside when it is damaged, is `elision.accounts.sqlite_file`'s matter: any number of
objects, in any number of processes, may hold the same file, and any of them may be killed.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from elision.accounts.sqlite_file import FileKind, SharedFile, transaction
from elision.proxy.store import SCOPE_BYTES, Kept, Kind

_STEP_ROWS = 1000
_ASKED_AT_ONCE = 512
"""Keys in one question: SQLite takes 999 values at least, and more only where it was built so."""

_SWEEP_EVERY_S = 30.0

# Rows lie in the order in which they were written, so that dropping the oldest empties whole pages.
_TABLE = (
    "CREATE TABLE kept (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, "
    "value BLOB NOT NULL, ends REAL NOT NULL)"
)
_KIND = FileKind(
    application=0x456C6973,
    layout=1,
    tables=(_TABLE, "CREATE INDEX kept_ends ON kept (ends)"),
    log="elision.cache",
)


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
        self._limit = limit_bytes
        self._file = SharedFile(path, _KIND, wait_s)
        self._swept = time.monotonic()

    def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the values of those keys that have one."""
        found: dict[bytes, bytes] = {}
        now = time.time()
        with self._file.working() as connection:
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
        with self._file.writing() as connection:
            with transaction(connection):
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
        with self._file.writing() as connection, transaction(connection):
            connection.execute("DELETE FROM kept WHERE key = ? AND ends <= ?", (item.key, time.time()))
            added = connection.execute(
                "INSERT OR IGNORE INTO kept (key, value, ends) VALUES (?, ?, ?)", item[:3]
            )
            return added.rowcount == 1

    def drop(self, keys: Sequence[bytes]) -> None:
        """Forget values."""
        with self._file.writing() as connection, transaction(connection):
            connection.executemany("DELETE FROM kept WHERE key = ?", [(key,) for key in keys])

    def kept(self, of: bytes | None) -> list[Kept]:
        """Return what is kept of one scope or all, by scope and kind."""
        first, beyond = _range(of)
        now = time.time()
        with self._file.working() as connection:
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
        with self._file.working() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            while gone := connection.execute(statement, (first, beyond, Kind.CLEARED.value)).rowcount:
                yield gone
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

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
