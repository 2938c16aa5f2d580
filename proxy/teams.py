"""Whose request it is: a trusted header, the path, or the API key says so.

The first of these that names a team decides. Where none does, or where there is no such team, it is
"", the default team. A header is believed only from the networks that the operator lists. Keys are
compared by their fingerprints and never kept.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Protocol

from elision.proxy.headers import Headers

_PREFIX = "/t/"
_KEY_HEADERS = ("authorization", "api-key", "x-api-key")


@dataclass(frozen=True, slots=True)
class TrustedHeader:
    """A header that a gateway in front of us sets.

    Attributes:
        name: in lower case; "" believes no header.
        networks: of the gateways.
    """

    name: str = ""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def believes(self, peer: str) -> bool:
        """Return whether an address, as a socket tells it, is one of the gateways."""
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)


class KnownTeams(Protocol):
    """The teams that there are."""

    def knows(self, team: str) -> bool:
        """Return whether there is such a team."""
        ...

    @property
    def by_key(self) -> Mapping[str, str]:
        """Teams by the fingerprints of their keys; empty where none is known by a key."""
        ...


class Teams:
    """Recognises teams.

    Args:
        known: the teams; None where there are none: then nothing but the path is looked at.
        trusted: the gateways' header.
    """

    def __init__(self, known: KnownTeams | None = None, trusted: TrustedHeader | None = None) -> None:
        self._known = known
        self._trusted = trusted or TrustedHeader()

    def of(self, target: str, headers: Headers, peer: str) -> tuple[str, str]:
        """Return the team of a request, "" for the default one, and its path without a team's prefix.

        Args:
            target: as the client sent it.
            headers: of the request.
            peer: address of who is connected to us.
        """
        named, path = split_team(target)
        if self._known is None:
            return "", path
        team = (self._told(headers, peer) if self._trusted.name else "") or named
        if not team and (by_key := self._known.by_key):
            team = next((found for key in keys_of(headers) if (found := by_key.get(fingerprint(key)))), "")
        return team if team and self._known.knows(team) else "", path

    def _told(self, headers: Headers, peer: str) -> str:
        values = [value.strip() for name, value in headers if name.lower() == self._trusted.name]
        return values[0] if len(values) == 1 and self._trusted.believes(peer) else ""


def split_team(path: str) -> tuple[str, str]:
    """Return the team that a path names and the path without it.

    `/t/search/v1/models` is team `search` and `/v1/models`; any other path names no team: "".
    """
    if not path.startswith(_PREFIX):
        return "", path
    team, slash, rest = path[len(_PREFIX) :].partition("/")
    return (team, slash + rest) if team and slash else ("", path)


def fingerprint(key: str) -> str:
    """Return what a policy file calls an API key: `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def keys_of(headers: Headers) -> Sequence[str]:
    """Return the API keys that a request carries, without `Bearer`."""
    values = ((name.lower(), value.strip()) for name, value in headers)
    keys = (
        value.partition(" ")[2].strip() if value[:7].lower() == "bearer " else value
        for name, value in values
        if name in _KEY_HEADERS
    )
    return [key for key in keys if key]
