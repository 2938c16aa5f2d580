"""What nobody has is made once, among machines too; what is kept can be used, or is as if it were not."""

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import replace
from typing import TypeVar

import pytest

from elision.compressors.base import Job, Method, Outcome, Target
from elision.proxy import values
from elision.proxy.cache import keys_of, pack, unpack
from elision.proxy.leases import LEAST_S
from elision.proxy.making import Figure, Made, Making, Means
from elision.proxy.pace import size_of
from elision.proxy.patience import Patience
from elision.proxy.store import MemoryStore, Scopes
from fakes.counting_compressor import CountingCompressor

T = TypeVar("T")

PROSE = "The fox was late. It jumps over lazy dogs. He said that the meeting was held. Reports may be filed. "
JOB = Job(PROSE, Method("frequency"), Target(rate=0.5))
SLOW_S = 600.0
"""So long does work seem to take that no lease ends within a test."""


def begun(work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
    return asyncio.get_running_loop().create_task(work)


def free() -> CountingCompressor:
    """Return a compressor that works at once."""
    compressor = CountingCompressor()
    compressor.go_on.set()
    return compressor


def making(means: Means, job: Job = JOB, known: bytes | None = None, *, spoilt: bool = False) -> Making:
    identity = means.compressor.identity(job.method)
    return Making(means, job, identity, keys_of(job, identity, Scopes().of("t")), known, spoilt)


def machine(store: MemoryStore, compressor: CountingCompressor, expected_s: float = SLOW_S) -> Means:
    """Return the means of a machine that shares a store, and knows how long texts take."""
    means = Means(store, compressor, 60, is_shared=True)
    for _ in range(3):
        means.paces[JOB.method, False].learn(size_of(PROSE), expected_s)
    return means


async def kept(work: Making, seconds: float = 3600) -> Made:
    """Make, and keep what was made."""
    made = await work.make(Patience.of(seconds))
    await work.keep(made)
    return made


async def until_asked(compressor: CountingCompressor) -> None:
    async with asyncio.timeout(10):
        while not compressor.asked:
            await asyncio.sleep(0.001)


async def until_waiting(means: Means) -> None:
    async with asyncio.timeout(10):
        while not means.figures[Figure.LEASE_WAITS]:
            await asyncio.sleep(0.001)


async def test_outcome_and_scores_are_kept() -> None:
    """Each under its key; the scores serve another rate, and none come back then."""
    store, compressor = MemoryStore(1 << 20), free()
    means = Means(store, compressor, 60)
    work = making(means)
    made = await kept(work)
    outcome, scores = store.get(work.keys.outcome), store.get(work.keys.scores)
    assert outcome is not None
    assert unpack(outcome, JOB, work.identity) == made.outcome
    less = await kept(making(means, replace(JOB, target=Target(rate=0.3)), scores))
    assert less.outcome is not None
    assert less.outcome == compressor.engine.run([replace(JOB, target=Target(rate=0.3))])[0]
    assert (compressor.asked[PROSE], compressor.read[PROSE]) == (2, 1)
    assert (means.figures[Figure.MISSES], means.figures[Figure.SCORE_HITS]) == (1, 1)


@pytest.mark.parametrize("scores", [b"not a frame", values.pack(b"not scores")])
async def test_damaged_scores_are_found_anew_and_replaced(scores: bytes) -> None:
    """Whether the frame is broken or what is in it."""
    store, compressor = MemoryStore(1 << 20), free()
    means = Means(store, compressor, 60)
    keys = making(means).keys
    store.put(keys.scores, scores, 60)
    made = await kept(making(means, known=scores))
    assert made.outcome == compressor.engine.run([JOB])[0]
    assert store.get(keys.scores) not in (None, scores)
    assert means.figures[Figure.DAMAGED] == 1


async def test_what_was_made_first_stays() -> None:
    """Unless it is damaged."""
    store = MemoryStore(1 << 20)
    means = Means(store, free(), 60)
    key = making(means).keys.outcome
    store.put(key, b"first", 60)
    await kept(making(means))
    assert store.get(key) == b"first"
    await kept(making(means, spoilt=True))
    assert store.get(key) != b"first"


async def test_a_reason_is_not_kept() -> None:
    """And only want of time says nothing to those who have more."""
    store, compressor = MemoryStore(1 << 20), free()
    means = Means(store, compressor, 60)
    for reason in ("compressor_crashed", "deadline", "overloaded", "too_long"):
        compressor.failing = reason
        work = making(means)
        made = await kept(work)
        assert (made.outcome, made.reason, work.lasts(made)) == (None, reason, reason == "compressor_crashed")
        assert store.get(work.keys.outcome) is None


async def test_two_machines_make_it_once() -> None:
    """The second one finds what the first put into the store that they share."""
    store, compressors = MemoryStore(1 << 20), (CountingCompressor(), free())
    one, two = (machine(store, compressor) for compressor in compressors)
    first = begun(kept(making(one)))
    await until_asked(compressors[0])
    second = begun(kept(making(two)))
    await until_waiting(two)
    compressors[0].go_on.set()
    made = await first
    assert made.outcome is not None
    assert await second == Made(made.outcome, cached=True)
    assert (compressors[0].asked[PROSE], compressors[1].asked[PROSE]) == (1, 0)
    assert two.figures[Figure.OUTCOME_HITS] == 1
    assert store.get(making(one).keys.lease) is None


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_the_second_machine_takes_over_when_the_first_gives_up(how: str) -> None:
    """At once, not when the lease ends."""
    store, compressors = MemoryStore(1 << 20), (CountingCompressor(), free())
    one, two = (machine(store, compressor) for compressor in compressors)
    given_up = making(one)
    first = begun(given_up.make(Patience.of(3600)))
    await until_asked(compressors[0])
    second = begun(making(two).make(Patience.of(3600)))
    await until_waiting(two)
    if how == "fails":
        compressors[0].failing = "compressor_crashed"
        compressors[0].go_on.set()
        await given_up.keep(await first)
    else:
        first.cancel()
        await asyncio.wait((first,))
        await given_up.keep(None)
    assert (await second).outcome is not None
    assert compressors[1].asked[PROSE] == 1


async def test_what_takes_less_than_a_round_trip_is_worth_asks_nobody() -> None:
    """Nor what cannot be foretold, nor a machine that is alone."""

    class Leaseless(MemoryStore):
        async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
            raise AssertionError("no lease is to be asked for")

    store = Leaseless(1 << 20)
    for means in (
        machine(store, free(), expected_s=LEAST_S / 2),
        Means(store, free(), 60, is_shared=True),
        replace(machine(store, free()), is_shared=False),
    ):
        assert (await making(means).make(Patience.of(30))).outcome is not None


async def test_a_damaged_value_of_another_machine_is_made_anew() -> None:
    """And replaced."""
    store, compressors = MemoryStore(1 << 20), (CountingCompressor(), free())
    one, two = (machine(store, compressor) for compressor in compressors)
    first = begun(making(one).make(Patience.of(3600)))
    await until_asked(compressors[0])
    work = making(two)
    second = begun(kept(work))
    await until_waiting(two)
    store.put(work.keys.outcome, b"damaged", 60)
    assert (await second).outcome is not None
    assert store.get(work.keys.outcome) != b"damaged"
    assert two.figures[Figure.DAMAGED] == 1
    first.cancel()


async def test_large_scores_are_pressed_aside_and_come_back() -> None:
    """A text of a hundred thousand words does not hold up the loop; its scores serve as any others."""
    store, compressor = MemoryStore(1 << 24), free()
    means = Means(store, compressor, 60)
    method = Method("frequency", (("level", "word"),))
    job = Job(PROSE * 2000, method, Target(rate=0.5))
    work = making(means, job)
    made = await kept(work)
    assert len(made.scores) > 64 * 1024
    again = await making(means, job, store.get(work.keys.scores)).make(Patience.of(60))
    assert (again.outcome, again.scores) == (made.outcome, b"")


async def test_large_outcomes_are_pressed_aside_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Megabytes that are made of no ranges would hold up all other requests."""
    threads: set[int] = set()

    def noting(outcome: Outcome, original: str) -> bytes:
        threads.add(threading.get_ident())
        return pack(outcome, original)

    monkeypatch.setattr("elision.proxy.making.pack", noting)
    store, compressor = MemoryStore(1 << 24), free()
    means = Means(store, compressor, 60)
    rows = ", ".join(f'{{"id":  {number}}}' for number in range(20_000))
    work = making(means, Job(f"[{rows}]", Method("lossless"), Target()))
    made = await kept(work)
    assert made.outcome is not None
    assert threading.get_ident() not in threads
    assert await means.found(store.get(work.keys.outcome), work.job, work.identity) == made.outcome
