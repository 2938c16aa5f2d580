"""The default method: how fast it shortens, how soon after the start, and in how much memory.

    .venv/bin/python -m benchmarks.embedded --markdown benchmarks/results/embedded.md
    .venv/bin/python -m benchmarks.embedded --served --rounds 3

Four things, each for `embedded` and for `frequency` in turn, so that who else is at the machine
disturbs both: tokens of the input a second on two threads, text to text at a rate of one half;
seconds from a fresh interpreter to the first shortened text, by `elision compress` and from Python;
seconds from `elision serve` to readiness; memory of the proxy and its compressor, with a policy
that names the method, at rest, as requests end and soon after: of all processes, the nursery too. Linux only.
"""

import argparse
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from benchmarks.llmlingua2 import text_of
from benchmarks.machine import description, two_cores
from benchmarks.processes import Command, Process, free_port, running
from elision.compressors.base import Method, Target
from elision.compressors.registry import DEFAULT_METHOD, Resources, make_compressor
from elision.compressors.tokens import Counters

METHODS = (DEFAULT_METHOD, "frequency")
MODEL = "gpt-4o"
SIZES = (1000, 8000, 128_000)
ASKED = (1000, 2000, 8000)
_MIB = 2**10  # of KiB
_REST_S = 2  # what starting, or a request, took is given back within a second
_MOMENTS = {"at rest": "resting", "as the last answer comes": "working", "after requests": "after"}
_FROM_PYTHON = """
import sys
from elision.compressors import compress
compress(sys.stdin.read(), rate=0.5, method=sys.argv[1])
"""
_POLICY = """
deadline_s: 60
rules:
  - when: {{segment: [context]}}
    use: {{method: {}, rate: 0.5, min_tokens: 100}}
"""
_ANSWER = b'{"choices": []}'


@dataclass(frozen=True, slots=True)
class Memory:
    """What processes hold, in MiB.

    Attributes:
        rss: the sum of what each sees; what several map, files of libraries, counts each time.
        union: the same with every page counted once, however many of them share it.
        pss: the kernel's own account, where pages shared with others' processes count in part.
    """

    rss: float
    union: float
    pss: float


@dataclass(slots=True)
class Found:
    """What was measured of one method."""

    speeds: dict[int, list[float]] = field(default_factory=dict)
    command_s: list[float] = field(default_factory=list)
    python_s: list[float] = field(default_factory=list)
    ready_s: list[float] = field(default_factory=list)
    resting: list[Memory] = field(default_factory=list)
    working: list[Memory] = field(default_factory=list)
    after: list[Memory] = field(default_factory=list)


def memory_of(pids: Sequence[int]) -> Memory:
    """Return what these processes hold together, if nobody else was forked from one of them."""
    anonymous = rss = pss = 0
    files: Counter[str] = Counter()
    for pid in pids:
        own: Counter[str] = Counter()
        for name, figures in _mappings(Path(f"/proc/{pid}/smaps")):
            own[name] += figures["Rss:"] - figures["Anonymous:"]
        files |= own
        [(_, whole)] = _mappings(Path(f"/proc/{pid}/smaps_rollup"))
        rss += whole["Rss:"]
        pss += whole["Pss:"]
        # Who shares such a page is among these processes: its parts are one page together.
        anonymous += whole["Pss_Anon:"]
    return Memory(rss / _MIB, (anonymous + files.total()) / _MIB, pss / _MIB)


def _mappings(file: Path) -> Iterator[tuple[str, Counter[str]]]:
    """Yield each mapping's file, "" for none, and its figures in KiB."""
    name, figures = "", Counter[str]()
    for line in file.read_text("utf-8").splitlines():
        words = line.split()
        if words[0].endswith(":"):
            figures[words[0]] += int(words[1]) if words[1].isdecimal() else 0
            continue
        if figures:
            yield name, figures
        name, figures = (words[5] if len(words) > 5 else ""), Counter[str]()
    yield name, figures


def speeds(found: dict[str, Found], rounds: int, threads: int) -> None:
    """Measure tokens of input a second, text to text, all methods in turn."""
    counters = Counters()
    made = {name: make_compressor(Method(name), Resources(counters, None, threads)) for name in found}
    texts = {size: text_of(size, counters) for size in SIZES}
    sizes = {size: counters.counter_for(MODEL).count(text) for size, text in texts.items()}
    for compressor in made.values():
        compressor.compress([texts[SIZES[0]]], [Target(rate=0.5, model=MODEL)])
    for _ in range(rounds):
        for size, text in texts.items():
            for name, compressor in made.items():
                started = time.perf_counter()
                [outcome] = compressor.compress([text], [Target(rate=0.5, model=MODEL)])
                taken = time.perf_counter() - started
                if outcome.reason:
                    raise RuntimeError(f"{name}: nothing was shortened: {outcome.reason}")
                found[name].speeds.setdefault(size, []).append(sizes[size] / taken)


def cold(found: dict[str, Found], rounds: int, folder: Path) -> None:
    """Measure fresh interpreters to their first shortened text."""
    text = text_of(1000, Counters())
    file = folder / "text.txt"
    file.write_text(text, "utf-8")
    for _ in range(rounds):
        for name, one in found.items():
            command = ["-m", "elision.proxy", "compress", str(file), "--method", name, "--rate", "0.5"]
            one.command_s.append(_fresh(command, ""))
            one.python_s.append(_fresh(["-c", _FROM_PYTHON, name], text))


