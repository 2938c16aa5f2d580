"""What recording a request costs, and how fast the archive answers the dashboard.

`python -m benchmarks.recording` measures, on the thread that serves requests, the CPU time that pricing
and each of those who keep accounts take for one finished request; then it fills a file with the
figures of a million requests and asks what the dashboard asks. The requests are made up: twenty
teams, each with three of five models, whose policy changes every ten days; four combinations of methods.
"""

import argparse
import asyncio
import gc
import logging
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import description
from elision.accounts.archive import Archive, Order, Query, Step
from elision.accounts.archive_sqlite import SqliteArchive, SqliteKeeper
from elision.accounts.money import Basis
from elision.accounts.records import Report, RequestRecord
from elision.accounts.retries import Retries, RetriesMarked
from elision.accounts.spans import DAY_S, HOUR_S, floor
from elision.accounts.spending import month_query
from elision.accounts.tally import Names, Tally
from elision.accounts.usage import Answered, Usage
from elision.config.accounts import Accounts, RequestLog
from elision.config.settings import Settings
from elision.proxy import logs
from elision.proxy.app import settle_garbage
from elision.proxy.bookkeeping import open_books
from elision.proxy.metrics import Metrics

LIMIT_US = 50.0
LIMIT_MS = 100.0
TEAMS, MODELS = 20, ("gpt-4o", "gpt-4o-mini", "o3", "claude-sonnet-4-5", "llama-3.3-70b")
METHODS = ((), ("lossless",), ("lossless", "llmlingua2"), ("llmlingua2",))
BATCH = 1000
CELLS = 20_000


