"""The command `elision top`: what a running proxy saves, team by team, in a table that follows it.

Owns its flags, the question to `/elision/api/sums` and how figures are shown. It adds nothing up but
the line of all teams; the proxy keeps the figures.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TextIO
from urllib.parse import urlencode, urlsplit

import typer

from elision.accounts.archive import OVERHEAD_BOUNDS_MS
from elision.accounts.money import NANO
from elision.config.errors import ConfigError
from elision.proxy.commands import EXIT_CANNOT_START, fail, key_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

TIMEOUT_S = 10.0
_WIDTH_OF_A_PIPE = 160
_UNITS_S = {"m": 60, "h": 3600, "d": 86400}
_FIELDS = (
    "requests",
    "compressed",
    "tokens_before",
    "tokens_after",
    "tokens_saved",
    "saved",
    "saved_billed",
    "priced",
    "failed",
    "overhead",
    "words",
)


class Sort(StrEnum):
    """What the table is sorted by; the largest first, teams by name."""

    SAVED = "saved"
    TOKENS = "tokens"
    REQUESTS = "requests"
    ERRORS = "errors"
    OVERHEAD = "overhead"
    TEAM = "team"


class Unreachable(Exception):
    """The proxy did not answer what was asked; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """Figures of one team.

    Attributes:
        overhead: requests by `OVERHEAD_BOUNDS_MS`.
        tried, found: requests in which something was to be shortened; those that found all of it.
        bypassed: reasons told.
        saved, billed: nano-dollars in all, and those that rest on stated usage; None where no price is known.
    """

    team: str
    requests: int
    compressed: int
    tokens_before: int
    tokens_after: int
    tokens_saved: int
    saved: int | None
    billed: int
    overhead: tuple[int, ...]
    tried: int
    found: int
    bypassed: int
    failed: int


def top(
    *,
    url: Annotated[str, typer.Option(help="Of the running proxy.")] = "http://127.0.0.1:8484",
    token_env: Annotated[
        str, typer.Option(metavar="NAME", help="Variable with the dashboard's token, where it wants one.")
    ] = "",
    last: Annotated[str, typer.Option(help="How far back: 15m, 24h or 7d.")] = "24h",
    sort: Annotated[Sort, typer.Option(help="What comes first.")] = Sort.SAVED,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show the table once and end.")] = False,
) -> int:
    """Show what each team saves, live, of a running proxy. Ctrl-C ends it."""
    token = key_of("--token-env", token_env)
    seconds = seconds_of(last)
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError([f"--url: must begin with http:// or https://, not {url}"])

    def look() -> list[Line]:
        return lines_of(ask(url, token, seconds))

    try:
        if once:
            _console(sys.stdout).print(table_of(look(), sort, f"{url}, last {last}"))
        else:
            follow(look, sort, f"{url}, last {last}", sys.stdout, lambda: time.sleep(every))
    except Unreachable as error:
        return fail(EXIT_CANNOT_START, str(error))
    except KeyboardInterrupt:
        pass
    return 0


def seconds_of(last: str) -> int:
    """Return the seconds of `15m`, `24h` or `7d`.

    Raises: ConfigError.
    """
    number, unit = last[:-1], last[-1:]
    if unit not in _UNITS_S or not (number.isascii() and number.isdecimal()) or not 0 < int(number) <= 10_000:
        raise ConfigError([f"--last: must be a number and m, h or d, 24h for instance, not {last}"])
    return int(number) * _UNITS_S[unit]


def ask(url: str, token: str, seconds: int) -> Sequence[Mapping[str, Any]]:
    """Return the rows of all teams since so many seconds ago.

    Raises: Unreachable.
    """
    import urllib.error
    import urllib.request

    query = {
        "last": seconds,
        "step": "all",
        "by": "team",
        "fields": ",".join(_FIELDS),
    }
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    where = f"{url.rstrip('/')}/elision/api/sums?{urlencode(query)}"
    wanted = urllib.request.Request(where, headers=headers)  # noqa: S310  the command takes http(s) alone
    # The proxy is the operator's own: what the environment says of other proxies is not for it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(wanted, timeout=TIMEOUT_S) as answer:
            rows: Sequence[Mapping[str, Any]] = json.loads(answer.read())["rows"]
    except urllib.error.HTTPError as error:
        with error:
            raise Unreachable(_refused(url, error.code, error.read(), has_token=bool(token))) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreachable(_silent(url, error)) from error
    return rows


def _refused(url: str, status: int, body: bytes, *, has_token: bool) -> str:
    if status == 401:
        if has_token:
            return f"{url} does not take this token: is it the one that dashboard.token_env names there?"
        return f"{url} wants the dashboard's token: name the variable that holds it with --token-env"
    if status == 404:
        return f"{url} has no figures under /elision/: it is no Elision, or dashboard.enabled is false there"
    try:
        told = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        told = "no reason is given"
    return f"{url} answers {status}: {told}"


def _silent(url: str, error: Exception) -> str:
    if isinstance(error, (ValueError, KeyError, TypeError)):
        return f"{url} answers something else than Elision does; say the proxy's own address with --url"
    # What urllib raises says why in `reason`; other errors speak for themselves.
    reason = getattr(error, "reason", error)
    return f"nobody answers at {url} ({reason}): start elision serve, or say where it is with --url"


