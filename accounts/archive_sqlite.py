"""What is kept of requests in one SQLite file, which the workers of a machine share.

`SqliteKeeper` writes, in the one thread that each process has for it; `SqliteArchive` answers, in
threads of its own and by connections that can only read. Both hand SQLite whole sets of rows as one
JSON text: a statement is one step, in which the interpreter is free for requests.

Sums are added to three tables at once, by the minute, hour and day, so that nothing ever has to be
rolled up and no two processes can do so twice; what is old is only dropped. Words have numbers in
the file: a cell's are written number, count, number, count, ... with commas between, so that those of
many cells, joined by commas, are one list.
"""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import msgspec

from elision.accounts.archive import LABELS, ArchiveTrouble, Order, Query, Recent, Row, Step, Sums
from elision.accounts.recorder import KeepingTrouble
from elision.accounts.spans import HOUR_S, SECONDS, Kept, Span, check_labels, kept_at, spans
from elision.accounts.sqlite_file import FileKind, ForeignFileError, SharedFile, holds, transaction
from elision.accounts.tally import COUNTS, Cell, Key, Tally, sums_of
from elision.config.accounts import Accounts

WAIT_S = 5.0
"""For other processes that write."""
_TRIM_EVERY_S = 60.0
_THREADS = 2

_Found = TypeVar("_Found")

_TABLES = {Step.MINUTE: "minutes", Step.HOUR: "hours", Step.DAY: "days"}
_CELL = Cell().numbers()
_COLUMNS = (*COUNTS, *(f"bucket_{number}" for number in range(len(_CELL) - len(COUNTS))))
_BUCKETS = len(COUNTS) + len(Cell().overhead)
_PLACES: dict[str, Sequence[int]] = {
    **{name: (number,) for number, name in enumerate(COUNTS)},
    "overhead": range(len(COUNTS), _BUCKETS),
    "ratios": range(_BUCKETS, len(_COLUMNS)),
}
"""Where measures stand in `_COLUMNS`; words stand elsewhere."""
_RECENT = tuple(item.name for item in fields(Recent))
_BY_ORDER = {Order.NEWEST: "at", Order.SLOWEST: "overhead_ms", Order.LARGEST: "tokens_before"}


def _sums_table(name: str) -> str:
    columns = ", ".join(f"{column} INTEGER NOT NULL" for column in _COLUMNS)
    return (
        f"CREATE TABLE {name} (at INTEGER NOT NULL, labels INTEGER NOT NULL, words TEXT NOT NULL, "
        f"{columns}, PRIMARY KEY (at, labels)) WITHOUT ROWID"
    )


def _add_sums(table: str) -> str:
    """Return the statement that adds cells to a table: of a JSON list, `_cells` says what of."""
    labels = " AND ".join(f"l.{label} = cell.value ->> {at}" for at, label in enumerate(LABELS, 2))
    values = ", ".join(f"cell.value ->> {at}" for at in range(2 + len(LABELS), 2 + len(LABELS) + len(_CELL)))
    added = ", ".join(f"{column} = {column} + excluded.{column}" for column in _COLUMNS)
    return (
        f"INSERT INTO {table} (at, labels, words, {', '.join(_COLUMNS)}) "  # noqa: S608
        f"SELECT cell.value ->> 0, l.id, cell.value ->> 1, {values} "
        f"FROM json_each(?) AS cell CROSS JOIN labels AS l ON {labels} WHERE true "
        f"ON CONFLICT (at, labels) DO UPDATE SET words = merged(words, excluded.words), {added}"
    )


_ADD_LABELS = (
    f"INSERT OR IGNORE INTO labels ({', '.join(LABELS)}) "  # noqa: S608
    f"SELECT {', '.join(f'value ->> {at}' for at in range(len(LABELS)))} FROM json_each(?)"
)
_ADD_WORDS = "INSERT OR IGNORE INTO words (word) SELECT value FROM json_each(?)"
_ADD_RECENT = (
    f"INSERT INTO recent ({', '.join(_RECENT)}) "  # noqa: S608
    f"SELECT {', '.join(f'value ->> {at}' for at in range(len(_RECENT)))} FROM json_each(?)"
)
_ADD = {step: _add_sums(table) for step, table in _TABLES.items()}


def _merged(one: str, other: str) -> str:
    """Add up two cells' words; called by SQLite."""
    return _written_words(_added_words(f"[{one},{other}]").items())


def _prepare(connection: sqlite3.Connection) -> None:
    connection.create_function("merged", 2, _merged, deterministic=True)


