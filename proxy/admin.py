"""What the proxy says of itself under `/elision/`: alive, ready. Never forwarded upstream."""

from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

Readiness = Mapping[str, object]


class Admin:
    """Answers the paths under `/elision/`.

    Args:
        readiness: returns whether requests are served as configured (`ready`), and details that an
            operator wants when they are not.
    """

    def __init__(self, readiness: Callable[[], Readiness]) -> None:
        self._readiness = readiness

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request for a path under `/elision/`."""
        if request.method not in ("GET", "HEAD"):
            return _json(405, {"error": "Only GET is answered here."})
        if request.path == "/elision/live":
            return _json(200, {"live": True})
        if request.path == "/elision/ready":
            readiness = self._readiness()
            return _json(200 if readiness.get("ready") else 503, readiness)
        return _json(404, {"error": "Known here: /elision/live, /elision/ready."})


def _json(status: int, value: Mapping[str, object]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
