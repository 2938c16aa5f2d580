"""Who may see the pages under `/elision/`: this machine, who shows the token, or whom a login proxy names.

Pure but for the clock. Nothing is open by accident: without a token and without a header only this
machine is answered, and not on behalf of others (a proxy's `X-Forwarded-For`, a web page whose name
was made to lead here). Tokens are compared in constant time and appear in no error.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from elision.config.networks import is_loopback
from elision.proxy.errors import RequestError
from elision.proxy.headers import Headers, value_of
from elision.proxy.teams import TrustedHeader

COOKIE = "elision_dashboard"
COOKIE_S = 7 * 86400
"""Seconds that a sign-in is good for; another token ends it at once."""
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_HOW = "docs/dashboard.md says how to open it to others: dashboard.token_env, or dashboard.header."


@dataclass(frozen=True, slots=True)
class Visit:
    """What a request says of who sent it.

    Attributes:
        headers: as they came.
        peer: address of who is connected to us.
    """

    method: str
    headers: Headers = field(repr=False)
    peer: str


class Access:
    """Decides who may see pages.

    Args:
        token: whoever shows it may; "": there is none.
        header: that a login proxy sets to a user's name, and whence it is believed.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        token: str = "",
        header: TrustedHeader | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._token = token
        self._header = header or TrustedHeader()
        self._clock = clock

    @property
    def has_token(self) -> bool:
        """Whether there is a token to sign in with."""
        return bool(self._token)

    def check(self, visit: Visit, *, is_page: bool = False) -> None:
        """Let a request pass.

        Args:
            visit: what is known of it.
            is_page: it asks for a page that another site may link to.

        Raises: RequestError, 401 where the token would help, else 403.
        """
        self.check_origin(visit, is_page=is_page)
        if not self._token and not self._header.name:
            _check_local(visit)
        elif not self._shows_token(visit) and not self._is_named(visit):
            if self._token:
                told = "Show the dashboard's token (Authorization: Bearer ...), or sign in at /elision/login."
                raise RequestError(401, "token_needed", told)
            told = f"Only whom the login proxy names in {self._header.name} may see this; ask through it."
            raise RequestError(403, "login_needed", told)

    def check_origin(self, visit: Visit, *, is_page: bool = False) -> None:
        """Refuse what a page of another site had a browser send.

        Browsers say it in `Sec-Fetch-Site`, or, over plain HTTP, in the `Origin` of a POST; programs
        send neither.

        Raises: RequestError.
        """
        site, origin = value_of(visit.headers, "sec-fetch-site"), value_of(visit.headers, "origin")
        if site:
            followed = is_page and value_of(visit.headers, "sec-fetch-mode") == "navigate"
            is_own = site == "same-origin" or (visit.method != "POST" and (site == "none" or followed))
        else:
            asked = value_of(visit.headers, "host").lower()
            is_own = not origin or origin.lower().partition("//")[2] == asked
        if not is_own:
            told = "A page of another site may not ask this. Open /elision/ itself."
            raise RequestError(403, "other_site", told)

    def sign_in(self, token: str) -> str | None:
        """Return the value of the cookie that stands for a token; None if it is not the right one."""
        if not self._is_token(token):
            return None
        until = str(int(self._clock()) + COOKIE_S)
        return f"{until}.{self._seal(until)}"

    def _shows_token(self, visit: Visit) -> bool:
        if not self._token:
            return False
        scheme, _, shown = value_of(visit.headers, "authorization").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(shown.strip()):
            return True
        return any(self._is_valid(cookie) for cookie in _cookies(visit.headers))

    def _is_token(self, shown: str) -> bool:
        """Compare digests, so that time tells neither where two differ nor how long they are."""
        digests = (hashlib.sha256(text.encode("utf-8", "surrogateescape")) for text in (shown, self._token))
        return bool(self._token) and hmac.compare_digest(*(digest.digest() for digest in digests))

    def _is_valid(self, cookie: str) -> bool:
        until, _, seal = cookie.partition(".")
        if not (until.isascii() and until.isdecimal() and len(until) <= 12 and seal.isascii()):
            return False
        return hmac.compare_digest(seal, self._seal(until)) and int(until) > self._clock()

    def _seal(self, until: str) -> str:
        key = self._token.encode("utf-8", "surrogateescape")
        return hmac.new(key, f"elision dashboard {until}".encode(), hashlib.sha256).hexdigest()

    def _is_named(self, visit: Visit) -> bool:
        """Return whether a login proxy names a user; twice is a client's word beside the proxy's."""
        if not self._header.name or not self._header.believes(visit.peer):
            return False
        values = [value.strip() for name, value in visit.headers if name.lower() == self._header.name]
        return len(values) == 1 and bool(values[0])


LOCAL = Access()
"""This machine alone."""


def _check_local(visit: Visit) -> None:
    """Let pass who sits at this machine.

    A name of another site may be made to lead here (DNS rebinding): its pages then ask with that
    name as `Host`.
    """
    if not is_loopback(visit.peer):
        raise RequestError(403, "only_this_machine", f"Only this machine may see this. {_HOW}")
    if any(value_of(visit.headers, name) for name in _FORWARDED):
        told = f"This came through a proxy, so nobody knows who asks. {_HOW}"
        raise RequestError(403, "only_this_machine", told)
    if not is_loopback(_without_port(value_of(visit.headers, "host"))):
        told = f"Ask by the name localhost or the address 127.0.0.1. {_HOW}"
        raise RequestError(403, "only_this_machine", told)


def _without_port(host: str) -> str:
    """Return `Host` without its port; an IPv6 address stands in brackets there."""
    return host.partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _cookies(headers: Headers) -> list[str]:
    """Return the values of our cookie; another path's or port's may stand beside it."""
    pairs = (
        pair.strip().partition("=")
        for name, value in headers
        if name.lower() == "cookie"
        for pair in value.split(";")
    )
    return [value for name, _, value in pairs if name == COOKIE]
