"""What the dashboard's API is asked, read from a query. Pure; every error names the field and the fix."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from elision.accounts.archive import LABELS, MEASURES, Order, Query, Step
from elision.accounts.spans import DAY_S, SECONDS, ceil
from elision.config.problems import nearest
from elision.proxy.errors import RequestError

Parameters = Sequence[tuple[str, str]]
"""Names and values as the query has them, in order."""

_MOST_RECENT = 1000
_LATEST = 1 << 40
_MINUTES_UP_TO_S = 6 * 3600
_HOURS_UP_TO_S = 7 * DAY_S

Choice = TypeVar("Choice", bound=StrEnum)


class Form(StrEnum):
    """How an answer is written."""

    JSON = "json"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class SumsAsked:
    """What `sums` is asked."""

    query: Query
    form: Form


@dataclass(frozen=True, slots=True)
class RecentAsked:
    """What `recent` is asked."""

    order: Order
    count: int
    only: tuple[tuple[str, str], ...]
    form: Form


def sums_asked(parameters: Parameters, clock: Callable[[], float] = time.time) -> SumsAsked:
    """Read `last`, or `since` and `until`; `step`, `by`, `fields`, `format` and labels.

    Without them: the last day until now, by steps that suit the time, all measures, as JSON.
    Raises: RequestError.
    """
    told = _single(parameters, ("last", "since", "until", "step", "by", "fields", "format", *LABELS))
    since, until = _last(told, int(clock())) if "last" in told else _between(told, int(clock()))
    step = _choice(told, "step", _fitting(until - since))
    by = _names(told, "by", LABELS, ())
    measures = _names(told, "fields", MEASURES, MEASURES)
    query = Query(since, until, step, by, _only(told), measures)
    return SumsAsked(query, _choice(told, "format", Form.JSON))


def recent_asked(parameters: Parameters) -> RecentAsked:
    """Read `order`, `count`, `format` and labels.

    Raises: RequestError.
    """
    told = _single(parameters, ("order", "count", "format", *LABELS))
    count = _whole(told, "count", 50, _MOST_RECENT)
    return RecentAsked(
        _choice(told, "order", Order.NEWEST), count, _only(told), _choice(told, "format", Form.JSON)
    )


def labels_asked(parameters: Parameters) -> tuple[str, ...]:
    """Read `label`: which labels' values are wanted; all of them without it.

    Raises: RequestError.
    """
    return _names(_single(parameters, ("label",)), "label", LABELS, LABELS)


def form_asked(parameters: Parameters) -> Form:
    """Read `format`, which is all that may be said.

    Raises: RequestError.
    """
    return _choice(_single(parameters, ("format",)), "format", Form.JSON)


def _single(parameters: Parameters, known: Sequence[str]) -> Mapping[str, str]:
    told: dict[str, str] = {}
    for name, value in parameters:
        if name not in known:
            raise _wrong(name, f"is not known here; {nearest(name, known)}")
        if name in told:
            raise _wrong(name, "is said twice; say it once")
        told[name] = value
    return told


def _seconds(told: Mapping[str, str], name: str, default: int) -> int:
    return _whole(told, name, default, _LATEST)


def _between(told: Mapping[str, str], now: int) -> tuple[int, int]:
    until = _seconds(told, "until", now + 1)
    since = _seconds(told, "since", max(until - DAY_S, 0))
    if since >= until:
        raise _wrong("since", "must be before `until`; both are seconds since 1970")
    return since, until


def _last(told: Mapping[str, str], now: int) -> tuple[int, int]:
    """Return the time of so many seconds that ends with the step that is now.

    It is the proxy's clock that counts, and the same question has the same answer until a step is over.
    """
    last = _seconds(told, "last", DAY_S)
    if last == 0 or "since" in told or "until" in told:
        raise _wrong("last", "must be above 0, and stands alone, without `since` and `until`")
    until = ceil(now + 1, SECONDS[_fitting(last)])
    return max(0, until - last), until


def _whole(told: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = told.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 15 and int(text) <= most):
        raise _wrong(name, f"must be a whole number from 0 to {most}")
    return int(text)


def _choice(told: Mapping[str, str], name: str, default: Choice) -> Choice:
    text = told.get(name, str(default))
    try:
        return type(default)(text)
    except ValueError as error:
        raise _wrong(name, f"must be one of {', '.join(type(default))}") from error


def _names(
    told: Mapping[str, str], field: str, known: Sequence[str], default: tuple[str, ...]
) -> tuple[str, ...]:
    if field not in told:
        return default
    names = tuple(name for name in told[field].split(",") if name)
    for name in names:
        if name not in known:
            raise _wrong(field, f"must be names from {', '.join(known)}, with commas between them")
    if len(set(names)) < len(names):
        raise _wrong(field, "names something twice; name it once")
    return names


def _only(told: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((label, told[label]) for label in LABELS if label in told)


def _fitting(seconds: int) -> Step:
    if seconds <= _MINUTES_UP_TO_S:
        return Step.MINUTE
    return Step.HOUR if seconds <= _HOURS_UP_TO_S else Step.DAY


def _wrong(name: str, told: str) -> RequestError:
    """Return the error; what was sent is repeated only as far as a name goes."""
    end = "" if told.endswith("?") else "."
    return RequestError(400, "bad_parameter", f"{name[:40]}: {told}{end}")
