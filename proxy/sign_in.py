"""The form for people who have the dashboard's token, and the cookie that stands for it afterwards."""

import logging
from urllib.parse import parse_qs, quote

from aiohttp import web

from elision.proxy.access import COOKIE, COOKIE_S, Access
from elision.proxy.admin import SIGN_IN, Audience, Page, body_of
from elision.proxy.static_files import HEADERS, file_of, file_page, sent, static_pages

SIGN_OUT = "/elision/logout"
_HOME = "/elision/"
_PAGES = (_HOME, "/elision/playground")
"""Where people may come from, and go back to."""
_FORM_BYTES = 8192
_QUERY = "=&%+,:@/~"
_TOLD = b"<!--told-->"


class SignIn:
    """Hands out cookies for the token.

    Args:
        access: knows the token.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._form, self._kind = file_of("dashboard", "login.html")
        self._log = logging.getLogger("elision.dashboard")

    def pages(self) -> tuple[Page, ...]:
        """Return the form, what it sends, and the way out."""
        return (
            file_page(SIGN_IN, "dashboard", "login.html"),
            Page(SIGN_IN, self._enter, "POST", Audience.ANYBODY),
            Page(SIGN_OUT, self._leave, "POST", Audience.ANYBODY),
            *static_pages("dashboard", "login.js"),
        )

    async def _enter(self, request: web.BaseRequest) -> web.Response:
        form = parse_qs((await body_of(request, _FORM_BYTES)).decode("utf-8", "replace"))
        value = self._access.sign_in(form.get("token", [""])[0])
        if value is None:
            self._log.warning("Somebody at %s showed a wrong token for the dashboard.", request.remote)
            answer = sent(request, self._form.replace(_TOLD, b"That is not the token."), self._kind)
            answer.set_status(401)
            return answer
        answer = web.Response(status=303, headers={**HEADERS, "Location": _way_back(request)})
        _set_cookie(answer, request, value, COOKIE_S)
        return answer

    async def _leave(self, request: web.BaseRequest) -> web.Response:
        answer = web.Response(status=303, headers={**HEADERS, "Location": SIGN_IN})
        _set_cookie(answer, request, "", 0)
        return answer


def _way_back(request: web.BaseRequest) -> str:
    """Return the page of ours that somebody came from; an address may name others, which nobody is led to."""
    path, mark, query = request.query.get("next", _HOME).partition("?")
    return f"{path}{mark}{quote(query, safe=_QUERY)}" if path in _PAGES else _HOME


def _set_cookie(answer: web.Response, request: web.BaseRequest, value: str, age_s: int) -> None:
    """Set our cookie, for encrypted connections only where the browser's own is one.

    `Origin` is the browser's word for that; a gateway in front ends TLS, and its headers are not believed.
    """
    answer.set_cookie(
        COOKIE,
        value,
        max_age=age_s,
        path=_HOME,
        httponly=True,
        samesite="Strict",
        secure=request.headers.get("Origin", "").startswith("https://"),
    )
