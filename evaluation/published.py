"""Figures that papers published, to be shown beside ours, and marked as theirs.

This module reads `published.yaml`, which lies beside it; each figure names its source. Other readers,
prompts and tokenizers: near enough to know the field, not to rank against.
"""

from dataclasses import dataclass
from importlib.resources import files

from elision.config.strict_yaml import parse_document


@dataclass(frozen=True, slots=True)
class Figure:
    """One published figure.

    Attributes:
        method: as the paper names it.
        measure: what was measured, and with which reader.
        kept: how many tokens stayed, as the paper says it.
        value: the result.
        full: the same measure of the uncompressed prompt, as the paper says it.
        source: where it is published.
    """

    method: str
    measure: str
    kept: str
    value: str
    full: str
    source: str


def figures(name: str) -> list[Figure]:
    """Return the figures of one data set, by its name in `published.yaml`; [] for an unknown one."""
    file = files("elision.evaluation") / "published.yaml"
    data = parse_document(file.read_bytes(), "published.yaml").data
    found = data.get(name, []) if isinstance(data, dict) else []
    return [Figure(**{key: str(value) for key, value in one.items()}) for one in found]
