"""From a plan to fates: cache, compressor, deadline."""

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from elision.compressors.base import Job, Method, Result
from elision.policies.model import Use
from elision.proxy.patience import Patience
from elision.proxy.pipeline import Pipeline
from elision.proxy.store import MemoryStore, Scopes
from elision.proxy.worker import CompressorClient, CompressorKeeper, CompressorUnavailableError
from elision.proxy.worker_process import WorkerOptions
from fakes.counting_compressor import CountingCompressor
from fakes.halving import Halving
from fakes.plans import HALVE, KEEP, decision, plan

T = TypeVar("T")

PROSE = "The fox was late. It jumps over lazy dogs. He said that the meeting was held. Reports may be filed. "
FREQUENT = Use("frequency", rate=0.5)
PROCESS = (sys.executable, str(Path(__file__).parent.parent / "fakes" / "compressor_main.py"))


def begun(work: Coroutine[object, object, T]) -> "asyncio.Task[T]":
    return asyncio.get_running_loop().create_task(work)


async def until_asked(compressor: CountingCompressor) -> None:
    async with asyncio.timeout(10):
        while not compressor.asked:
            await asyncio.sleep(0.001)


def memory() -> MemoryStore:
    return MemoryStore(1 << 20)


async def test_planned_segments_are_compressed_and_others_never_seen() -> None:
    """In the plan's order."""
    halving = Halving()
    fates = await Pipeline(memory(), halving).run(
        plan(decision("a b c d"), decision("keep me", KEEP), decision("e f")), "gpt-4o", "team"
    )
    assert [fate.outcome.text for fate in fates if fate.outcome] == ["a b", "e"]
    assert [job.text for job in halving.asked] == ["a b c d", "e f"]
    assert {job.target.model for job in halving.asked} == {"gpt-4o"}


async def test_a_second_request_is_a_hit_with_the_same_bytes() -> None:
    """And a partial hit asks for the rest only."""
    halving, cache = Halving(), memory()
    pipeline = Pipeline(cache, halving)
    [first] = await pipeline.run(plan(decision("a b c d")), "m", "t")
    await asyncio.sleep(0)
    again, other = await pipeline.run(plan(decision("a b c d"), decision("x y")), "m", "t")
    assert (first.cached, again.cached, other.cached) == (False, True, False)
    assert first.outcome == again.outcome
    assert [job.text for job in halving.asked] == ["a b c d", "x y"]


async def test_teams_share_outcomes_where_the_operator_wants_it() -> None:
    """Only then."""
    halving, cache = Halving(), memory()
    for team in ("t", "u"):
        pipeline = Pipeline(cache, halving, scopes=Scopes(shared=True))
        [fate] = await pipeline.run(plan(decision("a b")), "m", team)
        await pipeline.close()
        assert fate.cached == (team == "u")
    assert len(halving.asked) == 1


async def test_another_team_or_other_weights_do_not_hit() -> None:
    """The key says whose and by what."""
    halving, cache = Halving(), memory()
    for team, version in (("t", "1"), ("u", "1"), ("t", "2")):
        halving.version = version
        [fate] = await Pipeline(cache, halving).run(plan(decision("a b")), "m", team)
        assert not fate.cached
    assert len(halving.asked) == 3


async def test_a_slow_compressor_is_left_at_the_deadline() -> None:
    """With the reason."""
    [fate] = await Pipeline(memory(), Halving(slow_s=30)).run(
        plan(decision("a b"), deadline_s=0.02), "m", "t"
    )
    assert (fate.shortened, fate.reason) == (False, "deadline")


async def test_a_rule_may_wait_less_than_its_policy() -> None:
    """The others' segments are waited for."""
    hasty = decision("a b", replace(HALVE, deadline_s=0.02))
    first, second = await Pipeline(memory(), Halving(slow_s=1)).run(plan(hasty, decision("c d")), "m", "t")
    assert (first.reason, second.shortened) == ("deadline", True)


@pytest.mark.parametrize(
    "halving", [Halving(unavailable="compressor_starting"), Halving(failing="queue_full")]
)
async def test_an_unavailable_compressor_is_a_reason_not_an_error(halving: Halving) -> None:
    """For each planned segment."""
    fates = await Pipeline(memory(), halving).run(plan(decision("a b"), decision("c d")), "m", "t")
    reason = halving.unavailable or halving.failing
    assert [(fate.shortened, fate.reason) for fate in fates] == [(False, reason)] * 2


