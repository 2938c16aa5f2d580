"""What asking Redis for a request's values costs: our store and redis-py, in turns, on one machine.

`python -m benchmarks.redis_client` starts a `redis-server` on a free port and asks for 10 and for
100 values of 2 KB with one MGET: one caller that waits for each answer, then 64 at once. Figures
are medians over rounds of the time that one caller waits, and of this process's CPU time per MGET.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis.asyncio
import uvloop

from benchmarks.machine import description
from benchmarks.processes import redis_server
from elision.config.redis import RedisEntry
from elision.proxy.redis_names import name_of
from elision.proxy.store import Kind, make_key, scope_of
from elision.proxy.store_redis import RedisStore

SIZES = (10, 100)
CALLERS = (1, 64)
VALUE = os.urandom(2048)
Fetch = Callable[[Sequence[bytes]], Awaitable[Sequence[bytes | None]]]


@dataclass(frozen=True, slots=True)
class Window:
    """One measurement."""

    client: str
    keys: int
    callers: int
    wait_us: float
    cpu_us: float


async def measure(client: str, fetch: Fetch, keys: Sequence[bytes], callers: int, calls: int) -> Window:
    """Ask `calls` times, by so many callers at once."""
    waits: list[float] = []

    async def ask() -> None:
        for _ in range(calls // callers):
            begun = time.perf_counter()
            values = await fetch(keys)
            waits.append(time.perf_counter() - begun)
            if None in values:
                raise RuntimeError(f"{client} missed a value that is there")

    begun = time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(ask())
    spent = time.process_time() - begun
    return Window(client, len(keys), callers, statistics.median(waits) * 1e6, spent / len(waits) * 1e6)


async def windows(port: int, rounds: int, calls: int) -> list[Window]:
    """Measure both clients in turns."""
    keys = [make_key(scope_of("bench"), Kind.OUTCOME, number.to_bytes(16)) for number in range(max(SIZES))]
    # A caller among 64 of this saturated process would not be answered in the usual 5 ms.
    store = RedisStore.start(RedisEntry(f"redis://127.0.0.1:{port}", timeout_ms=1000))
    await store.until_well(10)
    peer = redis.asyncio.Redis(port=port)
    await peer.mset({name_of(key): VALUE for key in keys})

    async def ours(keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return await store.get_many(keys)

    async def theirs(keys: Sequence[bytes]) -> Sequence[bytes | None]:
        found = await peer.mget([name_of(key) for key in keys])
        return [value if isinstance(value, bytes) else None for value in found]

    found = []
    for _ in range(rounds):
        for size in SIZES:
            for callers in CALLERS:
                for client, fetch in (("store_redis", ours), ("redis-py", theirs)):
                    found.append(await measure(client, fetch, keys[:size], callers, calls))
    await store.close()
    await peer.aclose()
    return found


def table(found: Sequence[Window]) -> str:
    """Return the medians in Markdown, with the least and the most CPU time."""
    lines = ["| client | keys | callers | wait µs | CPU µs per MGET |", "|---|---|---|---|---|"]
    for place in dict.fromkeys((w.client, w.keys, w.callers) for w in found):
        same = [w for w in found if (w.client, w.keys, w.callers) == place]
        wait, cpu = statistics.median(w.wait_us for w in same), [w.cpu_us for w in same]
        spread = f"{statistics.median(cpu):.0f} [{min(cpu):.0f}..{max(cpu):.0f}]"
        lines.append("| " + " | ".join([*map(str, place), f"{wait:.0f}", spread]) + " |")
    return "\n".join(lines)


async def run(rounds: int, calls: int) -> list[Window]:
    """Measure against a server of our own."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as port:
        return await windows(port, rounds, calls)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=3200)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(run(arguments.rounds, arguments.calls))
    told = [f"{key}: {value}" for key, value in description().items()]
    told.append(f"{arguments.rounds} rounds of {arguments.calls} calls, values of {len(VALUE)} bytes, uvloop")
    sys.stdout.write("\n".join([*told, "", table(found), ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
