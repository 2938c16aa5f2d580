"""The command line: `elision serve | compress | upstream`, and those of `cli_policies` and `cli_models`.

This module owns names of commands and flags, exit codes, and saying an error in one line with its
remedy; the work is done by what it imports, inside the commands, so that `elision --version`
answers at once. Other tools may rely on the exit codes:

    0  done
    1  what was looked at is wrong: a policy file, a body that is none
    2  what was asked is wrong: a flag, a variable, a settings file, a file that cannot be read
    3  asked rightly, but it cannot start: the port is taken, weights or packages are missing

`compress` writes nothing but the shortened text (or JSON) to standard output.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elision.compressors.errors import BadOption, CompressionError, UnknownMethod, WeightsMissing
from elision.compressors.registry import DEFAULT_METHOD
from elision.config.errors import ConfigError
from elision.proxy import cli_cache, cli_eval, cli_models, cli_policies, cli_recover, cli_top, cli_train
from elision.proxy.commands import (
    EXIT_CANNOT_START,
    EXIT_USAGE,
    EXIT_WRONG,
    PoliciesDir,
    SettingsFile,
    counters_of,
    fail,
    read_file,
    settings_of,
)

if TYPE_CHECKING:
    from elision.compressors.base import Method, OptionValue, Outcome, Target
    from elision.config.settings import Settings

_DEFAULT_RATE = 0.5

app = typer.Typer(
    name="elision",
    help="An OpenAI-compatible proxy that makes prompts shorter by a team's policy.",
    epilog="Exit codes: 0 done; 1 what was looked at is wrong; 2 what was asked is wrong; "
    "3 cannot start (port taken, weights or packages missing).",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command that the process was started with, and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code. Operators' errors become lines on standard error."""
    try:
        code = app(arguments, prog_name="elision", standalone_mode=False)
    except ConfigError as error:
        return fail(EXIT_USAGE, *error.problems)
    except (UnknownMethod, BadOption) as error:
        return fail(EXIT_USAGE, str(error))
    except WeightsMissing as error:
        return fail(EXIT_CANNOT_START, str(error))
    except CompressionError as error:
        return fail(EXIT_WRONG, str(error))
    except typer.TyperException as error:
        return fail(EXIT_USAGE, f"{error.format_message().rstrip('.')}; see elision --help")
    return code if isinstance(code, int) else 0


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"elision {version('elision')}")
        raise typer.Exit


