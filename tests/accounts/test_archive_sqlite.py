"""Figures of requests in a SQLite file."""

import asyncio
import os
import sqlite3
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elision.accounts.archive import LABELS, MEASURES, ArchiveTrouble, Order, Query, Row, Step, Sums
from elision.accounts.archive_sqlite import SqliteArchive, SqliteKeeper
from elision.accounts.labels import labels_of
from elision.accounts.recorder import KeepingTrouble
from elision.accounts.records import Report, RequestRecord
from elision.accounts.spans import DAY_S, HOUR_S, floor
from elision.accounts.tally import Names, Tally
from elision.config.accounts import Accounts
from fakes.recorded import RECORD, by_id, records, total

ACCOUNTS = Accounts(recent=1000)
NOW = int(time.time())
TODAY = floor(NOW, DAY_S)


def tallied(requests: Iterable[RequestRecord]) -> Tally:
    tally, names = Tally(1000), Names()
    for record in requests:
        tally.add(record, names)
    return tally


def kept(path: Path, requests: Iterable[RequestRecord], accounts: Accounts = ACCOUNTS) -> None:
    """Have requests kept, by a process that begins and ends."""
    keeper = SqliteKeeper(path, accounts)
    try:
        keeper.keep(tallied(requests))
    finally:
        keeper.close()


@asynccontextmanager
async def opened(path: Path, accounts: Accounts = ACCOUNTS) -> AsyncIterator[SqliteArchive]:
    archive = SqliteArchive(path, accounts)
    try:
        yield archive
    finally:
        archive.close()


async def rows(path: Path, query: Query, accounts: Accounts = ACCOUNTS) -> list[Row]:
    async with opened(path, accounts) as archive:
        return await archive.rows(query)


def at(seconds: float, **changes: str) -> RequestRecord:
    """Return a request that came at a time, with another report."""
    report = replace(RECORD.report, **changes)  # type: ignore[arg-type]
    return replace(RECORD, at=seconds, report=report)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "accounts.db"


async def test_what_was_kept_is_told_with_every_measure(path: Path) -> None:
    """As it was added up."""
    tally = tallied([at(NOW - 60), at(NOW - 60)])
    [expected] = [cell.sums() for cell in tally.cells.values()]
    kept(path, [at(NOW - 60), at(NOW - 60)])
    [row] = await rows(path, Query(NOW - 120, NOW + 1, Step.ALL, LABELS))
    assert row.labels == labels_of(RECORD)
    assert row.sums == expected
    assert row.sums.words["segment_before:context"] == 1800


async def test_nothing_is_told_where_nothing_was_recorded(path: Path) -> None:
    """Neither before there is a file, nor while it is empty; asking makes none."""
    async with opened(path) as archive:
        assert await archive.rows(Query(0, NOW)) == []
        assert await archive.recent(Order.NEWEST, 10) == []
        assert await archive.values("team") == []
        assert not path.exists()
        path.parent.mkdir()
        path.touch()
        assert await archive.rows(Query(0, NOW)) == []


async def test_rows_are_told_apart_by_what_is_asked_in_order(path: Path) -> None:
    """Of time, then labels."""
    hour = floor(NOW, HOUR_S)
    kept(
        path, [at(hour, team="b"), at(hour - 1, team="b"), at(hour, team="a"), at(hour, team="a", model="o3")]
    )
    found = await rows(path, Query(hour - HOUR_S, hour + HOUR_S, Step.HOUR, ("team",)))
    assert [(row.at, row.labels, row.sums.requests) for row in found] == [
        (hour - HOUR_S, ("b",), 1),
        (hour, ("a",), 2),
        (hour, ("b",), 1),
    ]
    found = await rows(path, Query(hour, hour + HOUR_S, Step.HOUR, ("model", "team")))
    assert [row.labels for row in found] == [("gpt-4o", "a"), ("gpt-4o", "b"), ("o3", "a")]


