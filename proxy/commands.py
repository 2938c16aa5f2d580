"""What all commands of the command line share: exit codes, common flags, reading, telling errors.

It knows no command. Imports nothing that takes time, so that `elision --version` answers at once.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elision.config.errors import ConfigError

if TYPE_CHECKING:
    from elision.compressors.tokens import Counters
    from elision.config.settings import Settings
    from elision.evaluation.cost import Price

EXIT_WRONG = 1
EXIT_USAGE = 2
EXIT_CANNOT_START = 3

STDIN = Path("-")

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="Settings file. [ELISION_SETTINGS]")
]
PoliciesDir = Annotated[
    str | None, typer.Option(metavar="DIR", help="Directory of policy files. [ELISION_POLICIES]")
]


def tell(kind: str, *problems: str) -> None:
    """Write each problem as one line on standard error, after its kind: error, warning, note."""
    for problem in problems:
        typer.echo(f"{kind}: {' '.join(problem.split())}", err=True)


def fail(code: int, *problems: str) -> int:
    """Tell errors; return the exit code."""
    tell("error", *problems)
    return code


def read_file(file: Path) -> bytes:
    """Return a file's content, standard input's for `-`.

    Raises: ConfigError if it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from error


def settings_of(file: Path | None, flags: dict[str, object]) -> "Settings":
    """Return the settings of a file, the environment and a command's flags.

    Raises: ConfigError.
    """
    from elision.config.settings import load_settings

    return load_settings(file, os.environ, flags)


def counters_of(settings: "Settings") -> "Counters":
    """Return token counters with the operator's own tokenizers."""
    from elision.compressors.tokens import Counters

    paths = {glob: str(path) for glob, path in settings.tokenizers.items()}
    return Counters(paths, settings.compressor.cache_dir)


def key_of(flag: str, variable: str) -> str:
    """Return the key that an environment variable holds; "" where no variable is named.

    Raises: ConfigError if it is not set.
    """
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise ConfigError([f"{flag}: the variable {variable} is not set"])
    return key


def price_of(written: str) -> "Price | None":
    """Read `PROMPT,COMPLETION`, what a million tokens of each cost; None for "".

    Raises: ConfigError.
    """
    from elision.evaluation.cost import Price

    if not written:
        return None
    try:
        prompt, completion = map(float, written.split(","))
    except ValueError as error:
        raise ConfigError([f"--price: must be two numbers, 0.15,0.60 for instance, not {written}"]) from error
    return Price(prompt, completion)
