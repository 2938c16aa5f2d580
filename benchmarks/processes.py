"""Processes under measurement: started on a core of their own, read from /proc, always stopped."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import TICKS_PER_S

_STOPS_WITHIN_S = 8.0
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, and the variables that it gets beside the few that all get."""

    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Process:
    """A running process with its descendants, and the file that holds what it says."""

    pid: int
    log: Path
    popen: subprocess.Popen[bytes]

    def tree(self) -> list[int]:
        """Return the ids of the process and of all its living descendants."""
        parents = dict(_parents())
        found = [self.pid] if self.pid in parents else []
        for known in found:
            found += [pid for pid, parent in parents.items() if parent == known]
        return found

    def cpu_s(self) -> float:
        """Return the CPU seconds of the tree, of ended and waited-for children too."""
        return sum(_ticks(pid) for pid in self.tree()) / TICKS_PER_S

    def memory_mib(self, kind: str) -> float:
        """Return the tree's resident memory: `VmRSS` now, `VmHWM` at its largest."""
        return sum(_status_kib(pid, kind) for pid in self.tree()) / 1024

    def ended(self) -> bool:
        """Return whether the process itself is gone."""
        return self.popen.poll() is not None

    def last_words(self) -> str:
        """Return the last line of its log that says something."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


@contextmanager
def running(command: Command, core: int | str, folder: Path, name: str) -> Iterator[Process]:
    """Run a command on one core until the block ends, however it ends.

    Args:
        command: what to run.
        core: the only core that it and its children may use, or several as `taskset` names them.
        folder: its working directory and home; its log is put there.
        name: of the log.
    """
    env = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    env |= {"HOME": str(folder), **command.env}
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        # A session of its own: Ctrl-C at the terminal reaches us alone, and we stop it in order.
        popen = subprocess.Popen(  # noqa: S603  the commands are ours
            ["taskset", "-c", str(core), *command.words],  # noqa: S607
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
    process = Process(popen.pid, log, popen)
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: Process) -> None:
    """Ask the process to end, wait, then end whatever is left of its tree."""
    family = process.tree()
    process.popen.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.popen.wait(_STOPS_WITHIN_S)
    for pid in {*family, *process.tree()}:
        with suppress(ProcessLookupError):
            if _session(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
    process.popen.wait()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def all_cores() -> str:
    """Return the cores that this process may use, as `taskset` names them."""
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """Run a Redis that keeps nothing on disk, on all cores, until the block ends; return its port.

    Raises: SystemExit where there is none.
    """
    server = shutil.which("redis-server")
    if server is None:
        raise SystemExit("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    with running(Command((server, "--port", str(port), "--save", "")), all_cores(), folder, "redis"):
        yield port


def wait_until_quiet(process: Process, limit_s: float) -> None:
    """Return when the tree uses hardly any CPU, or after `limit_s`: start-up work is over then."""
    ends = time.monotonic() + limit_s
    before = process.cpu_s()
    while time.monotonic() < ends:
        time.sleep(0.5)
        now = process.cpu_s()
        if now - before <= 0.02:
            return
        before = now


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, state first; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _ticks(pid: int) -> int:
    return sum(int(ticks) for ticks in _stat(pid)[11:15])


def _session(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[3]) if fields and fields[0] != "Z" else 0


def _status_kib(pid: int, key: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)
