"""Which upstream a request goes to: by its path's prefix, else by the model that its body names.

`Routes` decides and does no I/O; `Upstreams` holds the connections beside it. Reading a body is the
handler's, which asks first whether the model could matter: with one upstream it never does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import parse_qs

import msgspec

from elision.proxy.errors import RequestError
from elision.proxy.headers import Headers, value_of
from elision.proxy.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Route:
    """What is sent to one upstream.

    Attributes:
        name: the upstream's.
        prefix: paths below it, and it itself; "": by path none.
        models: globs of names; (): by model none. Without both it takes what is left.
    """

    name: str
    prefix: str = ""
    models: tuple[str, ...] = ()

    def told(self) -> str:
        """Return the route for a person who looks for theirs."""
        ways = [f"under {self.prefix}"] * bool(self.prefix)
        ways += [f"models {', '.join(self.models)}"] * bool(self.models)
        return f"{self.name} ({'; '.join(ways)})" if ways else self.name


class Routes:
    """All routes; the longest prefix decides, then the first glob in the order written, then the default."""

    def __init__(self, routes: Sequence[Route]) -> None:
        prefixed = [(route.prefix, route.name) for route in routes if route.prefix]
        self._prefixes = sorted(prefixed, key=lambda pair: -len(pair[0]))
        self._globs = [(glob, route.name) for route in routes for glob in route.models]
        self._default = next((route.name for route in routes if not route.prefix and not route.models), None)
        self._told = ", ".join(route.told() for route in routes)

    def asks_model(self, path: str) -> bool:
        """Return whether the model that a request names could decide where it goes."""
        return bool(self._globs) and self._by_prefix(path) is None

    def route(self, path: str, model: str) -> tuple[str, str]:
        """Return the upstream's name, and the path to ask it for.

        Args:
            path: the raw target without a team's prefix, query included.
            model: that the request names; "" where that is not known.

        Raises:
            RequestError: no upstream takes the request.
        """
        if self._prefixes and (found := self._by_prefix(path)) is not None:
            return found
        for glob, name in self._globs:
            if model and fnmatchcase(model, glob):
                return name, path
        if self._default is None:
            raise RequestError(
                404, "no_upstream", f"No upstream takes this request. There are: {self._told}."
            )
        return self._default, path

    def _by_prefix(self, path: str) -> tuple[str, str] | None:
        for prefix, name in self._prefixes:
            rest = path[len(prefix) :]
            if path.startswith(prefix) and rest[:1] in ("", "/", "?"):
                return name, rest if rest.startswith("/") else "/" + rest
        return None


class Upstreams:
    """The upstreams, and which of them a request goes to.

    Args:
        routes: what each takes.
        clients: where to send, by the names in `routes`.
    """

    def __init__(self, routes: Sequence[Route], clients: Mapping[str, Upstream]) -> None:
        self.routes = Routes(routes)
        self._clients = dict(clients)

    @classmethod
    def only(cls, client: Upstream) -> "Upstreams":
        """Return one nameless upstream, which takes everything."""
        return cls([Route("")], {"": client})

    def __getitem__(self, name: str) -> Upstream:
        """Return where to send by its name."""
        return self._clients[name]

    async def close(self) -> None:
        """Close the connections that carry nothing."""
        for client in self._clients.values():
            await client.close()


def origin_form(target: str) -> str:
    """Return a request's target without a scheme and a host: we are who is asked, whatever they say.

    Sent on as it came, `http://other/v1` could make an upstream ask that other host (RFC 9112,
    section 3.2.2). `*` stays as it is.
    """
    if target.startswith("/"):
        return target
    _, absolute, rest = target.partition("://")
    if not absolute:
        return target
    starts = [at for at in (rest.find("/"), rest.find("?")) if at >= 0]
    tail = rest[min(starts) :] if starts else ""
    return tail if tail.startswith("/") else "/" + tail


class _Named(msgspec.Struct):
    model: str = ""


_NAMED = msgspec.json.Decoder(_Named)


def model_in(body: bytes) -> str:
    """Return the model that a JSON body names at its top, "" if it names none or is no JSON."""
    try:
        return _NAMED.decode(body).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def model_in_query(path: str) -> str:
    """Return the model that a target's query names, as realtime's does; "" if it names none."""
    return parse_qs(path.partition("?")[2]).get("model", [""])[0]


def may_name_model(method: str, headers: Headers) -> bool:
    """Return whether a request's body is worth looking into for a model: JSON, not compressed."""
    if method != "POST" or value_of(headers, "content-encoding"):
        return False
    kind = value_of(headers, "content-type").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
