"""Chromium, which shows the pages of the proxy, and what a page said and asked for meanwhile.

The system's own browser is driven; nothing is downloaded. What a page shows is waited for, never
slept for.
"""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_MS = 60_000
"""What a busy machine may take to show anything."""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"
)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run a browser until the block ends."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class View:
    """A page in a window of its own.

    Attributes:
        faults: what it wrote to the console as a warning or an error, and what it threw.
        hosts: that anything was asked of.
    """

    page: Page
    faults: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error"):
            self.faults.append(f"{message.text} ({message.location.get('url', '')})")


@asynccontextmanager
async def view(
    browser: Browser, *, width: int = 1440, scheme: Literal["light", "dark"] = "light"
) -> AsyncIterator[View]:
    """Open a window without history, cookies or choices of earlier ones, until the block ends."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        timezone_id="UTC",
        accept_downloads=True,
    )
    try:
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        shown = View(page)
        page.on("console", shown.heard)
        page.on("pageerror", lambda error: shown.faults.append(str(error)))
        page.on("request", lambda request: shown.hosts.add(urlsplit(request.url).netloc))
        yield shown
    finally:
        await context.close()
