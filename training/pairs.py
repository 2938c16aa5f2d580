"""Texts to compress, and pairs of original and compressed text, with their files.

This module owns the two values and their files: JSON lines, each with an `id`, further fields passed
over. A text's pieces carry its id, so that pieces of one text never stand on both sides of a split.
It knows neither teachers nor labels.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from elision.config.errors import ConfigError
from elision.evaluation.files import Row, located_rows, text_of


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and a name for it that no other text of its file has."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A text, or a piece of one, and what somebody made of it by leaving words out.

    Attributes:
        id: no other pair of its file has it.
        group: of the text that it is a piece of.
        original: as it was.
        compressed: what is left.
        source: who compressed it, a short name for reports.
    """

    id: str
    group: str
    original: str
    compressed: str
    source: str


Named = TypeVar("Named", Text, Pair)


def read_texts(file: Path) -> list[Text]:
    """Read a file of `text` and, if given, `id`; without one it is named by its number.

    Raises: ConfigError naming file and line.
    """
    found = []
    for at, (where, row) in enumerate(located_rows(file), 1):
        found.append(Text(_id(row, "id", str(at), where), _words(row, "text", where)))
    return _distinct(found, file)


def read_pairs(file: Path) -> list[Pair]:
    """Read a file of `original` and `compressed`, and if given, `id`, `group`, `source`.

    Raises: ConfigError naming file and line.
    """
    found = []
    for at, (where, row) in enumerate(located_rows(file), 1):
        name = _id(row, "id", str(at), where)
        original, compressed = _words(row, "original", where), _words(row, "compressed", where)
        source = _id(row, "source", "pairs", where)
        found.append(Pair(name, _id(row, "group", name, where), original, compressed, source))
    return _distinct(found, file)


def write_pairs(file: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs; the file appears when all are written. Raises: ConfigError."""
    draft = file.with_name(f"{file.name}.draft")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as out:
            for pair in pairs:
                row = {
                    "id": pair.id,
                    "group": pair.group,
                    "original": pair.original,
                    "compressed": pair.compressed,
                    "source": pair.source,
                }
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        draft.replace(file)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be written: {error.strerror}"]) from error


def _words(row: Row, key: str, where: str) -> str:
    text = text_of(row, key, where)
    if not text.strip():
        raise ConfigError([f"{where}: `{key}` is empty; take the line out"])
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            [f"{where}: `{key}` has half a surrogate pair at {error.start}; mend or drop it"]
        ) from error
    return text


def _id(row: Row, key: str, otherwise: str, where: str) -> str:
    value = row.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ConfigError([f"{where}: `{key}` must be a string or a whole number"])
    return str(value)


def _distinct(found: Sequence[Named], file: Path) -> list[Named]:
    twice = [name for name, count in Counter(one.id for one in found).items() if count > 1]
    if twice:
        raise ConfigError([f"{file}: the id {twice[0]!r} is there more than once; give each its own"])
    if not found:
        raise ConfigError([f"{file}: holds nothing; one JSON object on each line is wanted"])
    return list(found)