async def test_a_cache_hit_needs_no_compressor_that_works() -> None:
    """Only its fingerprint."""
    halving, cache = Halving(), memory()
    await Pipeline(cache, halving).run(plan(decision("a b")), "m", "t")
    await asyncio.sleep(0)
    halving.failing = "compressor_crashed"
    [fate] = await Pipeline(cache, halving).run(plan(decision("a b")), "m", "t")
    assert (fate.shortened, fate.cached) == (True, True)


async def test_a_methods_own_reason_stands() -> None:
    """A text that it left alone is not exchanged."""
    pipeline = Pipeline(memory(), Halving())
    [fate] = await pipeline.run(plan(decision("single")), "m", "t")
    await pipeline.close()
    assert (fate.shortened, fate.reason) == (False, "too_short")


async def test_an_outcome_that_is_not_shorter_is_not_used() -> None:
    """Tokens never increase, whatever a method claims."""
    [fate] = await Pipeline(memory(), Halving(growing=True)).run(plan(decision("a b")), "m", "t")
    assert (fate.shortened, fate.reason) == (False, "not_shorter")


async def test_a_slow_cache_does_not_outlast_the_deadline() -> None:
    """Nor does what was spent before count twice."""

    class Slow(MemoryStore):
        async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
            await asyncio.sleep(30)
            return []

    halving = Halving(slow_s=0.01)
    [fate] = await Pipeline(Slow(1), halving).run(plan(decision("a b"), deadline_s=9), "m", "t", 8.95)
    assert (fate.shortened, fate.reason) == (False, "deadline")


async def test_what_is_done_in_time_counts_whatever_becomes_of_the_others() -> None:
    """Each text is asked for by itself, with the size of those beside it."""

    class Picky(Halving):
        async def compress(
            self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
        ) -> Result:
            sizes.append((len(job.text), beside))
            if job.text.startswith("x"):
                raise CompressorUnavailableError("overloaded")
            return await super().compress(job, patience, beside=beside, scores=scores)

    sizes: list[tuple[int, int]] = []
    texts = ("a " * 40, "x " * 60, "b " * 100)
    fates = await Pipeline(memory(), Picky()).run(plan(*map(decision, texts)), "m", "t")
    assert [fate.shortened for fate in fates] == [True, False, True]
    assert fates[1].reason == "overloaded"
    assert sizes == [(80, 80), (120, 70), (200, 50)]


async def test_what_is_known_already_is_not_asked_for_again() -> None:
    """Whoever asks the store for more than outcomes asks once for all of it."""

    class Counting(MemoryStore):
        async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
            asked.extend(keys)
            return await super().get_many(keys)

    asked: list[bytes] = []
    store = Counting(1 << 20)
    pipeline = Pipeline(store, Halving())
    whole = plan(decision("a b c d"), decision("keep me", KEEP), decision("e f"))
    keys = pipeline.wanted(whole.decisions, "m", "t")
    assert asked == []
    first = await pipeline.run(whole, "m", "t", known=dict.fromkeys(keys))
    await pipeline.close()
    known = dict(zip(keys, await MemoryStore.get_many(store, keys), strict=True))
    again = await pipeline.run(whole, "m", "t", known=known)
    assert asked == []
    assert [fate.cached for fate in again] == [True, True]
    assert [fate.outcome for fate in again] == [fate.outcome for fate in first]


async def test_only_what_is_not_known_is_asked_for() -> None:
    """A key without an entry was not looked for; one that says None was, in vain."""
    halving, store = Halving(), memory()
    pipeline = Pipeline(store, halving)
    both = plan(decision("a b c d"), decision("e f"))
    await pipeline.run(both, "m", "t")
    await pipeline.close()
    first, *_ = pipeline.wanted(both.decisions[:1], "m", "t")
    fates = await pipeline.run(both, "m", "t", known={first: None})
    assert [fate.cached for fate in fates] == [False, True]


def test_a_method_that_is_not_there_yet_wants_nothing() -> None:
    """Its keys are not known before it is."""
    pipeline = Pipeline(memory(), Halving(unavailable="compressor_starting"))
    assert pipeline.wanted([decision("a b")], "m", "t") == []


