"""From visits to tables: medians, spreads, ratios to ours, and what issue 3 expects.

Pure: visits in, rows of text out. Added latency is the difference to the direct connection of the
same round. Every figure is the median over rounds, with the smallest and the largest behind it.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import DISTURBED_ABOVE, Visit

OURS = "elision"
DIRECT = "direct"

Measure = Callable[[Visit, Visit], float]
"""From a visit, and the direct connection's of the same round, to one figure."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest of a figure over the rounds."""

    median: float
    least: float
    most: float

    def told(self, digits: int) -> str:
        """Return `median [least..most]`, of one round the figure alone."""
        median = f"{self.median:,.{digits}f}"
        if self.least == self.most:
            return median
        return f"{median} [{self.least:,.{digits}f}..{self.most:,.{digits}f}]"


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table.

    Attributes:
        title: with its unit.
        measure: what it is.
        digits: after the point.
        compared: whether a column of ratios to ours follows.
        of_direct: whether the direct connection has it too.
    """

    title: str
    measure: Measure
    digits: int = 0
    compared: bool = False
    of_direct: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text: the first column holds peers' names."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown."""
        lines = [f"### {self.title}", "", f"| {' | '.join(self.heads)} |", "|---" * len(self.heads) + "|"]
        return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in self.rows)])


@dataclass(frozen=True, slots=True)
class Results:
    """All visits, and the reasons of the peers that could not be measured."""

    peers: tuple[str, ...]
    visits: tuple[Visit, ...]
    missing: Mapping[str, str]

    def of(self, peer: str) -> list[Visit]:
        """Return a peer's visits."""
        return [visit for visit in self.visits if visit.peer == peer]

    def spread(self, peer: str, measure: Measure) -> Spread | None:
        """Return a figure of a peer, None if it was not measured."""
        direct = {visit.number: visit for visit in self.of(DIRECT)}
        values = [measure(visit, direct[visit.number]) for visit in self.of(peer) if visit.number in direct]
        return Spread(statistics.median(values), min(values), max(values)) if values else None


def _per(seconds: float, count: int) -> float:
    return seconds * 1e6 / count if count else float("nan")


def _rps(visit: Visit, _: Visit) -> float:
    window = visit.crowd
    return window.completed / window.elapsed_s if window.elapsed_s else 0.0


def _request_us(visit: Visit, _: Visit) -> float:
    return _per(visit.crowd.cpu_s, visit.crowd.completed)


def _event_us(visit: Visit, _: Visit) -> float:
    return _per(visit.streams.cpu_s, visit.streams.events)


def _events_per_s(visit: Visit, _: Visit) -> float:
    window = visit.streams
    return window.events / window.elapsed_s if window.elapsed_s else 0.0


REQUESTS = (
    Column("RPS, 64 clients", _rps, compared=True, of_direct=True),
    Column("CPU µs/request, 64", _request_us, compared=True),
    Column("CPU µs/request, 1", lambda v, _: _per(v.alone.cpu_s, v.alone.completed)),
    Column("added p50 µs, 1", lambda v, d: v.alone.p50_us - d.alone.p50_us, compared=True),
    Column("added p99 µs, 1", lambda v, d: v.alone.p99_us - d.alone.p99_us),
    Column("added p50 ms, 64", lambda v, d: (v.crowd.p50_us - d.crowd.p50_us) / 1000, 1),
    Column("added p99 ms, 64", lambda v, d: (v.crowd.p99_us - d.crowd.p99_us) / 1000, 1),
    Column("failed", lambda v, _: v.alone.failed + v.crowd.failed, of_direct=True),
)
STREAMS = (
    Column("CPU µs/chunk", _event_us, 1, compared=True),
    Column("chunks/s", _events_per_s, of_direct=True),
    Column("first byte: added p50 ms", lambda v, d: (v.streams.p50_us - d.streams.p50_us) / 1000, 2),
    Column("added p99 ms", lambda v, d: (v.streams.p99_us - d.streams.p99_us) / 1000, 2),
    Column("transit p50 ms", lambda v, _: v.streams.transit_p50_us / 1000, 2, of_direct=True),
    Column("transit p99 ms", lambda v, _: v.streams.transit_p99_us / 1000, 2, of_direct=True),
    Column("failed", lambda v, _: v.streams.failed, of_direct=True),
)
PROCESS = (
    Column("memory idle MiB", lambda v, _: v.idle_mib, compared=True),
    Column("memory max MiB", lambda v, _: v.max_mib),
    Column("start to first 200, s", lambda v, _: v.start_s, 2, compared=True),
)


