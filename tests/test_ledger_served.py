"""`elision serve` with one worker and with four: what went out for a message goes out for it for good.

Conversations go through at once, while the compressor and a worker are killed. An upstream
notes the SHA-256 of every message that it gets.
"""

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from elision.config.redis import RedisEntry
from elision.proxy.store import Kind, SharedStore
from elision.proxy.store_disk import DiskStore
from elision.proxy.store_redis import RedisStore
from fakes.raw_upstream import RawUpstream, Received, answer
from fakes.redis_server import needs_redis, redis_server
from fakes.running import Answer, read_answer, request_bytes
from fakes.serving import Served, descendants, served

POLICY = """
name: short
deadline_s: 2
rules:
  - when: {segment: [context, tool_result]}
    use: {method: frequency, rate: 0.5, min_tokens: 20}
"""
FACT = "The mill by the {0} river was built in the year 17{0} and it has been standing there since then. "
SYSTEM = {"role": "system", "content": "You know all mills. Be brief, and name your source."}
TURNS = 20
CHAT = "/v1/chat/completions"

Message = dict[str, Any]

pytestmark = pytest.mark.timeout(120)


class Upstream:
    """Answers at once, and keeps digests of what it got, by conversation and message."""

    def __init__(self) -> None:
        self.digests: dict[tuple[str, int], set[str]] = {}
        self.requests = 0
        self.shortened = 0

    async def __call__(self, request: Received) -> AsyncIterator[bytes]:
        messages = json.loads(request.body)["messages"]
        name = messages[-1]["name"]
        for index, message in enumerate(messages):
            digest = hashlib.sha256(json.dumps({**message, "name": ""}).encode()).hexdigest()
            self.digests.setdefault((name, index), set()).add(digest)
        self.requests += 1
        self.shortened += any(len(message["content"]) < message["n"] for message in messages)
        yield answer(b"{}")


def said(talk: int, turn: int) -> Message:
    """Return what the user says in a turn, or, in every third, a tool; `n` is how long it is."""
    story = FACT.format(10 + (talk + turn) % 90) * 8
    text = f"Context:\n\n{story}\n\n{story.title()}\n\nQuestion: of talk {talk}, turn {turn}, whose is it?"
    return {"role": "tool" if turn % 3 == 2 else "user", "content": text, "n": len(text), "name": str(talk)}


class Caller:
    """One connection, hence one worker, as a client's pool keeps it: opened anew once it has ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def post(self, body: bytes) -> Answer:
        """Ask until somebody answers: workers are killed, connections given to them end."""
        while True:
            try:
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                self._writer.write(request_bytes("POST", CHAT, (("Content-Type", "application/json"),), body))
                return await read_answer(self._reader)
            except (ConnectionError, asyncio.IncompleteReadError):
                self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def talk(running: Served, number: int, turns: range, messages: list[Message]) -> None:
    """Go through turns of a conversation."""
    async with Caller(running.port) as caller:
        for turn in turns:
            messages.append(said(number, turn))
            got = await caller.post(json.dumps({"model": "m", "messages": messages}).encode())
            assert got.status == 200
            messages.append({"role": "assistant", "content": f"In turn {turn}.", "n": 0})


def processes(running: Served, word: str) -> list[int]:
    """Return the proxy's processes whose command line has this word."""
    return sorted(pid for pid, command in descendants(running.process.pid).items() if word in command)


async def until_written(store: SharedStore, messages: int) -> None:
    """Wait until what is shared has so many messages; a timeout fails the test."""
    async with asyncio.timeout(30):
        while sum(kept.entries for kept in await store.kept() if kept.kind == Kind.MESSAGE.value) < messages:
            await asyncio.sleep(0.02)


async def through(running: Served, store: SharedStore, talks: int) -> None:
    """Lead conversations at once, every few turns by other workers; kill the compressor, then a worker."""
    messages: list[list[Message]] = [[{**SYSTEM, "n": 0, "name": str(number)}] for number in range(talks)]
    for start, victims in zip(range(0, TURNS, 4), ("", "worker_process", "", "spawn_main", ""), strict=True):
        for pid in processes(running, victims)[:1] if victims else ():
            os.kill(pid, signal.SIGKILL)
        turns = range(start, start + 4)
        await asyncio.gather(*(talk(running, n, turns, messages[n]) for n in range(talks)))
        # An answer takes a model longer than the disk takes for this.
        await until_written(store, talks * 2 * turns.stop)


