"""What the proxy says of itself under `/elision/`: alive, ready, its figures. Never forwarded upstream."""

from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from elision.proxy.errors import RequestError

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Readiness = Mapping[str, object]


class Admin:
    """Answers the paths under `/elision/`.

    Args:
        readiness: returns whether requests are served as configured (`ready`), and details that an
            operator wants when they are not.
        metrics: returns this process's figures as Prometheus reads them.
    """

    def __init__(self, readiness: Callable[[], Readiness], metrics: Callable[[], bytes]) -> None:
        self._readiness = readiness
        self._metrics = metrics

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer one request for a path under `/elision/`."""
        if request.method not in ("GET", "HEAD"):
            return _refused(RequestError(405, "only_get", "Only GET is answered here."))
        if request.path == "/elision/live":
            return _json(200, {"live": True})
        if request.path == "/elision/ready":
            readiness = self._readiness()
            return _json(200 if readiness.get("ready") else 503, readiness)
        if request.path == "/elision/metrics":
            return web.Response(body=self._metrics(), headers={"Content-Type": METRICS_TYPE})
        known = "Known here: /elision/live, /elision/metrics, /elision/ready."
        return _refused(RequestError(404, "unknown_path", known))


def _refused(why: RequestError) -> web.Response:
    return web.Response(status=why.status, body=why.body(), content_type="application/json")


def _json(status: int, value: Mapping[str, object]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
