"""The whole proxy under load while its Redis is killed, hung, filled and restarted: nobody notices."""

import asyncio
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fakes.raw_upstream import RawUpstream
from fakes.redis_server import RedisServer, needs_redis, redis_server
from fakes.serving import Served, served
from fakes.tidy import echo, policies

pytestmark = [pytest.mark.timeout(150), needs_redis]

CHAT = "/v1/chat/completions"
CLIENTS = 4
WORKERS = 2
DEADLINE_MS = 5000.0
"""Of the policy in `fakes.tidy`."""

Message = dict[str, str]


def asked(chance: Random) -> Message:
    """Return a user's message whose JSON can be made shorter without loss."""
    rows = [{"id": chance.randrange(10**6), "name": f"row {n}"} for n in range(60)]
    return {"role": "user", "content": f"{json.dumps(rows, indent=8)}\n\nHow many rows are there?"}


def meaning(body: bytes) -> Any:
    """Return what a request says, however its JSON is laid out."""
    document = json.loads(body)
    for message in document["messages"]:
        if message["role"] == "user":
            rows, _, question = message["content"].rpartition("\n\n")
            message["content"] = [json.loads(rows), question]
    return document


@dataclass(frozen=True)
class Answered:
    """One request and what became of it."""

    body: bytes
    status: int
    overhead_ms: float
    forwarded: str
    """Digest of what the upstream says that it received."""


@dataclass
class Load:
    """Clients that talk, turn after turn, until they are told to stop."""

    running: Served
    answers: list[Answered] = field(default_factory=list)
    over: bool = False

    async def client(self, seed: int) -> None:
        chance = Random(seed)
        while not self.over:
            messages: list[Message] = []
            for _ in range(3):
                messages.append(asked(chance))
                body = json.dumps({"model": "gpt-4o", "messages": messages}).encode()
                answer = await self.running.post(CHAT, body)
                said = (
                    json.loads(answer.body)["choices"][0]["message"]["content"]
                    if answer.status == 200
                    else ""
                )
                overhead = float(answer.value("x-elision-overhead-ms") or "inf")
                self.answers.append(Answered(body, answer.status, overhead, said))
                messages.append({"role": "assistant", "content": said})

    async def more(self, count: int) -> None:
        """Wait for so many answers to requests that are sent from now on."""
        wanted = len(self.answers) + CLIENTS + count
        await until(lambda: len(self.answers) >= wanted)

    async def told(self, words: str, times: int) -> None:
        """Wait until the log of all workers together has said something so often."""
        await until(lambda: sum(words in line for line in self.running.log) >= times)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)


async def afflict(load: Load, redis: RedisServer) -> None:
    """Do to Redis what may happen to it; each time until every worker has noticed, and on."""
    await load.told("is well: it takes requests", WORKERS)
    await load.more(10)
    await redis.kill()
    await load.told("(down)", WORKERS)
    await load.more(10)
    await redis.start()
    await load.told("is well: it takes requests", 2 * WORKERS)
    await load.more(10)
    redis.pause()
    await load.told("(timeout)", WORKERS)
    await load.more(10)
    redis.resume()
    await load.told("is well: it takes requests", 3 * WORKERS)
    await load.more(10)
    await redis.command("CONFIG", "SET", "maxmemory", "1")
    await load.told("(oom)", WORKERS)
    await load.more(10)
    await redis.command("CONFIG", "SET", "maxmemory", "0")
    await load.told("is well: it takes writes", WORKERS)
    await load.more(10)


async def failures(running: Served) -> Counter[str]:
    """Return the failures of Redis by reason, the most that any worker that answered has counted."""
    most: Counter[str] = Counter()
    for _ in range(8 * WORKERS):
        text = (await running.get("/elision/metrics")).body.decode()
        for line in re.findall(r"^elision_cache_failures_total\{.*", text, re.MULTILINE):
            labels, _, count = line.rpartition(" ")
            if 'level="redis"' in labels:
                reason = re.search(r'reason="(\w+)"', labels)
                assert reason is not None
                most[reason[1]] = max(most[reason[1]], int(float(count)))
    return most


async def test_no_request_suffers_from_what_becomes_of_redis(tmp_path: Path) -> None:
    """All are answered with 200 and what was meant, within the deadline; the counters say what happened."""
    settings = tmp_path / "settings.yaml"
    (tmp_path / "policies").mkdir()
    options = ("--maxmemory-policy", "noeviction")
    async with RawUpstream(echo) as upstream, redis_server(tmp_path, options=options) as redis:
        settings.write_text(f"redis: {{url: '{redis.url}', breaker: {{longest_pause_ms: 500}}}}\n")
        arguments = (
            "--policies",
            policies(tmp_path / "policies"),
            "--workers",
            str(WORKERS),
            "--settings",
            str(settings),
        )
        async with served("--upstream", upstream.url, *arguments) as running:
            await running.until_ready(workers=WORKERS)
            load = Load(running)
            async with asyncio.TaskGroup() as clients:
                for seed in range(CLIENTS):
                    clients.create_task(load.client(seed))
                try:
                    await afflict(load, redis)
                finally:
                    load.over = True
            counted = await failures(running)
            assert await running.stop() == 0
        kept = await redis.command("DBSIZE")
    assert {answer.status for answer in load.answers} == {200}
    assert max(answer.overhead_ms for answer in load.answers) <= DEADLINE_MS
    sent = {hashlib.sha256(request.body).hexdigest(): request.body for request in upstream.received}
    assert all(meaning(sent[answer.forwarded]) == meaning(answer.body) for answer in load.answers)
    assert any(len(sent[answer.forwarded]) < len(answer.body) for answer in load.answers)
    assert {"down", "timeout", "dropped_oom"} <= set(counted)
    assert kept > 0
    assert not [line for line in running.log if "Traceback" in line or "ERROR" in line]
