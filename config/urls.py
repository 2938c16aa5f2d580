"""URLs that an operator writes: which are accepted. Errors never repeat one, since keys hide in them."""

from urllib.parse import urlsplit

_HERE = frozenset(("127.0.0.1", "localhost"))
_ANYWHERE = frozenset(("0.0.0.0", "::"))


def base_url(url: str) -> str:
    """Return a provider's base URL without the `/v1` and slashes at its end; "" stays as it is.

    Raises: ValueError that says what is expected.
    """
    if not url:
        return url
    parts = _split(url)
    if parts is None or parts[0] not in ("http", "https"):
        raise ValueError("must be a URL such as https://api.openai.com")
    _, user, rest = parts
    if user:
        raise ValueError("must hold no user or password; clients' own keys are passed on")
    if rest:
        raise ValueError("must have no query and no fragment; give the base URL alone")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def is_own_address(url: str, host: str, port: int) -> bool:
    """Return whether a base URL leads to who listens on a host and a port here, as far as names tell."""
    parts = urlsplit(url)
    usual = 443 if parts.scheme == "https" else 80
    if (parts.port or usual) != port:
        return False
    return parts.hostname == host or (host in _HERE | _ANYWHERE and parts.hostname in _HERE)


def _split(url: str) -> tuple[str, bool, bool] | None:
    """Return scheme, whether a user is named, whether a query follows; None if it is no URL."""
    try:
        parts = urlsplit(url)
        usable = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    if not usable or any(character.isspace() for character in url):
        return None
    return parts.scheme, "@" in parts.netloc, bool(parts.query or parts.fragment)
