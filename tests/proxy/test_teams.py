"""Whose request it is."""

from collections.abc import Mapping
from ipaddress import ip_network
from types import MappingProxyType

import pytest

from elision.proxy.teams import Teams, TrustedHeader, fingerprint, split_team

KEY = "sk-test"


class Known:
    """Three teams, one of them with a key."""

    by_key: Mapping[str, str] = MappingProxyType({fingerprint(KEY): "search"})

    def knows(self, team: str) -> bool:
        return team in ("search", "chat", "ops")


GATEWAY = TrustedHeader("x-team", (ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("path", "team", "rest"),
    [
        ("/t/search/v1/models", "search", "/v1/models"),
        ("/t/search/v1/chat/completions?x=/t/", "search", "/v1/chat/completions?x=/t/"),
        ("/v1/models", "", "/v1/models"),
        ("/t/", "", "/t/"),
        ("/t/search", "", "/t/search"),
        ("/t//v1/models", "", "/t//v1/models"),
    ],
)
def test_a_path_may_name_a_team(path: str, team: str, rest: str) -> None:
    """`/t/<team>` is ours; the rest is the upstream's."""
    assert split_team(path) == (team, rest)


@pytest.mark.parametrize(
    "header",
    [("Authorization", f"Bearer {KEY}"), ("authorization", f"bearer  {KEY} "), ("api-key", KEY)],
)
def test_a_key_tells_a_team(header: tuple[str, str]) -> None:
    """However the client sends it."""
    teams = Teams(Known())
    assert teams.of("/v1/models", [header], "127.0.0.1") == ("search", "/v1/models")


def test_a_key_of_nobody_is_the_default_team() -> None:
    """As is none."""
    teams = Teams(Known())
    assert teams.of("/v1/models", [("Authorization", "Bearer sk-other")], "")[0] == ""
    assert teams.of("/v1/models", [], "")[0] == ""


def test_a_team_that_there_is_not_is_the_default_team() -> None:
    """Its prefix is taken off all the same."""
    assert Teams(Known()).of("/t/nobody/v1/models", [], "") == ("", "/v1/models")
    assert Teams().of("/t/search/v1/models", [], "") == ("", "/v1/models")


def test_a_path_goes_before_a_key() -> None:
    """One key may serve several applications."""
    teams = Teams(Known())
    assert teams.of("/t/chat/v1/models", [("Authorization", f"Bearer {KEY}")], "")[0] == "chat"


@pytest.mark.parametrize(
    ("peer", "team"),
    [
        ("10.1.2.3", "ops"),
        ("::ffff:10.1.2.3", "ops"),
        ("fd00::1%eth0", "ops"),
        ("192.168.0.1", "chat"),
        ("", "chat"),
        ("unix", "chat"),
    ],
)
def test_a_header_is_believed_from_listed_networks_only(peer: str, team: str) -> None:
    """There it goes before the path."""
    assert Teams(Known(), GATEWAY).of("/t/chat/v1/models", [("X-Team", "ops")], peer)[0] == team


def test_two_headers_that_differ_are_not_believed() -> None:
    """Somebody before the gateway may have added one."""
    headers = [("X-Team", "ops"), ("X-Team", "search")]
    assert Teams(Known(), GATEWAY).of("/v1/models", headers, "10.0.0.1")[0] == ""


def test_a_fingerprint_is_the_sha_256_of_the_key() -> None:
    """As `sha256sum` says it."""
    assert fingerprint("abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
