"""What Prometheus is told, by one worker and by several."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from elision.accounts.counts import Counts
from elision.accounts.money import NANO
from elision.accounts.records import Report, RequestRecord
from elision.proxy.metrics import Metrics, Post
from fakes.exposed import Samples, samples_of
from fakes.raw_upstream import RawUpstream
from fakes.serving import PATIENCE_S, Served, descendants, served
from fakes.tidy import BODY, echo, policies

SEARCH = Report("search", "rag@1", "enforce", tokens_before=100, tokens_after=40, bypass=("deadline",))
WHAT = {"team": "search", "policy": "rag", "method": "none", "model": "unknown", "upstream": ""}


async def samples(metrics: Metrics) -> Samples:
    return samples_of((await metrics.text()).body)


async def test_requests_and_sources_are_told_together() -> None:
    """To the token."""
    metrics = Metrics()
    metrics.follow(lambda: {"elision_policy_refused": {(): (1,)}})
    for status in (200, 200, 502):
        metrics.add(RequestRecord("id", "POST", "/v1/x", status, SEARCH, overhead_ms=2.0))
    told = await samples(metrics)
    assert told.value("elision_requests_total", **WHAT) == 3
    assert told.value("elision_responses_total", team="search", upstream="", status="200") == 2
    assert told.value("elision_prompt_tokens_total", **WHAT, when="before") == 300
    assert told.value("elision_policy_refused") == 1


async def test_who_must_be_waited_for_is_asked_when_somebody_wants_to_be_told() -> None:
    """And not before."""
    asked: list[str] = []

    async def spent() -> Counts:
        asked.append("spent")
        return {"elision_spent_dollars": {("search",): (2 * NANO,)}}

    metrics = Metrics()
    metrics.ask(spent)
    assert metrics.counts()
    assert not asked
    assert (await samples(metrics)).value("elision_spent_dollars", team="search") == 2
    assert asked == ["spent"]


async def test_openmetrics_is_told_to_who_asks_for_it() -> None:
    """With its own content type and its end mark."""
    told = await Metrics().text("application/openmetrics-text; version=1.0.0")
    assert told.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert told.body.endswith(b"# EOF\n")
    assert (await Metrics().text()).content_type.startswith("text/plain; version=0.0.4")


async def test_each_worker_tells_what_all_have_counted(tmp_path: Path) -> None:
    """Counters and gauges of workers that add up do; a worker's end takes nothing back."""
    first, second = Metrics(), Metrics()
    async with AsyncExitStack() as stack:
        await first.share(Post(tmp_path, 0), stack)
        async with AsyncExitStack() as shorter:
            await second.share(Post(tmp_path, 1), shorter)
            second.add(RequestRecord("id", "POST", "/v1/x", 200, SEARCH))
            assert (await samples(second)).value("elision_requests_total", **WHAT) == 1
        first.add(RequestRecord("id", "POST", "/v1/x", 200, SEARCH))
        told = await samples(first)
    assert told.value("elision_requests_total", **WHAT) == 2
    assert told.value("elision_shared_failures_total") == 0


async def requests_of(running: Served) -> float:
    """Return how many requests the worker that is asked knows of."""
    return samples_of((await running.get("/elision/metrics")).body).total("elision_requests_total")


@pytest.mark.timeout(240)
async def test_a_killed_worker_takes_nothing_back_that_was_told(tmp_path: Path) -> None:
    """`elision serve` with two workers: any of them tells all, before and after one is killed."""
    arguments = ("--policies", policies(tmp_path), "--workers", "2")
    async with RawUpstream(echo) as upstream, served("--upstream", upstream.url, *arguments) as running:
        async with asyncio.timeout(PATIENCE_S):
            while sum("Listening" in line for line in running.log) < 2:
                await asyncio.sleep(0.05)
        await running.until_ready()
        for _ in range(10):
            await running.post("/v1/chat/completions", BODY)
        async with asyncio.timeout(PATIENCE_S):
            while await requests_of(running) < 10:
                await asyncio.sleep(0.1)
        before = set(workers_of(running))
        os.kill(min(before), signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while sum("Listening" in line for line in running.log) < 3:
                await asyncio.sleep(0.05)
        told = [await requests_of(running) for _ in range(8)]
        await running.post("/v1/chat/completions", BODY)
        async with asyncio.timeout(PATIENCE_S):
            while await requests_of(running) < 11:
                await asyncio.sleep(0.1)
        assert await requests_of(running) == 11
        assert await running.stop() == 0
    assert told == [10] * 8


def workers_of(running: Served) -> list[int]:
    commands = descendants(running.process.pid)
    return [pid for pid, command in commands.items() if "spawn_main" in command]
