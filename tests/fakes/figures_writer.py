"""A process that has requests kept in a file, as one of several workers does.

`python -m fakes.figures_writer FILE WORKER COUNT`: records COUNT requests of the team `team-WORKER`,
one token each more than the last, writing every few milliseconds, and ends when all are kept.
"""

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

from elision.accounts.archive_sqlite import SqliteKeeper
from elision.accounts.recorder import Recorder
from elision.accounts.records import Report
from elision.config.accounts import Accounts
from fakes.recorded import RECORD


async def write(path: Path, worker: int, count: int) -> None:
    """Record requests, of whatever team and the shared one in turns."""
    accounts = Accounts(recent=100)
    recorder = Recorder(SqliteKeeper(path, accounts, wait_s=60.0), 0.005, accounts.recent)
    recorder.start()
    for number in range(count):
        team = f"team-{worker}" if number % 2 else "shared"
        report = Report(team=team, mode="enforce", tokens_before=number, tokens_after=0)
        recorder.add(replace(RECORD, report=report, at=time.time(), request_id=f"{worker}-{number}"))
        if number % 20 == 0:
            await asyncio.sleep(0.001)
    await recorder.close()


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
