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
