"""The commands about policies: `elision check | policies | explain | schema | fingerprint`.

This module owns their flags and what they print where; policies are read by `policy_source`, plans
made by `planner`, tables drawn by `terminal`. A key is never an argument: those are kept in the
shell's history and seen by everybody who lists processes.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elision.config.errors import ConfigError
from elision.proxy.commands import (
    EXIT_WRONG,
    PoliciesDir,
    SettingsFile,
    counters_of,
    fail,
    read_file,
    settings_of,
    tell,
)

if TYPE_CHECKING:
    from elision.proxy.policy_source import PolicySet

_PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "responses": "/v1/responses"}


def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of policy files.")],
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
) -> int:
    """Check every policy file of a directory; tell all errors and warnings with file, line and column."""
    from elision.proxy.policy_source import inspect_policies

    try:
        found = inspect_policies(directory)
    except ConfigError as error:
        return fail(EXIT_WRONG, *error.problems)
    tell("error", *found.errors)
    tell("error" if strict else "warning", *found.warnings)
    if found.policies is None or (strict and found.warnings):
        return EXIT_WRONG
    for team, policy in sorted(found.policies.by_team.items()):
        default = ", for every other team too" if policy is found.policies.default else ""
        rules = f"{len(policy.rules)} rule{'s' * (len(policy.rules) != 1)}"
        typer.echo(f"{team}: {policy.label}, {policy.mode}, {rules}{default}")
    return 0


def policies(
    *,
    policies: PoliciesDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Show JSON.")] = False,
    settings: SettingsFile = None,
) -> int:
    """Show which policies are loaded, for whom, and which presets there are to extend."""
    from elision.proxy import terminal
    from elision.proxy.policy_source import PolicySet, inspect_policies, preset_names, preset_purpose

    directory = settings_of(settings, {"policies": policies}).policies
    known = inspect_policies(directory).sound() if directory is not None else PolicySet({}, None)
    presets = {name: preset_purpose(name) for name in preset_names()}
    if as_json:
        rows = {"policies": terminal.policy_rows(known), "presets": presets, "warnings": known.warnings}
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        terminal.print_policies(known, presets, sys.stdout)
        tell("warning", *known.warnings)
    return 0


def explain(
    *,
    body: Annotated[Path, typer.Argument(metavar="BODY.json", help="A request's body; - is standard input.")],
    policies: PoliciesDir = None,
    team: Annotated[str, typer.Option(help="Whose policy; the default one without it.")] = "",
    endpoint: Annotated[str, typer.Option(help="chat, completions or responses.")] = "chat",
    rate: Annotated[float | None, typer.Option(help="As if the request sent x-elision-rate.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="A header of the request.")
    ] = None,
    upstream: Annotated[str, typer.Option(help="Name of the upstream that it goes to.")] = "",
    turns: Annotated[
        int | None, typer.Option(min=0, max=200, help="Further turns, in place of expected_turns.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Show JSON, with why other rules did not.")] = False,
    settings: SettingsFile = None,
) -> int:
    """Show what would happen to each part of a request, and why. Nothing is compressed."""
    from elision.proxy import terminal
    from elision.proxy.carry import NotCarriedError
    from elision.proxy.explanation import plan_row
    from elision.proxy.planner import Planner, packaged_knowledge
    from elision.proxy.rewriter import Ask

    path = _path(endpoint)
    headers = _headers(header or [], rate)
    merged = settings_of(settings, {"policies": policies})
    known = _policies_for(merged.policies, team)
    planner = Planner(
        known, counters_of(merged).counter_for, packaged_knowledge(merged.windows, merged.prefix_terms)
    )
    try:
        planned = planner.plan(read_file(body), Ask("POST", path, team, headers, upstream))
    except NotCarriedError as error:
        return fail(EXIT_WRONG, f"{body}: {error}: the proxy would pass this body on untouched")
    if planned is None:
        return fail(EXIT_WRONG, f"{body}: the proxy would not look into this request")
    if as_json:
        typer.echo(json.dumps(plan_row(planned, turns), ensure_ascii=False, indent=2))
    else:
        terminal.print_plan(planned, sys.stdout, turns)
    return 0


def schema() -> int:
    """Print the JSON Schema of policy files, for editors."""
    from elision.compressors.protect import CLASSES, DEFAULT
    from elision.compressors.registry import method_names
    from elision.policies.json_schema import json_schema
    from elision.proxy.policy_source import preset_names

    described = json_schema(method_names(), (*CLASSES, DEFAULT), preset_names())
    typer.echo(json.dumps(described, ensure_ascii=False, indent=2))
    return 0


def fingerprint(
    env: Annotated[str, typer.Option("--env", metavar="NAME", help="Read the key from this variable.")] = "",
) -> int:
    """Print an API key's fingerprint, for `keys` in a policy.

    The key is read from standard input, or asked for, or taken from a variable; it is not shown.
    """
    from elision.proxy.teams import fingerprint as fingerprint_of

    if env:
        key = os.environ.get(env, "")
    elif sys.stdin.isatty():
        key = typer.prompt("API key", hide_input=True, err=True)
    else:
        key = sys.stdin.read()
    key = key.strip()
    if key[:7].lower() == "bearer ":
        key = key[7:].strip()
    if not key or len(key.split()) != 1:
        source = f"--env: {env}" if env else "standard input"
        raise ConfigError([f"{source} must hold one API key, and nothing else"])
    typer.echo(fingerprint_of(key))
    return 0


def _path(endpoint: str) -> str:
    from elision.config.problems import nearest

    if endpoint not in _PATHS:
        raise ConfigError([f"--endpoint: must be one of {', '.join(_PATHS)}; {nearest(endpoint, _PATHS)}"])
    return _PATHS[endpoint]


def _headers(given: list[str], rate: float | None) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    for pair in given:
        name, colon, value = pair.partition(":")
        if not (name.strip() and colon):
            raise ConfigError([f"--header: must be NAME:VALUE, not {pair}"])
        headers.append((name.strip(), value.strip()))
    if rate is not None:
        if not 0 < rate <= 1:
            raise ConfigError([f"--rate: must be above 0 and at most 1, not {rate:g}"])
        headers.append(("x-elision-rate", f"{rate:.9f}".rstrip("0").rstrip(".")))
    return headers


def _policies_for(directory: Path | None, team: str) -> "PolicySet":
    """Return all policies, of which one is the team's."""
    from elision.proxy.policy_source import inspect_policies

    if directory is None:
        raise ConfigError(["no policies: say --policies DIR, or set ELISION_POLICIES to their directory"])
    known = inspect_policies(directory).sound()
    if known.for_team(team) is None:
        teams = ", ".join(sorted(known.by_team))
        raise ConfigError([f"--team: {team or 'the default team'} has no policy; there are: {teams}"])
    return known
