"""A nursery forks processes when asked, tells how they end, and is missed by nobody when it is gone."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from elision.proxy.nursery import UNKNOWN, Nursery, NurseryLostError, Nursling, begin, may_begin
from elision.proxy.wire import Codec, Ping, Pong
from elision.proxy.worker_process import WorkerOptions
from fakes.nurseries import nursery

ONCE = """
import asyncio, os, sys
from elision.proxy.nursery import begin

def be(argument):
    print(os.environ["LOADED"], argument, flush=True)
    if argument == "fail":
        raise ValueError("told on standard error")

async def main():
    return [await (await born.bear(argument)).wait() for argument in ("well", "fail")]

os.environ["LOADED"] = "before"
born = begin(be, {})
print(asyncio.run(main()), flush=True)
born.close()
"""


@asynccontextmanager
async def born(where: Nursery, socket: Path) -> AsyncIterator[Nursling]:
    """Have a process born, wait until it answers, and end it with the block if it has not ended."""
    process = await where.bear(msgspec.json.encode(WorkerOptions(socket=str(socket))).decode())
    try:
        async with asyncio.timeout(120):
            while not await answers(socket):
                await asyncio.sleep(0.01)
        yield process
    finally:
        process.kill()
        await process.wait()


async def answers(socket: Path) -> bool:
    """Whether somebody answers there."""
    codec = Codec()
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.write(codec.frame(Ping(1)))
    answer = await codec.read_answer(reader)
    writer.close()
    await writer.wait_closed()
    return answer == Pong(1)


def status(pid: int, name: str) -> str:
    """Return what the system says of a process."""
    found = re.search(rf"^{name}:\t(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def channels(pid: int) -> set[str]:
    """Return the sockets and pipes that a process holds, beside its standard streams."""
    links = [file.readlink() for file in Path(f"/proc/{pid}/fd").iterdir() if int(file.name) > 2]
    return {str(link) for link in links if str(link).startswith(("socket:", "pipe:"))}


async def test_a_process_is_forked_when_asked(tmp_path: Path) -> None:
    """With names by which operators tell them apart; it answers, and its end is told."""
    with nursery() as where:
        async with born(where, tmp_path / "s") as process:
            assert status(process.pid, "PPid") == str(where.pid)
            assert (status(where.pid, "Name"), status(process.pid, "Name")) == (
                "elision-nursery",
                "worker_process",
            )
            assert await answers(tmp_path / "s")
            process.kill()
            assert (await process.wait(), process.returncode) == (-signal.SIGKILL, -signal.SIGKILL)


async def test_a_process_has_nothing_of_the_nursery_or_of_others(tmp_path: Path) -> None:
    """A descriptor in strange hands keeps a connection open when its owner is gone."""
    with nursery() as where:
        async with born(where, tmp_path / "a") as first, born(where, tmp_path / "b") as second:
            kept = [channels(pid) for pid in (where.pid, first.pid, second.pid)]
            assert not kept[0] & kept[1]
            assert not kept[0] & kept[2]
            assert not kept[1] & kept[2]


async def test_signals_to_all_leave_the_nursery_and_end_a_process_as_ever(tmp_path: Path) -> None:
    """A terminal's interrupt, a service manager's SIGTERM: when to end is the proxy's to say."""
    with nursery() as where:
        async with born(where, tmp_path / "a") as process:
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
                os.kill(where.pid, number)
            os.kill(process.pid, signal.SIGINT)
            assert await answers(tmp_path / "a")
            os.kill(process.pid, signal.SIGTERM)
            assert await process.wait() == 0
        async with born(where, tmp_path / "b"):
            assert await answers(tmp_path / "b")


async def test_a_process_outlives_its_nursery(tmp_path: Path) -> None:
    """Its end is noticed all the same, though not how it came; nobody else can be born."""
    with nursery() as where:
        async with born(where, tmp_path / "s") as process:
            os.kill(where.pid, signal.SIGKILL)
            with pytest.raises(NurseryLostError):
                await where.bear("{}")
            assert await answers(tmp_path / "s")
            process.kill()
            assert await process.wait() == UNKNOWN


async def test_a_nursery_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    """And can be ended all the same."""
    with nursery(patience_s=0.2) as where:
        os.kill(where.pid, signal.SIGSTOP)
        with pytest.raises(NurseryLostError, match="does not answer"):
            await where.bear("{}")
        for _ in range(2):
            where.close()
        assert not Path(f"/proc/{where.pid}").exists()


async def test_a_caller_who_leaves_takes_the_process_along(tmp_path: Path) -> None:
    """Nobody would ever end it."""
    socket = tmp_path / "s"
    with nursery() as where:
        os.kill(where.pid, signal.SIGSTOP)
        asking = asyncio.get_running_loop().create_task(
            where.bear(msgspec.json.encode(WorkerOptions(socket=str(socket))).decode())
        )
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait((asking,))
        os.kill(where.pid, signal.SIGCONT)
        children = Path(f"/proc/{where.pid}/task/{where.pid}/children")
        async with born(where, tmp_path / "other") as process, asyncio.timeout(60):
            while children.read_text().split() != [str(process.pid)]:
                await asyncio.sleep(0.01)
    assert asking.cancelled()


def test_what_is_loaded_before_is_there_in_every_process() -> None:
    """Forked from one without threads; a process ends with its work, and tells a failure once."""
    done = subprocess.run([sys.executable, "-c", ONCE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["before well", "before fail", "[0, 1]"]
    assert done.stderr.count("told on standard error") == 1


def test_a_process_with_threads_is_never_forked() -> None:
    """A lock that a thread holds would be held for ever in the other process."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert (may_begin(), begin(print, {})) == (False, None)
    finally:
        over.set()
        thread.join()
