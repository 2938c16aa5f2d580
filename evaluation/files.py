"""Reading the files of data sets: JSON and JSON lines, plain or gzipped. Knows no data set."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from elision.config.errors import ConfigError

Row = Mapping[str, object]


def read_text(file: Path) -> str:
    """Return a file's text; `.gz` is unpacked, and found where only the packed file exists.

    Raises: ConfigError if it cannot be read.
    """
    packed = file.with_name(file.name + ".gz")
    found = packed if packed.is_file() and not file.is_file() else file
    try:
        content = found.read_bytes()
        return (gzip.decompress(content) if found.suffix == ".gz" else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError([f"{found}: cannot be read: {error}"]) from error


def read_json(file: Path) -> object:
    """Return a JSON file's value. Raises: ConfigError."""
    return _parsed(read_text(file), str(file))


def read_rows(file: Path) -> list[Row]:
    """Return the objects of a file of JSON lines, or of a JSON list.

    Raises: ConfigError naming the line that is no JSON object.
    """
    return [found for _, found in located_rows(file)]


def located_rows(file: Path) -> list[tuple[str, Row]]:
    """Return the same, each after the file and line where it stands (in a list, the file and index)."""
    text = read_text(file)
    if text.lstrip().startswith("["):
        found = rows(_parsed(text, str(file)), str(file))
        return [(f"{file}[{at}]", one) for at, one in enumerate(found)]
    # Not splitlines: strings may hold other line ends than \n.
    lines = [(f"{file}:{at}", line) for at, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [(where, row(_parsed(line, where), where)) for where, line in lines]


def row(value: object, where: str) -> Row:
    """Return a value that must be an object. Raises: ConfigError."""
    if not isinstance(value, dict):
        raise ConfigError([f"{where}: must be a JSON object"])
    return cast(Row, value)


def rows(value: object, where: str) -> list[Row]:
    """Return a value that must be a list of objects. Raises: ConfigError."""
    if not isinstance(value, list):
        raise ConfigError([f"{where}: must be a list of JSON objects"])
    return [row(one, f"{where}[{at}]") for at, one in enumerate(value)]


def text_of(found: Row, key: str, where: str) -> str:
    """Return a field that must be a string. Raises: ConfigError."""
    value = found.get(key)
    if not isinstance(value, str):
        raise ConfigError([f"{where}: `{key}` must be a string"])
    return value


def texts_of(found: Row, key: str, where: str) -> tuple[str, ...]:
    """Return a field that must be a string or a list of strings. Raises: ConfigError."""
    value = found.get(key)
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise ConfigError([f"{where}: `{key}` must be a string or a list of strings"])
    return tuple(value)


def _parsed(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError([f"{where}: not JSON: {error}"]) from error