def table(results: Results, title: str, columns: Sequence[Column]) -> Table:
    """Return one table: a row for every peer that was asked for, measured or not."""
    heads = ["peer"]
    for column in columns:
        heads += [column.title, "× ours"] if column.compared else [column.title]
    names = [DIRECT, *results.peers] if any(column.of_direct for column in columns) else results.peers
    return Table(title, tuple(heads), tuple(_row(results, name, columns, len(heads)) for name in names))


def _row(results: Results, peer: str, columns: Sequence[Column], width: int) -> tuple[str, ...]:
    if peer in results.missing and not results.of(peer):
        return (peer, "not measured", *["–"] * (width - 2))
    cells = [peer]
    for column in columns:
        here = results.spread(peer, column.measure) if peer != DIRECT or column.of_direct else None
        cells.append(here.told(column.digits) if here else "–")
        if column.compared:
            ours = results.spread(OURS, column.measure)
            cells.append(f"{here.median / ours.median:.2f}" if here and ours and ours.median else "–")
    return tuple(cells)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What issue 3 expects of us, what was measured, and whether that is enough."""

    text: str
    measured: str
    met: bool


def expectations(results: Results) -> list[Expectation]:
    """Return the verdicts that the measured peers allow."""
    found: list[Expectation] = []
    for peer, times in (("litellm", 60), ("headroom", 30)):
        if ratio := _ratio(results, OURS, peer, _rps):
            text = f"at least {times} times the requests per second of {peer}"
            found.append(Expectation(text, f"{ratio:.0f} times", ratio >= times))
    if ratio := _ratio(results, OURS, "minimal", _request_us):
        text = "no more CPU per request than the minimal proxy"
        found.append(Expectation(text, f"{ratio:.2f} of it", ratio <= 1))
    limits: tuple[tuple[str, Measure, float, str], ...] = (
        ("at most 60 µs of CPU per SSE chunk", _event_us, 60, "µs"),
        ("resident memory under 80 MB", lambda v, _: v.max_mib * 2**20 / 1e6, 80, "MB at most"),
        ("ready in under 1 s", lambda v, _: v.start_s, 1, "s"),
    )
    for text, measure, limit, unit in limits:
        if ours := results.spread(OURS, measure):
            found.append(Expectation(text, f"{ours.median:.3g} {unit}", ours.median < limit))
    return found


def _ratio(results: Results, one: str, other: str, measure: Measure) -> float | None:
    above, below = results.spread(one, measure), results.spread(other, measure)
    return above.median / below.median if above and below and below.median else None


def expectation_table(results: Results) -> Table:
    """Return the verdicts as a table."""
    rows = [(e.text, e.measured, "yes" if e.met else "NO") for e in expectations(results)]
    return Table("What issue 3 expects of elision", ("expected", "measured", "met"), tuple(rows))


def disturbances(results: Results) -> list[str]:
    """Return a line for each peer whose windows lost time to the host or to other processes."""
    lines: list[str] = []
    for peer in (DIRECT, *results.peers):
        windows = [w for visit in results.of(peer) for w in (visit.alone, visit.crowd, visit.streams)]
        lost = [w.disturbed for w in windows if w.disturbed > DISTURBED_ABOVE]
        if lost:
            lines.append(
                f"{peer}: {len(lost)} of {len(windows)} windows lost more than {DISTURBED_ABOVE} s/s"
                f" to the host or to other processes (at most {max(lost):.2f})"
            )
    return lines
