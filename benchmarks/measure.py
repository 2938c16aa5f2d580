"""One visit to one proxy: start it, load it in three ways, read what it cost, stop it.

A window is one run of the load with the CPU time of the proxy's process tree around it. The host
may take the cores away (steal) and other processes may use them; a window that lost more than
`DISTURBED_ABOVE` seconds a second in that way is repeated, and marked if it stays so.
"""

import dataclasses
import http.client
import json
import math
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.install import UnavailableError
from benchmarks.machine import Cores, core_times
from benchmarks.peers import Peer, Place
from benchmarks.processes import Process, free_port, running, wait_until_quiet

DISTURBED_ABOVE = 0.1
PATH = "/v1/chat/completions"
_BODY_BYTES = 1024
_START_LIMIT_S = 180.0
_DRAIN_LIMIT_S = 30.0
_SPREAD_S = 0.02
_PROSE = "The report says what was measured, where, and how often. " * 20
_WARM_EVENTS = 10
_FROM_MOCK = "lorem lorem lorem"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: visits to each proxy.
        alone_s: seconds of the window with one client.
        crowd_s: seconds of the window with `clients` clients.
        clients: concurrent clients, and concurrent streams.
        events: of each stream, at 50 a second.
        warm_s: seconds of load before each window of requests.
        repeats: how often a disturbed window is measured again.
    """

    rounds: int = 5
    alone_s: float = 3.0
    crowd_s: float = 4.0
    clients: int = 64
    events: int = 200
    interval_us: int = 20_000
    warm_s: float = 1.0
    repeats: int = 2


QUICK = Plan(rounds=1, alone_s=1.0, crowd_s=1.5, events=75, warm_s=0.3, repeats=0)


@dataclass(frozen=True, slots=True)
class Window:
    """What the load saw, and what it cost.

    Attributes:
        completed: requests answered with 200, or streams read to their end.
        failed: errors, and streams that did not end in time or lost events.
        p50_us, p99_us: of the time to the whole answer, or to a stream's first event.
        events: that arrived, and how long each was on its way.
        cpu_s: of the proxy's process tree; 0 where there is no proxy.
        disturbed: seconds a second of both cores that the host or others took.
        load_core: share of the load's core that was in use, the mock's part included.
    """

    completed: int
    failed: int
    elapsed_s: float
    p50_us: float
    p99_us: float
    events: int
    transit_p50_us: float
    transit_p99_us: float
    cpu_s: float
    disturbed: float
    load_core: float


@dataclass(frozen=True, slots=True)
class Visit:
    """Everything that one visit to one proxy gave; the direct connection has no process."""

    peer: str
    number: int
    alone: Window
    crowd: Window
    streams: Window
    start_s: float = 0.0
    idle_mib: float = 0.0
    max_mib: float = 0.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What all visits share: the plan, the cores, the programs, the mock upstream, a folder."""

    plan: Plan
    cores: Cores
    load: Path
    mock: Process
    mock_port: int
    folder: Path


def visit_direct(bench: Bench, number: int) -> Visit:
    """Measure the mock without any proxy."""
    alone, crowd, streams = _windows(bench, bench.mock_port, None)
    return Visit("direct", number, alone, crowd, streams)


def visit(bench: Bench, peer: Peer, number: int) -> Visit:
    """Start a proxy, measure it, stop it.

    Raises:
        UnavailableError: it does not start, or ends by itself.
    """
    folder = bench.folder / f"{peer.name}-{number}"
    folder.mkdir()
    place = Place(free_port(), f"http://127.0.0.1:{bench.mock_port}", folder)
    command = peer.command(place)
    began = time.monotonic()
    with running(command, bench.cores.proxy, folder, peer.name) as process:
        _wait_for_answer(process, place.port, began + _START_LIMIT_S)
        start_s = time.monotonic() - began
        wait_until_quiet(process, 15.0)
        idle_mib = process.memory_mib("VmRSS")
        alone, crowd, streams = _windows(bench, place.port, process)
        if process.ended():
            raise UnavailableError(f"it ended under load: {process.last_words()}")
        most_mib = process.memory_mib("VmHWM")
    return Visit(peer.name, number, alone, crowd, streams, start_s, idle_mib, most_mib)


