"""Who may see the pages under /elision/."""

from ipaddress import ip_network

import pytest

from elision.proxy.access import COOKIE, COOKIE_S, LOCAL, Access, Visit
from elision.proxy.errors import RequestError
from elision.proxy.headers import Headers
from elision.proxy.teams import TrustedHeader

TOKEN = "correct-horse-battery"
HERE: Headers = [("Host", "127.0.0.1:8484")]
LOGIN = TrustedHeader("x-user", (ip_network("10.0.0.0/8"),))


def refusal(
    access: Access,
    headers: Headers,
    *,
    peer: str = "127.0.0.1",
    method: str = "GET",
    is_page: bool = False,
) -> str:
    """Return why a request is refused, "" where it is not."""
    try:
        access.check(Visit(method, headers, peer), is_page=is_page)
    except RequestError as error:
        return f"{error.status} {error.code}" if TOKEN not in error.message else "it shows the token"
    return ""


@pytest.mark.parametrize("host", ["127.0.0.1:8484", "localhost:8484", "localhost", "[::1]:8484", "LOCALHOST"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_see_pages_by_default(host: str, peer: str) -> None:
    """By any of its own names."""
    assert refusal(LOCAL, [("Host", host)], peer=peer) == ""


@pytest.mark.parametrize("peer", ["10.0.0.5", "203.0.113.9", "fe80::1%eth0", "", "::ffff:10.0.0.5"])
def test_other_machines_may_not(peer: str) -> None:
    """Whatever they claim to be."""
    forged = [*HERE, ("X-Forwarded-For", "127.0.0.1"), ("X-User", "root")]
    assert refusal(LOCAL, HERE, peer=peer) == "403 only_this_machine"
    assert refusal(LOCAL, forged, peer=peer) == "403 only_this_machine"


@pytest.mark.parametrize("host", ["rebound.example.com", "127.0.0.1.example.com:8484", "10.0.0.5:8484", ""])
def test_a_name_that_was_made_to_lead_here_opens_nothing(host: str) -> None:
    """DNS rebinding: the browser is on this machine, the page that asks is not of it."""
    assert refusal(LOCAL, [("Host", host)]) == "403 only_this_machine"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "x-forwarded-host"])
def test_a_proxy_on_this_machine_does_not_make_everybody_local(header: str) -> None:
    """It forwards for somebody whom nobody knows."""
    assert refusal(LOCAL, [*HERE, (header, "198.51.100.7")]) == "403 only_this_machine"


def test_the_token_opens_pages_from_anywhere() -> None:
    """Shown as other APIs have it shown; this machine needs it as well."""
    access = Access(TOKEN)
    elsewhere: Headers = [("Host", "proxy.example.com")]
    assert refusal(access, [*elsewhere, ("authorization", f"bearer {TOKEN}")], peer="10.0.0.5") == ""
    assert refusal(access, HERE) == "401 token_needed"


@pytest.mark.parametrize(
    "shown", [f"Bearer {TOKEN}x", "Bearer ", "Bearer", f"Basic {TOKEN}", TOKEN, "Bearer é"]
)
def test_another_token_opens_nothing(shown: str) -> None:
    """Nor does the right one where it is not asked for."""
    assert refusal(Access(TOKEN), [*HERE, ("Authorization", shown)]) == "401 token_needed"


def test_no_token_is_not_the_empty_token() -> None:
    """Without one, none can be shown, and none signs in."""
    access = Access("", LOGIN)
    assert refusal(access, [*HERE, ("Authorization", "Bearer ")]) == "403 login_needed"
    assert access.sign_in("") is None


def test_a_cookie_stands_for_the_token_for_a_while() -> None:
    """It holds no token, is of this token alone, and ends."""
    now = [1000.0]
    access = Access(TOKEN, clock=lambda: now[0])
    value = access.sign_in(TOKEN)
    assert value is not None
    assert TOKEN not in value
    headers = [*HERE, ("Cookie", f"other=1; {COOKIE}={value}")]
    assert refusal(access, headers) == ""
    assert refusal(Access("another-token-altogether", clock=lambda: now[0]), headers) == "401 token_needed"
    now[0] += COOKIE_S
    assert refusal(access, headers) == "401 token_needed"


@pytest.mark.parametrize(
    "made", ["", ".", "9999999999.", "9999999999.00", "9" * 30 + ".aa", "x.y", "٣.é", "-1.a"]
)
def test_a_made_up_cookie_opens_nothing(made: str) -> None:
    """Nor does it break anything."""
    assert refusal(Access(TOKEN), [*HERE, ("Cookie", f"{COOKIE}={made}")]) == "401 token_needed"


def test_a_cookie_cannot_be_prolonged() -> None:
    """Its end is sealed with it."""
    access = Access(TOKEN)
    value = access.sign_in(TOKEN)
    assert value is not None
    until, _, seal = value.partition(".")
    assert refusal(access, [*HERE, ("Cookie", f"{COOKIE}={int(until) + 1}.{seal}")]) == "401 token_needed"


def test_a_login_proxys_word_counts_from_its_network_alone() -> None:
    """A name, once, from where the operator said."""
    access = Access("", LOGIN)
    named = [*HERE, ("X-User", "ada")]
    assert refusal(access, named, peer="10.2.3.4") == ""
    assert refusal(access, named, peer="127.0.0.1") == "403 login_needed"
    assert refusal(access, HERE, peer="10.2.3.4") == "403 login_needed"
    assert refusal(access, [*HERE, ("X-User", " ")], peer="10.2.3.4") == "403 login_needed"
    assert refusal(access, [*named, ("x-user", "eve")], peer="10.2.3.4") == "403 login_needed"


def test_token_and_login_proxy_may_stand_side_by_side() -> None:
    """Either will do."""
    access = Access(TOKEN, LOGIN)
    assert refusal(access, [*HERE, ("X-User", "ada")], peer="10.2.3.4") == ""
    assert refusal(access, [*HERE, ("Authorization", f"Bearer {TOKEN}")], peer="192.0.2.1") == ""
    assert refusal(access, HERE, peer="192.0.2.1") == "401 token_needed"


@pytest.mark.parametrize(
    ("method", "headers", "is_page", "why"),
    [
        ("GET", [("Sec-Fetch-Site", "same-origin")], False, ""),
        ("GET", [("Sec-Fetch-Site", "none")], False, ""),
        ("GET", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], True, ""),
        ("GET", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")], True, "403 other_site"),
        ("GET", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], False, "403 other_site"),
        ("GET", [("Sec-Fetch-Site", "same-site")], False, "403 other_site"),
        ("POST", [("Sec-Fetch-Site", "same-origin"), ("Origin", "https://public.example")], False, ""),
        ("POST", [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], True, "403 other_site"),
        ("POST", [("Sec-Fetch-Site", "none")], False, "403 other_site"),
        ("POST", [("Origin", "http://127.0.0.1:8484")], False, ""),
        ("POST", [("Origin", "http://127.0.0.1:9999")], False, "403 other_site"),
        ("POST", [("Origin", "http://evil.example")], False, "403 other_site"),
        ("POST", [("Origin", "null")], False, "403 other_site"),
        ("POST", [], False, ""),
    ],
)
def test_pages_of_other_sites_get_nothing_done(
    method: str, headers: Headers, is_page: bool, why: str
) -> None:
    """Browsers say whose page asks; programs say nothing; a link to a page is no attack."""
    assert refusal(LOCAL, [*HERE, *headers], method=method, is_page=is_page) == why