async def test_a_changed_rate_finds_the_scores_and_gives_what_reading_gives() -> None:
    """Byte for byte; the text is read once, by whichever key it was asked for first."""
    compressor, cold = CountingCompressor(), CountingCompressor()
    compressor.go_on.set()
    cold.go_on.set()
    pipeline = Pipeline(memory(), compressor)
    for rate in (0.5, 0.3, 0.8):
        wanted = plan(decision(PROSE, replace(FREQUENT, rate=rate)))
        [fate] = await pipeline.run(wanted, "m", "t")
        await pipeline.close()
        [alone] = await Pipeline(memory(), cold).run(wanted, "m", "t")
        assert (fate.outcome, fate.cached) == (alone.outcome, False)
    assert (compressor.asked[PROSE], compressor.read[PROSE], cold.read[PROSE]) == (3, 1, 3)
    assert pipeline.figures() == {
        "outcome_hits": 0,
        "score_hits": 2,
        "misses": 1,
        "shared_flights": 0,
        "lease_waits": 0,
        "damaged": 0,
    }


async def test_known_scores_are_used_as_fetched_ones() -> None:
    """The keys of scores are among those that are wanted."""
    compressor, store = CountingCompressor(), memory()
    compressor.go_on.set()
    pipeline = Pipeline(store, compressor)
    await pipeline.run(plan(decision(PROSE, FREQUENT)), "m", "t")
    await pipeline.close()
    less = plan(decision(PROSE, replace(FREQUENT, rate=0.3)))
    keys = pipeline.wanted(less.decisions, "m", "t")
    known = dict(zip(keys, await store.get_many(keys), strict=True))
    assert [bool(value) for value in known.values()] == [False, True]
    await Pipeline(memory(), compressor).run(less, "m", "t", known=known)
    assert (compressor.asked[PROSE], compressor.read[PROSE]) == (2, 1)


async def test_equal_texts_at_once_are_made_once() -> None:
    """Of one request or of many; each counts, and all get the same bytes."""
    compressor = CountingCompressor()
    pipeline = Pipeline(memory(), compressor)
    twice = plan(decision(PROSE, FREQUENT), decision(PROSE, FREQUENT))
    asking = [begun(pipeline.run(twice, "m", "t")) for _ in range(10)]
    other = begun(pipeline.run(twice, "m", "another team"))
    await until_asked(compressor)
    compressor.go_on.set()
    fates = [fate for fates in await asyncio.gather(*asking) for fate in fates]
    assert len({fate.outcome.text for fate in fates if fate.outcome}) == 1
    assert [fate.shortened for fate in fates] == [True] * 20
    assert len(await other) == 2
    assert compressor.asked[PROSE] == 2, "teams share nothing"
    assert pipeline.figures()["shared_flights"] == 20
    await pipeline.close()


async def test_each_of_those_who_share_waits_until_his_own_deadline() -> None:
    """The first one's neither fails the second nor is overrun for it."""
    compressor = CountingCompressor()
    pipeline = Pipeline(memory(), compressor)
    hasty = begun(pipeline.run(plan(decision(PROSE, FREQUENT), deadline_s=0.05), "m", "t"))
    patient = begun(pipeline.run(plan(decision(PROSE, FREQUENT), deadline_s=30), "m", "t"))
    [late] = await hasty
    compressor.go_on.set()
    [fate] = await patient
    assert (late.reason, fate.shortened, compressor.asked[PROSE]) == ("deadline", True, 1)
    await pipeline.close()


async def test_a_request_that_is_left_does_not_take_the_work_from_others() -> None:
    """Only when the last one has left is it cancelled."""
    compressor = CountingCompressor()
    pipeline = Pipeline(memory(), compressor)
    asking = [begun(pipeline.run(plan(decision(PROSE, FREQUENT)), "m", "t")) for _ in range(3)]
    await until_asked(compressor)
    asking[0].cancel()
    with suppress(asyncio.CancelledError):
        await asking[0]
    assert compressor.cancelled == 0
    for one in asking[1:]:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await pipeline.close()
    assert (compressor.asked[PROSE], compressor.cancelled) == (1, 1)


async def test_a_crash_is_told_to_all_who_share_and_the_next_one_asks_anew() -> None:
    """No failure is kept."""
    compressor = CountingCompressor(failing="compressor_crashed")
    pipeline = Pipeline(memory(), compressor)
    asking = [begun(pipeline.run(plan(decision(PROSE, FREQUENT)), "m", "t")) for _ in range(3)]
    await until_asked(compressor)
    compressor.go_on.set()
    reasons = [fate.reason for fates in await asyncio.gather(*asking) for fate in fates]
    assert reasons == ["compressor_crashed"] * 3
    await pipeline.close()
    compressor.failing = ""
    [fate] = await pipeline.run(plan(decision(PROSE, FREQUENT)), "m", "t")
    assert (fate.shortened, compressor.asked[PROSE]) == (True, 2)
    await pipeline.close()


