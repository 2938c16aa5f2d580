"""`elision serve` as users run it: a process of its own on a port that it chose."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from fakes.running import Answer, raw_exchange, request_bytes

PATIENCE_S = 120.0
"""What a busy machine may take for anything at all: starting, preparing methods, ending."""


@dataclass
class Served:
    """A running `elision serve`."""

    process: asyncio.subprocess.Process
    port: int = 0
    log: list[str] = field(default_factory=list)

    async def get(self, path: str) -> Answer:
        """Send one GET over a connection of its own."""
        return await raw_exchange(self.port, request_bytes("GET", path))

    async def post(self, path: str, body: bytes) -> Answer:
        """Send one JSON body over a connection of its own."""
        headers = [("Content-Type", "application/json"), ("Connection", "close")]
        return await raw_exchange(self.port, request_bytes("POST", path, headers, body))

    async def until_ready(self, *, workers: int = 1) -> None:
        """Wait until `/elision/ready` says so; of several workers, each time another one is asked by chance.

        A worker that is ready stays so, and of four one is missed in forty answers once in 25,000 times.
        """
        wanted, found = 1 if workers == 1 else 10 * workers, 0
        async with asyncio.timeout(PATIENCE_S):
            while found < wanted:
                found = found + 1 if (await self.get("/elision/ready")).status == 200 else 0
                if not found:
                    await asyncio.sleep(0.05)

    async def answers(self) -> bool:
        """Return whether somebody listens."""
        try:
            return (await self.get("/elision/live")).status == 200
        except (OSError, TimeoutError):
            return False

    async def stop(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def served(*arguments: str) -> AsyncIterator[Served]:
    """Run `elision serve` with the arguments and a free port, until the block ends."""
    command = (sys.executable, "-m", "elision.proxy", "serve", "--port", "0", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    running = Served(process)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_read_log(running))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not running.port and process.returncode is None:
                    await asyncio.sleep(0.02)
            yield running
        finally:
            if process.returncode is None:
                await running.stop()


async def _read_log(running: Served) -> None:
    assert running.process.stderr is not None
    async for line in running.process.stderr:
        running.log.append(line.decode())
        found = re.search(r"Listening on http://[^:]+:(\d+)", running.log[-1])
        running.port = int(found[1]) if found else running.port


def descendants(pid: int) -> dict[int, str]:
    """Return name and command line of every process below `pid`, by process id; "" where it has ended."""
    found: dict[int, str] = {}
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            name = Path(f"/proc/{child}/comm").read_text().rstrip()
            found |= {int(child): f"{name}: {command}" if command else ""} | descendants(int(child))
    return found