def requests(count: int, chance: random.Random, since: float, until: float) -> Iterator[RequestRecord]:
    """Yield requests of all kinds that came between two times, in the order in which they came."""
    for number in range(count):
        at, place = since + (until - since) * number / count, chance.randrange(TEAMS)
        team = f"team-{place:02d}"
        methods, before = chance.choice(METHODS), chance.randrange(200, 8000)
        after = before // 2 if methods else before
        failed = chance.random() < 0.02
        yield RequestRecord(
            request_id=f"{number:032x}",
            method="POST",
            path="/v1/chat/completions",
            status=502 if failed else 200,
            report=Report(
                team=team,
                policy=f"{team}@{int(at) // (10 * DAY_S):08x}",
                mode="enforce",
                methods=methods,
                tokens_before=before,
                tokens_after=after,
                encoding="o200k_base",
                segments=(f"context:{before - 100}>{after - 100}", "instruction:60>60", "question:40>40"),
                cache=chance.choice(("hit", "miss", "partial")) if methods else "",
                bypass=() if methods else (chance.choice(("deadline", "short", "language")),),
                prefix=("replayed=4", "new=2"),
                model=MODELS[(place + chance.randrange(3)) % len(MODELS)],
            ),
            answered=Answered()
            if failed
            else Answered(Usage(after + 12, 80, after // 3), "", ("stop",), chance.random() < 0.5),
            overhead_ms=chance.lognormvariate(1, 1),
            total_ms=chance.lognormvariate(7, 1),
            at=at,
            tokens_saved=before - after,
            basis=Basis.ESTIMATE,
            body_hash=chance.getrandbits(60),
        )


async def recording(rounds: int, folder: Path) -> tuple[list[str], bool]:
    """Return a table of what one request costs, and whether that is within the limit."""
    settings = Settings(
        accounts=Accounts(path=folder / "recorded.db"), request_log=RequestLog(path=folder / "requests.jsonl")
    )
    now = time.time()
    made = list(requests(BATCH, random.Random(1), now, now))
    async with AsyncExitStack() as stack:
        books = await open_books(settings, Metrics(), stack)
        await asyncio.sleep(3)  # prices are loaded in the background
        settle_garbage()  # as the proxy does
        sinks: dict[str, Callable[[RequestRecord], object]] = {"pricing": books.pricing.settle}
        [marked] = books.sinks
        sinks |= {"retries": RetriesMarked((), Retries()).add}
        sinks |= {type(sink).__name__: sink.add for sink in marked.sinks}
        costs: dict[str, list[float]] = {name: [] for name in sinks}
        for _ in range(rounds):
            settled = [books.pricing.settle(record) for record in made]
            for name, add in sinks.items():
                costs[name].append(_each_us(add, made if name == "pricing" else settled))
            await asyncio.sleep(0.2)  # writers have their turn, as between requests
    whole = [sum(each) for each in zip(*costs.values(), strict=True)]
    rows = ["| us of CPU for one request | median | p95 |", "|---|---|---|"]
    rows += [_row(name, taken) for name, taken in {**costs, "**all**": whole}.items()]
    return rows, statistics.median(whole) <= LIMIT_US


def _each_us(add: Callable[[RequestRecord], object], records: Sequence[RequestRecord]) -> float:
    started = time.thread_time_ns()
    for record in records:
        add(record)
    return (time.thread_time_ns() - started) / 1e3 / len(records)


def _row(name: str, taken: Sequence[float]) -> str:
    return f"| {name} | {statistics.median(taken):.1f} | {_p95(taken):.1f} |"


def fill(path: Path, accounts: Accounts, count: int, days: int) -> str:
    """Keep the figures of so many requests of so many days, each like the first; return what that is."""
    first = floor(int(time.time()), DAY_S) - (days - 1) * DAY_S
    keeper, names = SqliteKeeper(path, replace(accounts, minutes_h=24 * (days + 2))), Names()
    tally = Tally(accounts.recent, 10 * count)
    for record in requests(count // days, random.Random(2), first, first + DAY_S):
        tally.add(record, names)
    keeper.keep(tally)
    keeper.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        names_of = [row[1] for row in connection.execute("PRAGMA table_info(days)") if row[1] != "at"]
        columns = ", ".join(names_of)
        for table, since in (("minutes", days - accounts.minutes_h // 24), ("hours", 1), ("days", 1)):
            for day in range(since, days):
                connection.execute(
                    f"INSERT INTO {table} (at, {columns}) SELECT at + ?, {columns} FROM {table} "  # noqa: S608
                    "WHERE at >= ? AND at < ?",
                    (day * DAY_S, first, first + DAY_S),
                )
        connection.execute("DELETE FROM minutes WHERE at < ?", (first + DAY_S,))
        rows = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("minutes", "hours", "days", "recent")
        ]
    told = "{:,} rows by the minute, {:,} by the hour, {:,} by the day; {:,} recent requests".format(*rows)
    return f"- {count:,} requests of {days} days: {told}; {path.stat().st_size / 2**20:.0f} MiB"


def questions(archive: Archive, now: int) -> dict[str, Callable[[], Awaitable[Sequence[object]]]]:
    """Return what the dashboard asks, by what is said of it."""
    month, day = now - 30 * DAY_S, now - DAY_S
    return {
        "30 days, by the day and team": lambda: archive.rows(Query(month, now, Step.DAY, ("team",))),
        "24 hours, by the hour, team and method": lambda: archive.rows(
            Query(day, now, Step.HOUR, ("team", "method"))
        ),
        "1 hour, by the minute and team": lambda: archive.rows(
            Query(now - HOUR_S, now, Step.MINUTE, ("team",))
        ),
        "6 hours, by the minute": lambda: archive.rows(Query(now - 6 * HOUR_S, now, Step.MINUTE)),
        "14 days, by the hour": lambda: archive.rows(Query(now - 14 * DAY_S, now, Step.HOUR)),
        "30 days, by the day, of one team": lambda: archive.rows(
            Query(month, now, Step.DAY, ("method",), (("team", "team-07"),))
        ),
        "24 hours as a whole, with its words": lambda: archive.rows(Query(day, now, Step.ALL)),
        "30 days as a whole, by policy": lambda: archive.rows(Query(month, now, Step.ALL, ("policy",))),
        "what teams spent this month": lambda: archive.rows(month_query(now)),
        "values of a label": lambda: archive.values("model"),
        "newest 50 requests": lambda: archive.recent(Order.NEWEST, 50),
        "slowest 50 requests": lambda: archive.recent(Order.SLOWEST, 50),
        "largest 50 requests of a team": lambda: archive.recent(Order.LARGEST, 50, [("team", "team-07")]),
    }


async def answering(archive: Archive, rounds: int) -> tuple[list[str], bool]:
    """Return a table of how long each question takes, and whether all are within the limit."""
    rows = [
        "| ms until the answer | CPU, median | CPU, p95 | on the clock, median | rows |",
        "|---" * 5 + "|",
    ]
    is_met = True
    for name, ask in questions(archive, int(time.time())).items():
        worked, waited, answer = [], [], await ask()
        for _ in range(rounds):
            started, used = time.perf_counter(), time.process_time()
            answer = await ask()
            worked.append((time.process_time() - used) * 1000)
            waited.append((time.perf_counter() - started) * 1000)
        is_met = is_met and statistics.median(worked) <= LIMIT_MS
        told = (statistics.median(worked), _p95(worked), statistics.median(waited))
        rows.append(f"| {name} | {' | '.join(f'{each:.1f}' for each in told)} | {len(answer)} |")
    return rows, is_met


def _p95(taken: Sequence[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.95)]


async def measured(rounds: int, count: int, days: int) -> tuple[str, bool]:
    """Return the report, and whether both limits are met."""
    with tempfile.TemporaryDirectory(prefix="elision-bench-") as name:
        folder, accounts = Path(name), Accounts()
        costs, is_cheap = await recording(rounds, folder)
        gc.unfreeze()
        filled = [fill(folder / "filled.db", accounts, count, days)]
        archive = SqliteArchive(folder / "filled.db", accounts)
        answers, is_fast = await answering(archive, rounds)
        archive.close()
    told = [f"- {name}: {value}" for name, value in description().items()]
    told.append(f"- load average at the end: {os.getloadavg()[0]:.1f} (1.0 is this run alone)")
    told += [f"- N = {rounds} rounds of {BATCH} requests; of each question {rounds} times", *filled, ""]
    told += [*costs, "", f"Expected: at most {LIMIT_US:g} us: {_verdict(is_cheap)}.", ""]
    told += [*answers, "", f"Expected: each within {LIMIT_MS:g} ms of CPU: {_verdict(is_fast)}."]
    return "\n".join(told), is_cheap and is_fast


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "not met"


def main() -> int:
    """Run the benchmark; 1 where a limit was not met."""
    parser = argparse.ArgumentParser(description="What recording costs, and how fast the archive answers.")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--requests", type=int, default=1_000_000, help="that the file tells of")
    parser.add_argument("--days", type=int, default=30, help="that they came in")
    parser.add_argument("--markdown", type=Path, help="write the report to this file too")
    options = parser.parse_args()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        shown, sys.stderr = sys.stderr, nowhere  # the log is written as in production, and read by nobody
        logs.configure("json", "info")
        sys.stderr = shown
        told, is_met = asyncio.run(measured(options.rounds, options.requests, options.days))
        logging.getLogger().handlers.clear()
    sys.stdout.write(told + "\n")
    if options.markdown:
        options.markdown.write_text(f"# Recording (`python -m benchmarks.recording`)\n\n{told}\n")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
