"""Work that is under way is joined, not begun again; nobody's leaving or hurry spoils it for others."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from elision.proxy.flights import Flights
from elision.proxy.patience import Patience

KEY = b"key"
T = TypeVar("T")


@dataclass
class Baking:
    """Makes `good` when told to go on, or `late` when its patience is over."""

    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    kept_on: asyncio.Event = field(default_factory=asyncio.Event)
    made: int = 0
    cancelled: int = 0
    kept: list[str | None] = field(default_factory=list)
    error: Exception | None = None

    async def make(self, patience: Patience) -> str:
        self.made += 1
        try:
            while not self.go_on.is_set():
                if patience.left_s <= 0:
                    return "late"
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return "good"

    async def keep(self, made: str | None) -> None:
        await self.kept_on.wait()
        self.kept.append(made)

    def lasts(self, made: str) -> bool:
        return made == "good"


@pytest.fixture
def baking() -> Baking:
    work = Baking()
    work.kept_on.set()
    return work


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def begun(work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
    return asyncio.get_running_loop().create_task(work)


async def until_made(work: Baking, count: int = 1) -> None:
    async with asyncio.timeout(10):
        while work.made < count:
            await asyncio.sleep(0)


async def test_all_who_ask_at_once_get_what_is_made_once(baking: Baking) -> None:
    """Under one key; another key is another work."""
    flights: Flights[str] = Flights()
    asking = [begun(flights.join(KEY, soon(), baking)) for _ in range(50)]
    other = begun(flights.join(b"other", soon(), baking))
    await until_made(baking, 2)
    baking.go_on.set()
    assert await asyncio.gather(*asking, other) == ["good"] * 51
    await flights.close()
    assert (baking.made, flights.shared, baking.kept) == (2, 49, ["good", "good"])


async def test_each_waits_until_his_own_time(baking: Baking) -> None:
    """The first one's does not end the work that another, who came later, still waits for."""
    flights: Flights[str] = Flights()
    first = begun(flights.join(KEY, soon(0.05), baking))
    second = begun(flights.join(KEY, soon(), baking))
    hasty = begun(flights.join(KEY, soon(0.01), baking))
    assert (await first, await hasty) == (None, None)
    baking.go_on.set()
    assert (await second, baking.made) == ("good", 1)
    await flights.close()


async def test_who_leaves_leaves_the_others_theirs(baking: Baking) -> None:
    """Even whoever began it."""
    flights: Flights[str] = Flights()
    first = begun(flights.join(KEY, soon(), baking))
    await until_made(baking)
    second = begun(flights.join(KEY, soon(), baking))
    await asyncio.sleep(0)
    first.cancel()
    baking.go_on.set()
    assert (await second, baking.made, baking.cancelled) == ("good", 1, 0)
    await flights.close()
    assert first.cancelled()


async def test_work_that_nobody_waits_for_is_cancelled(baking: Baking) -> None:
    """Given up, it is begun anew by the next who asks."""
    flights: Flights[str] = Flights()
    asking = [begun(flights.join(KEY, soon(), baking)) for _ in range(2)]
    await until_made(baking)
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await flights.close()
    assert (baking.cancelled, baking.kept) == (1, [None])
    baking.go_on.set()
    assert await flights.join(KEY, soon(), baking) == "good"
    await flights.close()


async def test_what_is_made_can_be_joined_until_it_is_kept(baking: Baking) -> None:
    """There is no moment between the work and the store at which it would be begun again."""
    flights: Flights[str] = Flights()
    baking.kept_on.clear()
    baking.go_on.set()
    assert await flights.join(KEY, soon(), baking) == "good"
    assert await flights.join(KEY, soon(), baking) == "good"
    assert baking.made == 1
    baking.kept_on.set()
    await flights.close()
    assert await flights.join(KEY, soon(), baking) == "good"
    assert baking.made == 2
    await flights.close()


async def test_what_anothers_lack_of_time_spoilt_is_begun_anew(baking: Baking) -> None:
    """By whoever has more; who has no more takes it as it is."""

    class Deaf(Baking):
        """Does not hear that somebody has more time."""

        async def make(self, patience: Patience) -> str:
            return await super().make(Patience(patience.ends) if self.made else first_patience)

    first_patience = Patience.of(0.05)
    deaf = Deaf(kept_on=baking.kept_on)
    flights: Flights[str] = Flights()
    ends = soon()
    first, equal = (begun(flights.join(KEY, ends, deaf)) for _ in range(2))
    patient = begun(flights.join(KEY, ends + 30, deaf))
    assert [await first, await equal] == ["late", "late"]
    await until_made(deaf, 2)
    deaf.go_on.set()
    assert (await patient, deaf.made) == ("good", 2)
    await flights.close()


async def test_a_fault_reaches_all_who_wait(baking: Baking) -> None:
    """Nothing is kept, and the next one begins anew."""
    flights: Flights[str] = Flights()
    baking.error = ValueError("a fault")
    baking.go_on.set()
    told = await asyncio.gather(
        *(flights.join(KEY, soon(), baking) for _ in range(3)), return_exceptions=True
    )
    assert [str(error) for error in told] == ["a fault"] * 3
    await flights.close()
    assert (baking.made, baking.kept) == (1, [None])


async def test_without_time_nothing_is_made(baking: Baking) -> None:
    """Whoever has none left gets none."""
    flights: Flights[str] = Flights()
    baking.go_on.set()
    assert await flights.join(KEY, time.monotonic() - 1, baking) is None
    await flights.close()
    assert baking.made == 0
