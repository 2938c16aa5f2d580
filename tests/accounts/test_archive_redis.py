"""Figures of requests in Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elision.accounts.archive import LABELS, ArchiveTrouble, Order, Query, Step
from elision.accounts.archive_redis import PREFIX, Answer, RedisArchive, RedisAway, RedisKeeper, Word
from elision.accounts.labels import labels_of
from elision.accounts.recorder import KeepingTrouble
from elision.accounts.records import RequestRecord
from elision.accounts.spans import DAY_S, HOUR_S, floor
from elision.accounts.tally import Names, Tally
from elision.config.accounts import Accounts
from fakes.recorded import RECORD, by_id, records, total
from fakes.redis_server import RedisServer, needs_redis, redis_server

pytestmark = needs_redis

ACCOUNTS = Accounts(recent=1000)
NOW = int(time.time())
TODAY = floor(NOW, DAY_S)


@dataclass
class Line:
    """A way to a real server that does to commands what it is told to, in turns.

    Attributes:
        fates: of the next calls: `lost` (carried out, but the answer does not come), `away` (not carried
            out); beyond them all go well.
        late: commands that were lost on their way, and may yet arrive.
    """

    server: RedisServer
    fates: list[str] = field(default_factory=list)
    late: list[Sequence[Word]] = field(default_factory=list)

    async def run(self, commands: Sequence[Sequence[Word]]) -> list[Answer]:
        fate = self.fates.pop(0) if self.fates else ""
        if fate == "away":
            self.late += commands
            raise RedisAway("away")
        answers = [await self.server.command(*command) for command in commands]
        if fate == "lost":
            raise RedisAway("lost")
        for answer in answers:
            assert not isinstance(answer, Exception), answer
        return answers


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with redis_server(tmp_path) as server:
        yield Line(server)


def tallied(requests: Iterable[RequestRecord]) -> Tally:
    tally, names = Tally(1000), Names()
    for record in requests:
        tally.add(record, names)
    return tally


async def offered(keeper: RedisKeeper, tally: Tally) -> bool:
    """Offer a tally to a keeper, as the recorder's thread does; return whether all was kept."""
    try:
        await asyncio.to_thread(keeper.keep, tally)
    except KeepingTrouble:
        return False
    return True


async def kept(line: Line, requests: Iterable[RequestRecord], accounts: Accounts = ACCOUNTS) -> None:
    """Have requests kept, by a process of their own."""
    keeper = RedisKeeper(line, asyncio.get_running_loop(), accounts)
    assert await offered(keeper, tallied(requests))


def at(seconds: float, **changes: str) -> RequestRecord:
    report = replace(RECORD.report, **changes)  # type: ignore[arg-type]
    return replace(RECORD, at=seconds, report=report)


async def test_what_was_kept_is_told_with_every_measure(line: Line) -> None:
    """As it was added up, by two machines."""
    tally = tallied([at(NOW - 60), at(NOW - 60)])
    [expected] = [cell.sums() for cell in tally.cells.values()]
    await kept(line, [at(NOW - 60)])
    await kept(line, [at(NOW - 60)])
    [row] = await RedisArchive(line, ACCOUNTS).rows(Query(NOW - 120, NOW + 1, Step.ALL, LABELS))
    assert (row.labels, row.sums) == (labels_of(RECORD), expected)


async def test_rows_are_told_apart_by_what_is_asked_in_order(line: Line) -> None:
    """Of time, then labels; only what is asked for counts."""
    hour = floor(NOW, HOUR_S)
    await kept(line, [at(hour, team="b"), at(hour - 1, team="b"), at(hour, team="a", model="o3")])
    archive = RedisArchive(line, ACCOUNTS)
    query = Query(hour - HOUR_S, hour + HOUR_S, Step.HOUR, ("team",))
    found = await archive.rows(query)
    assert [(row.at, row.labels) for row in found] == [
        (hour - HOUR_S, ("b",)),
        (hour, ("a",)),
        (hour, ("b",)),
    ]
    [row] = await archive.rows(replace(query, by=(), only=(("team", "a"), ("model", "o3"))))
    assert row.sums.requests == 1
    assert await archive.rows(replace(query, only=(("team", "nobody"),))) == []


async def test_nothing_is_told_where_nothing_was_recorded(line: Line) -> None:
    """However long ago one asks from."""
    archive = RedisArchive(line, ACCOUNTS)
    for step in Step:
        assert await archive.rows(Query(0, NOW, step)) == []
    assert await archive.recent(Order.NEWEST, 5) == []
    assert await archive.values("team") == []


def test_sums_are_those_of_the_requests(tmp_path: Path) -> None:
    """Whatever was lost on its way, or on its way back, or came late."""
    around_midnight = st.lists(st.lists(records(TODAY - 1800, TODAY + 1799), max_size=8), max_size=3)
    fates = st.lists(st.sampled_from(("", "lost", "away")), max_size=12)

    @given(around_midnight, fates, st.sampled_from(tuple(Step)), st.sets(st.sampled_from(LABELS)))
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def check(batches: list[list[RequestRecord]], fates: list[str], step: Step, by: set[str]) -> None:
        line.fates[:], line.late[:] = fates, []
        runner.run(_conserved(line, batches, Query(TODAY - DAY_S, TODAY + DAY_S, step, tuple(sorted(by)))))

    with asyncio.Runner() as runner:
        running = redis_server(tmp_path)
        line = Line(runner.run(running.__aenter__()))
        try:
            check()
            assert line.fates == []
        finally:
            runner.run(running.__aexit__(None, None, None))


