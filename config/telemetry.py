"""Telemetry before the start: its headers, from the variable that settings name; that it can be sent.

Errors name the variable, never its value, and the headers are in no repr.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

from elision.config.accounts import Telemetry
from elision.config.errors import ConfigError
from elision.config.settings import Settings
from elision.config.upstreams import fits_header

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class ReadyTelemetry(Telemetry):
    """Telemetry's settings with the headers that `headers_env` names."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def with_telemetry(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Return the settings with telemetry's headers read; as they are where nothing is sent.

    Raises: ConfigError if the package is missing, the endpoint is no URL, or the headers cannot be read.
    """
    telemetry = settings.telemetry
    if not telemetry.endpoint:
        return settings
    wrong = _wrong(telemetry.endpoint)
    headers: dict[str, str] = {}
    if telemetry.headers_env is not None:
        variable = telemetry.headers_env
        try:
            headers = _headers(environ.get(variable, ""))
        except ValueError as error:
            wrong.append(f"telemetry.headers_env: the variable {variable} {error}")
    if wrong:
        raise ConfigError(wrong)
    given = {item.name: getattr(telemetry, item.name) for item in fields(Telemetry)}
    return replace(settings, telemetry=ReadyTelemetry(**given, headers=tuple(headers.items())))


def headers_of(telemetry: Telemetry) -> Mapping[str, str]:
    """Return the headers that `with_telemetry` read."""
    if isinstance(telemetry, ReadyTelemetry):
        return dict(telemetry.headers)
    if telemetry.headers_env is not None:
        raise ValueError("telemetry's headers have not been read")
    return {}


def _wrong(endpoint: str) -> list[str]:
    try:
        url = urlsplit(endpoint)
        is_url = url.scheme in ("http", "https") and bool(url.hostname) and not url.query and not url.fragment
        if is_url and url.username is not None:
            return ["telemetry.endpoint: holds a login; put it into a header, by telemetry.headers_env"]
    except ValueError:
        is_url = False
    if not is_url:
        return ["telemetry.endpoint: must be a URL such as http://127.0.0.1:4318"]
    if not _is_installed():
        return ["telemetry.endpoint: OpenTelemetry is not installed; install it: pip install 'elision[otel]'"]
    return []


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def _headers(text: str) -> dict[str, str]:
    """Read `name=value,name=value`, percent-encoded as OpenTelemetry has it.

    Raises: ValueError with what is wrong.
    """
    if not text.strip():
        raise ValueError("is not set, or empty; set it to name=value,name=value")
    headers: dict[str, str] = {}
    for number, pair in enumerate(text.split(","), 1):
        name, sign, value = (part.strip() for part in pair.partition("="))
        value = unquote(value)
        if not sign or _NAME.fullmatch(name) is None or not fits_header(value):
            raise ValueError(f"holds no name=value in place {number}")
        headers[name.lower()] = value
    return headers
