"""The dashboard in a real browser: what it shows is what was asked of the proxy, and it asks nobody else."""

import csv
import io
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from elision.accounts.archive import Row, Sums
from elision.accounts.money import Unpriced
from elision.config.accounts import Dashboard
from elision.config.dashboard import with_dashboard
from elision.config.settings import Settings
from elision.proxy.admin import Admin
from elision.proxy.bookkeeping import Books
from elision.proxy.metrics import Metrics
from elision.proxy.pages import admin_of
from fakes.administered import Administered, administered
from fakes.archive import RECENT, RememberedRows
from fakes.browser import View, chromium, needs_chromium, view
from fakes.raw_upstream import RawUpstream, Received, answer
from fakes.running import Answer, raw_exchange, request_bytes
from fakes.serving import Served, served
from fakes.tidy import BODY, policies

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

TOKEN = "correct-horse-battery"
SETTINGS = """
prices:
  - {models: [gpt-4o], input: 10, output: 40}
"""
TROUBLE = "accounts.db: the disk is full"
HOSTILE = "<img src=x onerror=document.title='owned'>"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


async def billed(request: Received) -> AsyncIterator[bytes]:
    """Answer a chat request as OpenAI does, with what it read; in a stream nothing is stated."""
    usage = {"prompt_tokens": len(request.body) // 4, "completion_tokens": 2, "total_tokens": 0}
    message = {"role": "assistant", "content": "Three hundred."}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    stated = {} if request.values("x-silent") else {"usage": usage}
    yield answer(json.dumps({"model": "gpt-4o", "choices": choices, **stated}).encode())


async def shown(page: Page, url: str) -> None:
    """Open the dashboard and wait for its figures."""
    await page.goto(url)
    await page.wait_for_selector("body[data-ready=true]")


def tile(page: Page, name: str) -> Locator:
    """Return where one of the figures in short stands."""
    return page.locator(".tile", has=page.get_by_role("heading", name=name)).locator(".value")


async def saved_file(page: Page, label: str) -> str:
    """Return what the browser saves when a button is pressed."""
    async with page.expect_download() as download:
        await page.get_by_role("button", name=label).click()
    return Path(await (await download.value).path()).read_text(encoding="utf-8")


def proven(seen: View, port: int) -> None:
    """Check that a page had no fault and asked nobody but the proxy."""
    assert seen.faults == []
    assert seen.hosts - {""} == {f"127.0.0.1:{port}"}


async def asked(proxy: Served, team: str, *, silent: bool) -> Answer:
    path = f"/t/{team}/v1/chat/completions" if team else "/v1/chat/completions"
    headers = [("Content-Type", "application/json"), ("Connection", "close")]
    headers += [("X-Silent", "1")] if silent else []
    return await raw_exchange(proxy.port, request_bytes("POST", path, headers, BODY))


async def test_the_page_shows_the_requests_that_were_made(browser: Browser, tmp_path: Path) -> None:
    """From the first one on, by itself: requests, tokens, money per team, as headers and the API tell."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    folder = tmp_path / "policies"
    folder.mkdir()
    policies(folder)
    (folder / "search.yaml").write_text((folder / "default.yaml").read_text().replace("tidy", "search"))
    flags = ("--policies", str(folder), "--settings", str(tmp_path / "settings.yaml"))
    async with (
        RawUpstream(billed) as upstream,
        served("--upstream", upstream.url, *flags) as proxy,
        view(browser) as seen,
    ):
        page = seen.page
        await proxy.until_ready()
        url = f"http://127.0.0.1:{proxy.port}/elision/"
        await shown(page, url)
        start = page.get_by_role("region", name="No requests yet")
        await expect(start).to_contain_text(f"export OPENAI_BASE_URL=http://127.0.0.1:{proxy.port}/v1")
        answers = [
            await asked(proxy, team, silent=silent)
            for team in ("search", "search", "")
            for silent in (False, True)
        ]
        assert [one.status for one in answers] == [200] * 6
        await expect(tile(page, "Requests")).to_have_text("6")
        table = json.loads(await saved_file(page, "Save “By team” as JSON"))
        by_team = {row["team"]: row for row in table}
        told = await (await page.request.get(f"{url}api/sums?step=all&by=team")).json()
        for row in told["rows"]:
            sums, on_page = row["sums"], by_team[row["labels"][0]]
            assert on_page["requests"] == sums["requests"]
            assert on_page["tokens_saved"] == sums["tokens_saved"] > 0
            assert on_page["tokens_saved_billed"] == sums["tokens_saved_billed"] > 0
            assert on_page["saved_nano_usd"] == sums["saved"] > 0
            assert on_page["cost_nano_usd"] == sums["cost"] > 0
        before = [int(one.value("x-elision-tokens-before")) for one in answers]
        after = [int(one.value("x-elision-tokens-after")) for one in answers]
        assert by_team["search"]["tokens_before"] == sum(before[:4])
        assert by_team["default"]["tokens_after"] == sum(after[4:])
        assert {one["requests"] for one in table} == {4, 2}
        await page.get_by_label("Team", exact=True).select_option("search")
        await expect(tile(page, "Requests")).to_have_text("4")
        assert page.url.endswith("?team=search")
        await expect(page.get_by_role("region", name="Recent requests")).to_contain_text("gpt-4o")
        await expect(page.get_by_role("region", name="Policies", exact=True)).to_contain_text("search@")
        proven(seen, proxy.port)


def wild() -> RememberedRows:
    """Return figures that are hard to show: a loss, a model's name that is no name, many groups."""
    now = int(time.time())
    labels = ("search", "search@1", "embedded", HOSTILE, "")
    loss = Sums(
        requests=3,
        compressed=3,
        priced=3,
        confirmed=3,
        tokens_before=9_000_000,
        tokens_after=4_000_000,
        tokens_saved=5_000_000,
        tokens_saved_billed=5_000_000,
        cost=9_000_000_000,
        saved=-1_230_000_000,
        saved_billed=-1_230_000_000,
        overhead=(0, 1, 1, 1, *[0] * 10),
        ratios=(0, 0, 0, 0, 3, *[0] * 6),
        words={"bypass:deadline": 2, "status:200": 3, f"finish:{HOSTILE}": 1},
    )
    others = [
        Row(now - 60 * n, (f"team-{n}", "none", "none", "gpt-4o", ""), Sums(requests=n)) for n in range(1, 12)
    ]
    return RememberedRows(
        [Row(now - 600, labels, loss), *others], [replace(RECENT, model=HOSTILE, at=now - 9.0)]
    )


def admin(archive: RememberedRows, dashboard: Dashboard | None = None) -> Admin:
    settings = with_dashboard(Settings(dashboard=dashboard or Dashboard()), {"SECRET": TOKEN})
    return admin_of(settings, Metrics(), Books(Unpriced(), (), archive, trouble=lambda: TROUBLE), None)


async def opened(seen: View, running: Administered, query: str = "") -> None:
    """Open the page of a proxy."""
    await shown(seen.page, f"{running.url}/elision/{query}")


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1440, "light")])
async def test_hard_figures_are_shown_as_they_are(browser: Browser, width: int, scheme: str) -> None:
    """A loss as a loss, a name as a name, on a phone as on a desk, without a fault."""
    chosen = "dark" if scheme == "dark" else "light"
    async with administered(admin(wild())) as running, view(browser, width=width, scheme=chosen) as seen:  # type: ignore[arg-type]
        await opened(seen, running, "?by=model")
        page = seen.page
        await expect(tile(page, "Money saved")).to_have_text("\u2212$1.23")
        await expect(tile(page, "Tokens saved")).to_have_text("5.00 M")
        await expect(tile(page, "Requests")).to_have_text("69")
        await expect(page.get_by_role("region", name="By model", exact=True)).to_contain_text(HOSTILE)
        await expect(page.get_by_role("region", name="Policies", exact=True)).to_contain_text(TROUBLE)
        assert await page.title() == "Dashboard · Elision"
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.locator("#saved canvas").count() == 2
        dark = await page.evaluate("getComputedStyle(document.documentElement).colorScheme")
        assert dark == "light dark"
        await page.get_by_role("button", name="Theme: System. Change it.").click()
        assert await page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
        proven(seen, running.port)


