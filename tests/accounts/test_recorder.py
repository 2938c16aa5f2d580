"""Finished requests are taken at once and kept by somebody else."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from elision.accounts.recorder import KeepingTrouble, Recorder
from elision.accounts.records import RequestRecord
from elision.accounts.tally import Tally
from fakes.recorded import RECORD

WAIT_S = 20.0
"""For a thread; it is only ever this long where something is wrong."""


@dataclass
class Remembering:
    """A keeper that remembers what it was given, and may be in trouble."""

    trouble: str = ""
    kept: list[str] = field(default_factory=list)
    waiting: int = 0
    asked: int = 0
    closed: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)
    thread: str = ""

    def keep(self, tally: Tally) -> None:
        with self.changed:
            self.asked += 1
            self.thread = threading.current_thread().name
            self.changed.notify_all()
            if self.trouble:
                raise KeepingTrouble(self.trouble)
            self.kept += [one.request_id for one in tally.told()]
            tally.clear()

    def close(self) -> None:
        self.closed = True

    def until(self, is_so: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(is_so, WAIT_S)

    def until_asked_again(self) -> None:
        """Wait for a whole call that began after this one."""
        asked = self.asked
        self.until(lambda: self.asked >= asked + 2)


def numbered(number: int) -> RequestRecord:
    return replace(RECORD, request_id=str(number), body_hash=0)


async def test_what_is_added_is_kept_soon_by_another_thread() -> None:
    """Every `flush_s`."""
    keeper = Remembering()
    recorder = Recorder(keeper, 0.01, 100)
    recorder.start()
    try:
        recorder.add(numbered(1))
        keeper.until(lambda: keeper.kept == ["1"])
        recorder.add(numbered(2))
        keeper.until(lambda: keeper.kept == ["1", "2"])
        assert keeper.thread == "elision-recorder"
    finally:
        await recorder.close()


async def test_at_the_end_everything_is_kept() -> None:
    """However far the next time is."""
    keeper = Remembering()
    recorder = Recorder(keeper, 3600.0, 100)
    recorder.start()
    for number in range(50):
        recorder.add(numbered(number))
    assert recorder.figures().waiting == 50
    await recorder.close()
    assert keeper.kept == [str(number) for number in range(50)]
    assert keeper.closed
    assert recorder.figures().waiting == 0


async def test_what_could_not_be_kept_waits(caplog: pytest.LogCaptureFixture) -> None:
    """It is offered again; trouble is told once, and its end."""
    caplog.set_level(logging.INFO, "elision.accounts")
    keeper = Remembering(trouble="the disk is full")
    recorder = Recorder(keeper, 0.01, 100)
    recorder.start()
    try:
        recorder.add(numbered(1))
        keeper.until_asked_again()
        recorder.add(numbered(2))
        keeper.until_asked_again()
        figures = recorder.figures()
        assert (figures.waiting, figures.trouble) == (2, "the disk is full")
        assert figures.failures >= 2
        keeper.trouble = ""
        keeper.until(lambda: keeper.kept == ["1", "2"])
    finally:
        await recorder.close()
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "Figures of requests wait in memory: the disk is full",
        "Figures of requests are kept again.",
    ]


async def test_figures_that_nobody_took_at_the_end_are_told_to_be_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With their number and the reason."""
    recorder = Recorder(Remembering(trouble="the disk is full"), 3600.0, 100)
    recorder.start()
    for number in range(3):
        recorder.add(numbered(number))
    await recorder.close()
    assert "The figures of 3 requests are lost: the disk is full" in caplog.text