def lines_of(rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return the figures of each row."""
    return [_line(str(row["labels"][0]), row["sums"]) for row in rows]


def _line(team: str, sums: Mapping[str, Any]) -> Line:
    words: Mapping[str, int] = sums["words"]
    return Line(
        team,
        sums["requests"],
        sums["compressed"],
        sums["tokens_before"],
        sums["tokens_after"],
        sums["tokens_saved"],
        sums["saved"] if sums["priced"] else None,
        sums["saved_billed"],
        tuple(sums["overhead"]),
        sum(count for word, count in words.items() if word.startswith("cache:")),
        words.get("cache:hit", 0) + words.get("cache:replay", 0),
        sum(count for word, count in words.items() if word.startswith("bypass:")),
        sums["failed"],
    )


def all_of(lines: Sequence[Line]) -> Line:
    """Return the sum of lines, under the name `all`."""
    known = [line.saved for line in lines if line.saved is not None]
    buckets = len(OVERHEAD_BOUNDS_MS) + 1
    return Line(
        "all",
        sum(line.requests for line in lines),
        sum(line.compressed for line in lines),
        sum(line.tokens_before for line in lines),
        sum(line.tokens_after for line in lines),
        sum(line.tokens_saved for line in lines),
        sum(known) if known else None,
        sum(line.billed for line in lines),
        tuple(sum(line.overhead[at] for line in lines) for at in range(buckets)),
        sum(line.tried for line in lines),
        sum(line.found for line in lines),
        sum(line.bypassed for line in lines),
        sum(line.failed for line in lines),
    )


def quantile_ms(buckets: Sequence[int], share: float) -> float | None:
    """Return the time below which so large a share of requests is, taken as even within a bucket.

    Returns: None where there are no requests; infinity where it is beyond the last bound.
    """
    wanted = sum(buckets) * share
    if not sum(buckets):
        return None
    below, low = 0, 0.0
    for count, high in zip(buckets, OVERHEAD_BOUNDS_MS, strict=False):
        if count and below + count >= wanted:
            return low + (high - low) * (wanted - below) / count
        below, low = below + count, float(high)
    return float("inf")


def sorted_by(lines: Sequence[Line], sort: Sort) -> list[Line]:
    """Return lines in the order that is wanted."""
    keys: Mapping[Sort, Callable[[Line], float]] = {
        Sort.SAVED: lambda line: line.saved or 0,
        Sort.TOKENS: lambda line: line.tokens_saved,
        Sort.REQUESTS: lambda line: line.requests,
        Sort.ERRORS: lambda line: line.failed,
        Sort.OVERHEAD: lambda line: quantile_ms(line.overhead, 0.99) or 0.0,
        Sort.TEAM: lambda line: 0,
    }
    return sorted(lines, key=lambda line: (-keys[sort](line), line.team))


def table_of(lines: Sequence[Line], sort: Sort, title: str) -> "Table":
    """Return the table of all teams, and a line for all of them where there are several."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), box=box.SIMPLE, title_justify="left", show_footer=False)
    table.add_column("team", overflow="fold")
    for name in ("requests", "shortened", "tokens saved", "after/before", "saved $", "billed $"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("p50 ms", "p99 ms", "cache", "bypasses", "errors"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in sorted_by(lines, sort):
        table.add_row(*map(Text, _cells(line)))
    if len(lines) > 1:
        table.add_section()
        table.add_row(*map(Text, _cells(all_of(lines))))
    if not lines:
        table.add_row(Text("no requests yet"))
    return table


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.team,
        f"{line.requests:,}",
        _share(line.compressed, line.requests),
        f"{line.tokens_saved:,}",
        f"{line.tokens_after / line.tokens_before:.3f}" if line.tokens_before else "-",
        _dollars(line.saved),
        _dollars(line.billed if line.saved is not None else None),
        _milliseconds(quantile_ms(line.overhead, 0.5)),
        _milliseconds(quantile_ms(line.overhead, 0.99)),
        _share(line.found, line.tried),
        f"{line.bypassed:,}",
        f"{line.failed:,}",
    )


def follow(
    look: Callable[[], list[Line]], sort: Sort, title: str, out: TextIO, pause: Callable[[], None]
) -> None:
    """Show the table, and go on looking until `pause` raises KeyboardInterrupt.

    A proxy that goes away meanwhile is said so below the last figures that were seen, and looked for on.
    Raises: Unreachable if the first look fails.
    """
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    lines, trouble = look(), ""
    with Live(console=_console(out), auto_refresh=False) as live:
        while True:
            live.update(Group(table_of(lines, sort, title), Text(trouble)), refresh=True)
            pause()
            try:
                lines, trouble = look(), ""
            except Unreachable as error:
                trouble = str(error)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _dollars(nano: int | None) -> str:
    return "-" if nano is None else f"{nano / NANO:,.4f}"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f">{OVERHEAD_BOUNDS_MS[-1]:g}" if value == float("inf") else f"{value:.1f}"


def _console(out: TextIO) -> "Console":
    from rich.console import Console

    return Console(file=out, width=None if out.isatty() else _WIDTH_OF_A_PIPE)
