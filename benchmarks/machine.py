"""What the machine says of itself: its name tag, and who used its cores meanwhile.

Reads /proc, so Linux only. Nothing here starts anything but `git`.
"""

import datetime
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STEAL = 7


@dataclass(frozen=True, slots=True)
class Cores:
    """The two cores of a measurement."""

    proxy: int
    load: int


@dataclass(frozen=True, slots=True)
class CoreTimes:
    """Seconds since boot that both cores spent in processes, and that the host took away."""

    at: float
    busy_s: float
    steal_s: float


def two_cores() -> Cores:
    """Return the cores to measure on.

    Raises:
        RuntimeError: there are not two.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise RuntimeError("two cores are needed, one for the proxy and one for the load; there is one")
    return Cores(allowed[0], allowed[1])


def core_times(cores: Cores) -> CoreTimes:
    """Return where the two cores' time went so far; interrupts count as nobody's."""
    named = {f"cpu{cores.proxy}", f"cpu{cores.load}"}
    busy = steal = 0
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name in named:
            busy += sum(int(ticks) for ticks in fields[:3])
            steal += int(fields[_STEAL])
    return CoreTimes(time.monotonic(), busy / TICKS_PER_S, steal / TICKS_PER_S)


def description() -> dict[str, str]:
    """Return processor, kernel, memory, interpreter, commit and date, for the head of a report."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "machine": f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}",
        "python": f"{platform.python_version()} ({platform.python_compiler()})",
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _commit() -> str:
    root = Path(__file__).parent.parent
    commit = _git(root, "rev-parse", "--short", "HEAD")
    return f"{commit}, with uncommitted changes" if commit and _git(root, "status", "--porcelain") else commit


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  fixed words
            ["git", *arguments],  # noqa: S607
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except OSError:
        return ""
    return done.stdout.strip()
