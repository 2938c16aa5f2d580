"""The commands about what is kept: `elision cache stats | clear`, on Redis or on the file of `cache.path`.

This module owns their flags, names of teams for scopes, the table and the progress. Clearing needs
no key, also where values are sealed. Running workers are told by a mark, and forget what their own
memory holds of a cleared team within a minute; by a second one when all is gone, since between the
two they may have read what was not yet cleared, and would give it back.
"""

import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from elision.config.errors import ConfigError
from elision.proxy.commands import EXIT_CANNOT_START, EXIT_USAGE, SettingsFile, fail, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from rich.progress import Progress, TaskID

    from elision.config.settings import Settings
    from elision.proxy.store import Kept, SharedStore

T = TypeVar("T")

MARK_PATIENCE_S = 10.0
"""How long a store may take to write the marks."""

_ALL_TEAMS = "all teams"
_NO_REACH = (
    "nothing is kept that this command could reach: neither redis nor cache.path is set, so that the proxy "
    "remembers by itself until it ends; name the settings of your proxy with --settings"
)

app = typer.Typer(
    help="Show or clear what is kept in Redis or on disk.", no_args_is_help=True, rich_markup_mode=None
)

Team = Annotated[str | None, typer.Option(metavar="NAME", help="Only what is kept of this team.")]


@app.command()
def stats(
    *,
    team: Team = None,
    as_json: Annotated[bool, typer.Option("--json", help="Show JSON.")] = False,
    settings: SettingsFile = None,
) -> int:
    """Show how much is kept, by team and kind."""

    async def look(store: "SharedStore", merged: "Settings") -> int:
        scopes = _scopes_of(team, merged)
        kept = [one for scope in _each(scopes) for one in await store.kept(scope)]
        rows = _rows(kept, merged.cache.ttl_s, _names(merged, team))
        if as_json:
            typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        else:
            _print_rows(rows)
        return 0

    return _on_store(settings, look)


@app.command()
def clear(*, team: Team = None, settings: SettingsFile = None) -> int:
    """Forget what is kept, of one team or of all."""

    async def forget(store: "SharedStore", merged: "Settings") -> int:
        scopes = _scopes_of(team, merged)
        marked = scopes or await _all_scopes(store, merged)
        await _mark(store, marked, merged.cache.ttl_s, "nothing was cleared")
        total = await _cleared(store, scopes)
        await _mark(store, marked, merged.cache.ttl_s, "running workers may give back what was cleared")
        whose = f"team {team}" if team else "all teams"
        typer.echo(f"cleared {total:,} value{'s' * (total != 1)} of {whose}")
        return 0

    return _on_store(settings, forget)


def _on_store(file: "Path | None", work: "Callable[[SharedStore, Settings], Awaitable[int]]") -> int:
    """Do something with the store that the settings name; return the exit code."""
    from elision.config.redis import with_password
    from elision.proxy.store import StoreUnreachable
    from elision.proxy.stores import shared_level

    merged = settings_of(file, {})
    if merged.redis is not None:
        merged = replace(merged, redis=with_password(merged.redis, os.environ))
    elif merged.cache.path is None:
        return fail(EXIT_USAGE, _NO_REACH)
    elif not merged.cache.path.is_file():
        remedy = "has a proxy with these settings run, on this machine?"
        return fail(EXIT_USAGE, f"cache.path: there is no file {merged.cache.path}; {remedy}")

    import asyncio

    async def run() -> int:
        store = shared_level(merged)
        if store is None:
            raise ValueError("the settings name no store")
        try:
            return await work(store, merged)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except StoreUnreachable as error:
        return fail(EXIT_CANNOT_START, str(error))


def _scopes_of(team: str | None, settings: "Settings") -> list[bytes]:
    """Return what is to be looked at of a team; nothing where no team is named."""
    from elision.proxy.store import scope_of

    if team is None:
        return []
    if settings.cache.scope == "shared":
        note = (
            "outcomes and scores are kept for all teams together (cache.scope); this is the team's own rest"
        )
        typer.echo(f"note: {note}", err=True)
    return [scope_of(name) for name in _spellings(team)]


