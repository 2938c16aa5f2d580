"""Memory over a shared level: one trip, right after trouble, right after others' writes."""

import asyncio

import pytest

from elision.proxy.store import Kind, MemoryStore, make_key, scope_of
from elision.proxy.store_tiers import Tiers, cleared_key
from elision.proxy.values import pack
from fakes.shared_level import SharedLevel

SCOPE = scope_of("a")
KEYS = [make_key(SCOPE, Kind.MESSAGE, bytes([number]) * 16) for number in range(4)]
LEASE = make_key(SCOPE, Kind.LEASE, bytes(16))
VALUES = [pack(f"value {number}".encode()) for number in range(4)]


def worker(
    shared: SharedLevel | None, *, current_s: float = 60.0, memory: MemoryStore | None = None
) -> Tiers:
    """Return a worker's store; `current_s=-1` asks the shared level on every look."""
    return Tiers(memory or MemoryStore(1 << 20), shared, ttl_s=100, current_s=current_s)


async def settled() -> None:
    """Let what is done in the background be done."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_memory_lacks_comes_in_one_trip_and_stays() -> None:
    """The second time nobody is asked."""
    shared = SharedLevel()
    await worker(shared).put_many(dict(zip(KEYS[:3], VALUES[:3], strict=True)), 50)
    other = worker(shared)
    await other.put_many({KEYS[3]: VALUES[3]}, 50)
    assert await other.get_many(KEYS) == VALUES
    assert await other.get_many(KEYS) == VALUES
    assert shared.trips == [[*KEYS[:3], cleared_key(SCOPE)]]
    figures = other.figures()
    assert figures.hits == {("memory", "message"): 5, ("redis", "message"): 3}
    assert (figures.misses, figures.failures) == ({}, {})


async def test_without_a_shared_level_memory_is_all() -> None:
    """Leases too; figures say so."""
    alone = worker(None)
    await alone.put_many({KEYS[0]: VALUES[0]}, 50)
    assert await alone.get_many(KEYS[:2]) == [VALUES[0], None]
    assert [await alone.add(LEASE, b"", 5), await alone.add(LEASE, b"", 5)] == [True, False]
    assert await alone.get_many([LEASE]) == [b""]
    figures = alone.figures()
    assert (figures.misses, figures.trouble) == ({"message": 1}, {})
    assert figures.held_bytes["memory"] > 0
    await alone.drop([LEASE])
    assert await alone.get_many([LEASE]) == [None]


async def test_an_overwritten_value_is_seen_once_the_copy_is_no_longer_current() -> None:
    """Another worker sent the original after a rejection."""
    shared = SharedLevel()
    mine, other, late = worker(shared), worker(shared), worker(shared, current_s=-1)
    await mine.put_many({KEYS[0]: VALUES[0]}, 50)
    assert await other.get_many(KEYS[:1]) == await late.get_many(KEYS[:1]) == VALUES[:1]
    await mine.put_many({KEYS[0]: VALUES[1]}, 50)
    assert await other.get_many(KEYS[:1]) == VALUES[:1]
    assert await late.get_many(KEYS[:1]) == VALUES[1:2]


async def test_of_two_workers_that_decide_at_once_both_come_to_the_first_ones_word() -> None:
    """At the next look: what was decided here is not current until it was asked for."""
    shared = SharedLevel()
    memory = MemoryStore(1 << 20)
    first, second = worker(shared), worker(shared, memory=memory)
    memory.put(KEYS[0], VALUES[1], 50)
    await first.put_many({KEYS[0]: VALUES[0]}, 50, only_new=True)
    await second.put_many({KEYS[0]: VALUES[1]}, 50, only_new=True)
    shared.trips.clear()
    for _ in range(2):
        assert await second.get_many(KEYS[:1]) == await first.get_many(KEYS[:1]) == VALUES[:1]
    assert len(shared.trips) == 2


async def test_what_memory_holds_is_what_is_offered_to_others() -> None:
    """A later decision of the same worker does not get past its first one."""
    shared = SharedLevel()
    memory = MemoryStore(1 << 20)
    mine = worker(shared, memory=memory)
    memory.put(KEYS[0], VALUES[0], 50)
    await mine.put_many({KEYS[0]: VALUES[1]}, 50, only_new=True)
    assert shared.values[KEYS[0]] == VALUES[0]


async def test_in_trouble_memory_stands() -> None:
    """And nothing that others may have is taken for lost."""
    shared = SharedLevel()
    mine = worker(shared, current_s=-1)
    shared.trouble = "connection"
    await mine.put_many({KEYS[0]: VALUES[0]}, 50)
    assert await mine.get_many(KEYS[:2]) == [VALUES[0], None]
    assert await mine.add(LEASE, b"", 5)
    await settled()
    assert shared.values == {}
    figures = mine.figures()
    assert figures.trouble == {"redis": "connection"}
    assert figures.failures["redis", "connection"] > 0


async def test_what_the_shared_level_lost_is_given_back() -> None:
    """Redis was restarted, or a write was lost: the other worker finds what this one remembers."""
    shared = SharedLevel()
    mine, other = worker(shared, current_s=-1), worker(shared)
    await mine.put_many({KEYS[0]: VALUES[0]}, 50)
    shared.values.clear()
    assert await mine.get_many(KEYS[:1]) == VALUES[:1]
    await settled()
    assert await other.get_many(KEYS[:1]) == VALUES[:1]
    assert 0 < shared.lives_s[KEYS[0]] <= 100


async def test_what_is_cleared_is_forgotten_by_memory_and_not_given_back() -> None:
    """One team's; another's copies stay."""
    shared = SharedLevel()
    mine = worker(shared, current_s=-1)
    other = make_key(scope_of("b"), Kind.MESSAGE, bytes(16))
    await mine.put_many({KEYS[0]: VALUES[0], KEYS[1]: VALUES[1], other: VALUES[2]}, 50)
    await shared.clear(SCOPE, lambda _: None)
    await shared.put_many({cleared_key(SCOPE): b"one"}, 50)
    assert await mine.get_many([KEYS[0], other]) == [None, VALUES[2]]
    await settled()
    assert set(shared.values) == {other, cleared_key(SCOPE)}
    assert await mine.get_many([KEYS[1]]) == [None]
    await mine.put_many({KEYS[0]: VALUES[0]}, 50)
    assert await mine.get_many([KEYS[0]]) == VALUES[:1], "what is put after clearing stays"


@pytest.mark.parametrize("damage", [b"", b"foreign", VALUES[0][:-1], VALUES[0][:-1] + b"\0"])
async def test_a_damaged_value_is_a_miss_and_gives_way(damage: bytes) -> None:
    """Counted; the next decision is kept in its place, though `only_new`."""
    shared = SharedLevel()
    mine = worker(shared)
    shared.values[KEYS[0]] = damage
    assert await mine.get_many(KEYS[:1]) == [None]
    await settled()
    await mine.put_many({KEYS[0]: VALUES[1]}, 50, only_new=True)
    assert shared.values[KEYS[0]] == VALUES[1]
    figures = mine.figures()
    assert figures.failures == {("redis", "damaged_value"): 1}
    assert figures.misses == {"message": 1}


async def test_leases_are_the_shared_levels_alone() -> None:
    """One worker's dropped lease is free for the other at once."""
    shared = SharedLevel()
    mine, other = worker(shared), worker(shared)
    assert [await mine.add(LEASE, b"1", 5), await other.add(LEASE, b"2", 5)] == [True, False]
    assert await other.get_many([LEASE]) == [b"1"]
    await mine.drop([LEASE])
    assert await other.get_many([LEASE]) == [None]
    assert await other.add(LEASE, b"2", 5)


