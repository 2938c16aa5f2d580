"""What several workers have counted, in files."""

import asyncio
import logging
from pathlib import Path

import pytest

from elision.accounts.counts import Counts
from elision.accounts.shared_counts import SharedCounts


class Counting:
    """A worker's own counts."""

    def __init__(self, loads: int = 0, in_flight: int = 0) -> None:
        self.loads = loads
        self.in_flight = in_flight

    def __call__(self) -> Counts:
        return {"elision_policy_loads": {(): (self.loads,)}, "elision_in_flight": {(): (self.in_flight,)}}


def told(counts: Counts) -> tuple[int, int]:
    return counts["elision_policy_loads"][()][0], counts["elision_in_flight"][()][0]


async def test_everyone_knows_what_all_have_counted(tmp_path: Path) -> None:
    """What was told is in the file before it is told."""
    one, two = Counting(3, 1), Counting(4, 1)
    async with SharedCounts(tmp_path, 0, one) as first, SharedCounts(tmp_path, 1, two) as second:
        assert told(await first.all()) == (7, 2)
        two.loads = 10
        assert told(await second.all()) == (13, 2)
        assert told(await first.all()) == (13, 2)


async def test_who_takes_a_dead_workers_place_goes_on_from_its_counts(tmp_path: Path) -> None:
    """Its gauges are gone with it; of its counters nothing is."""
    dead = SharedCounts(tmp_path, 0, Counting(5, 9))
    assert told(await dead.all()) == (5, 9)
    async with (
        SharedCounts(tmp_path, 0, Counting(2, 1)) as successor,
        SharedCounts(tmp_path, 1, Counting()) as other,
    ):
        assert told(await other.all()) == (7, 1)
        assert told(await successor.all()) == (7, 1)


async def test_others_learn_by_themselves_what_changed(tmp_path: Path) -> None:
    """Without anybody asking the one who counts, and at the end at once."""
    one = Counting(1)
    async with SharedCounts(tmp_path, 1, Counting()) as other:
        async with SharedCounts(tmp_path, 0, one):
            one.loads = 2
            async with asyncio.timeout(30):
                while told(await other.all())[0] != 2:
                    await asyncio.sleep(0.05)
            one.loads = 3
        assert told(await other.all())[0] == 3


async def test_trouble_with_files_is_counted_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One's own counts are known all the same."""
    folder = tmp_path / "gone"
    with caplog.at_level(logging.WARNING):
        async with SharedCounts(folder, 0, Counting(5)) as shared:
            assert told(await shared.all())[0] == 5
            folder.mkdir()
            (folder / "1.counts").write_bytes(b"{")
            assert told(await shared.all())[0] == 5
            assert shared.failures >= 3
    assert len(caplog.records) == 1
    assert "gone" in caplog.text


async def test_what_did_not_change_is_not_written(tmp_path: Path) -> None:
    """An idle proxy leaves the disk alone."""
    async with SharedCounts(tmp_path, 0, Counting(1)) as shared:
        before = (tmp_path / "0.counts").stat().st_ino
        await shared.all()
        assert (tmp_path / "0.counts").stat().st_ino == before
