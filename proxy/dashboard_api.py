"""What the dashboard's page asks, under `/elision/api/`: sums, recent requests, policies, spending.

Numbers and short words, as JSON or CSV. What may be asked is read by `elision.proxy.dashboard_query`;
what is told is kept by `elision.accounts`. No text of users is here, because none is kept there.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import msgspec
from aiohttp import web

from elision.accounts.archive import (
    LABELS,
    OVERHEAD_BOUNDS_MS,
    RATIO_BOUNDS,
    Archive,
    ArchiveTrouble,
    Query,
    Recent,
    Row,
)
from elision.accounts.money import NANO
from elision.accounts.spending import Spent, month_of, month_query, spent_by_team
from elision.proxy.admin import Page, Readiness
from elision.proxy.csv_text import csv_text
from elision.proxy.dashboard_query import Form, form_asked, labels_asked, recent_asked, sums_asked
from elision.proxy.errors import OwnError
from elision.proxy.policy_state import PolicyState, policies_told
from elision.proxy.static_files import JSON, sent

API = "/elision/api/"
_CSV = "text/csv; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom the API asks.

    Attributes:
        archive: of finished requests; None where nothing is kept.
        readiness: whether requests are served as configured, and why not; why figures are not kept.
        policies: of this moment; None where there are none.
        has_token: whether people sign in with a token, and so can sign out.
    """

    archive: Archive | None
    readiness: Callable[[], Readiness]
    policies: PolicyState | None = None
    has_token: bool = False


class DashboardApi:
    """Answers the dashboard's questions.

    Args:
        sources: whom to ask.
        clock: seconds since 1970.
    """

    def __init__(self, sources: Sources, clock: Callable[[], float] = time.time) -> None:
        self._sources = sources
        self._clock = clock
        self._about = {
            "version": version("elision"),
            "has_token": sources.has_token,
            "labels": LABELS,
            "overhead_bounds_ms": OVERHEAD_BOUNDS_MS,
            "ratio_bounds": RATIO_BOUNDS,
        }

    def pages(self) -> tuple[Page, ...]:
        """Return who answers which path."""
        return (
            Page(API + "about", self._tell_about),
            Page(API + "sums", self._sums),
            Page(API + "recent", self._recent),
            Page(API + "values", self._values),
            Page(API + "policies", self._policies),
            Page(API + "spending", self._spending),
        )

    async def _tell_about(self, request: web.BaseRequest) -> web.Response:
        return sent(request, msgspec.json.encode(self._about), JSON)

    async def _sums(self, request: web.BaseRequest) -> web.Response:
        asked = sums_asked(list(request.query.items()), self._clock)
        query = asked.query
        rows = await self._rows(query)
        if asked.form is Form.CSV:
            return _table(request, [_flat(query.by, row, query.measures) for row in rows])
        told = [{"at": row.at, "labels": row.labels, "sums": _measures(row, query.measures)} for row in rows]
        span = {"since": query.since, "until": query.until, "step": query.step, "by": query.by}
        return sent(request, msgspec.json.encode({**span, "rows": told}), JSON)

    async def _recent(self, request: web.BaseRequest) -> web.Response:
        asked = recent_asked(list(request.query.items()))
        try:
            found = await self._archive().recent(asked.order, asked.count, asked.only)
        except ArchiveTrouble as trouble:
            raise _unreadable() from trouble
        if asked.form is Form.CSV:
            return _table(request, [{**_fields(one), "at": _moment(one.at)} for one in found])
        return sent(request, msgspec.json.encode({"order": asked.order, "requests": found}), JSON)

    async def _values(self, request: web.BaseRequest) -> web.Response:
        labels = labels_asked(list(request.query.items()))
        try:
            values = {label: await self._archive().values(label) for label in labels}
        except ArchiveTrouble as trouble:
            raise _unreadable() from trouble
        return sent(request, msgspec.json.encode({"values": values}), JSON)

    async def _policies(self, request: web.BaseRequest) -> web.Response:
        form_asked(list(request.query.items()))
        told = policies_told(self._sources.policies, self._sources.readiness())
        return sent(request, msgspec.json.encode(told), JSON)

    async def _spending(self, request: web.BaseRequest) -> web.Response:
        form = form_asked(list(request.query.items()))
        now, policies = self._clock(), self._sources.policies
        by_team = policies.current.by_team if policies is not None else {}
        meant = {team: policy.spending for team, policy in by_team.items()}
        teams = [_spent(team) for team in spent_by_team(await self._rows(month_query(now)), meant)]
        month = f"{month_of(now):%Y-%m}"
        if form is Form.CSV:
            return _table(request, [{"month": month, **team} for team in teams])
        return sent(request, msgspec.json.encode({"month": month, "teams": teams}), JSON)

    async def _rows(self, query: Query) -> list[Row]:
        try:
            return await self._archive().rows(query)
        except ArchiveTrouble as trouble:
            raise _unreadable() from trouble

    def _archive(self) -> Archive:
        if self._sources.archive is None:
            raise OwnError(503, "nothing_kept", "This proxy keeps no figures of requests.")
        return self._sources.archive


def _unreadable() -> OwnError:
    told = "What is kept of requests cannot be read now; the proxy's log says why. Ask again in a moment."
    return OwnError(503, "accounts_unreadable", told, retry_after_s=2)


def _spent(team: Spent) -> dict[str, object]:
    """Return what a team spent this month, and means to, in dollars."""
    return {
        "team": team.team,
        "spent_usd": team.usd,
        "saved_usd": team.saved / NANO,
        "monthly_usd": team.meant.monthly_usd if team.meant else None,
        "alert_at": team.meant.alert_at if team.meant else None,
        "used": team.share,
        "state": team.state,
        "requests": team.requests,
        "unpriced": team.unpriced,
    }


def _measures(row: Row, wanted: Sequence[str]) -> dict[str, object]:
    found = {name: getattr(row.sums, name) for name in wanted}
    if "words" in found:
        found["words"] = dict(row.sums.words)
    return found


def _flat(by: Sequence[str], row: Row, wanted: Sequence[str]) -> dict[str, object]:
    """Return one line of a table: a column for each measure, bucket and word."""
    line: dict[str, object] = {"at": _moment(row.at), **dict(zip(by, row.labels, strict=True))}
    for name in wanted:
        value = getattr(row.sums, name)
        if name == "words":
            line.update(sorted(value.items()))
        elif name in ("overhead", "ratios"):
            bounds: Sequence[object] = OVERHEAD_BOUNDS_MS if name == "overhead" else RATIO_BOUNDS
            unit = "_ms" if name == "overhead" else ""
            names = [f"{name}_up_to_{bound}{unit}" for bound in bounds] + [f"{name}_above"]
            line.update(zip(names, value, strict=True))
        else:
            line[name] = value
    return line


def _fields(one: Recent) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def _moment(at: float) -> str:
    """Return seconds since 1970 as ISO 8601 has them, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _table(request: web.BaseRequest, lines: Sequence[Mapping[str, object]]) -> web.Response:
    answer = sent(request, csv_text(lines).encode(), _CSV)
    answer.headers["Content-Disposition"] = f'attachment; filename="elision-{request.path[len(API) :]}.csv"'
    return answer
