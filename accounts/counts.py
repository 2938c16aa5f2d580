"""Counts of several workers made one, and read as metrics. Pure.

A count is a row of whole numbers under a family's name and label values: one for counters and
gauges; for histograms one for each bucket, not cumulative, and the sum. Many families that share
their labels may stand side by side in one row (`Wide`), so that a worker's counts are few.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from elision.accounts.families import FAMILIES, Joined, Kind

Labels = tuple[str, ...]
Numbers = tuple[int, ...]
Counts = dict[str, dict[Labels, Numbers]]
"""By family (or wide table) and label values."""


@dataclass(frozen=True, slots=True)
class Wide:
    """A table whose columns are families with the same first labels.

    Attributes:
        name: that its rows are counted under; no family's.
        columns: of each number in a row, its family and the values of its further labels.
    """

    name: str
    columns: tuple[tuple[str, Labels], ...]


def expanded(counts: Mapping[str, Mapping[Labels, Numbers]], wide: Wide) -> Counts:
    """Return counts with a wide table's rows under their families; zeros are left out."""
    told: Counts = {name: dict(rows) for name, rows in counts.items() if name != wide.name}
    for labels, row in counts.get(wide.name, {}).items():
        for (family, further), number in zip(wide.columns, row, strict=True):
            if number:
                told.setdefault(family, {})[labels + further] = (number,)
    return told


def joined(parts: Iterable[Mapping[str, Mapping[Labels, Numbers]]]) -> Counts:
    """Return what several workers' counts make together."""
    total: Counts = {}
    for part in parts:
        for name, rows in part.items():
            known = total.setdefault(name, {})
            how = _join_of(name)
            for labels, row in rows.items():
                known[labels] = _joined(how, known[labels], row) if labels in known else row
    return total


def lasting(counts: Mapping[str, Mapping[Labels, Numbers]]) -> Counts:
    """Return what stays true of a worker that is gone: all but its gauges."""
    return {name: dict(rows) for name, rows in counts.items() if not _is_gauge(name)}


def _is_gauge(name: str) -> bool:
    return name in FAMILIES and FAMILIES[name].kind is Kind.GAUGE


def _join_of(name: str) -> Joined:
    return FAMILIES[name].joined if _is_gauge(name) else Joined.SUM


def _joined(how: Joined, one: Sequence[int], other: Sequence[int]) -> Numbers:
    if how is Joined.MOST:
        return tuple(map(max, one, other))
    if how is Joined.LEAST:
        return tuple(map(min, one, other))
    return tuple(left + right for left, right in zip(one, other, strict=True))
