"""YAML that an operator can trust: every error says file, line and column, and what would be right.

This module owns reading one YAML document and validating it against any pydantic type. It knows
none of its users: settings and policies bring their own models. It differs from common YAML in
what surprises people: a key written twice is an error, `on`, `off`, `yes` and `no` are words
(YAML 1.2's core schema), and so are dates; there are no tags. Anchors, aliases and `<<` work.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from elision.config.errors import ConfigError
from elision.config.problems import Path, Problem, describe

T = TypeVar("T")

_INT = re.compile(r"[-+]?[0-9]{1,400}")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))
_MERGE = "<<"


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its data, and where each piece of it stands.

    Attributes:
        file: the name that errors call it by.
        data: mappings with text keys, lists, texts, numbers, booleans, None; {} for an empty file.
        root: the composed nodes, which know lines and columns; None for an empty file.
    """

    file: str
    data: object
    root: yaml.Node | None

    def place(self, path: Path, *, at_key: bool = False) -> str:
        """Return `file:line:column`, counted from 1, of what `path` leads to.

        Steps that lead nowhere are ignored, so the nearest known place is named.
        """
        node = self.root
        mark = node.start_mark if node else None
        for number, step in enumerate(path, 1):
            for key, value in _children(node):
                if (key.value if isinstance(key, yaml.Node) else key) == step:
                    last = at_key and number == len(path)
                    mark = (key if last and isinstance(key, yaml.Node) else value).start_mark
                    node = value
                    break
        return f"{self.file}:{mark.line + 1}:{mark.column + 1}" if mark else f"{self.file}:1:1"

    def line(self, problem: Problem) -> str:
        """Return a problem with its place, as one line."""
        message = " ".join(problem.message.split())
        return f"{self.place(problem.path, at_key=problem.at_key)}: {message}"


def read_document(file: FilePath) -> Document:
    """Read and parse a YAML file.

    Raises: ConfigError if it cannot be read, is not UTF-8, or is not a YAML document.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from error
    return parse_document(content, str(file))


def parse_document(content: bytes, file: str) -> Document:
    """Parse one YAML document in UTF-8; `file` is what errors call it.

    Raises: ConfigError with the place of a syntax error, or of every key that is written twice.
    """
    try:
        root = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.BaseLoader)
        problems: list[str] = []
        data = {} if root is None else _data(root, file, problems, ())
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax(error, file)]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8"]) from error
    except yaml.reader.ReaderError as error:
        message = f"character {error.position + 1} is not allowed in YAML; remove or escape it"
        raise ConfigError([f"{file}: {message}"]) from error
    except RecursionError as error:
        raise ConfigError([f"{file}: nested too deeply"]) from error
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return Document(file, {} if data is None else data, root)


def validate(document: Document, model_type: type[T]) -> T:
    """Build a `model_type` from a document, strictly: no text passes for a number.

    Raises: ConfigError with a line for each thing that is wrong, in the order of the document.
    """
    adapter = TypeAdapter(model_type)
    try:
        return adapter.validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        found = describe(error, adapter.json_schema(), document.data)
        raise refusal(document, found) from error


def refusal(document: Document, problems: Iterable[Problem]) -> ConfigError:
    """Return the error that names each problem's place in the document, in its order."""
    lines = [document.line(problem) for problem in problems]
    return ConfigError(sorted(lines, key=_line_and_column))


def _line_and_column(line: str) -> tuple[int, int]:
    place = re.search(r":(\d+):(\d+): ", line)
    return (int(place[1]), int(place[2])) if place else (0, 0)


def _syntax(error: yaml.MarkedYAMLError, file: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
    context = f" ({error.context})" if error.context else ""
    return f"{where}: not YAML: {error.problem or 'unreadable'}{context}"


def _children(node: yaml.Node | None) -> Iterator[tuple[yaml.Node | int, yaml.Node]]:
    """Yield what a node holds, the values that win first: own keys, then merged ones."""
    if isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)
    elif isinstance(node, yaml.MappingNode):
        yield from (pair for pair in node.value if not _is_merge(pair[0]))
        for key, value in node.value:
            if _is_merge(key):
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for source in merged:
                    yield from _children(source)


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == _MERGE and not key.style


def _data(node: yaml.Node, file: str, problems: list[str], above: tuple[yaml.Node, ...]) -> object:
    """Turn a node into plain data; what is wrong with it is added to `problems`."""
    if node in above:
        problems.append(f"{_where(node, file)}: an alias must not contain itself")
        return None
    if node.tag not in _PLAIN_TAGS:
        problems.append(f"{_where(node, file)}: the tag {node.tag} is not supported; remove it")
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _scalar(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_data(item, file, problems, (*above, node)) for item in node.value]
    return _mapping(node, file, problems, (*above, node))


def _mapping(
    node: yaml.Node, file: str, problems: list[str], above: tuple[yaml.Node, ...]
) -> dict[str, object]:
    problems.extend(_key_problems(node, file))
    result: dict[str, object] = {}
    for key, value in _children(node):
        if isinstance(key, yaml.ScalarNode) and key.value not in result:
            result[key.value] = _data(value, file, problems, above)
    return result


def _key_problems(node: yaml.Node, file: str) -> Iterator[str]:
    """Yield a line for each key that is written twice, is no text, or merges no mapping."""
    first: dict[str, yaml.Node] = {}
    for key, value in node.value:
        where = _where(key, file)
        if not isinstance(key, yaml.ScalarNode):
            yield f"{where}: a key must be a text"
        elif key.value in first:
            line = first[key.value].start_mark.line + 1
            yield f'{where}: the key "{key.value}" is already set in line {line}; remove one'
        else:
            first[key.value] = key
        sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
        if _is_merge(key) and not all(isinstance(source, yaml.MappingNode) for source in sources):
            yield f"{where}: << must be followed by an alias of a mapping"


def _where(node: yaml.Node, file: str) -> str:
    return f"{file}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _scalar(word: str) -> str | int | float | bool | None:
    """Read an unquoted word as YAML 1.2's core schema does."""
    if word in _WORDS:
        return _WORDS[word]
    if _BASED.fullmatch(word):
        return int(word, 0)
    if _INT.fullmatch(word):
        return int(word)
    if _FLOAT.fullmatch(word):
        return float(word.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return word
