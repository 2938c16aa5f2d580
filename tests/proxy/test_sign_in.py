"""Signing in with the token, and out."""

import logging

import pytest

from elision.proxy.access import COOKIE, Access
from elision.proxy.admin import Admin, Audience, Page
from elision.proxy.sign_in import SignIn
from elision.proxy.static_files import file_page
from fakes.administered import Administered, administered
from fakes.running import Answer, untold

TOKEN = "correct horse & battery"


def admin() -> Admin:
    access = Access(TOKEN)
    home: Page = file_page("/elision/", "dashboard", "index.html", Audience.PEOPLE)
    return Admin(lambda: {"ready": True}, untold, (home, *SignIn(access).pages()), access=access)


async def sent(running: Administered, form: bytes, *headers: tuple[str, str]) -> Answer:
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    return await running.ask("POST", "/elision/login", [kind, *headers], form)


async def test_the_token_is_entered_once() -> None:
    """Then a cookie that scripts cannot read, and other sites cannot use, opens the pages."""
    async with administered(admin()) as running:
        entered = await sent(running, b"token=correct+horse+%26+battery")
        assert (entered.status, entered.value("location")) == (303, "/elision/")
        cookie, *attributes = entered.value("set-cookie").split("; ")
        assert {"HttpOnly", "SameSite=Strict", "Path=/elision/"} <= set(attributes)
        assert "Secure" not in attributes
        assert "horse" not in cookie
        assert (await running.get("/elision/", ("Cookie", cookie))).status == 200
        assert (await running.get("/elision/")).status == 303


@pytest.mark.parametrize(
    ("wanted", "back"),
    [
        ("/elision/playground", "/elision/playground"),
        ("/elision/%3Frange=3600%26team=a%2520b", "/elision/?range=3600&team=a%20b"),
        ("/elision/%3Fteam=%E2%82%AC%0D%0AX-A:%201", "/elision/?team=%E2%82%AC%0D%0AX-A:%201"),
        ("https://evil.example/elision/", "/elision/"),
        ("//evil.example/elision/", "/elision/"),
        ("/elision/login", "/elision/"),
        ("/v1/models", "/elision/"),
        ("", "/elision/"),
    ],
)
async def test_people_come_back_to_the_page_that_they_asked_for(wanted: str, back: str) -> None:
    """Ours alone: a link to the form may name any other."""
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    async with administered(admin()) as running:
        form = b"token=correct+horse+%26+battery"
        entered = await running.ask("POST", f"/elision/login?next={wanted}", [kind], form)
    assert (entered.status, entered.value("location")) == (303, back)


async def test_a_cookie_of_an_encrypted_page_stays_on_encrypted_connections() -> None:
    """Where the browser says that its page is one."""
    async with administered(admin()) as running:
        origin, host = ("Origin", "https://proxy.example"), ("Host", "proxy.example")
        entered = await sent(running, b"token=correct+horse+%26+battery", origin, host)
    assert "Secure" in entered.value("set-cookie").split("; ")


@pytest.mark.parametrize("form", [b"token=wrong-horse-battery", b"token=", b"", b"\xff\xfe=", b"{}"])
async def test_another_token_gets_the_form_again(form: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It is told to the operator, without what was typed."""
    with caplog.at_level(logging.WARNING, "elision.dashboard"):
        async with administered(admin()) as running:
            refused = await sent(running, form)
    assert (refused.status, refused.value("set-cookie")) == (401, "")
    assert b"That is not the token." in refused.body
    assert "127.0.0.1" in caplog.text
    assert "horse" not in caplog.text + refused.body.decode()


async def test_the_form_is_there_for_anybody_and_says_nothing() -> None:
    """It needs its style before there is a cookie."""
    async with administered(admin()) as running:
        form = await running.get("/elision/login")
    assert form.status == 200
    assert b"That is not the token." not in form.body


async def test_another_site_cannot_sign_anybody_in() -> None:
    """Nor out."""
    async with administered(admin()) as running:
        for path in ("/elision/login", "/elision/logout"):
            got = await running.ask("POST", path, [("Sec-Fetch-Site", "cross-site")], b"token=x")
            assert (got.status, got.value("set-cookie")) == (403, "")


async def test_signing_out_takes_the_cookie_away() -> None:
    """By an age of no time."""
    async with administered(admin()) as running:
        left = await running.ask("POST", "/elision/logout")
    assert (left.status, left.value("location")) == (303, "/elision/login")
    assert f"{COOKIE}=" in left.value("set-cookie")
    assert "Max-Age=0" in left.value("set-cookie")
