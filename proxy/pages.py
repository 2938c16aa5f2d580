"""Composition: which pages there are under `/elision/`, and who may see them, by the settings."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING

from aiohttp import web

from elision.config.accounts import Dashboard
from elision.config.dashboard import token_of
from elision.config.settings import Settings
from elision.proxy.access import Access
from elision.proxy.admin import Admin, Audience, Page, Readiness
from elision.proxy.bookkeeping import Books
from elision.proxy.dashboard_api import DashboardApi, Sources
from elision.proxy.metrics import Metrics
from elision.proxy.sign_in import SignIn
from elision.proxy.static_files import file_page, static_pages
from elision.proxy.teams import TrustedHeader

if TYPE_CHECKING:
    from elision.proxy.assembly import PolicyParts

_SCRIPTS = ("app.js", "charts.js", "figures.js", "listings.js", "panels.js", "early.js")


def admin_of(settings: Settings, metrics: Metrics, books: Books, parts: "PolicyParts | None") -> Admin:
    """Return who answers under `/elision/`.

    Args:
        settings: everything that is set, `with_dashboard`.
        metrics: of this process.
        books: where figures of requests are kept.
        parts: None where there are no policies.
    """
    access = access_of(settings.dashboard)
    pages = _pages(access, books, parts) if settings.dashboard.enabled else ()
    return Admin(
        parts.readiness if parts is not None else _always_ready,
        metrics.text,
        pages,
        access=access,
        open_metrics=settings.dashboard.open_metrics,
    )


def access_of(dashboard: Dashboard) -> Access:
    """Return who may see pages."""
    header = TrustedHeader(dashboard.header.lower(), tuple(map(ip_network, dashboard.networks)))
    return Access(token_of(dashboard), header)


def _pages(access: Access, books: Books, parts: "PolicyParts | None") -> Sequence[Page]:
    """Return every page but live, ready and metrics."""
    return (
        *DashboardApi(_sources(access, books, parts)).pages(),
        *static_pages("dashboard", "style.css", "shared.js", "theme.js", "icon.svg"),
        *dashboard_pages(),
        *playground_pages(books, parts),
        *(SignIn(access).pages() if access.has_token else ()),
    )


def dashboard_pages() -> Sequence[Page]:
    """Return the dashboard's files."""
    return (
        Page("/elision", _to_home, audience=Audience.ANYBODY),
        file_page("/elision/", "dashboard", "index.html", Audience.PEOPLE),
        *static_pages("dashboard", "dashboard.css", *_SCRIPTS),
        *static_pages("dashboard/uplot", "uPlot.iife.min.js", "uPlot.min.css"),
    )


def playground_pages(books: Books, parts: "PolicyParts | None") -> Sequence[Page]:
    """Return the playground's files, and who answers it where there are policies."""
    files = (
        file_page("/elision/playground", "dashboard", "playground.html", Audience.PEOPLE),
        *static_pages("dashboard", "playground.js", "playground.css"),
    )
    if parts is None:
        return files
    from elision.proxy.playground_api import PlaygroundApi

    live = parts.live
    return (*files, *PlaygroundApi(parts.playground, lambda: live.current, books.pricing).pages())


def _sources(access: Access, books: Books, parts: "PolicyParts | None") -> Sources:
    ready = parts.readiness if parts is not None else _always_ready

    def health() -> Readiness:
        trouble = books.trouble()
        return {**ready(), "accounts": trouble} if trouble else ready()

    return Sources(books.archive, health, parts.live if parts is not None else None, access.has_token)


async def _to_home(_: web.BaseRequest) -> web.Response:
    return web.Response(status=308, headers={"Location": "/elision/"})


def _always_ready() -> Readiness:
    return {"ready": True}