@app.callback()
def _elision(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Hold what is common to all commands."""


@app.command()
def serve(
    *,
    upstream: Annotated[str | None, typer.Option(help="Provider's base URL. [ELISION_UPSTREAM]")] = None,
    host: Annotated[str | None, typer.Option(help="Address, 127.0.0.1 by default. [ELISION_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port, 8484 by default. [ELISION_PORT]")] = None,
    policies: PoliciesDir = None,
    redis: Annotated[str | None, typer.Option(help="Redis URL. [ELISION_REDIS]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes. [ELISION_WORKERS]")] = None,
    settings: SettingsFile = None,
) -> int:
    """Run the proxy until it is told to stop.

    Defaults give way to the settings file, the file to ELISION_* variables, variables to flags.
    """
    flags: dict[str, object] = {
        "upstream": upstream,
        "host": host,
        "port": port,
        "policies": policies,
        "redis": redis,
        "workers": workers,
    }
    from elision.config.cache_keys import with_cache_keys
    from elision.config.dashboard import with_dashboard
    from elision.config.settings import with_upstreams
    from elision.config.telemetry import with_telemetry

    merged = with_cache_keys(with_upstreams(settings_of(settings, flags), os.environ), os.environ)
    merged = with_telemetry(with_dashboard(merged, os.environ), os.environ)
    nursery = None
    if merged.policies is not None:
        from elision.proxy.worker_process import begin_nursery

        nursery = begin_nursery()
    try:
        from elision.proxy.app import serve as serve_forever

        return serve_forever(merged, nursery)
    finally:
        if nursery is not None:
            nursery.close()


@app.command()
def compress(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="Text in UTF-8; - is standard input.")],
    method: Annotated[str, typer.Option(help="Compression method.")] = DEFAULT_METHOD,
    rate: Annotated[
        float | None,
        typer.Option(help=f"Share of tokens to keep, {_DEFAULT_RATE} where the method needs a target."),
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Tokens to keep, in place of a rate.")] = None,
    question: Annotated[str, typer.Option(help="What the text is read for.")] = "",
    model: Annotated[str, typer.Option(help="Model that will read it; chooses the tokenizer.")] = "",
    option: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Option of the method.")] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show the whole text, what is cut struck out.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Show the outcome as JSON.")] = False,
    settings: SettingsFile = None,
) -> int:
    """Shorten a text on this machine, without a server, and write it to standard output."""
    from elision.compressors.base import Method, Target

    if rate is not None and not 0 < rate <= 1:
        raise ConfigError([f"--rate: must be above 0 and at most 1, not {rate:g}"])
    if rate is not None and tokens is not None:
        raise ConfigError(["--tokens: excludes --rate; give one of them"])
    if show and as_json:
        raise ConfigError(["--show: excludes --json; give one of them"])
    target = Target(_rate(method, rate, tokens), tokens, model, question)
    text = _text(read_file(file), file)
    merged = settings_of(settings, {})
    outcome = _compressed(text, Method(method, _options(option or [])), target, merged)
    _show_outcome(text, outcome, show=show, as_json=as_json)
    return 0


for _command in (
    cli_policies.check,
    cli_policies.explain,
    cli_policies.policies,
    cli_policies.schema,
    cli_policies.fingerprint,
    cli_recover.recover,
):
    app.command()(_command)

app.command("eval")(cli_eval.evaluate)
app.command()(cli_top.top)
app.add_typer(cli_cache.app, name="cache")
app.add_typer(cli_models.app, name="models")
app.add_typer(cli_train.app, name="train")


@app.command()
def upstream(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any.")] = 8485,
    weights: Annotated[str, typer.Option(help="Folder or Hugging Face id; a small model without it.")] = "",
) -> int:
    """Serve a small real model behind OpenAI's API, to try the proxy without a provider."""
    from elision.proxy.local_upstream import serve as serve_model

    return serve_model(host, port, weights)


def _text(content: bytes, file: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError([f"{file}: not UTF-8 at byte {error.start}; convert it first"]) from error


def _rate(method: str, rate: float | None, tokens: int | None) -> float | None:
    from elision.compressors.registry import abilities

    ability = abilities().get(method)
    if ability is not None and not ability.needs_target:
        if rate is not None or tokens is not None:
            raise ConfigError([f"--method: {method} decides by itself how far it goes; leave out the target"])
        return None
    return _DEFAULT_RATE if rate is None and tokens is None else rate


def _options(given: list[str]) -> "tuple[tuple[str, OptionValue], ...]":
    """Read `name=value`, the value as YAML reads it."""
    from elision.config.strict_yaml import parse_document

    options: dict[str, OptionValue] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        read = parse_document(value.encode(), f"--option {name}").data
        if isinstance(read, list) and all(isinstance(item, str) for item in read):
            read = tuple(read)
        if not (name and equals) or not isinstance(read, (str, int, float, bool, tuple)):
            raise ConfigError([f"--option: must be NAME=VALUE, not {pair}"])
        options[name] = read
    return tuple(sorted(options.items()))


def _compressed(text: str, method: "Method", target: "Target", settings: "Settings") -> "Outcome":
    from elision.compressors.base import Job
    from elision.compressors.engine import Engine

    compressor = settings.compressor
    engine = Engine(counters_of(settings), cache_dir=compressor.cache_dir, threads=compressor.threads)
    [outcome] = engine.run([Job(text, method, target)])
    return outcome


def _in_full(text: str, outcome: "Outcome", *, as_json: bool) -> str:
    from elision.proxy import terminal

    if as_json:
        return json.dumps(terminal.outcome_row(outcome), ensure_ascii=False, indent=2) + "\n"
    return terminal.struck(text, outcome.kept, ansi=sys.stdout.isatty()) if outcome.kept else outcome.text


def _show_outcome(text: str, outcome: "Outcome", *, show: bool, as_json: bool) -> None:
    shown = _in_full(text, outcome, as_json=as_json) if as_json or show else outcome.text
    # Bytes, because a text's own line ends must come out as they went in.
    sys.stdout.buffer.write(shown.encode())
    sys.stdout.buffer.flush()
    if outcome.reason:
        typer.echo(f"note: left as it was: {outcome.reason}", err=True)
    elif show:
        typer.echo(f"\n{outcome.tokens_before} -> {outcome.tokens_after} tokens", err=True)
