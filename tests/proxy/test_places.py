"""The line before an upstream's connections."""

import asyncio
import random

import pytest

from elision.proxy.places import Places


async def test_who_came_first_is_first() -> None:
    """Nobody overtakes, not even who asks at the moment that a place is free."""
    places, order = Places(1, 5.0), list[int]()

    async def use(number: int) -> None:
        await places.take()
        order.append(number)
        await asyncio.sleep(0)
        places.give_back()

    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(use(number))
    assert order == list(range(20))


async def test_waiting_ends_with_the_patience() -> None:
    """And leaves the line."""
    places = Places(1, 0.02)
    await places.take()
    with pytest.raises(TimeoutError):
        await places.take()
    places.give_back()
    await places.take()
    with pytest.raises(TimeoutError):
        await places.take()


async def test_a_place_given_back_twice_is_a_fault() -> None:
    """It would let in one too many for ever."""
    places = Places(1, 1.0)
    await places.take()
    places.give_back()
    with pytest.raises(ValueError, match="released too many"):
        places.give_back()


@pytest.mark.parametrize("seed", range(5))
async def test_no_place_is_lost_to_those_who_leave(seed: int) -> None:
    """Cancelled in the line, at the turn or with a place: afterwards all places are free."""
    chance, count = random.Random(seed), 3
    places, inside, most = Places(count, 0.005), 0, 0

    async def use() -> None:
        nonlocal inside, most
        await places.take()
        inside += 1
        most = max(most, inside)
        try:
            await asyncio.sleep(chance.random() * 0.004)
        finally:
            inside -= 1
            places.give_back()

    async def leave(task: asyncio.Task[None]) -> None:
        await asyncio.sleep(chance.random() * 0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with asyncio.TaskGroup() as tasks:
        loop = asyncio.get_running_loop()
        for _ in range(200):
            tasks.create_task(leave(loop.create_task(use())))
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
    assert 0 < most <= count
    for _ in range(count):
        await places.take()
    with pytest.raises(TimeoutError):
        await places.take()
