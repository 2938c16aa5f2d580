"""What a prompt of 2,000 tokens costs when it was seen before: by memory, by Redis, and replayed.

    .venv/bin/python -m benchmarks.cached --rounds 5 --requests 200

Real `elision serve` processes over one small upstream, one connection, one request after the other;
CPU is the proxy's and its compressor's. `pass-through` has no policy. `replayed` sends the same body
again: the ledger knows it. `memory` and `redis` ask another question about the same text, so that the
ledger knows nothing and the outcome is found in this process, or (it keeps nothing itself) in Redis.
Rounds visit all in turn; figures are medians over rounds, `added` is against pass-through in the same
round.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median

from benchmarks.machine import description
from benchmarks.processes import Command, Process, all_cores, free_port, redis_server, running
from elision.compressors.tokens import Counters
from elision.policies.languages import language
from elision.policies.model import TextKind
from elision.policies.text_kinds import text_kind

POLICY = """rules:
  - when: {segment: context}
    use: {method: frequency, rate: 0.5}
history: {expected_turns: 0}
"""
TOKENS = 2000
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Yes."}}]}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one visit: microseconds of a request from first to last byte, and of CPU, each a median or mean."""

    wall_us: float
    cpu_us: float
    cache: str


class Proxy:
    """A running `elision serve`, asked over one connection."""

    def __init__(self, process: Process, port: int) -> None:
        self._process, self._port = process, port

    async def ready(self) -> None:
        """Wait until it carries out policies."""
        while b" 200 " not in (await self._once(b"GET /elision/ready HTTP/1.1\r\nHost: x\r\n\r\n"))[:20]:
            await asyncio.sleep(0.1)

    async def visit(self, bodies: Iterator[bytes], requests: int) -> Figures:
        """Send so many requests, after a few that do not count."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        walls: list[float] = []
        head, cpu = b"", 0.0
        for number, body in enumerate(itertools.islice(bodies, requests + 5)):
            if number == 5:
                cpu = self._process.cpu_s()
            started = time.perf_counter()
            writer.write(_request(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.findall(rb"(?i)content-length: (\d+)", head)[0]))
            walls.append(time.perf_counter() - started)
        writer.close()
        told = re.findall(rb"(?i)x-elision-cache: (\w+)", head)
        spent = self._process.cpu_s() - cpu
        return Figures(median(walls[5:]) * 1e6, spent / requests * 1e6, told[0].decode() if told else "none")

    async def _once(self, request: bytes) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return b""
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return head


def _request(body: bytes) -> bytes:
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request of a connection alike."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.findall(rb"(?i)content-length: (\d+)", head)[0]))
            writer.write(HEAD + ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@asynccontextmanager
async def serving(
    folder: Path, name: str, upstream: int, *arguments: str, **settings: str
) -> AsyncIterator[Proxy]:
    """Run `elision serve` with arguments and `ELISION_*` settings until the block ends."""
    port = free_port()
    words = (
        *(sys.executable, "-m", "elision.proxy", "serve", "--port", str(port)),
        *("--upstream", f"http://127.0.0.1:{upstream}", *arguments),
    )
    command = Command(words, {"ELISION_LOG__LEVEL": "error", **settings})
    with running(command, all_cores(), folder, name) as process:
        proxy = Proxy(process, port)
        await proxy.ready()
        yield proxy


def material() -> str:
    """Return a text of 2,000 tokens out of Python's own documentation."""
    counter = Counters().counter_for("gpt-4o")
    pages = (part for page in topics.values() for part in page.split("\n\n"))
    parts = [part for part in pages if len(part) > 300 and text_kind(part) is TextKind.PROSE]
    parts = [part for part in parts if language(part) == "en"]
    random.Random(0).shuffle(parts)
    text = "\n\n".join(parts)
    return text[: int(counter.starts(text)[TOKENS])]


def asking(text: str, *, anew: bool) -> Iterator[bytes]:
    """Yield bodies: the same for ever, or the same text with another question each time."""
    for number in itertools.count():
        asked = f"Documents:\n\n{text}\n\nWhat is meant by number {number if anew else 0} of these?"
        message = {"role": "user", "content": asked}
        yield json.dumps({"model": "gpt-4o", "messages": [message]}).encode()


async def measure(rounds: int, requests: int) -> dict[str, list[Figures]]:
    """Return the figures of each way, round by round."""
    text = material()
    found: dict[str, list[Figures]] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        policies = folder / "policies"
        policies.mkdir()
        (policies / "default.yaml").write_text(POLICY)
        upstream = await asyncio.start_server(_answer, "127.0.0.1", 0)
        port = upstream.sockets[0].getsockname()[1]
        told = ("--policies", str(policies))
        redis = {
            "ELISION_REDIS": f"redis://127.0.0.1:{stack.enter_context(redis_server(folder))}/0",
            "ELISION_CACHE__MEMORY_MIB": "0",
        }
        none = await stack.enter_async_context(serving(folder, "none", port))
        memory = await stack.enter_async_context(serving(folder, "memory", port, *told))
        shared = await stack.enter_async_context(serving(folder, "shared", port, *told, **redis))
        ways: dict[str, tuple[Proxy, Callable[[], Iterator[bytes]]]] = {
            "pass-through": (none, lambda: asking(text, anew=False)),
            "replayed": (memory, lambda: asking(text, anew=False)),
            "memory": (memory, _going_on(text)),
            "redis": (shared, _going_on(text)),
        }
        for _ in range(rounds):
            for name, (proxy, bodies) in ways.items():
                found.setdefault(name, []).append(await proxy.visit(bodies(), requests))
        upstream.close()
    return found


def _going_on(text: str) -> Callable[[], Iterator[bytes]]:
    """Return what yields questions that were not asked in an earlier round."""
    bodies = asking(text, anew=True)
    return lambda: bodies


def report(found: dict[str, list[Figures]]) -> str:
    """Return the table in Markdown."""
    lines = ["| | cache | ms | added ms | CPU ms | added CPU ms |", "|---|---|---|---|---|---|"]
    base = found["pass-through"]
    for name, figures in found.items():
        wall, cpu = (median(getattr(f, key) for f in figures) / 1000 for key in ("wall_us", "cpu_us"))
        more = median(f.wall_us - b.wall_us for f, b in zip(figures, base, strict=True)) / 1000
        dearer = median(f.cpu_us - b.cpu_us for f, b in zip(figures, base, strict=True)) / 1000
        lines.append(f"| {name} | {figures[-1].cache} | {wall:.2f} | {more:.2f} | {cpu:.2f} | {dearer:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--markdown", type=Path, help="write the report to this file, too")
    told = parser.parse_args()
    found = asyncio.run(measure(told.rounds, told.requests))
    facts = "\n".join(f"- {key}: {value}" for key, value in description().items())
    what = f"A prompt of {TOKENS:,} tokens, medians of {told.rounds} rounds of {told.requests} requests."
    text = f"# A prompt seen before\n\n{facts}\n\n{what}\n\n{report(found)}\n"
    sys.stdout.write(text)
    if told.markdown:
        told.markdown.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
