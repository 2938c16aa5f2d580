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
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median

from benchmarks.machine import description
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
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one visit: microseconds of a request from first to last byte, and of CPU, each a median or mean."""

    wall_us: float
    cpu_us: float
    cache: str


class Proxy:
    """A running `elision serve`, asked over one connection."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
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
                cpu = self._cpu_s()
            started = time.perf_counter()
            writer.write(_request(body) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.findall(rb"(?i)content-length: (\d+)", head)[0]))
            walls.append(time.perf_counter() - started)
        writer.close()
        told = re.findall(rb"(?i)x-elision-cache: (\w+)", head)
        spent = self._cpu_s() - cpu
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

    def _cpu_s(self) -> float:
        """Return the seconds of CPU of the process and those below it."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return sum(map(_cpu_s, [self._process.pid, *map(int, children)]))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


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
async def serving(upstream: int, *arguments: str, **settings: str) -> AsyncIterator[Proxy]:
    """Run `elision serve` with arguments and `ELISION_*` settings until the block ends."""
    port = _free_port()
    command = (
        *(sys.executable, "-m", "elision.proxy", "serve", "--port", str(port)),
        *("--upstream", f"http://127.0.0.1:{upstream}", *arguments),
    )
    quiet = {"ELISION_LOG__LEVEL": "error"}
    process = subprocess.Popen(command, env=os.environ | quiet | settings, text=True)  # noqa: ASYNC220, S603
    proxy = Proxy(process, port)
    try:
        await proxy.ready()
        yield proxy
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def redis_server() -> Iterator[str]:
    """Run a Redis until the block ends; return its URL."""
    port = _free_port()
    command = ("redis-server", "--port", str(port), "--save", "", "--loglevel", "warning")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  the command is ours
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


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
        (folder / "default.yaml").write_text(POLICY)
        upstream = await asyncio.start_server(_answer, "127.0.0.1", 0)
        port = upstream.sockets[0].getsockname()[1]
        policies = ("--policies", str(folder))
        url = stack.enter_context(redis_server())
        none = await stack.enter_async_context(serving(port))
        memory = await stack.enter_async_context(serving(port, *policies))
        shared = await stack.enter_async_context(
            serving(port, *policies, ELISION_REDIS=url, ELISION_CACHE__MEMORY_MIB="0")
        )
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