async def test_a_value_is_added_once_on_any_level() -> None:
    """Where memory has it, nobody is asked."""
    shared = SharedLevel()
    mine, other = worker(shared), worker(shared)
    assert await mine.add(KEYS[0], VALUES[0], 5)
    assert not await mine.add(KEYS[0], VALUES[1], 5)
    assert not await other.add(KEYS[0], VALUES[1], 5)
    assert await mine.get_many(KEYS[:1]) == await other.get_many(KEYS[:1]) == VALUES[:1]


async def test_what_is_written_during_a_trip_is_not_undone_by_it() -> None:
    """The trip brings what was there before."""
    began, go_on = asyncio.Event(), asyncio.Event()

    class Slow(SharedLevel):
        async def get_many(self, keys: object) -> list[bytes | None]:
            began.set()
            await go_on.wait()
            return [VALUES[0], None]

    memory = MemoryStore(1 << 20)
    mine = worker(Slow(), memory=memory)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(mine.get_many(KEYS[:1]))
        await began.wait()
        memory.put(KEYS[0], VALUES[1], 50)
        go_on.set()
    assert asked.result() == VALUES[1:2]
    assert await mine.get_many(KEYS[:1]) == VALUES[1:2]


async def test_closing_finishes_what_waits() -> None:
    """And closes the shared level."""
    shared = SharedLevel()
    mine = worker(shared)
    shared.values[KEYS[0]] = b"foreign"
    await mine.get_many(KEYS[:1])
    await mine.close()
    assert (shared.values, shared.closed) == ({}, True)


async def test_a_miss_is_sure_where_the_shared_level_is_well() -> None:
    """In trouble it says nothing of what is there; memory alone is always sure."""
    shared = SharedLevel()
    mine = worker(shared)
    assert (mine.is_sure, worker(None).is_sure) == (True, True)
    shared.trouble = "timeout"
    assert await mine.get_many(KEYS[:1]) == [None]
    assert not mine.is_sure
