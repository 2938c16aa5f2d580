"""Who is told of finished requests, by the settings: log, metrics, what the dashboard reads; prices.

The only place that chooses them. Each takes a record in a few microseconds and does its own work
later, off the event loop.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from elision.accounts.archive import Archive
from elision.accounts.archive_sqlite import SqliteArchive, SqliteKeeper
from elision.accounts.log_line import LogSink
from elision.accounts.money import Pricing
from elision.accounts.prices import Prices
from elision.accounts.pricing import Priced
from elision.accounts.recorder import Keeper, Recorder
from elision.accounts.records import RecordSink, TextSink
from elision.accounts.request_log import RequestLogSink
from elision.accounts.retries import RetriesMarked
from elision.config.accounts import Accounts
from elision.config.redis import RedisEntry
from elision.config.settings import Settings
from elision.proxy.metrics import Metrics
from elision.proxy.service_counts import of_recorder, of_request_log, of_telemetry

FILE_NAME = "accounts.db"
"""Of the file that figures are kept in for as long as the proxy runs, where the settings name none."""


@dataclass(frozen=True, slots=True)
class Books:
    """Those who keep accounts of this process.

    Attributes:
        pricing: what tokens cost.
        sinks: who is told of each finished request.
        archive: answers the dashboard's questions; None where nothing is kept.
        texts: takes texts of teams whose policy says so; None where nothing is to be done with them.
        trouble: returns what keeps figures from being kept now, "" where nothing does.
    """

    pricing: Pricing
    sinks: tuple[RetriesMarked, ...]
    archive: Archive | None = None
    texts: TextSink | None = None
    trouble: Callable[[], str] = str


async def open_books(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Books:
    """Put together and start what keeps accounts.

    Args:
        settings: everything that is set.
        metrics: of this process.
        stack: ends what is started.
    """
    recorder, archive = _open_archive(settings, stack)
    metrics.follow(lambda: of_recorder(recorder.figures()))
    pricing = Priced(_open_prices(settings, stack))
    sinks: list[RecordSink] = [LogSink(), metrics, recorder]
    lines = _open_request_log(settings, metrics, stack)
    if lines is not None:
        sinks.append(lines)
    if settings.telemetry.endpoint:
        sinks.append(_open_telemetry(settings, metrics, stack))
    return Books(pricing, (RetriesMarked(sinks),), archive, lines, lambda: recorder.figures().trouble)


def _open_request_log(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> RequestLogSink | None:
    """Start the log of requests, if there is to be one."""
    if settings.request_log.path is None:
        return None
    lines = RequestLogSink(settings.request_log)
    stack.push_async_callback(lines.close)
    lines.start()
    metrics.follow(lambda: of_request_log(lines))
    return lines


def _open_telemetry(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> RecordSink:
    """Start what tells an OpenTelemetry collector."""
    from elision.accounts.telemetry import TelemetrySink

    urls = {name: entry.url for name, entry in settings.upstreams.items()}
    telemetry = TelemetrySink(settings.telemetry, urls)
    stack.push_async_callback(telemetry.close)
    telemetry.start()
    metrics.follow(lambda: of_telemetry(telemetry.exported, telemetry.lost))
    return telemetry


def with_shared_figures(settings: Settings, folder: Path) -> Settings:
    """Return settings by which several workers keep figures in one file in a folder, if they name none."""
    if settings.redis is not None or settings.accounts.path is not None:
        return settings
    return replace(settings, accounts=replace(settings.accounts, path=folder / FILE_NAME))


def _open_prices(settings: Settings, stack: AsyncExitStack) -> Prices:
    """Return what knows prices; its table is loaded beside the start, which does not wait for it."""
    urls = {name: entry.url for name, entry in settings.upstreams.items()}
    prices = Prices(settings.prices, settings.price_table, urls, settings.prefix_terms)
    loading = asyncio.get_running_loop().run_in_executor(None, prices.load)

    async def loaded() -> None:
        await loading

    stack.push_async_callback(loaded)
    return prices


def _open_archive(settings: Settings, stack: AsyncExitStack) -> tuple[Recorder, Archive]:
    """Start what has figures kept, and what answers questions about them."""
    accounts = settings.accounts
    if accounts.path is None and settings.redis is not None:
        keeper, archive = _in_redis(settings.redis, accounts, stack)
    else:
        keeper, archive = _in_file(accounts, stack)
    recorder = Recorder(keeper, accounts.flush_s, accounts.recent)
    stack.push_async_callback(recorder.close)
    recorder.start()
    return recorder, archive


def _in_file(accounts: Accounts, stack: AsyncExitStack) -> tuple[Keeper, Archive]:
    path = accounts.path
    if path is None:
        path = Path(stack.enter_context(TemporaryDirectory(prefix="elision-"))) / FILE_NAME
    archive = SqliteArchive(path, accounts)
    stack.callback(archive.close)
    return SqliteKeeper(path, accounts), archive


def _in_redis(entry: RedisEntry, accounts: Accounts, stack: AsyncExitStack) -> tuple[Keeper, Archive]:
    from elision.accounts.archive_redis import RedisArchive, RedisKeeper
    from elision.proxy.redis_commands import RedisCommands

    commands = RedisCommands(entry)
    stack.push_async_callback(commands.aclose)
    commands.start()
    return RedisKeeper(commands, asyncio.get_running_loop(), accounts), RedisArchive(commands, accounts)