def written(folder: Path, workers: int) -> tuple[Path, Path]:
    """Write policies and settings; return what is kept and the settings."""
    (folder / "p").mkdir()
    (folder / "p" / "default.yaml").write_text(POLICY)
    file, settings = folder / "kept.sqlite", folder / "settings.yaml"
    told = (f"cache: {{path: {file}}}", f"workers: {workers}", f"policies: {folder / 'p'}")
    settings.write_text("\n".join((*told, "prefix_terms: [{minimum: 0}]")))
    return file, settings


@pytest.mark.parametrize(("workers", "talks"), [(1, 1), (1, 64), (4, 1), (4, 64)])
async def test_every_message_goes_out_as_it_once_went(tmp_path: Path, workers: int, talks: int) -> None:
    """Twenty turns; killed processes cost savings, never a byte of a prefix."""
    file, settings = written(tmp_path, workers)
    upstream = Upstream()
    async with (
        RawUpstream(upstream) as listening,
        served("--upstream", listening.url, "--settings", str(settings)) as running,
    ):
        await running.until_ready(workers=workers)
        store = DiskStore(file, 1 << 30)
        await through(running, store, talks)
        await store.close()
    assert upstream.requests >= talks * TURNS, "a worker may be killed between its request and its answer"
    assert upstream.shortened > talks * TURNS / 2
    assert len(upstream.digests) == talks * 2 * TURNS
    assert [key for key, digests in upstream.digests.items() if len(digests) > 1] == []


async def test_a_restart_with_another_policy_changes_new_conversations_alone(tmp_path: Path) -> None:
    """Both begin with the same system message."""
    _, settings = written(tmp_path, 1)
    upstream = Upstream()
    running_on: list[Message] = [{**SYSTEM, "n": 0, "name": "0"}]
    begun: list[Message] = [{**SYSTEM, "n": 0, "name": "1"}]
    async with RawUpstream(upstream) as listening:
        for rate, turns in (("0.5", range(2)), ("0.9", range(2, 4))):
            (tmp_path / "p" / "default.yaml").write_text(POLICY.replace("0.5", rate))
            async with served("--upstream", listening.url, "--settings", str(settings)) as running:
                await running.until_ready()
                await talk(running, 0, turns, running_on)
                if rate == "0.9":
                    await talk(running, 1, range(2), begun)
        sent = [json.loads(request.body)["messages"] for request in listening.received]
    assert [key for key, digests in upstream.digests.items() if len(digests) > 1] == []
    lengths = [len(messages[1]["content"]) / messages[1]["n"] for messages in sent]
    assert max(lengths[:4]) < 0.7 < min(lengths[4:])


@needs_redis
async def test_two_proxies_that_share_a_redis_send_the_same(tmp_path: Path) -> None:
    """Turn and turn about; the system message of all conversations is the same."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "default.yaml").write_text(POLICY)
    upstream, talks = Upstream(), 8
    messages: list[list[Message]] = [[{**SYSTEM, "n": 0, "name": str(number)}] for number in range(talks)]
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(tmp_path))
        listening = await stack.enter_async_context(RawUpstream(upstream))
        told = (f"policies: {tmp_path / 'p'}", f"redis: {{url: '{redis.url}', timeout_ms: 5000}}")
        (tmp_path / "settings.yaml").write_text("\n".join((*told, "prefix_terms: [{minimum: 0}]")))
        flags = ("--upstream", listening.url, "--settings", str(tmp_path / "settings.yaml"))
        proxies = [await stack.enter_async_context(served(*flags)) for _ in range(2)]
        for running in proxies:
            await running.until_ready()
        store = RedisStore.start(RedisEntry(redis.url))
        stack.push_async_callback(store.close)
        assert await store.until_well(30) is None
        for turn in range(6):
            chosen = (proxies[(number + turn) % 2] for number in range(talks))
            turns = range(turn, turn + 1)
            await asyncio.gather(*(talk(one, n, turns, messages[n]) for n, one in enumerate(chosen)))
            await until_written(store, talks * 2 * (turn + 1))
    assert upstream.shortened == upstream.requests == talks * 6
    assert [key for key, digests in upstream.digests.items() if len(digests) > 1] == []
