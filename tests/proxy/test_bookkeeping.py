"""Who is told of finished requests."""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from elision.accounts.archive import Archive, Order, Query, Step
from elision.accounts.log_line import LogSink
from elision.accounts.records import Report
from elision.config.accounts import Accounts, PriceEntry
from elision.config.redis import RedisEntry
from elision.config.settings import Settings
from elision.proxy.bookkeeping import Books, open_books, with_shared_figures
from elision.proxy.metrics import Metrics
from fakes.recorded import RECORD, by_id
from fakes.redis_server import WAIT_S, needs_redis, redis_server

SOON = Accounts(flush_s=0.01)


async def opened(settings: Settings, stack: AsyncExitStack) -> Books:
    return await open_books(settings, Metrics(), stack)


def archive_of(books: Books) -> Archive:
    assert books.archive is not None
    return books.archive


def record(books: Books, request_id: str) -> None:
    for sink in books.sinks:
        sink.add(replace(RECORD, request_id=request_id, at=time.time(), body_hash=0))


async def requests_in(archive: Archive) -> int:
    now = int(time.time())
    return sum(row.sums.requests for row in await archive.rows(Query(now - 3600, now + 60, Step.ALL)))


async def until_told(archive: Archive, count: int) -> None:
    """Wait until the archive tells of so many requests."""
    async with asyncio.timeout(WAIT_S):
        while await requests_in(archive) != count:
            await asyncio.sleep(0.01)


async def test_log_and_metrics_are_always_told() -> None:
    """Whatever is set."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        books = await open_books(Settings(), metrics, stack)
        [marked] = books.sinks
        assert metrics in marked.sinks
        assert any(isinstance(sink, LogSink) for sink in marked.sinks)


async def test_what_is_recorded_is_soon_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file of its own where the settings name none, which goes with the proxy."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with AsyncExitStack() as stack:
        books = await opened(Settings(accounts=SOON), stack)
        record(books, "a")
        await until_told(archive_of(books), 1)
        assert by_id(await archive_of(books).recent(Order.NEWEST, 5)) == ["a"]
        assert list(tmp_path.rglob("accounts.db"))
    assert list(tmp_path.iterdir()) == []


async def test_everything_is_kept_at_the_end_and_told_after_a_restart(tmp_path: Path) -> None:
    """However seldom it is written."""
    settings = Settings(accounts=Accounts(path=tmp_path / "kept" / "accounts.db", flush_s=3600))
    for start in (0, 50):
        async with AsyncExitStack() as stack:
            books = await opened(settings, stack)
            for number in range(50):
                record(books, str(start + number))
    async with AsyncExitStack() as stack:
        archive = archive_of(await opened(settings, stack))
        assert await requests_in(archive) == 100
        assert len(await archive.recent(Order.NEWEST, 1000)) == 100


def test_workers_share_a_file_where_they_share_nothing_else(tmp_path: Path) -> None:
    """What the settings name stays."""
    shared = with_shared_figures(Settings(), tmp_path)
    assert shared.accounts == Accounts(path=tmp_path / "accounts.db")
    named = Settings(accounts=Accounts(path=Path("/var/lib/elision/accounts.db")))
    redis = Settings(redis=RedisEntry("redis://127.0.0.1"))
    assert [with_shared_figures(settings, tmp_path) for settings in (named, redis)] == [named, redis]


async def test_workers_that_share_a_file_tell_of_one_another(tmp_path: Path) -> None:
    """Whichever of them is asked."""
    settings = with_shared_figures(Settings(accounts=SOON), tmp_path)
    async with AsyncExitStack() as stack:
        one, other = await opened(settings, stack), await opened(settings, stack)
        for number in range(20):
            record(one if number % 2 else other, str(number))
        await until_told(archive_of(one), 20)
        assert await requests_in(archive_of(other)) == 20


@needs_redis
async def test_machines_that_share_redis_tell_of_one_another(tmp_path: Path) -> None:
    """Unless a file is named; what came while Redis was away is told too."""
    async with redis_server(tmp_path) as server, AsyncExitStack() as stack:
        settings = Settings(accounts=SOON, redis=RedisEntry(server.url))
        one, other = await opened(settings, stack), await opened(settings, stack)
        record(one, "a")
        await until_told(archive_of(other), 1)
        server.pause()
        record(other, "b")
        record(one, "c")
        server.resume()
        await until_told(archive_of(one), 3)
        named = replace(SOON, path=tmp_path / "accounts.db")
        alone = await opened(replace(settings, accounts=named), stack)
        assert await requests_in(archive_of(alone)) == 0


async def test_prices_are_the_settings() -> None:
    """The operator's, and the table's where it is wanted."""
    report = Report(model="mine", tokens_before=1000, tokens_after=1000)
    async with AsyncExitStack() as stack:
        own = Settings(prices=(PriceEntry(input=2, models=("mine",)),), price_table="none")
        books = await opened(own, stack)
        money = books.pricing.estimate(report, "")
        assert money is not None
        assert money.cost == 2_000_000
        assert books.pricing.estimate(replace(report, model="gpt-4o"), "") is None
        other = await opened(Settings(), stack)
        assert other.pricing.estimate(replace(report, model="gpt-4o"), "") is not None
