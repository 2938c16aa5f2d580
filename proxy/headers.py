"""Which headers cross the proxy, and the ones that it adds. Pure.

A header is a pair of strings; lists of pairs keep repeats, order and letter case. Bytes beyond
ASCII travel as surrogate escapes, so that they leave as they came.
"""

from collections.abc import Iterable

Headers = list[tuple[str, str]]

HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Headers of one connection, never forwarded (RFC 9110, section 7.6.1)."""

_NOT_FOR_CLIENTS = HOP_BY_HOP - {"trailer"}
"""An answer's trailers go on, so what announces them does; a request's are not read."""

OWN_PREFIX = "x-elision"
"""Headers that talk to or come from Elision; requests' ones never reach an upstream."""


def decoded(raw: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return raw header pairs as strings; every byte survives the way back."""
    return [(n.decode("ascii", "surrogateescape"), v.decode("utf-8", "surrogateescape")) for n, v in raw]


def named_by_connection(headers: Headers) -> frozenset[str]:
    """Return the lower-case names that `Connection` headers declare to be of this hop only."""
    named: set[str] = set()
    for name, value in headers:
        if name.lower() == "connection":
            named.update(part.strip().lower() for part in value.split(","))
    return frozenset(named)


def for_upstream(headers: Headers, *, body_replaced: bool) -> Headers:
    """Return the request headers that go on to the upstream.

    Args:
        headers: as the client sent them.
        body_replaced: whether the body's length is ours to state; then `Content-Length` is left out.
    """
    dropped = HOP_BY_HOP | named_by_connection(headers) | {"host", "expect"}
    if body_replaced:
        dropped |= {"content-length"}
    return [
        (name, value)
        for name, value in headers
        if (lower := name.lower()) not in dropped and not lower.startswith(OWN_PREFIX)
    ]


def for_client(headers: Headers) -> Headers:
    """Return the response headers that go on to the client."""
    dropped = _NOT_FOR_CLIENTS | named_by_connection(headers)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def value_of(headers: Headers, name: str) -> str:
    """Return the first value of a header by its lower-case name, or ""."""
    for found, value in headers:
        if found.lower() == name:
            return value
    return ""
