"""What pydantic found, in an operator's words: one problem per place, with what would be accepted.

Pure. This module owns the wording and knows neither files nor variables: `strict_yaml` and
`settings` turn a problem's path into a line or a variable's name. Values are repeated only where
they cannot be secrets: numbers, booleans, and words that were to be chosen from a list.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]
"""Keys and indices that lead from a document's root to one of its values."""

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of keys to values",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: the value that is wrong, or the key where `at_key`.
        message: what is wrong and what would be right, without the place.
        at_key: whether the key itself is the fault, rather than what it holds.
    """

    path: Path
    message: str
    at_key: bool = False


def describe(error: ValidationError, schema: Mapping[str, Any], data: object) -> list[Problem]:
    """Put every error of a validation into words.

    Args:
        error: what pydantic raised.
        schema: JSON schema of the model; tells valid keys, ranges and choices.
        data: what was validated; it tells keys from the tags that pydantic adds for unions.
    Returns: one problem per place, in pydantic's order; a union's branches are one problem.
    """
    found: dict[Path, Problem] = {}
    for detail in error.errors(include_url=False):
        path = _real(detail["loc"], data, missing=detail["type"] == "missing")
        if path not in found:
            here = _locate(schema, _item(path, detail["loc"]))
            found[path] = _problem(detail, path, here, _locate(schema, path[:-1]))
    return list(found.values())


def nearest(word: str, choices: Iterable[str]) -> str:
    """Say which of `choices` was probably meant, or all of them where none is near."""
    known = sorted(choices)
    by_lower = {choice.lower(): choice for choice in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{by_lower[close[0]]}"?'
    return f"valid: {', '.join(known)}" if known else "none is valid here"


def _problem(detail: ErrorDetails, path: Path, here: Mapping[str, Any], above: Mapping[str, Any]) -> Problem:
    kind = detail["type"]
    if kind in _UNKNOWN:
        key = str(path[-1])
        return Problem(path, f'unknown key "{key}"; {nearest(key, _keys(above))}', at_key=True)
    if kind == "missing":
        return Problem(path[:-1], f'the key "{path[-1]}" is missing')
    if kind == "value_error":
        return Problem(path, str(detail["ctx"]["error"]))
    wanted = _wanted(here)
    return Problem(path, f"must be {wanted}{_got(detail['input'], here)}" if wanted else _plain(detail))


def _plain(detail: ErrorDetails) -> str:
    return detail["msg"].replace("Input should be", "must be", 1)


def _real(loc: Sequence[str | int], data: object, *, missing: bool) -> Path:
    """Drop from `loc` what leads nowhere in `data`; of a missing key the last step is real."""
    path: list[str | int] = []
    for step in loc[:-1] if missing else loc:
        if step in _steps(data):
            data = data[step]  # type: ignore[index]
            path.append(step)
    return (*path, *loc[-1:]) if missing else tuple(path)


def _item(path: Path, loc: Sequence[str | int]) -> Path:
    """Return the path in the schema: of a single value that was read as a list, its only item."""
    last = loc[-1] if loc else None
    return (*path, last) if isinstance(last, int) and path[-1:] != (last,) else path


def _steps(data: object) -> Container[str | int]:
    if isinstance(data, Mapping):
        return data.keys()
    return range(len(data)) if isinstance(data, (list, tuple)) else ()


def _locate(schema: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Follow `path` through a JSON schema; {} where the schema says nothing of it."""
    definitions = schema.get("$defs", {})
    here = _resolve(schema, definitions)
    for step in path:
        if isinstance(step, int):
            here = here.get("items", {})
        else:
            here = here.get("properties", {}).get(step) or here.get("additionalProperties") or {}
        here = _resolve(here if isinstance(here, Mapping) else {}, definitions)
    return here


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references, and see through `X | None`."""
    if "$ref" in schema:
        return _resolve(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    branches = [b for b in schema.get("anyOf", ()) if b.get("type") != "null"]
    if len(branches) == 1:
        nullable = len(schema["anyOf"]) > 1
        return {**_resolve(branches[0], definitions), "nullable": nullable}
    return schema


def _keys(schema: Mapping[str, Any]) -> Iterable[str]:
    return tuple(schema.get("properties", {}))


def _wanted(schema: Mapping[str, Any]) -> str:
    """Say in words what a schema accepts; "" where it says nothing."""
    if "enum" in schema:
        return "one of " + ", ".join(str(choice) for choice in schema["enum"])
    if "anyOf" in schema:
        types = [_TYPES.get(branch.get("type", ""), "") for branch in schema["anyOf"]]
        return " or ".join(name for name in types if name)
    wanted = _TYPES.get(schema.get("type", ""), "")
    span = " and ".join(
        f"{words} {schema[key]:g}"
        for key, words in (
            ("exclusiveMinimum", "above"),
            ("minimum", "at least"),
            ("exclusiveMaximum", "below"),
            ("maximum", "at most"),
        )
        if key in schema
    )
    return " ".join(part for part in (wanted, span) if part) + " or null" * bool(schema.get("nullable"))


def _got(value: object, schema: Mapping[str, Any]) -> str:
    """Repeat a value that cannot be a secret."""
    if schema.get("writeOnly"):
        return ""
    if isinstance(value, bool):
        return f", not {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f", not {value:g}" if isinstance(value, float) else f", not {value}"
    if isinstance(value, str) and "enum" in schema:
        return f', not "{value}"; {nearest(value, map(str, schema["enum"]))}'
    return ""