async def _conserved(line: Line, batches: list[list[RequestRecord]], query: Query) -> None:
    """Record batches over a line, and compare what is told."""
    await line.server.command("FLUSHALL")
    accounts = replace(ACCOUNTS, minutes_h=1 if query.step is Step.ALL else 60)
    keeper = RedisKeeper(line, asyncio.get_running_loop(), accounts)
    pending = Tally(1000)
    for requests in batches:
        pending.merge(tallied(requests))
        await offered(keeper, pending)
    while not await offered(keeper, pending):
        pass
    line.fates.clear()
    for command in line.late:
        await line.server.command(*command)
    archive = RedisArchive(line, accounts)
    query = replace(query, since=TODAY - HOUR_S) if query.step is Step.MINUTE else query
    found = await archive.rows(replace(query, until=TODAY + HOUR_S))
    recent = await archive.recent(Order.NEWEST, 1000)
    everything = [record for requests in batches for record in requests]
    expected = total(cell.sums() for cell in tallied(everything).cells.values())
    assert total(row.sums for row in found) == expected
    assert sorted(by_id(recent)) == sorted(record.request_id for record in everything)
    assert keeper.waiting == 0


async def test_a_part_that_waits_is_counted(line: Line) -> None:
    """It is neither in the tally nor kept."""
    keeper = RedisKeeper(line, asyncio.get_running_loop(), ACCOUNTS)
    line.fates = ["away"]
    tally = tallied([at(NOW), at(NOW), at(NOW - 600)])
    with pytest.raises(KeepingTrouble, match="Redis: away"):
        await asyncio.to_thread(keeper.keep, tally)
    assert keeper.waiting + tally.requests == 3
    await asyncio.to_thread(keeper.keep, tally)
    keeper.close()
    assert keeper.waiting + tally.requests == 0


async def test_recent_requests_are_told_in_the_order_asked_for(line: Line) -> None:
    """So many as are kept, of all machines."""
    accounts = Accounts(recent=4)
    made = [
        replace(at(NOW + number, team="ab"[number % 2]), request_id=str(number), overhead_ms=slow)
        for number, slow in enumerate((0.1, 3.5, 9.0, 1.0, 2.0))
    ]
    made[3] = replace(made[3], report=replace(made[3].report, tokens_before=5000))
    await kept(line, made[:2], accounts)
    await kept(line, made[2:], accounts)
    archive = RedisArchive(line, accounts)
    assert by_id(await archive.recent(Order.NEWEST, 9)) == ["4", "3", "2", "1"]
    assert by_id(await archive.recent(Order.SLOWEST, 2)) == ["2", "1"]
    assert by_id(await archive.recent(Order.LARGEST, 1)) == ["3"]
    assert by_id(await archive.recent(Order.NEWEST, 9, [("team", "a")])) == ["4", "2"]


async def test_values_of_a_label_are_told_sorted(line: Line) -> None:
    """What is no label is refused."""
    await kept(line, [at(NOW, team="b"), at(NOW, team="a"), at(NOW, team="a", model="o3")])
    archive = RedisArchive(line, ACCOUNTS)
    assert await archive.values("team") == ["a", "b"]
    assert await archive.values("model") == ["gpt-4o", "o3"]
    with pytest.raises(ValueError, match="no label is called"):
        await archive.values("teams")


async def test_every_key_ends_by_itself_on_one_slot(line: Line) -> None:
    """Minutes first; nothing is left of us for ever."""
    await kept(line, [at(NOW)])
    lives: dict[str, int] = {}
    for name in await line.server.command("KEYS", "*"):
        assert name.startswith(PREFIX.encode())
        lives[name.decode().removeprefix(PREFIX).partition(":")[0]] = await line.server.command("TTL", name)
    recent = lives.pop("recent")
    assert recent > 0
    assert 48 * HOUR_S < lives["minute"] < lives["hour"] < lives["day"]
    assert min(lives.values()) > 0


async def test_a_redis_that_is_away_is_told(line: Line) -> None:
    """The page says so; requests go on."""
    archive = RedisArchive(line, ACCOUNTS)
    for ask in (
        lambda: archive.rows(Query(0, NOW)),
        lambda: archive.recent(Order.NEWEST, 1),
        lambda: archive.values("team"),
    ):
        line.fates = ["away"]
        with pytest.raises(ArchiveTrouble, match="Redis: away"):
            await ask()
        assert line.fates == []


async def test_figures_are_exact_beyond_what_floats_hold(line: Line) -> None:
    """A thousand requests of a million dollars and a nano-dollar each."""
    assert RECORD.money is not None
    dear = replace(at(NOW), money=replace(RECORD.money, cost=10**15 + 1, saved=-(10**15) - 1))
    for _ in range(3):
        await kept(line, [dear] * 500)
    [row] = await RedisArchive(line, ACCOUNTS).rows(Query(NOW - 60, NOW + 1, Step.ALL))
    assert (row.sums.cost, row.sums.saved) == (1500 * 10**15 + 1500, -1500 * 10**15 - 1500)