_LABEL_COLUMNS = ", ".join(f"{label} TEXT NOT NULL" for label in LABELS)
_KIND = FileKind(
    application=0x456C6941,
    layout=2,
    tables=(
        f"CREATE TABLE labels (id INTEGER PRIMARY KEY, {_LABEL_COLUMNS}, UNIQUE ({', '.join(LABELS)}))",
        "CREATE TABLE words (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE)",
        *map(_sums_table, _TABLES.values()),
        f"CREATE TABLE recent (id INTEGER PRIMARY KEY, {', '.join(_RECENT)})",
        *(f"CREATE INDEX recent_{name} ON recent ({name})" for name in _BY_ORDER.values()),
    ),
    log="elision.accounts",
    prepare=_prepare,
)


class SqliteKeeper:
    """Writes what was added up to the file.

    Args:
        path: of the file; its folder is made if it is not there.
        accounts: how long and how much is kept.
        wait_s: for other processes that write.
    """

    waiting = 0

    def __init__(self, path: Path, accounts: Accounts, *, wait_s: float = WAIT_S) -> None:
        self._file = SharedFile(path, _KIND, wait_s)
        self._path = path
        self._accounts = accounts
        self._trim_at = 0.0

    def keep(self, tally: Tally) -> None:
        """Write what a tally holds, all of it or nothing.

        Raises: KeepingTrouble.
        """
        is_due = time.monotonic() >= self._trim_at
        if not tally and not is_due:
            return
        try:
            with self._file.writing() as connection:
                with transaction(connection):
                    _write(connection, tally, self._accounts.recent)
                tally.clear()
                if is_due:
                    self._trim_at = time.monotonic() + _TRIM_EVERY_S
                    _trim(connection, kept_at(int(time.time()), self._accounts))
        except (sqlite3.Error, OSError, ForeignFileError) as error:
            raise KeepingTrouble(f"{self._path}: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _write(connection: sqlite3.Connection, tally: Tally, recent: int) -> None:
    """Add a tally to all tables; within a transaction."""
    if not tally:
        return
    labels = {labels for _, labels in tally.cells}
    words = {word for cell in tally.cells.values() for word in cell.words}
    connection.execute(_ADD_LABELS, (_json(list(labels)),))
    connection.execute(_ADD_WORDS, (_json(sorted(words)),))
    numbers = _numbers_of_words(connection)
    for step, seconds in SECONDS.items():
        connection.execute(_ADD[step], (_cells(tally.by(seconds), numbers),))
    if tally.recent:
        told = [[getattr(one, name) for name in _RECENT] for one in tally.told()]
        connection.execute(_ADD_RECENT, (_json(told),))
        connection.execute("DELETE FROM recent WHERE id <= (SELECT max(id) FROM recent) - ?", (recent,))


def _cells(cells: Iterable[tuple[Key, Cell]], numbers: dict[str, int]) -> str:
    """Return cells as `_add_sums` reads them: beginning, words, labels, measures."""
    rows: list[list[object]] = []
    for (at, labels), cell in cells:
        words = _written_words((numbers[word], count) for word, count in cell.words.items())
        rows.append([at, words, *labels, *cell.numbers()])
    return _json(rows)


def _numbers_of_words(connection: sqlite3.Connection) -> dict[str, int]:
    [told] = connection.execute("SELECT json_group_object(word, id) FROM words").fetchone()
    return msgspec.json.decode(told, type=dict[str, int])


def _trim(connection: sqlite3.Connection, kept: Kept) -> None:
    """Drop what is old, by the hour, so that nobody waits long."""
    for step, table in _TABLES.items():
        while True:
            [oldest] = connection.execute(f"SELECT min(at) FROM {table}").fetchone()  # noqa: S608
            if oldest is None or oldest >= kept.since(step):
                break
            until = min(oldest + HOUR_S, kept.since(step))
            connection.execute(f"DELETE FROM {table} WHERE at < ?", (until,))  # noqa: S608
            if step is Step.DAY:
                connection.execute("DELETE FROM labels WHERE id NOT IN (SELECT labels FROM days)")


class SqliteArchive:
    """Answers questions about what is in the file; see `elision.accounts.archive.Archive`.

    Args:
        path: of the file; while there is none, nothing has been recorded.
        accounts: how long is kept what.
    """

    def __init__(self, path: Path, accounts: Accounts) -> None:
        self._path = path
        self._accounts = accounts
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="elision-archive")

    async def rows(self, query: Query) -> list[Row]:
        """Return rows in order of time, then labels."""
        found = spans(query, kept_at(int(time.time()), self._accounts))
        if not found:
            return []
        return await self._asked(lambda connection: _rows(connection, query, found))

    async def recent(self, order: Order, count: int, only: Sequence[tuple[str, str]] = ()) -> list[Recent]:
        """Return recent requests, at most `count`."""
        check_labels(tuple(label for label, _ in only))
        where = " AND ".join(["true", *(f"{label} = ?" for label, _ in only)])
        statement = (
            f"SELECT {', '.join(_RECENT)} FROM recent WHERE {where} "  # noqa: S608
            f"ORDER BY {_BY_ORDER[order]} DESC, id DESC LIMIT ?"
        )
        values = (*(value for _, value in only), count)
        rows = await self._asked(lambda connection: connection.execute(statement, values).fetchall())
        return [Recent(*row) for row in rows]

    async def values(self, label: str) -> list[str]:
        """Return the values that a label has had, sorted."""
        check_labels((label,))
        statement = f"SELECT DISTINCT {label} FROM labels ORDER BY 1"  # noqa: S608
        rows = await self._asked(lambda connection: connection.execute(statement).fetchall())
        return [value for (value,) in rows]

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    async def _asked(self, ask: Callable[[sqlite3.Connection], list[_Found]]) -> list[_Found]:
        """Ask in a thread; nothing is found where nothing was recorded.

        Raises: ArchiveTrouble.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, ask)

    def _ask(self, ask: Callable[[sqlite3.Connection], list[_Found]]) -> list[_Found]:
        if not self._path.exists():
            return []
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=WAIT_S, isolation_level=None)) as connection:
                # One state of the file for all of an answer: words have numbers in another table.
                connection.execute("BEGIN")
                return ask(connection) if holds(connection, _KIND, self._path) else []
        except (sqlite3.Error, ForeignFileError) as error:
            raise ArchiveTrouble(f"{self._path}: {error}") from error


def _rows(connection: sqlite3.Connection, query: Query, found: list[Span]) -> list[Row]:
    """Return what a query asks of spans that together answer it."""
    at = str(found[0].since) if query.step is Step.ALL else "cell.at"
    by = "".join(f", l.{label}" for label in query.by)
    where = " AND ".join(["true", *(f"l.{label} = ?" for label, _ in query.only)])
    wanted = [number for name in query.measures for number in _PLACES.get(name, ())]
    sums = "".join(f", sum(cell.{_COLUMNS[number]})" for number in wanted)
    words = "'[' || group_concat(cell.words) || ']'" if "words" in query.measures else "'[]'"
    groups = ", ".join(map(str, range(1, 2 + len(query.by))))
    # Without labels the rows lie in the order that is wanted, and nothing is sorted.
    labels = "JOIN labels AS l ON l.id = cell.labels" if query.by or query.only else ""
    statement = (
        f"SELECT {at}{by}{sums}, {words} "  # noqa: S608
        f"FROM {_source(found)} AS cell {labels} WHERE {where} GROUP BY {groups} ORDER BY {groups}"
    )
    times = [time for span in found for time in (span.since, span.until)]
    names = _words_by_number(connection)
    count = 1 + len(query.by)
    return [
        Row(row[0], tuple(row[1:count]), _sums(zip(wanted, row[count:-1], strict=True), row[-1], names))
        for row in connection.execute(statement, (*times, *(value for _, value in query.only)))
    ]


def _sums(numbers: Iterable[tuple[int, int]], words: str, names: dict[int, str]) -> Sums:
    """Return measures.

    Args:
        numbers: by their places in `_COLUMNS`; others are 0.
        words: as `_added_words` takes them.
        names: of words.

    Raises: ArchiveTrouble.
    """
    every = [0] * len(_COLUMNS)
    for place, number in numbers:
        every[place] = number
    try:
        return sums_of(every, _words(words, names))
    except (msgspec.MsgspecError, KeyError, ValueError) as error:
        raise ArchiveTrouble("a row's words cannot be read: the file is damaged") from error


def _source(found: list[Span]) -> str:
    """Return what rows are read from; its variables are the spans' times."""
    columns = ", ".join(("at", "labels", "words", *_COLUMNS))
    parts = " UNION ALL ".join(
        f"SELECT {columns} FROM {_TABLES[span.step]} WHERE at >= ? AND at < ?"  # noqa: S608
        for span in found
    )
    return f"({parts})"


def _words_by_number(connection: sqlite3.Connection) -> dict[int, str]:
    [told] = connection.execute("SELECT json_group_array(json_array(id, word)) FROM words").fetchone()
    return dict(msgspec.json.decode(told, type=list[tuple[int, str]]))


def _words(packed: str, names: dict[int, str]) -> dict[str, int]:
    """Return the words of many cells, added up, by their names."""
    return {names[number]: count for number, count in _added_words(packed).items()}


def _written_words(words: Iterable[tuple[int, int]]) -> str:
    """Return words as the file has them."""
    return ",".join(f"{number},{count}" for number, count in words)


def _added_words(packed: str) -> dict[int, int]:
    """Add up words.

    Args:
        packed: JSON list: number, count, number, count, ...
    """
    totals: defaultdict[int, int] = defaultdict(int)
    flat = iter(msgspec.json.decode(packed, type=list[int]))
    for number, count in zip(flat, flat, strict=True):
        totals[number] += count
    return totals


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