async def test_only_what_is_asked_for_counts(path: Path) -> None:
    """Filters are by values, whatever stands in them."""
    kept(path, [at(NOW, team="a"), at(NOW, team="b"), at(NOW, team="a' OR 1=1", model="o3")])
    query = Query(NOW - 60, NOW + 1, Step.ALL)
    [row] = await rows(path, replace(query, only=(("team", "a"),)))
    assert row.sums.requests == 1
    [row] = await rows(path, replace(query, only=(("team", "a' OR 1=1"), ("model", "o3"))))
    assert row.sums.requests == 1
    assert await rows(path, replace(query, only=(("team", "a"), ("model", "o3")))) == []


async def test_minutes_that_are_dropped_are_still_told_by_the_hour(path: Path) -> None:
    """And hours by the day; all figures are still there."""
    accounts = Accounts(minutes_h=1, hours_d=1, days_d=10)
    kept(path, [at(NOW - age) for age in (0, 3 * HOUR_S, 3 * DAY_S, 30 * DAY_S)], accounts)
    with closing(sqlite3.connect(path)) as connection:
        left = [
            connection.execute(f"SELECT sum(requests) FROM {table}").fetchone()[0]
            for table in ("minutes", "hours", "days")
        ]
    assert left == [1, 2, 3]
    found = await rows(path, Query(NOW - 5 * DAY_S, NOW + 1, Step.MINUTE), accounts)
    assert {row.at % DAY_S for row in found} == {0}
    assert sum(row.sums.requests for row in found) == 3
    [row] = await rows(path, Query(NOW - 2 * 60, NOW + 1, Step.MINUTE), accounts)
    assert row.at == floor(NOW, 60)


async def test_labels_that_nobody_has_any_more_are_forgotten(path: Path) -> None:
    """With the last day on which somebody had them."""
    kept(path, [at(NOW, team="new"), at(NOW - 30 * DAY_S, team="old")], Accounts(days_d=10))
    async with opened(path) as archive:
        assert await archive.values("team") == ["new"]