@pytest.mark.parametrize("which", [0, 1], ids=["outcome", "scores"])
async def test_a_damaged_value_is_a_miss_that_is_counted_and_mended(which: int) -> None:
    """The next one hits."""
    compressor, store = CountingCompressor(), memory()
    compressor.go_on.set()
    first, *_ = await Pipeline(store, compressor).run(plan(decision(PROSE, FREQUENT)), "m", "t")
    pipeline = Pipeline(store, compressor)
    wanted = plan(decision(PROSE, FREQUENT if which == 0 else replace(FREQUENT, rate=0.3)))
    key = pipeline.wanted(wanted.decisions, "m", "t")[which]
    store.put(key, b"damaged", 60)
    [mended] = await pipeline.run(wanted, "m", "t")
    await pipeline.close()
    [fate] = await pipeline.run(wanted, "m", "t")
    assert [(one.cached, one.shortened) for one in (mended, fate)] == [(False, True), (True, True)]
    assert pipeline.figures()["damaged"] == 1
    assert store.get(key) != b"damaged"
    assert which or fate.outcome == first.outcome


async def test_two_machines_make_a_text_once_and_alike() -> None:
    """By a lease in the store that they share, once each knows that the text is worth it."""

    class Patient(MemoryStore):
        """No lease ends in it, however busy the machine."""

        async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
            return await super().add(key, value, 3600)

    store, compressors = Patient(1 << 20), (CountingCompressor(), CountingCompressor())
    one, two = (Pipeline(store, compressor, is_shared=True) for compressor in compressors)
    for pipeline, compressor in ((one, compressors[0]), (two, compressors[1])):
        compressor.slow_s = 0.04
        compressor.go_on.set()
        for number in range(3):
            await pipeline.run(plan(decision(f"{number} {PROSE * 4}", FREQUENT)), "m", str(id(pipeline)))
        compressor.go_on.clear()
    text = PROSE * 5
    wanted = plan(decision(text, FREQUENT), deadline_s=30)
    first = begun(one.run(wanted, "m", "t"))
    async with asyncio.timeout(10):
        while not compressors[0].asked[text]:
            await asyncio.sleep(0.001)
    second = begun(two.run(wanted, "m", "t"))
    async with asyncio.timeout(10):
        while not two.figures()["lease_waits"]:
            await asyncio.sleep(0.001)
    for compressor in compressors:
        compressor.go_on.set()
    [made], [found] = await first, await second
    assert (made.outcome, made.cached, found.cached) == (found.outcome, False, True)
    assert (compressors[0].asked[text], compressors[1].asked[text]) == (1, 0)
    await one.close()
    await two.close()


async def test_what_was_made_serves_when_the_process_was_replaced(tmp_path: Path) -> None:
    """Outcomes and scores are by fingerprint, not by process; those who wait meanwhile hear why."""
    options = WorkerOptions(socket=str(tmp_path / "s"))
    keeper = CompressorKeeper(options, command=PROCESS, ping_every_s=0.1)
    client = CompressorClient(options.socket, (Method("halve"),))
    pipeline = Pipeline(memory(), client)
    async with asyncio.TaskGroup() as tasks:
        running = (tasks.create_task(keeper.run()), tasks.create_task(client.run()))
        await until_ready(client)
        [first] = await pipeline.run(plan(decision("a b c d")), "m", "t")
        crashed = await asyncio.gather(*(pipeline.run(plan(decision("exit")), "m", "t") for _ in range(3)))
        assert [fate.reason for [fate] in crashed] == ["compressor_crashed"] * 3
        await until_ready(client)
        [again] = await pipeline.run(plan(decision("a b c d")), "m", "t")
        [less] = await pipeline.run(plan(decision("a b c d", replace(HALVE, rate=0.3))), "m", "t")
        await pipeline.close()
        for task in running:
            task.cancel()
    assert (again.outcome, again.cached, less.shortened) == (first.outcome, True, True)
    assert (keeper.starts, pipeline.figures()["score_hits"]) == (2, 1)


async def until_ready(client: CompressorClient) -> None:
    async with asyncio.timeout(20):
        while not client.ready:
            await asyncio.sleep(0.01)
