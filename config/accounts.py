"""What may be said of accounts: where figures are kept and shown, prices, the log of requests, telemetry."""

from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from elision.config.networks import Network
from elision.config.upstreams import Seconds, Variable

_STRICT = ConfigDict(extra="forbid")

Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Where figures of requests are kept.

    Attributes:
        path: SQLite file; None: Redis where there is one, else a temporary file, gone with the proxy.
        minutes_h, hours_d, days_d: how long (hours, days, days) sums by the minute, hour, day are kept.
        recent: so many requests are told one by one.
        flush_s: seconds after which what was recorded is written.
    """

    __pydantic_config__ = _STRICT

    path: FilePath | None = None
    minutes_h: Annotated[int, Field(ge=1)] = 48
    hours_d: Annotated[int, Field(ge=1)] = 62
    days_d: Annotated[int, Field(ge=1)] = 1100
    recent: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    flush_s: Seconds = 1.0


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Who may open the pages under `/elision/`.

    Attributes:
        enabled: whether there are any; live, ready and metrics are there in any case.
        token_env: variable with a token that must be shown; None: only requests from this machine.
        header: that a login proxy (OIDC) sets to the user's name; "": none is believed.
        networks: whence that header is believed.
        open_metrics: whether metrics, and details of readiness, are told to whoever can connect.
    """

    __pydantic_config__ = _STRICT

    enabled: bool = True
    token_env: Variable | None = None
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$")] = ""
    networks: tuple[Network, ...] = ()
    open_metrics: bool = True


@dataclass(frozen=True, slots=True)
class RequestLog:
    """A file with one JSON object for each request.

    Attributes:
        path: None: none is written.
        max_mib: beyond this a new file begins.
        files: so many older ones are kept.
    """

    __pydantic_config__ = _STRICT

    path: FilePath | None = None
    max_mib: Annotated[int, Field(ge=1)] = 100
    files: Annotated[int, Field(ge=0)] = 5


@dataclass(frozen=True, slots=True)
class Telemetry:
    """OpenTelemetry, by OTLP over HTTP; needs `elision[otel]`.

    Attributes:
        endpoint: of the collector; "": nothing is sent.
        headers_env: variable with headers for it, `name=value,name=value`.
        traces, metrics: which of the two.
        sample: share of requests that get a trace of their own where the client sends none.
    """

    __pydantic_config__ = _STRICT

    endpoint: str = ""
    headers_env: Variable | None = None
    traces: bool = True
    metrics: bool = True
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """Prices where the operator knows better than the table; dollars per million tokens.

    Attributes:
        models, upstreams: globs; all without them. The first entry that matches counts.
        input, output: of tokens of prompt and answer.
        cache_read, cache_write: of those of the prompt that are read from, written to the provider's
            cache; None: as `input`.
    """

    __pydantic_config__ = _STRICT

    input: Dollars
    output: Dollars = 0.0
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
    models: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()


PriceTable = Literal["genai", "none"]
"""genai: the table of the package genai-prices, beside the operator's entries; none: those alone."""