async def test_the_proxys_clock_counts(browser: Browser) -> None:
    """A browser whose clock is days ahead or behind shows the same figures, over the same time."""
    for wrong in (-3 * 86400, 0, 3 * 86400):
        async with administered(admin(wild())) as running, view(browser) as seen:
            await seen.page.clock.install(time=datetime.fromtimestamp(time.time() + wrong, UTC))
            await opened(seen, running)
            await expect(tile(seen.page, "Tokens saved")).to_have_text("5.00 M")
            table = io.StringIO(await saved_file(seen.page, "Save “Saved over time” as CSV"))
            lines = list(csv.DictReader(table))
            assert (len(lines), sum(int(line["search_tokens"]) for line in lines)) == (24, 5_000_000)
            proven(seen, running.port)


async def test_what_is_seen_is_what_is_saved(browser: Browser) -> None:
    """CSV with every figure whole, behind every chart a table, all of it reached by the keyboard."""
    async with administered(admin(wild())) as running, view(browser) as seen:
        await opened(seen, running)
        page = seen.page
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="To the figures")).to_be_focused()
        rows = list(csv.DictReader(io.StringIO(await saved_file(page, "Save “Recent requests” as CSV"))))
        assert (rows[0]["model"], rows[0]["tokens_before"], rows[0]["overhead_ms"]) == (
            HOSTILE,
            "1000",
            "12.5",
        )
        lines = list(csv.DictReader(io.StringIO(await saved_file(page, "Save “Saved over time” as CSV"))))
        assert sum(int(line["search_tokens"]) for line in lines) == 5_000_000
        assert len(lines) == 24
        await page.get_by_text("As a table").focus()
        await page.keyboard.press("Enter")
        table = page.get_by_role("region", name="Tokens saved over time; times are in UTC")
        await expect(table.get_by_role("row")).to_have_count(25)
        for title in (
            "Saved over time",
            "By team",
            "Added time",
            "Caches",
            f"Spending in {datetime.now(UTC):%Y-%m}",
            "Policies",
        ):
            assert await page.get_by_role("region", name=title, exact=True).count() == 1, title
        proven(seen, running.port)


async def test_trouble_is_told_and_passes(browser: Browser) -> None:
    """What is shown stays, with a word that it may be old, until the proxy answers again."""
    archive = wild()
    async with administered(admin(archive)) as running, view(browser) as seen:
        await shown(seen.page, f"{running.url}/elision/?range=31536000")
        archive.trouble = "locked"
        await expect(seen.page.get_by_role("alert")).to_contain_text("cannot be read now")
        archive.trouble = ""
        await expect(seen.page.get_by_role("alert")).to_be_hidden()
    assert all("503" in fault for fault in seen.faults)


async def test_the_token_is_asked_for_once(browser: Browser) -> None:
    """A wrong one is told; the right one opens the page until one signs out."""
    closed = admin(wild(), Dashboard(token_env="SECRET"))
    async with administered(closed) as running, view(browser) as seen:
        page = seen.page
        await page.goto(f"{running.url}/elision/")
        await page.get_by_label("Token of this dashboard").fill("wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        await page.get_by_label("Token of this dashboard").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_selector("body[data-ready=true]")
        assert TOKEN not in page.url
        assert await page.evaluate("document.cookie") == ""
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert seen.hosts - {""} == {f"127.0.0.1:{running.port}"}
