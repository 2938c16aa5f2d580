"""What the proxy says of itself, and to whom."""

import json

import pytest
from aiohttp import web

from elision.accounts.exposition import Exposition
from elision.proxy.access import Access
from elision.proxy.admin import Admin, Audience, Page, body_of
from elision.proxy.errors import OwnError
from fakes.administered import administered
from fakes.running import Answer, untold

TOKEN = "correct-horse-battery"
SHOWN = ("Authorization", f"Bearer {TOKEN}")


async def hello(_: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


async def told(accept: str) -> Exposition:
    return Exposition(b"elision_x 1\n", accept)


async def broken(_: web.BaseRequest) -> web.Response:
    raise OwnError(503, "nothing_kept", "Nothing is kept.")


async def echo(request: web.BaseRequest) -> web.Response:
    return web.Response(body=await body_of(request, 8))


PAGES = (
    Page("/elision/", hello, audience=Audience.PEOPLE),
    Page("/elision/api/x", hello),
    Page("/elision/api/x", echo, "POST"),
    Page("/elision/api/broken", broken),
    Page("/elision/open", echo, "POST", Audience.ANYBODY),
)


def admin(*, ready: bool = True, access: Access | None = None, open_metrics: bool = True) -> Admin:
    readiness = {"ready": ready, "methods": {"m": "weights missing"}}
    return Admin(
        lambda: readiness,
        told,
        PAGES,
        access=access or Access(),
        open_metrics=open_metrics,
    )


async def asked(admin: Admin, method: str, path: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
    """Ask a proxy about itself."""
    async with administered(admin) as running:
        return await running.ask(method, path, headers, body)


async def test_prometheus_reads_the_figures() -> None:
    """In the format that it asks for."""
    got = await asked(admin(), "GET", "/elision/metrics", ("Accept", "application/openmetrics-text"))
    assert (got.status, got.body) == (200, b"elision_x 1\n")
    assert len(got.value("x-elision-request-id")) == 32
    assert got.value("content-type").startswith("application/openmetrics-text")


@pytest.mark.parametrize(
    ("method", "path", "ready", "status"),
    [
        ("GET", "/elision/live", False, 200),
        ("GET", "/elision/ready", True, 200),
        ("GET", "/elision/ready", False, 503),
        ("GET", "/elision/other", True, 404),
        ("POST", "/elision/live", True, 405),
        ("GET", "/elision/open", True, 405),
    ],
)
async def test_alive_and_ready_are_two_questions(method: str, path: str, ready: bool, status: int) -> None:
    """A proxy that still loads weights is alive, and not ready."""
    got = await asked(admin(ready=ready), method, path)
    assert got.status == status
    if status in (404, 405):
        assert json.loads(got.body)["error"]["type"] == "invalid_request_error"
    if path == "/elision/ready":
        assert json.loads(got.body) == {"ready": ready, "methods": {"m": "weights missing"}}


async def test_pages_are_answered_by_path_and_method() -> None:
    """HEAD is a GET without its body."""
    async with administered(admin()) as running:
        assert (await running.get("/elision/")).body == b"hello"
        assert (await running.ask("POST", "/elision/api/x", body=b"12345678")).body == b"12345678"
        head = await running.ask("HEAD", "/elision/api/x")
        assert (head.status, head.body) == (200, b"")


async def test_a_body_beyond_what_a_page_takes_is_refused() -> None:
    """Before all of it is in memory."""
    got = await asked(admin(), "POST", "/elision/api/x", body=b"123456789")
    assert (got.status, json.loads(got.body)["error"]["code"]) == (413, "body_too_large")


async def test_who_may_not_see_a_page_is_led_to_the_form_or_told() -> None:
    """People by a redirect, programs by JSON; nothing of the page is shown."""
    async with administered(admin(access=Access(TOKEN))) as running:
        page = await running.get("/elision/")
        assert (page.status, page.value("location"), page.body) == (303, "/elision/login", b"")
        other = await running.get("/elision/?team=a%26b&x=1")
        assert other.value("location") == "/elision/login?next=/elision/%3Fteam%3Da%2526b%26x%3D1"
        long = await running.get("/elision/?" + "x" * 2000)
        assert long.value("location") == "/elision/login"
        told = await running.get("/elision/api/x")
        assert (told.status, told.value("www-authenticate")) == (401, "Bearer")
        assert json.loads(told.body)["error"]["code"] == "token_needed"
        assert (await running.get("/elision/api/x", SHOWN)).body == b"hello"


async def test_nothing_is_done_for_a_page_of_another_site() -> None:
    """Not even what is for anybody."""
    async with administered(admin()) as running:
        for path in ("/elision/api/x", "/elision/open"):
            got = await running.ask("POST", path, [("Origin", "https://evil.example")], b"x")
            assert (got.status, json.loads(got.body)["error"]["code"]) == (403, "other_site")


async def test_liveness_and_figures_need_no_token_unless_the_operator_says_so() -> None:
    """Then readiness is a yes or no, and metrics are for those who may see pages."""
    async with administered(admin(access=Access(TOKEN))) as running:
        assert (await running.get("/elision/metrics")).status == 200
        assert "methods" in await running.json("/elision/ready")
    async with administered(admin(access=Access(TOKEN), open_metrics=False)) as running:
        assert (await running.get("/elision/live")).status == 200
        assert (await running.get("/elision/metrics")).status == 401
        assert (await running.get("/elision/metrics", SHOWN)).status == 200
        assert await running.json("/elision/ready") == {"ready": True}
        assert b"methods" in (await running.get("/elision/ready", SHOWN)).body


async def test_a_pages_error_has_the_shape_of_all_errors() -> None:
    """Status, code, message."""
    got = await asked(admin(), "GET", "/elision/api/broken")
    assert (got.status, json.loads(got.body)["error"]["code"]) == (503, "nothing_kept")


def test_one_path_has_one_answer() -> None:
    """Two pages of one path are a mistake of ours."""
    with pytest.raises(ValueError, match="two pages"):
        Admin(lambda: {"ready": True}, untold, (*PAGES, PAGES[0]))
