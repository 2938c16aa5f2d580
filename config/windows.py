"""How much a model can read: context windows by a model's name.

This module owns the table `context_windows.yaml` and looking into it; it guesses nothing for names
that are not there, and counts nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from elision.config.strict_yaml import read_document, validate

_FILE = "context_windows.yaml"


@dataclass(frozen=True, slots=True)
class Windows:
    """Context windows.

    Attributes:
        tokens: (glob of model names, tokens of the window); the first that matches counts.
    """

    tokens: tuple[tuple[str, int], ...]

    def of(self, model: str) -> int | None:
        """Return the tokens of a model's window; None where they are not known."""
        name = model.rsplit("/", 1)[-1].lower().removeprefix("ft:")
        return next((tokens for glob, tokens in self.tokens if fnmatchcase(name, glob)), None)


def load_windows(known_better: Mapping[str, int] | None = None, file: Path | None = None) -> Windows:
    """Read a table of windows.

    Args:
        known_better: glob of model names (no vendor's prefix) -> tokens; looked into first.
        file: of the table; None: the packaged one.
    Raises: ConfigError with a line for each wrong thing in the file.
    """
    document = read_document(file or Path(__file__).with_name(_FILE))
    table = validate(document, _Table).windows
    better = ((glob.lower(), tokens) for glob, tokens in (known_better or {}).items())
    return Windows((*better, *table.items()))


@dataclass(frozen=True, slots=True)
class _Table:
    """The shape of the file."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    windows: dict[str, Annotated[int, Field(ge=1)]]
