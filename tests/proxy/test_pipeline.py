"""From a plan to fates: cache, compressor, deadline."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from elision.compressors.base import Job, Result
from elision.proxy.patience import Patience
from elision.proxy.pipeline import Pipeline
from elision.proxy.store import MemoryStore, Scopes
from elision.proxy.worker import CompressorUnavailableError
from fakes.halving import Halving
from fakes.plans import HALVE, KEEP, decision, plan


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
            self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b""
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
