"""What an expression of Prometheus asks for, compared with the metrics that exist."""

import re
from collections.abc import Mapping

from elision.accounts.families import FAMILIES, Kind

_WORDS = frozenset(
    [
        "sum",
        "min",
        "max",
        "avg",
        "count",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "or",
        "and",
        "unless",
        "offset",
        "rate",
        "increase",
        "histogram_quantile",
        "vector",
    ]
)
_SELECTOR = re.compile(r"\b(elision_\w+)(?:\{([^{}]*)\})?")
_MATCHER = re.compile(r'\s*(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"\s*')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_GROUPED = re.compile(r"\bby\s*\(([^()]*)\)\s*\(\s*(?:\w+\s*\(\s*)?(elision_\w+)")


def metrics() -> Mapping[str, frozenset[str]]:
    """Return the labels of every sample that exists, by its name in queries."""
    labels = {}
    for family in FAMILIES.values():
        for name in family.samples:
            is_bucket = family.kind is Kind.HISTOGRAM and name.endswith("_bucket")
            labels[name] = frozenset(family.labels) | ({"le"} if is_bucket else set())
    return labels


def problems(expr: str) -> list[str]:
    """Return what an expression names that does not exist."""
    known, found = metrics(), []
    for name, matchers in _SELECTOR.findall(expr):
        if name not in known:
            found.append(f"no metric {name}")
            continue
        parts = [part for part in re.split(r",(?=\s*\w+\s*[=!])", matchers) if part]
        for part in parts:
            matched = _MATCHER.fullmatch(part)
            if matched is None:
                found.append(f"no matcher {part}")
            elif matched[1] not in known[name]:
                found.append(f"{name} has no label {matched[1]}")
    for grouping, name in _GROUPED.findall(expr):
        wrong = set(_names(grouping)) - known.get(name, frozenset())
        found += [f"{name} has no label {label}" for label in sorted(wrong)]
    everything = labels_of(expr)
    for grouping in _GROUPING.findall(expr):
        found += [f"nothing has the label {label}" for label in _names(grouping) if label not in everything]
    return found + [f"no such word {word}" for word in _rest(expr) if word not in _WORDS]


def labels_of(expr: str) -> set[str]:
    """Return the labels of all metrics that an expression names."""
    known = metrics()
    return {label for name, _ in _SELECTOR.findall(expr) for label in known.get(name, ())}


def told_labels(expr: str) -> set[str]:
    """Return the labels that an expression's results may have."""
    groupings = re.findall(r"\bby\s*\(([^()]*)\)", expr)
    return {name for one in groupings for name in _names(one)} if groupings else labels_of(expr)


def _names(grouping: str) -> list[str]:
    return [name.strip() for name in grouping.split(",") if name.strip()]


def _rest(expr: str) -> list[str]:
    """Return the words that are neither metrics nor labels nor values."""
    rest = _SELECTOR.sub(" ", expr)
    rest = re.sub(r'"[^"]*"|\[[^\]]*\]', " ", rest)
    rest = re.sub(r"(\b(?:by|without|on|ignoring|group_left|group_right)\s*)\([^()]*\)", r"\1", rest)
    return re.findall(r"(?<![\w.$])[a-zA-Z_:][\w:]*", rest)
