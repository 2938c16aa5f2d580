"""Files of the pages, and how answers of pages are sent."""

import re
from pathlib import Path

import elision.proxy.static_files as module
from elision.proxy.admin import Admin, Audience
from elision.proxy.static_files import file_page, static_pages
from fakes.administered import administered
from fakes.running import untold

FOLDER = Path(module.__file__).parent / "dashboard"
LOADED_FROM_A_HOST = r"(?:src|href|url\(|from|import|fetch)[=(\s]*[\"']?(?:https?:)?//"


async def test_a_file_is_sent_once_and_then_known() -> None:
    """304 where the browser has it; whole where it has another."""
    pages = static_pages("dashboard", "style.css")
    async with administered(Admin(dict, untold, pages)) as running:
        first = await running.get("/elision/static/style.css")
        assert first.body == (FOLDER / "style.css").read_bytes()
        assert first.value("content-type") == "text/css; charset=utf-8"
        again = await running.get("/elision/static/style.css", ("If-None-Match", first.value("etag")))
        assert (again.status, again.body) == (304, b"")
        other = await running.get("/elision/static/style.css", ("If-None-Match", '"x", W/"y"'))
        assert other.status == 200


async def test_a_page_may_load_nothing_from_elsewhere() -> None:
    """The policy names no other host, no inline script, no frame; nothing is kept by shared caches."""
    page = file_page("/elision/", "dashboard", "index.html", Audience.PEOPLE)
    async with administered(Admin(dict, untold, [page])) as running:
        got = await running.get("/elision/")
    policy = got.value("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert got.value("cache-control") == "private, no-cache"
    assert got.value("x-content-type-options") == "nosniff"


def test_no_page_names_another_host() -> None:
    """Not in a link that loads, not in a script; what was taken from others names its home in a comment."""
    for file in FOLDER.glob("*.*"):
        found = re.findall(LOADED_FROM_A_HOST, file.read_text())
        assert found == [], file.name
        assert "style=" not in file.read_text() or file.suffix != ".html"
