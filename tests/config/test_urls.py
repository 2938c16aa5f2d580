"""Which URLs an operator may write."""

import pytest

from elision.config.urls import base_url, is_own_address


@pytest.mark.parametrize(
    "url", ["https://api.openai.com", "https://api.openai.com/v1", "https://api.openai.com/v1/"]
)
def test_a_base_url_is_known_without_its_v1(url: str) -> None:
    """Clients' paths bring it."""
    assert base_url(url) == "https://api.openai.com"


def test_no_url_stays_none() -> None:
    """It may come from another source."""
    assert base_url("") == ""


@pytest.mark.parametrize(
    "url", ["ftp://a", "a", "https://u:secret@a", "https://a?secret=1", "https://a b", "http://a:0"]
)
def test_what_is_no_base_url_is_refused_unseen(url: str) -> None:
    """It may hold a key."""
    with pytest.raises(ValueError, match=r"^must ") as refused:
        base_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "host", "is_own"),
    [
        ("http://127.0.0.1:8484", "127.0.0.1", True),
        ("http://localhost:8484/x", "127.0.0.1", True),
        ("http://LOCALHOST:8484", "0.0.0.0", True),
        ("http://proxy.example:8484", "proxy.example", True),
        ("http://[::1]:8484", "::1", True),
        ("http://127.0.0.1:8485", "127.0.0.1", False),
        ("http://127.0.0.1:8484", "10.0.0.1", False),
        ("http://proxy.example", "127.0.0.1", False),
    ],
)
def test_a_proxy_knows_its_own_address(url: str, host: str, is_own: bool) -> None:
    """As far as names tell; another process may have the same port at another address."""
    assert is_own_address(url, host, 8484) is is_own