def _fresh(words: Sequence[str], given: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], input=given, text=True, capture_output=True, check=True)  # noqa: S603
    return time.perf_counter() - started


class _Upstream(BaseHTTPRequestHandler):
    """Answers whatever is asked, with nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(http.HTTPStatus.OK)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(_ANSWER)))
        self.end_headers()
        self.wfile.write(_ANSWER)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        pass


@contextmanager
def _upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def served(found: dict[str, Found], rounds: int, folder: Path) -> None:
    """Measure proxies: from start to readiness, and memory at rest, as requests end and soon after."""
    counters = Counters()
    texts = [text_of(size, counters) for size in ASKED]
    for _ in range(rounds):
        for name, one in found.items():
            with _upstream() as url, _proxy(name, folder, url) as (process, port, ready_s):
                one.ready_s.append(ready_s)
                time.sleep(_REST_S)
                one.resting.append(memory_of(process.tree()))
                for text in texts * 3:
                    _ask(port, text)
                one.working.append(memory_of(process.tree()))
                time.sleep(_REST_S)
                one.after.append(memory_of(process.tree()))


@contextmanager
def _proxy(method: str, folder: Path, upstream: str) -> Iterator[tuple[Process, int, float]]:
    policies = folder / f"policies-{method}"
    policies.mkdir(exist_ok=True)
    (policies / "default.yaml").write_text(_POLICY.format(method), "utf-8")
    port, cores = free_port(), two_cores()
    words = ("--upstream", upstream, "--policies", str(policies), "--port", str(port))
    command = Command((sys.executable, "-m", "elision.proxy", "serve", *words))
    started = time.perf_counter()
    with running(command, f"{cores.proxy},{cores.load}", folder, "proxy") as process:
        while not _is_ready(port):
            if process.ended():
                raise RuntimeError(f"the proxy ended: {process.last_words()}")
            time.sleep(0.01)
        yield process, port, time.perf_counter() - started


def _is_ready(port: int) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return _answer(port, "GET", "/elision/ready", "").status == http.HTTPStatus.OK
    return False


def _ask(port: int, text: str) -> None:
    """Have a text shortened that was never seen."""
    told = f"This is number {os.urandom(4).hex()} of all texts.\n\n{text}\n\nWhat is said there?"
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": told}]})
    reply = _answer(port, "POST", "/v1/chat/completions", body)
    if not int(reply.getheader("x-elision-tokens-saved") or 0):
        raise RuntimeError(f"nothing was shortened: {reply.status} {dict(reply.getheaders())}")


def _answer(port: int, verb: str, path: str, body: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        connection.request(verb, path, body or None, {"content-type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        return reply
    finally:
        connection.close()


def table(found: dict[str, Found]) -> str:
    """Return all figures: medians with [least..most]."""
    lines = ["| | " + " | ".join(f"`{name}`" for name in found) + " |", "|---" * (len(found) + 1) + "|"]

    def row(told: str, values: Sequence[Sequence[float]], form: str) -> None:
        if not all(values):
            return
        cells = (f"{median(v):{form}} [{min(v):{form}}..{max(v):{form}}]" for v in values)
        lines.append(f"| {told} | {' | '.join(cells)} |")

    every = found.values()
    for size in SIZES:
        row(f"{size:,} tokens: tokens/s", [one.speeds.get(size, []) for one in every], ",.0f")
    row("`elision compress FILE`, s", [one.command_s for one in every], ".2f")
    row("from Python, s", [one.python_s for one in every], ".2f")
    row("`elision serve` to ready, s", [one.ready_s for one in every], ".2f")
    for told, kind in _MOMENTS.items():
        for unit in ("pss", "union", "rss"):
            values = [[getattr(memory, unit) for memory in getattr(one, kind)] for one in every]
            row(f"memory {told}, {unit}, MiB", values, ".0f")
        unions = [[memory.union * _MIB**2 / 1e6 for memory in getattr(one, kind)] for one in every]
        row(f"memory {told}, union, MB", unions, ".0f")
    return "\n".join(lines)


def main() -> int:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--served", action="store_true", help="only proxies: readiness and memory")
    parser.add_argument("--markdown", type=Path, help="write the report to this file, too")
    options = parser.parse_args()
    found = {name: Found() for name in METHODS}
    with tempfile.TemporaryDirectory(prefix="elision-bench-") as folder:
        if not options.served:
            speeds(found, options.rounds, options.threads)
            cold(found, options.rounds, Path(folder))
        served(found, options.rounds, Path(folder))
    told = [f"- {name}: {value}" for name, value in description().items()]
    told.append(f"- load of the machine at the end, over 1, 5 and 15 minutes: {os.getloadavg()}")
    told.append(f"- median of {options.rounds} [least..most]; {options.threads} threads; rate 0.5")
    asked = ", ".join(f"{size:,}" for size in ASKED)
    told.append(f"- memory of all processes, MiB and MB (10^6); requests: three each of {asked} tokens")
    told.append("- pss: pages that others share count in part; union: every page once; rss: in each process")
    report = "\n".join([*told, "", table(found)]) + "\n"
    sys.stdout.write(report)
    if options.markdown:
        title = "# The default method: speed, start, memory (`python -m benchmarks.embedded`)"
        options.markdown.write_text(f"{title}\n\n{report}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