def _spellings(team: str) -> tuple[str, ...]:
    """Return the names that a team is kept under: whoever names no team is of the default one."""
    from elision.proxy.policy_source import DEFAULT_TEAM

    return ("", DEFAULT_TEAM) if team == DEFAULT_TEAM else (team,)


def _names(settings: "Settings", asked: str | None = None) -> dict[bytes, str]:
    """Return the teams that have a policy, and one that was asked for, by their scopes."""
    from elision.compressors.registry import method_names
    from elision.proxy.policy_source import DEFAULT_TEAM, load_policies
    from elision.proxy.store import SHARED_SCOPE, scope_of

    teams = {DEFAULT_TEAM, asked or DEFAULT_TEAM}
    if settings.policies is not None:
        with suppress(ConfigError):  # a wrong policy is no reason not to show what is kept
            teams.update(load_policies(settings.policies, method_names()).by_team)
    named = {scope_of(name): team for team in teams for name in _spellings(team)}
    return {SHARED_SCOPE: _ALL_TEAMS, **named}


async def _all_scopes(store: "SharedStore", settings: "Settings") -> list[bytes]:
    return sorted({one.scope for one in await store.kept()} | set(_names(settings)))


async def _mark(store: "SharedStore", scopes: Sequence[bytes], ttl_s: float, otherwise: str) -> None:
    """Tell running workers to forget, and wait until that is written.

    Raises: StoreUnreachable, which says what it means `otherwise`.
    """
    import asyncio

    from elision.proxy.store import StoreUnreachable
    from elision.proxy.store_tiers import cleared_key

    mark = os.urandom(16)
    keys = [cleared_key(scope) for scope in scopes]
    await store.put_many(dict.fromkeys(keys, mark), ttl_s)
    try:
        async with asyncio.timeout(MARK_PATIENCE_S):
            while any(value != mark for value in await store.get_many(keys)):
                await asyncio.sleep(0.05)
    except TimeoutError:
        why = store.trouble or "a write does not arrive"
        raise StoreUnreachable(f"cannot write to the store ({why}); {otherwise}") from None


async def _cleared(store: "SharedStore", scopes: Sequence[bytes]) -> int:
    """Clear scopes, or everything where none is named, with progress on a terminal; return how many."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    total = 0
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} values cleared"))
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("", total=None)
        for scope in _each(scopes):
            tell = partial(_tell, bar, task, total)
            total += await store.clear(scope, tell)
    return total


def _each(scopes: Sequence[bytes]) -> list[bytes | None]:
    """Return the scopes to look at one by one; none at all stands for everything at once."""
    return [*scopes] if scopes else [None]


def _tell(bar: "Progress", task: "TaskID", before: int, gone: int) -> None:
    bar.update(task, completed=before + gone)


def _rows(kept: "Iterable[Kept]", ttl_s: float, names: Mapping[bytes, str]) -> list[dict[str, object]]:
    """Return what is kept as rows for people and machines."""
    from elision.proxy.store_tiers import kind_name

    groups: dict[tuple[str, str], list[Kept]] = {}
    for one in kept:
        place = (names.get(one.scope, one.scope.hex()), kind_name(one.kind))
        groups.setdefault(place, []).append(one)
    return [
        {
            "team": team,
            "kind": kind,
            "values": sum(one.entries for one in group),
            "bytes": sum(one.held_bytes for one in group),
            "oldest_s": max(0, round(ttl_s - min(one.first_ends_s for one in group))),
        }
        for (team, kind), group in sorted(groups.items())
    ]


def _print_rows(rows: Sequence[dict[str, object]]) -> None:
    from elision.proxy import terminal

    if not rows:
        typer.echo("nothing is kept")
        return
    shown = [
        (
            str(row["team"]),
            str(row["kind"]),
            f"{row['values']:,}",
            _size(int(str(row["bytes"]))),
            _age(int(str(row["oldest_s"]))),
        )
        for row in rows
    ]
    terminal.print_table(("team", "kind", "values", "size", "oldest"), shown, sys.stdout)


def _size(held_bytes: int) -> str:
    return f"{held_bytes / 1e6:.1f} MB" if held_bytes >= 1_000_000 else f"{held_bytes / 1e3:.1f} kB"


def _age(seconds: int) -> str:
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    )
