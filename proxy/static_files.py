"""Files that belong to pages under `/elision/`, and how every answer of a page is sent.

Files are read once, when the proxy is composed. A browser asks whether what it has is still right
(`If-None-Match`) and gets 304 where it is. No answer lets a page load anything from another host, be
framed, or run what is written into it.
"""

import hashlib
from importlib.resources import files

from aiohttp import web

from elision.proxy.admin import Audience, Page

STATIC = "/elision/static/"
JSON = "application/json"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer of a page."""


def file_page(path: str, folder: str, name: str, audience: Audience = Audience.ANYBODY) -> Page:
    """Return a page that is one file.

    Args:
        path: where it is found.
        folder: beside this module; the package holds it.
        name: of the file there; its ending says its type.
        audience: whom it is for.
    """
    body, kind = file_of(folder, name)

    async def answer(request: web.BaseRequest) -> web.Response:
        return sent(request, body, kind)

    return Page(path, answer, audience=audience)


def file_of(folder: str, name: str) -> tuple[bytes, str]:
    """Return a file's bytes and its content type."""
    kind = _TYPES[name[name.rindex(".") :]]
    return files("elision.proxy").joinpath(folder, name).read_bytes(), kind


def static_pages(folder: str, *names: str) -> tuple[Page, ...]:
    """Return pages of files that anybody may have, `STATIC` and their names as paths."""
    return tuple(file_page(STATIC + name, folder, name) for name in names)


def sent(request: web.BaseRequest, body: bytes, kind: str) -> web.Response:
    """Answer with a body, or say that the browser has it already.

    Args:
        request: what is answered.
        body: whole.
        kind: its content type.
    """
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {**HEADERS, "ETag": tag}
    had = (known.strip().removeprefix("W/") for known in request.headers.get("If-None-Match", "").split(","))
    if tag in had:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers={**headers, "Content-Type": kind})
