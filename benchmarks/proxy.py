"""Our pass-through against a direct connection, nginx, a minimal proxy, LiteLLM and Headroom.

    make bench                                      everything, about a quarter of an hour
    python -m benchmarks.proxy --quick              seconds per peer, to develop with
    python -m benchmarks.proxy --peers elision,minimal --rounds 9 --markdown table.md

Each peer runs with one worker on one core; a mock upstream and the load share another one. Rounds
visit all peers in random order; each visit starts the peer afresh. README.md beside this file says
what is measured and how far to trust it.
"""

import argparse
import dataclasses
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from benchmarks.install import UnavailableError, compiled
from benchmarks.machine import Cores, description, two_cores
from benchmarks.measure import QUICK, Bench, Plan, Visit, visit, visit_direct
from benchmarks.peers import Peer, all_peers
from benchmarks.processes import Command, running
from benchmarks.report import (
    DIRECT,
    PROCESS,
    REQUESTS,
    STREAMS,
    Results,
    Table,
    disturbances,
    expectation_table,
    table,
)

EXIT_CANNOT_START = 3
EXIT_INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    asked = _asked(words)
    screen = Console(stderr=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    plan = QUICK if asked.quick else Plan()
    plan = dataclasses.replace(plan, rounds=asked.rounds or plan.rounds)
    facts = description() | {"plan": _plan_told(plan, asked.seed)}
    try:
        cores = two_cores()
        os.sched_setaffinity(0, {cores.load})
        ready, missing, versions = _installed(_chosen(asked), screen)
        with _bench(plan, cores) as bench:
            visits = _visits(bench, ready, missing, asked.seed, screen)
    except (UnavailableError, RuntimeError) as error:
        screen.print(f"error: {error}", style="red", markup=False)
        return EXIT_CANNOT_START
    except KeyboardInterrupt:
        screen.print("interrupted; everything that was started is stopped")
        return EXIT_INTERRUPTED
    facts["versions"] = ", ".join(f"{name} {version}" for name, version in versions.items())
    results = Results(tuple(peer.name for peer in _chosen(asked)), tuple(visits), missing)
    _publish(asked, results, facts)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Begin to stop everything; a second signal must not interrupt that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _asked(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy", description=__doc__, add_help=True)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    own = Path(sys.executable).with_name("elision")
    parser.add_argument("--quick", action="store_true", help="one short round; figures are only hints")
    parser.add_argument("--peers", default="", metavar="A,B", help="only these; direct is always measured")
    parser.add_argument("--rounds", type=int, default=0, help=f"visits to each peer ({Plan().rounds})")
    parser.add_argument("--seed", type=int, default=0, help="of the order within rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every window there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--elision", type=Path, default=own, metavar="PATH", help=f"the command ({own})")
    asked = parser.parse_args(words)
    known = [peer.name for peer in all_peers(asked.elision)]
    asked.peers = [name for name in asked.peers.split(",") if name] or known
    if unknown := sorted(set(asked.peers) - set(known)):
        parser.error(f"--peers: unknown: {', '.join(unknown)}; there are: {', '.join(known)}")
    return asked


def _chosen(asked: argparse.Namespace) -> list[Peer]:
    return [peer for peer in all_peers(asked.elision.absolute()) if peer.name in asked.peers]


def _installed(peers: Sequence[Peer], screen: Console) -> tuple[list[Peer], dict[str, str], dict[str, str]]:
    """Install every peer; return those that are there, why the others are not, and versions."""
    ready: list[Peer] = []
    missing: dict[str, str] = {}
    versions: dict[str, str] = {}
    for peer in peers:
        with screen.status(f"installing {peer.name} (once; kept in .cache/bench)", refresh_per_second=2):
            try:
                versions[peer.name] = peer.install()
                ready.append(peer)
            except UnavailableError as error:
                missing[peer.name] = str(error)
    return ready, missing, versions


@contextmanager
def _bench(plan: Plan, cores: Cores) -> Iterator[Bench]:
    """Run the mock upstream until the block ends."""
    mock, load = compiled("mock"), compiled("load")
    with tempfile.TemporaryDirectory(prefix="elision-bench-") as name:
        folder = Path(name)
        command = Command((str(mock), str(plan.interval_us)))
        with running(command, cores.load, folder, "mock") as process:
            ends = time.monotonic() + 5.0
            while not (said := process.log.read_text(encoding="utf-8").strip()).isdigit():
                if process.ended() or time.monotonic() > ends:
                    raise UnavailableError(f"the mock upstream did not start: {said}")
                time.sleep(0.01)
            yield Bench(plan, cores, load, process, int(said), folder)


def _visits(
    bench: Bench, peers: Sequence[Peer], missing: dict[str, str], seed: int, screen: Console
) -> list[Visit]:
    """Visit all peers, in a new order each round; a peer that fails is not visited again."""
    order = random.Random(seed)
    visits: list[Visit] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, refresh_per_second=1) as progress:
        task = progress.add_task("", total=bench.plan.rounds * (len(peers) + 1))
        for number in range(bench.plan.rounds):
            for peer in order.sample([None, *peers], len(peers) + 1):
                name = peer.name if peer else DIRECT
                progress.update(task, description=f"round {number + 1}: {name}", refresh=True)
                if name not in missing:
                    try:
                        visits.append(visit(bench, peer, number) if peer else visit_direct(bench, number))
                    except UnavailableError as error:
                        missing[name] = str(error)
                progress.advance(task)
    return visits


def _plan_told(plan: Plan, seed: int) -> str:
    return (
        f"N = {plan.rounds} rounds in random order (seed {seed}); windows of {plan.alone_s:g} s with 1"
        f" client, {plan.crowd_s:g} s with {plan.clients}, {plan.clients} streams of {plan.events} chunks,"
        f" one every {plan.interval_us / 1000:g} ms; median [least..most] over rounds"
    )


def _publish(asked: argparse.Namespace, results: Results, facts: dict[str, str]) -> None:
    tables = [
        table(results, "Requests: POST of 1 KB, answer of 1 KB; one core", REQUESTS),
        table(results, "Streams: 64 at once, 50 chunks of 225 bytes a second each", STREAMS),
        table(results, "The process", PROCESS),
        expectation_table(results),
    ]
    notes = disturbances(results)
    notes += [f"{peer} was not measured: {why}" for peer, why in results.missing.items()]
    out = Console(width=None if sys.stdout.isatty() else 200)
    for name, fact in facts.items():
        out.print(f"{name}: {fact}", markup=False, highlight=False)
    for one in tables:
        out.print(_rich(one))
    for note in notes:
        out.print(f"note: {note}", markup=False, highlight=False)
    if asked.markdown:
        head = [f"- {name}: {fact}" for name, fact in facts.items()]
        parts = ["\n".join(head), *(one.markdown() for one in tables), *(f"- {note}" for note in notes)]
        asked.markdown.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    if asked.json:
        rows = [dataclasses.asdict(one) for one in results.visits]
        told = {"facts": facts, "missing": dict(results.missing), "visits": rows}
        asked.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _rich(source: Table) -> RichTable:
    shown = RichTable(title=source.title, title_justify="left")
    for index, head in enumerate(source.heads):
        shown.add_column(head, justify="left" if index == 0 else "right", overflow="fold")
    for row in source.rows:
        shown.add_row(*row)
    return shown


if __name__ == "__main__":
    sys.exit(main())