@given(
    st.lists(st.lists(records(TODAY - 3 * DAY_S, TODAY + DAY_S - 1), max_size=8), max_size=5),
    st.sampled_from(tuple(Step)),
    st.sets(st.sampled_from(LABELS)),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_sums_are_those_of_the_requests(
    processes: Sequence[Sequence[RequestRecord]], step: Step, by: set[str]
) -> None:
    """Whoever recorded them, in whatever order, however they are asked for."""
    accounts = replace(ACCOUNTS, minutes_h=100)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        for requests in processes:
            kept(path, requests, accounts)
        query = Query(TODAY - 3 * DAY_S, TODAY + DAY_S, step, tuple(sorted(by)))
        found = asyncio.run(rows(path, query, accounts))
    everything = [record for requests in processes for record in requests]
    expected = total(cell.sums() for cell in tallied(everything).cells.values())
    assert total(row.sums for row in found) == expected
    assert len({(row.at, row.labels) for row in found}) == len(found)


async def test_any_time_is_told_exactly(path: Path) -> None:
    """A whole from minute to minute is what its minutes are."""
    requests = [at(NOW - 40 * minute) for minute in range(2000)]
    kept(path, requests)
    for since, until in ((0, 1), (100, 5000), (60, 70_000), (3600, 7200), (50_000, 79_000)):
        begun = NOW - until
        whole = await rows(path, Query(begun, NOW - since, Step.ALL))
        minutes = await rows(path, Query(begun, NOW - since, Step.MINUTE))
        assert total(row.sums for row in whole) == total(row.sums for row in minutes)


@pytest.mark.timeout(120)
async def test_several_processes_keep_everything_in_one_file(path: Path) -> None:
    """Each by its own thread, while somebody reads."""
    workers, count = 3, 400
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "fakes.figures_writer", str(path)]
    running = [
        await asyncio.create_subprocess_exec(*command, str(n), str(count), env=environment)
        for n in range(workers)
    ]
    query = Query(TODAY - DAY_S, NOW + DAY_S, Step.ALL, ("team",))
    try:
        async with opened(path) as archive:
            while any(process.returncode is None for process in running):
                await archive.rows(query)
                await asyncio.sleep(0.02)
    finally:
        await asyncio.gather(*map(_ended, running))
    assert [process.returncode for process in running] == [0] * workers
    found = {row.labels[0]: row.sums for row in await rows(path, query)}
    odd, even = sum(range(1, count, 2)), sum(range(0, count, 2))
    assert {team: (sums.requests, sums.tokens_before) for team, sums in found.items()} == {
        **{f"team-{number}": (count // 2, odd) for number in range(workers)},
        "shared": (workers * count // 2, workers * even),
    }


async def _ended(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def test_recent_requests_are_told_in_the_order_asked_for(path: Path) -> None:
    """Newest, slowest, largest; of some alone."""
    made = [
        replace(at(NOW + number, team="ab"[number % 2]), request_id=str(number), overhead_ms=slow)
        for number, slow in enumerate((3.5, 9.0, 1.0, 2.0))
    ]
    made[2] = replace(made[2], report=replace(made[2].report, tokens_before=5000))
    kept(path, made)
    async with opened(path) as archive:
        assert by_id(await archive.recent(Order.NEWEST, 3)) == ["3", "2", "1"]
        assert by_id(await archive.recent(Order.SLOWEST, 2)) == ["1", "0"]
        assert by_id(await archive.recent(Order.LARGEST, 1)) == ["2"]
        assert by_id(await archive.recent(Order.NEWEST, 9, [("team", "a")])) == ["2", "0"]
        [newest] = await archive.recent(Order.NEWEST, 1)
    assert newest.at == NOW + 3
    assert (newest.cost, newest.path, newest.overhead_ms) == (1_170_000, "/v1/chat/completions", 2.0)


async def test_only_so_many_recent_requests_are_kept(path: Path) -> None:
    """The others' figures stay in the sums."""
    accounts = Accounts(recent=5)
    for start in (0, 4, 8):
        kept(path, [replace(at(NOW), request_id=str(start + number)) for number in range(4)], accounts)
    async with opened(path, accounts) as archive:
        assert by_id(await archive.recent(Order.NEWEST, 100)) == ["11", "10", "9", "8", "7"]
        [row] = await archive.rows(Query(NOW - 60, NOW + 1, Step.ALL))
    assert row.sums.requests == 12


async def test_what_has_no_price_is_told_without_one(path: Path) -> None:
    """None is not nothing."""
    kept(path, [replace(at(NOW), money=None)])
    async with opened(path) as archive:
        [recent] = await archive.recent(Order.NEWEST, 1)
    assert (recent.cost, recent.saved) == (None, None)


async def test_values_of_a_label_are_told_sorted(path: Path) -> None:
    """What is no label is refused."""
    kept(path, [at(NOW, team="b"), at(NOW, team="a"), at(NOW, team="a", model="o3")])
    async with opened(path) as archive:
        assert await archive.values("team") == ["a", "b"]
        assert await archive.values("model") == ["gpt-4o", "o3"]
        with pytest.raises(ValueError, match="no label is called"):
            await archive.values("id FROM labels --")
        with pytest.raises(ValueError, match="no label is called"):
            await archive.recent(Order.NEWEST, 1, [("1=1 --", "x")])


def test_a_locked_file_costs_no_figure(path: Path) -> None:
    """What could not be written stays in the tally, and is written once."""
    kept(path, [at(NOW)])
    tally = tallied([at(NOW), at(NOW)])
    keeper = SqliteKeeper(path, ACCOUNTS, wait_s=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(KeepingTrouble, match=r"accounts\.db: database is locked"):
            keeper.keep(tally)
        assert tally.requests == 2
        other.execute("ROLLBACK")
    keeper.keep(tally)
    keeper.close()
    assert tally.requests == 0
    [row] = asyncio.run(rows(path, Query(NOW - 60, NOW + 1, Step.ALL)))
    assert row.sums.requests == 3


def test_a_file_that_cannot_be_is_told(tmp_path: Path) -> None:
    """With its name."""
    (tmp_path / "file").touch()
    keeper = SqliteKeeper(tmp_path / "file" / "accounts.db", ACCOUNTS)
    with pytest.raises(KeepingTrouble, match=r"file/accounts\.db"):
        keeper.keep(tallied([at(NOW)]))
    keeper.close()


def test_a_damaged_file_is_set_aside_and_begun_anew(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is being written is kept in the new one."""
    kept(path, [at(NOW)])
    path.write_bytes(b"no database at all " * 500)
    kept(path, [at(NOW), at(NOW)])
    assert "cannot be used" in caplog.text
    assert list(path.parent.glob("accounts.db.damaged-*"))
    [row] = asyncio.run(rows(path, Query(NOW - 60, NOW + 1, Step.ALL)))
    assert row.sums.requests == 2


async def test_another_programs_database_is_left_alone(path: Path) -> None:
    """Its figures are not ours to touch."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(KeepingTrouble, match="another program"):
        kept(path, [at(NOW)])
    async with opened(path) as archive:
        with pytest.raises(ArchiveTrouble, match="another program"):
            await archive.rows(Query(0, NOW))


async def test_another_versions_file_is_told_and_set_aside(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rows mean something else: none is shown, none is lost, and a fresh file is begun."""
    kept(path, [at(NOW)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1")
    async with opened(path) as archive:
        with pytest.raises(ArchiveTrouble, match="another version of Elision wrote it: layout 1"):
            await archive.rows(Query(0, NOW + 60, Step.ALL))
        kept(path, [at(NOW), at(NOW)])
        [row] = await archive.rows(Query(0, NOW + 60, Step.ALL))
    assert row.sums.requests == 2
    assert "another version" in caplog.text
    assert len(list(path.parent.glob("accounts.db.damaged-*[0-9]"))) == 1


async def test_a_row_that_cannot_be_read_is_told(path: Path) -> None:
    """The page says so; nobody sees a part of the figures for the whole."""
    kept(path, [at(NOW)])
    for words in ("{}", "7,1", "1"):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("DELETE FROM words WHERE id = 7")
            connection.execute("UPDATE days SET words = ?", (words,))
        async with opened(path) as archive:
            with pytest.raises(ArchiveTrouble, match="cannot be read"):
                await archive.rows(Query(floor(NOW, DAY_S), TODAY + DAY_S, Step.DAY))


async def test_only_measures_that_are_asked_for_are_looked_up(path: Path) -> None:
    """Each as it is in all of them; the others are 0."""
    kept(path, [at(NOW), at(NOW - 60)])
    [whole] = await rows(path, Query(0, NOW + 60, Step.ALL))
    for name in MEASURES:
        [row] = await rows(path, Query(0, NOW + 60, Step.ALL, measures=(name,)))
        assert row.sums == replace(Sums(), **{name: getattr(whole.sums, name)})


async def test_a_file_that_cannot_be_read_is_told(path: Path) -> None:
    """The page says so; requests go on."""
    path.parent.mkdir()
    path.write_bytes(b"no database at all " * 500)
    async with opened(path) as archive:
        with pytest.raises(ArchiveTrouble, match="not a database"):
            await archive.recent(Order.NEWEST, 1)


async def test_figures_are_exact_beyond_what_floats_hold(path: Path) -> None:
    """A thousand requests of a million dollars and a nano-dollar each."""
    assert RECORD.money is not None
    dear = replace(at(NOW), money=replace(RECORD.money, cost=10**15 + 1, saved=-(10**15) - 1))
    for _ in range(3):
        kept(path, [dear] * 500)
    [row] = await rows(path, Query(NOW - 60, NOW + 1, Step.ALL))
    assert (row.sums.cost, row.sums.saved) == (1500 * 10**15 + 1500, -1500 * 10**15 - 1500)


def test_the_file_is_its_owners_alone(path: Path) -> None:
    """It tells what teams spend."""
    kept(path, [at(NOW)])
    assert path.stat().st_mode & 0o077 == 0


async def test_an_empty_request_is_a_request(path: Path) -> None:
    """Nobody looked into it; it came."""
    kept(path, [replace(RECORD, at=NOW, report=Report(), tokens_saved=0, money=None)])
    [row] = await rows(path, Query(NOW - 60, NOW + 1, Step.ALL, ("team", "policy", "method")))
    assert row.labels == ("default", "none", "none")
    assert (row.sums.requests, row.sums.tokens_before) == (1, 0)
    assert row.sums != Sums()
