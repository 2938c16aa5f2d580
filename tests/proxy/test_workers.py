"""Several HTTP workers on one port, one compressor process."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from fakes.raw_upstream import RawUpstream
from fakes.serving import Served, descendants, served
from fakes.tidy import BODY, echo, policies

pytestmark = pytest.mark.timeout(120)


def workers(running: Served) -> set[int]:
    commands = descendants(running.process.pid)
    return {pid for pid, command in commands.items() if "spawn_main" in command}


async def until_gone(pids: set[int]) -> None:
    """Wait until none of the processes runs; a timeout fails the test."""
    async with asyncio.timeout(20):
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            await asyncio.sleep(0.05)


async def test_workers_share_a_port_and_a_compressor(tmp_path: Path) -> None:
    """Every connection is served the same bytes; a killed worker is replaced; all end together."""
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", policies(tmp_path), "--workers", "2") as running,
    ):
        async with asyncio.timeout(60):
            while len([line for line in running.log if "Listening" in line]) < 2:
                await asyncio.sleep(0.05)
        await running.until_ready(workers=2)
        answers = [await running.post("/v1/chat/completions", BODY) for _ in range(12)]
        everyone = descendants(running.process.pid)
        assert sum("worker_process" in command for command in everyone.values()) == 1
        before = workers(running)
        os.kill(min(before), signal.SIGKILL)
        async with asyncio.timeout(60):
            while len(workers(running) - before) < 1:
                await asyncio.sleep(0.05)
        assert await running.stop() == 0
        await until_gone(set(everyone))
    assert {answer.status for answer in answers} == {200}
    assert len({request.body for request in upstream.received}) == 1
    assert len(upstream.received[0].body) < len(BODY)


async def test_a_taken_port_is_told_by_the_parent() -> None:
    """Once, not by each worker."""
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", "http://127.0.0.1:1", "--workers", "2", "--port", str(upstream.port)) as running,
    ):
        assert await running.process.wait() == 3
    assert len(running.log) == 1


async def test_workers_end_with_a_parent_that_was_killed() -> None:
    """No orphan keeps the port."""
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--workers", "2") as running,
    ):
        async with asyncio.timeout(60):
            while len(workers(running)) < 2:
                await asyncio.sleep(0.05)
        orphans = workers(running)
        running.process.kill()
        await until_gone(orphans)
        assert await running.process.wait() == -signal.SIGKILL


async def test_sighup_without_policies_ends_nobody() -> None:
    """Neither parent nor workers, however early it comes; it would end a process that does not ask for it."""
    async with RawUpstream(echo) as upstream, served("--upstream", upstream.url, "--workers", "2") as running:
        async with asyncio.timeout(60):
            while len(workers(running)) < 2:
                await asyncio.sleep(0.01)
            before = workers(running)
            while sum("Listening" in line for line in running.log) < 2:
                running.process.send_signal(signal.SIGHUP)
                await asyncio.sleep(0.01)
        assert (await running.get("/v1/x")).status == 200
        assert workers(running) == before
        assert await running.stop() == 0
