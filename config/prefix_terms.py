"""How a provider bills a prompt's prefix that it has seen before, by a model's name.

This module owns the table `prefix_terms.yaml`, what an operator knows better, and looking into both;
it works out no bills. Every name has terms: those for names that nobody knows are the careful ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from elision.config.errors import ConfigError
from elision.config.strict_yaml import Document, read_document, validate

_FILE = "prefix_terms.yaml"
_STRICT = ConfigDict(extra="forbid")
_EVERYTHING = "*"

Globs = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
Price = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=0, le=10_000_000)]
Granule = Annotated[int, Field(ge=1, le=1_000_000)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class PrefixRow:
    """The terms of some models; `prefix_terms.yaml` explains each figure.

    Attributes:
        models: globs of names.
        source: where this was read, and when.
    """

    __pydantic_config__ = _STRICT

    models: Globs
    read: Price
    source: Annotated[str, Field(min_length=1)]
    write: Price = 1.0
    minimum: Tokens = 0
    ttl_s: Seconds = 300.0
    granule: Granule = 1
    whole_messages: bool = False


@dataclass(frozen=True, slots=True)
class PrefixEntry:
    """What an operator knows better; what is not said stays as the table has it.

    Attributes:
        models: globs of names.
        upstreams: globs of upstreams' names.
    """

    __pydantic_config__ = _STRICT

    models: Globs = (_EVERYTHING,)
    upstreams: Globs = (_EVERYTHING,)
    read: Price | None = None
    write: Price | None = None
    minimum: Tokens | None = None
    ttl_s: Seconds | None = None
    granule: Granule | None = None
    whole_messages: bool | None = None


@dataclass(frozen=True, slots=True)
class PrefixTable:
    """The terms of every model.

    Attributes:
        known_better: an operator's, in order of precedence.
        rows: the first that matches counts; the last matches everything.
    """

    known_better: tuple[PrefixEntry, ...]
    rows: tuple[PrefixRow, ...]

    def of(self, model: str, upstream: str = "") -> PrefixRow:
        """Return the terms of a model at an upstream."""
        name = model.rsplit("/", 1)[-1].lower().removeprefix("ft:")
        row = next(row for row in self.rows if _matches(row.models, name))
        for entry in self.known_better:
            if _matches(entry.models, name) and _matches(entry.upstreams, upstream.lower()):
                return _laid_over(row, entry)
        return row


def load_prefix_terms(known_better: Sequence[PrefixEntry] = (), file: Path | None = None) -> PrefixTable:
    """Read a table of terms.

    Args:
        known_better: looked into first; the first entry that matches model and upstream counts.
        file: of the table; None: the packaged one.
    Raises: ConfigError with a line for each wrong thing in the file.
    """
    document = read_document(file or Path(__file__).with_name(_FILE))
    rows = validate(document, _Table).terms
    _check_last(rows, document)
    return PrefixTable(tuple(known_better), rows)


@dataclass(frozen=True, slots=True)
class _Table:
    """The shape of the file."""

    __pydantic_config__ = _STRICT

    terms: Annotated[tuple[PrefixRow, ...], Field(min_length=1)]


def _check_last(rows: Sequence[PrefixRow], document: Document) -> None:
    if _EVERYTHING not in rows[-1].models:
        place = document.place(("terms", len(rows) - 1, "models"))
        raise ConfigError([f'{place}: the last row must be for every model; add one with models: ["*"]'])


def _matches(globs: Sequence[str], name: str) -> bool:
    return any(fnmatchcase(name, glob.lower()) for glob in globs)


def _laid_over(row: PrefixRow, entry: PrefixEntry) -> PrefixRow:
    return replace(
        row,
        source=f"the operator's prefix_terms; else {row.source}",
        read=row.read if entry.read is None else entry.read,
        write=row.write if entry.write is None else entry.write,
        minimum=row.minimum if entry.minimum is None else entry.minimum,
        ttl_s=row.ttl_s if entry.ttl_s is None else entry.ttl_s,
        granule=row.granule if entry.granule is None else entry.granule,
        whole_messages=row.whole_messages if entry.whole_messages is None else entry.whole_messages,
    )