def request_bytes(tokens: int, *, stream: bool) -> bytes:
    """Return a whole request for a chat completion with a body of 1 KB.

    Args:
        tokens: how many events the mock is to send.
        stream: whether the answer is to be a stream.
    """
    content = ""
    while True:
        messages = [
            {"role": "system", "content": "You answer in one short sentence."},
            {"role": "user", "content": content},
        ]
        asked = {"model": "gpt-4o-mini", "max_tokens": tokens, "stream": stream, "messages": messages}
        body = json.dumps(asked, separators=(",", ":")).encode()
        if len(body) == _BODY_BYTES:
            break
        content = ("The report says what was measured, where, and how often. " * 20)[
            : _BODY_BYTES - len(body)
        ]
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: benchmark\r\nAccept: */*\r\n"
        f"Authorization: Bearer sk-benchmark\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _wait_for_answer(process: Process, port: int, until: float) -> None:
    """Return at the first 200 to a chat completion that carries the mock's words."""
    body = request_bytes(1, stream=False).partition(b"\r\n\r\n")[2]
    headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-benchmark"}
    said = "it did not listen"
    while time.monotonic() < until:
        if process.ended():
            raise UnavailableError(f"it ended at its start: {process.last_words()}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", PATH, body, headers)
            answer = connection.getresponse()
            said_by_it = answer.read().decode(errors="replace")
            if answer.status == http.HTTPStatus.OK and _FROM_MOCK in said_by_it:
                return
            said = f"its last answer was {answer.status}: {said_by_it[:200]}"
        except (OSError, http.client.HTTPException):
            time.sleep(0.005)
        else:
            time.sleep(0.05)
        finally:
            connection.close()
    raise UnavailableError(f"no 200 within {_START_LIMIT_S:.0f} s; {said}")


def _windows(bench: Bench, port: int, proxy: Process | None) -> tuple[Window, Window, Window]:
    plan = bench.plan
    stream_s = plan.events * plan.interval_us / 1e6
    plain, streamed = _request_file(bench, 1, stream=False), _request_file(bench, plan.events, stream=True)

    def requests(clients: int, seconds: float) -> Window:
        _loaded(_words(bench, "requests", port, clients, (plan.warm_s, plan.warm_s, plain)))
        words = _words(bench, "requests", port, clients, (seconds, seconds, plain))
        return _window(bench, proxy, words)

    def streams() -> Window:
        words = _words(bench, "streams", port, plan.clients, (_SPREAD_S, stream_s, streamed))
        seen = _window(bench, proxy, words)
        lost = plan.clients * plan.events - seen.events
        return dataclasses.replace(seen, failed=max(seen.failed, math.ceil(lost / plan.events)))

    warm = _request_file(bench, _WARM_EVENTS, stream=True)
    alone = _undisturbed(lambda: requests(1, plan.alone_s), plan.repeats)
    crowd = _undisturbed(lambda: requests(plan.clients, plan.crowd_s), plan.repeats)
    _loaded(_words(bench, "streams", port, plan.clients // 4, (_SPREAD_S, 1.0, warm)))
    return alone, crowd, _undisturbed(streams, plan.repeats)


def _request_file(bench: Bench, tokens: int, *, stream: bool) -> Path:
    file = bench.folder / f"{'stream' if stream else 'plain'}-{tokens}.http"
    if not file.is_file():
        file.write_bytes(request_bytes(tokens, stream=stream))
    return file


def _words(bench: Bench, kind: str, port: int, clients: int, rest: tuple[float, float, Path]) -> list[str]:
    """Return the load's command line; `rest` is its seconds, how long it should last, its request."""
    seconds, lasts_s, request = rest
    pinned = ["taskset", "-c", str(bench.cores.load)]
    figures = [str(port), str(clients), str(seconds), str(lasts_s + _DRAIN_LIMIT_S)]
    return [*pinned, str(bench.load), kind, *figures, str(request)]


def _undisturbed(measured: Callable[[], Window], repeats: int) -> Window:
    """Return the first quiet window, or the quietest of all tries."""
    tries: list[Window] = []
    for _ in range(1 + repeats):
        tries.append(measured())
        if tries[-1].disturbed <= DISTURBED_ABOVE:
            break
    return min(tries, key=lambda window: window.disturbed)


def _window(bench: Bench, proxy: Process | None, words: Sequence[str]) -> Window:
    """Run the load once; return what it saw, with the times around it."""

    def proxy_s() -> float:
        return proxy.cpu_s() if proxy is not None else 0.0

    def own_s() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    cores, own, mock, cpu = core_times(bench.cores), own_s(), bench.mock.cpu_s(), proxy_s()
    seen = _loaded(words)
    cpu, mock, own = proxy_s() - cpu, bench.mock.cpu_s() - mock, own_s() - own
    after = core_times(bench.cores)
    lasted = after.at - cores.at
    others = max(0.0, (after.busy_s - cores.busy_s) - cpu - mock - own)
    return Window(
        completed=int(seen["completed"]),
        failed=int(seen["errors"] + seen["unfinished"]),
        elapsed_s=seen["elapsed_s"],
        p50_us=seen["p50_us"],
        p99_us=seen["p99_us"],
        events=int(seen["events"]),
        transit_p50_us=seen["transit_p50_us"],
        transit_p99_us=seen["transit_p99_us"],
        cpu_s=cpu,
        disturbed=(others + after.steal_s - cores.steal_s) / lasted,
        load_core=(mock + own) / lasted,
    )


def _loaded(words: Sequence[str]) -> Mapping[str, float]:
    """Run the load; return its line of figures."""
    limit_s = 3 * _DRAIN_LIMIT_S  # the load ends by itself long before
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=limit_s)  # noqa: S603
    figures: Mapping[str, float] = json.loads(done.stdout)
    return figures
