"""Among machines that share a store one makes what all wait for, and none waits in vain."""

import asyncio
from collections.abc import Coroutine

from elision.proxy.leases import Lease
from elision.proxy.patience import Patience
from elision.proxy.store import MemoryStore

LEASE, WATCHED = b"lease", b"watched"


class Machines:
    """Leases on one thing, of as many machines as are asked for, and how often they waited."""

    def __init__(self) -> None:
        self.store = MemoryStore(1 << 20)
        self.waited = 0

    def lease(self, expected_s: float = 0.01) -> Lease:
        return Lease(self.store, LEASE, WATCHED, expected_s)

    async def settle(self, lease: Lease, seconds: float = 20.0) -> bytes | None:
        return await lease.settle(Patience.of(seconds), self._wait)

    def _wait(self) -> None:
        self.waited += 1


def begun(work: Coroutine[object, object, bytes | None]) -> "asyncio.Task[bytes | None]":
    return asyncio.get_running_loop().create_task(work)


async def waiting(machines: Machines, count: int) -> None:
    async with asyncio.timeout(10):
        while machines.waited < count:
            await asyncio.sleep(0.001)


async def test_the_first_one_makes_it_and_the_others_get_it() -> None:
    """As soon as it is in the store."""
    machines = Machines()
    first = machines.lease()
    assert await machines.settle(first) is None
    others = [begun(machines.settle(machines.lease())) for _ in range(3)]
    await waiting(machines, 3)
    await machines.store.put_many({WATCHED: b"made"}, 60)
    await first.release()
    assert await asyncio.gather(*others) == [b"made"] * 3
    assert machines.waited == 3


async def test_when_the_lease_is_given_back_another_makes_it() -> None:
    """One of those who waited; the holder failed."""
    machines = Machines()
    first = machines.lease()
    await machines.settle(first)
    second, third = machines.lease(), machines.lease()
    both = [begun(machines.settle(lease)) for lease in (second, third)]
    await waiting(machines, 2)
    await first.release()
    done, left = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == [None]
    await machines.store.put_many({WATCHED: b"made"}, 60)
    assert [await task for task in left] == [b"made"]


async def test_a_holder_that_is_gone_holds_nothing_up() -> None:
    """Its lease ends by itself; if it comes back, it does not give back the new holder's."""
    machines = Machines()
    gone = machines.lease()
    await machines.settle(gone)
    assert await machines.settle(machines.lease()) is None
    await gone.release()
    assert machines.store.get(LEASE) is not None


async def test_who_has_just_enough_time_makes_it_himself() -> None:
    """Rather than wait for another and have nothing."""
    machines = Machines()
    await machines.settle(machines.lease())
    assert await machines.settle(machines.lease(expected_s=5.0), seconds=4.9) is None
    assert await machines.settle(machines.lease(expected_s=5.0), seconds=5.05) is None
    assert machines.waited == 2


async def test_who_does_not_hold_it_gives_nothing_back() -> None:
    """The holder's lease stays."""
    machines = Machines()
    await machines.settle(machines.lease())
    other = machines.lease(expected_s=5.0)
    await machines.settle(other, seconds=1.0)
    await other.release()
    assert machines.store.get(LEASE) is not None


async def test_what_was_finished_between_two_questions_is_found() -> None:
    """The holder put it and gave the lease back after it was looked for, before the lease was asked for."""

    class Sly(MemoryStore):
        async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
            taken = await super().add(key, value, ttl_s)
            if not taken:
                await self.put_many({}, 1)
                self.refusals = getattr(self, "refusals", 0) + 1
                if self.refusals == 2:
                    await self.drop([key])
                    await self.put_many({WATCHED: b"made"}, 60)
                    return await super().add(key, value, ttl_s)
            return taken

    machines = Machines()
    machines.store = Sly(1 << 20)
    await machines.settle(machines.lease())
    assert await machines.settle(machines.lease()) == b"made"
