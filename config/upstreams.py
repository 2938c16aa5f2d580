"""Several upstreams: what a settings file says of each, and the keys that the environment holds for them.

This module owns the shape of an entry below `upstreams`, the checks that need more than one value,
and putting secrets in their place. Which request goes where is `elision.proxy.routing`'s.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from elision.config.errors import ConfigError
from elision.config.problems import Problem
from elision.config.urls import base_url

_STRICT = ConfigDict(extra="forbid")
_NAME = re.compile(r"[\w.-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = ("/elision", "/t")
_NOT_TO_BE_SET = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
        *("host", "content-length", "expect"),
    )
)
"""Headers of one connection, and those that frame a request: setting them would break it."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _filled_url(url: str) -> str:
    if not url:
        raise ValueError("must be a URL such as https://api.openai.com")
    return base_url(url)


def _prefix(path: str) -> str:
    if not _PREFIX.fullmatch(path):
        raise ValueError("must be a path such as /azure, without a slash at its end")
    if any(path == ours or path.startswith(ours + "/") for ours in _OURS):
        raise ValueError("must not be /elision or /t, nor below: those paths are the proxy's own")
    return path


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("must be the name of an environment variable; the key itself stays out of files")
    return name


def _header_value(value: str) -> str:
    if not value or not fits_header(value):
        raise ValueError("must be a text of one line without white space at its ends")
    return value


def _glob(pattern: str) -> str:
    if not pattern.strip():
        raise ValueError("must be a model's name, with * and ? for what varies")
    return pattern


def fits_header(value: str) -> bool:
    """Return whether a header may have this value: no control character, no blank at either end."""
    return value == value.strip() and not any(c < " " or c == "\x7f" for c in value)


Variable = Annotated[str, AfterValidator(_variable)]
HeaderValue = Annotated[str, AfterValidator(_header_value), Field(json_schema_extra={"writeOnly": True})]


@dataclass(frozen=True, slots=True)
class UpstreamTimeouts:
    """What differs from `timeouts` for one upstream, in seconds; None: nothing."""

    __pydantic_config__ = _STRICT

    connect_s: Seconds | None = None
    first_byte_s: Seconds | None = None
    idle_s: Seconds | None = None
    pooled_s: Seconds | None = None


@dataclass(frozen=True, slots=True)
class UpstreamEntry:
    """One upstream; `default.yaml` explains each key.

    Attributes:
        url: base URL without `/v1` and without a slash at its end.
        prefix: requests for paths below it go here, without it; "": none do.
        models: globs; requests that name such a model go here.
        key_env: variable whose value is sent as `Authorization: Bearer ...`; "": none.
        headers: by name; values may be secrets, hence not in the repr.
        headers_env: variable that holds the value, by the header's name.
        connections: at once; 0: as many as asked for; None: as `limits.connections` says.
    """

    __pydantic_config__ = _STRICT

    url: Annotated[str, AfterValidator(_filled_url)]
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    models: tuple[Annotated[str, AfterValidator(_glob)], ...] = ()
    key_env: Variable = ""
    headers: dict[str, HeaderValue] = field(default_factory=dict, repr=False)
    headers_env: dict[str, Variable] = field(default_factory=dict)
    connections: Annotated[int, Field(ge=0)] | None = None
    timeouts: UpstreamTimeouts = UpstreamTimeouts()

    @property
    def is_default(self) -> bool:
        """Whether requests that no other upstream takes go here."""
        return not self.prefix and not self.models


def problems(entries: Mapping[str, UpstreamEntry]) -> Iterator[Problem]:
    """Yield what is wrong with `upstreams` beyond the shape of each entry."""
    prefixes: dict[str, str] = {}
    globs: dict[str, str] = {}
    default = ""
    for name, entry in entries.items():
        at = ("upstreams", name)
        if not _NAME.fullmatch(name):
            yield Problem(at, "a name has 1 to 64 letters, digits, dots, dashes or _", at_key=True)
        yield from _header_problems(name, entry)
        if entry.prefix and (other := prefixes.setdefault(entry.prefix, name)) != name:
            yield Problem((*at, "prefix"), f"is the prefix of {other} already; each needs its own")
        for index, glob in enumerate(entry.models):
            if (other := globs.setdefault(glob, name)) != name:
                yield Problem((*at, "models", index), f"goes to {other} already; remove one")
        if entry.is_default and default:
            yield Problem(at, f"{default} takes what no other does already; give a prefix or models")
        default = name if entry.is_default else default


def _header_problems(name: str, entry: UpstreamEntry) -> Iterator[Problem]:
    seen: set[str] = {"authorization"} if entry.key_env else set()
    for group in ("headers", "headers_env"):
        for header in getattr(entry, group):
            lower = header.lower()
            message = ""
            if not _HEADER.fullmatch(header):
                message = "is no name of a header"
            elif lower in _NOT_TO_BE_SET or lower.startswith("x-elision"):
                message = "this header is the proxy's to set; remove it"
            elif lower in seen:
                message = "is set twice (key_env sets Authorization); remove one"
            if message:
                yield Problem(("upstreams", name, group, header), message, at_key=True)
            seen.add(lower)


def with_secrets(
    entries: Mapping[str, UpstreamEntry], environ: Mapping[str, str]
) -> dict[str, UpstreamEntry]:
    """Return the entries with what `key_env` and `headers_env` name among their `headers`.

    Raises: ConfigError with a line for each variable that is missing, empty or fits no header; it
        names the variable and never its value.
    """
    wrong: list[str] = []
    filled = {
        name: replace(entry, headers=dict(_headers(name, entry, environ, wrong)), key_env="", headers_env={})
        for name, entry in entries.items()
    }
    if wrong:
        raise ConfigError(wrong)
    return filled


def _headers(
    name: str, entry: UpstreamEntry, environ: Mapping[str, str], wrong: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield all headers of an entry; what is wrong with a variable is added to `wrong`."""
    yield from entry.headers.items()
    wanted = [("key_env", "Authorization", "Bearer ", entry.key_env)] if entry.key_env else []
    wanted += [
        (f"headers_env.{header}", header, "", variable) for header, variable in entry.headers_env.items()
    ]
    for setting, header, scheme, variable in wanted:
        value = environ.get(variable, "")
        if not value.strip():
            fault = f"the variable {variable} is not set, or empty; set it before the start"
        elif not fits_header(value):
            fault = f"the variable {variable} holds a line break, or white space at an end; remove that"
        else:
            fault = ""
            yield header, scheme + value
        wrong += [f"upstreams.{name}.{setting}: {fault}"] * bool(fault)
