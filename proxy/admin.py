"""What the proxy says of itself under `/elision/`: alive, ready, figures, pages. Never forwarded.

This module finds who answers a path and lets nobody see a page whom `elision.proxy.access` does not
let through. What pages say is theirs: each is a `Page`, given when the proxy is composed.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

import msgspec
from aiohttp import web

from elision.accounts.exposition import Exposition
from elision.proxy.access import LOCAL, Access, Visit
from elision.proxy.client_body import check_body, read_up_to, say_continue
from elision.proxy.errors import ProxyError, RequestError
from elision.proxy.headers import decoded

SIGN_IN = "/elision/login"
"""Where people are led who have not shown the token."""
_LONGEST_WAY_BACK = 1000
Readiness = Mapping[str, object]
Answering = Callable[[web.BaseRequest], Awaitable[web.Response]]


class Audience(StrEnum):
    """Whom a path answers."""

    ANYBODY = "anybody"
    """Who can connect: what the sign-in form needs, and nothing that was counted."""
    PEOPLE = "people"
    """In a browser: who may not see it is led to the sign-in form."""
    PROGRAMS = "programs"
    """Scripts of pages and others: who may not see it is told so in JSON."""


@dataclass(frozen=True, slots=True)
class Page:
    """Who answers one path.

    Attributes:
        path: all of it, `/elision/api/sums`.
        answer: is called with requests that may be answered; may raise `ProxyError`.
        method: GET (HEAD is answered as it) or POST; `body_of` reads a POST's body.
    """

    path: str
    answer: Answering
    method: str = "GET"
    audience: Audience = Audience.PROGRAMS


class Admin:
    """Answers the paths under `/elision/`.

    Args:
        readiness: returns whether requests are served as configured (`ready`), and details that an
            operator wants when they are not.
        metrics: returns all figures in a format that an `Accept` header asks for.
        pages: what else is answered, each (method, path) once.
        access: who may see them; the default lets through who sits at this machine.
        open_metrics: whether metrics, and the details of readiness, are for anybody.
    """

    def __init__(
        self,
        readiness: Callable[[], Readiness],
        metrics: Callable[[str], Awaitable[Exposition]],
        pages: Sequence[Page] = (),
        *,
        access: Access = LOCAL,
        open_metrics: bool = True,
    ) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._access = access
        self._open_metrics = open_metrics
        audience = Audience.ANYBODY if open_metrics else Audience.PROGRAMS
        own = (
            Page("/elision/live", self._live, audience=Audience.ANYBODY),
            Page("/elision/ready", self._ready, audience=Audience.ANYBODY),
            Page("/elision/metrics", self._told, audience=audience),
        )
        self._pages: dict[str, dict[str, Page]] = {}
        for page in (*own, *pages):
            if page.method in self._pages.setdefault(page.path, {}):
                raise ValueError(f"two pages answer {page.method} {page.path}")
            self._pages[page.path][page.method] = page

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request for a path under `/elision/`."""
        try:
            page = self._page(request)
            if page.audience is not Audience.ANYBODY:
                self._access.check(_visit(request), is_page=page.audience is Audience.PEOPLE)
            elif page.method == "POST":
                self._access.check_origin(_visit(request))
            return await page.answer(request)
        except ProxyError as error:
            return self._refused(request, error)

    def _page(self, request: web.BaseRequest) -> Page:
        """Return who answers.

        Raises: RequestError if nobody does.
        """
        by_method = self._pages.get(request.path)
        if by_method is None:
            known = (path for path in self._pages if not path.startswith("/elision/static/"))
            raise RequestError(404, "unknown_path", f"Known here: {', '.join(sorted(known))}.")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in by_method:
            one = "GET" if "GET" in by_method else "POST"
            raise RequestError(405, f"only_{one.lower()}", f"Only {one} is answered here.")
        return by_method[method]

    def _refused(self, request: web.BaseRequest, why: ProxyError) -> web.Response:
        page = self._pages.get(request.path, {}).get("GET")
        if why.status == 401 and page is not None and page.audience is Audience.PEOPLE:
            return web.Response(
                status=303, headers={"Location": _sign_in(request), "Cache-Control": "no-store"}
            )
        answer = web.Response(status=why.status, body=why.body(), content_type="application/json")
        if why.status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    async def _live(self, _: web.BaseRequest) -> web.Response:
        return json_answer(200, {"live": True})

    async def _ready(self, request: web.BaseRequest) -> web.Response:
        readiness = self._readiness()
        ready = bool(readiness.get("ready"))
        told = readiness if self._open_metrics or self._may_see(request) else {"ready": ready}
        return json_answer(200 if ready else 503, told)

    def _may_see(self, request: web.BaseRequest) -> bool:
        try:
            self._access.check(_visit(request))
        except RequestError:
            return False
        return True

    async def _told(self, request: web.BaseRequest) -> web.Response:
        told = await self._metrics(request.headers.get("Accept", ""))
        return web.Response(body=told.body, headers={"Content-Type": told.content_type})


def _sign_in(request: web.BaseRequest) -> str:
    """Return where to sign in, and what was asked for, to come back to."""
    asked = request.rel_url.raw_path_qs
    is_home = asked == "/elision/" or len(asked) > _LONGEST_WAY_BACK
    return SIGN_IN if is_home else f"{SIGN_IN}?next={quote(asked, safe='/')}"


async def body_of(request: web.BaseRequest, limit_bytes: int) -> bytes:
    """Return a request's body.

    Raises: RequestError if it is larger, is encoded, or does not come.
    """
    if not request.body_exists:
        return b""
    check_body(request)
    if request.headers.get("Content-Encoding"):
        raise RequestError(415, "encoded_body", "Send the body without a content-encoding.")
    if request.headers.get("Expect", "").lower() == "100-continue":
        say_continue(request)
    body = await read_up_to(request, limit_bytes)
    if not isinstance(body, bytes):
        raise RequestError(413, "body_too_large", f"A body may have {limit_bytes >> 10} KiB here.")
    return body


def json_answer(status: int, value: object) -> web.Response:
    """Return an answer in JSON."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


def _visit(request: web.BaseRequest) -> Visit:
    return Visit(request.method, decoded(request.raw_headers), request.remote or "")
