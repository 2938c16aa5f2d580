"""Which pages there are, by the settings."""

import json
from pathlib import Path

import pytest

from elision.accounts.money import Unpriced
from elision.config.accounts import Dashboard
from elision.config.dashboard import with_dashboard
from elision.config.settings import Settings
from elision.proxy.admin import Admin
from elision.proxy.bookkeeping import Books
from elision.proxy.cli import run
from elision.proxy.commands import EXIT_USAGE
from elision.proxy.metrics import Metrics
from elision.proxy.pages import admin_of
from fakes.administered import Administered, administered
from fakes.archive import RememberedRows

TOKEN = "correct-horse-battery"


def composed(dashboard: Dashboard, books: Books) -> Admin:
    """Return what answers where there are no policies."""
    settings = with_dashboard(Settings(dashboard=dashboard), {"SECRET": TOKEN})
    return admin_of(settings, Metrics(), books, None)


async def statuses(running: Administered, *paths: str) -> list[int]:
    return [(await running.get(path)).status for path in paths]


async def test_every_file_that_a_page_names_is_there() -> None:
    """Of the dashboard, and what its modules import."""
    books = Books(Unpriced(), (), RememberedRows())
    async with administered(composed(Dashboard(), books)) as running:
        seen = {"/elision/"}
        left = ["/elision/"]
        while left:
            got = await running.get(left.pop())
            assert got.status == 200
            words = got.body.decode(errors="replace").replace("'", '"').split('"')
            found = {word for word in words if word.startswith("/elision/static/")} - seen
            seen |= found
            left += found
        assert {"/elision/static/app.js", "/elision/static/figures.js"} <= seen
        assert await running.json("/elision/api/values") == {
            "values": {"team": [], "policy": [], "method": [], "model": [], "upstream": []}
        }


async def test_figures_that_are_not_kept_are_no_secret() -> None:
    """Whoever looks at old ones is told why."""
    books = Books(Unpriced(), (), RememberedRows(), trouble=lambda: "the disk is full")
    async with administered(composed(Dashboard(), books)) as running:
        told = await running.json("/elision/api/policies")
    assert told["health"] == {"ready": True, "accounts": "the disk is full"}


async def test_no_dashboard_is_no_page() -> None:
    """Live, ready and metrics stay."""
    books = Books(Unpriced(), ())
    async with administered(composed(Dashboard(enabled=False), books)) as running:
        assert await statuses(running, "/elision/", "/elision/api/sums", "/elision/login") == [404, 404, 404]
        assert await statuses(running, "/elision/live", "/elision/ready", "/elision/metrics") == [
            200,
            200,
            200,
        ]


async def test_with_a_token_all_but_the_form_is_closed() -> None:
    """Whatever is registered: what is neither a static file nor the form asks for the token."""
    books = Books(Unpriced(), (), RememberedRows())
    async with administered(composed(Dashboard(token_env="SECRET"), books)) as running:
        known = json.loads((await running.get("/elision/none")).body)["error"]["message"]
        paths = known.removeprefix("Known here: ").removesuffix(".").split(", ")
        opened = {path for path in paths if await statuses(running, path) == [200]}
        assert opened == {"/elision/live", "/elision/ready", "/elision/metrics", "/elision/login"}
        assert (await running.get("/elision")).value("location") == "/elision/"
        assert "/elision/api/sums" in paths


async def test_without_an_archive_the_page_says_so() -> None:
    """Rather than showing zeros."""
    async with administered(composed(Dashboard(), Books(Unpriced(), ()))) as running:
        got = await running.get("/elision/api/sums")
    assert (got.status, json.loads(got.body)["error"]["code"]) == (503, "nothing_kept")


def test_an_open_dashboard_keeps_the_proxy_from_starting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says what to set, and ends."""
    monkeypatch.delenv("ELISION_DASHBOARD__ENABLED", raising=False)
    assert run(["serve", "--host", "0.0.0.0", "--upstream", "http://127.0.0.1:9"]) == EXIT_USAGE
    assert "ELISION_DASHBOARD__ENABLED=false" in capsys.readouterr().err


def test_the_chart_library_comes_with_its_licence() -> None:
    """Its version and terms are named where notices are."""
    root = Path(__file__).parent.parent.parent
    script = (root / "proxy/dashboard/uplot/uPlot.iife.min.js").read_text()
    notice = (root / "NOTICE").read_text()
    assert "v1.6.32" in script[:100]
    assert "uPlot 1.6.32" in notice
    assert "Leon Sorokin" in (root / "proxy/dashboard/uplot/LICENSE.txt").read_text()
