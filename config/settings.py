"""Every setting of the proxy, merged once: defaults, then a YAML file, the environment, and flags.

This module owns the names, the ranges and the defaults of settings; `default.yaml` says each of
them again for people, and a test compares the two. `load_settings` is the only reader of the
environment; everything else is handed a frozen `Settings`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from elision.config.accounts import Accounts, Dashboard, PriceEntry, PriceTable, RequestLog, Telemetry
from elision.config.errors import ConfigError
from elision.config.networks import Network
from elision.config.prefix_terms import PrefixEntry
from elision.config.problems import Path, Problem, describe, nearest
from elision.config.redis import Redis, under, with_password
from elision.config.strict_yaml import Document, read_document, refusal, validate
from elision.config.upstreams import Seconds, UpstreamEntry, UpstreamTimeouts, Variable, with_secrets
from elision.config.upstreams import problems as upstream_problems
from elision.config.urls import base_url, is_own_address

PREFIX = "ELISION_"
SETTINGS_FILE = "ELISION_SETTINGS"
"""The variable that names the settings file where no flag does."""

DEFAULT_UPSTREAM = "default"
"""What `upstream` is called where it is one of several."""

_FILE_ONLY = (
    ("cache", "old_key_envs"),
    ("dashboard", "networks"),
    ("prices",),
    ("teams", "networks"),
    ("tokenizers",),
    ("upstreams",),
    ("windows",),
    ("prefix_terms",),
)
"""Mappings and lists have no sensible form as a variable."""

T = TypeVar("T")

_STRICT = ConfigDict(extra="forbid")


def _filled(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


@dataclass(frozen=True, slots=True)
class Limits:
    """How large what clients send may be, and how many connections an upstream gets."""

    __pydantic_config__ = _STRICT

    body_mib: Annotated[int, Field(ge=1, le=1024)] = 32
    header_kib: Annotated[int, Field(ge=1, le=1024)] = 64
    connections: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the proxy waits, in seconds."""

    __pydantic_config__ = _STRICT

    connect_s: Seconds = 10.0
    first_byte_s: Seconds = 600.0
    idle_s: Seconds = 300.0
    pooled_s: Seconds = 60.0
    head_s: Seconds = 30.0
    keepalive_s: Seconds = 75.0
    client_idle_s: Seconds = 60.0
    client_stalled_s: Seconds = 300.0
    drain_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0


@dataclass(frozen=True, slots=True)
class Cache:
    """What is kept for the next request: outcomes, scores, what was sent for each message.

    Attributes:
        path: file that the workers of a machine share; None: none that outlives them.
        scope: whether teams use one another's outcomes and scores.
        key_env: variable with the key that seals what is kept outside the process; None: plain.
        old_key_envs: variables with keys that sealed it before; still read, never written.
    """

    __pydantic_config__ = _STRICT

    memory_mib: Annotated[int, Field(ge=0)] = 256
    ttl_s: Seconds = 86400.0
    path: FilePath | None = None
    disk_mib: Annotated[int, Field(ge=1)] = 1024
    scope: Literal["team", "shared"] = "team"
    key_env: Variable | None = None
    old_key_envs: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True)
class Compressor:
    """The compressor's process."""

    __pydantic_config__ = _STRICT

    start_timeout_s: Seconds = 180.0
    stuck_after_s: Seconds = 60.0
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    cache_dir: FilePath | None = None
    queue_limit: Annotated[int, Field(ge=1)] = 1024


@dataclass(frozen=True, slots=True)
class Log:
    """What is written to standard error."""

    __pydantic_config__ = _STRICT

    format: Literal["console", "json"] = "console"
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class Teams:
    """How a team is told beside its path and its keys.

    Attributes:
        header: name of a header that a gateway sets; "": none is believed.
        networks: whence that header is believed.
    """

    __pydantic_config__ = _STRICT

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]*$")] = ""
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator may choose; `default.yaml` explains each.

    Attributes:
        upstream: base URL without `/v1` and without a slash at its end; "" where none was given.
        upstreams: others, by their names, in the order written.
        policies: directory of policy files; None: nothing is compressed.
        redis: where values are shared; its passwords are not in the repr; None: nowhere.
        tokenizers: (glob of model names, path of its `tokenizer.json`), in the order written.
        windows: (glob of model names, tokens of the context window), in the order written.
        prefix_terms: how providers bill a repeated prefix, where the operator knows better.
        prices: of tokens, where the operator knows better than `price_table`.
    """

    __pydantic_config__ = _STRICT

    upstream: Annotated[str, AfterValidator(base_url)] = ""
    upstreams: dict[str, UpstreamEntry] = field(default_factory=dict)
    host: Annotated[str, AfterValidator(_filled)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8484
    policies: FilePath | None = None
    redis: Redis | None = None
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    teams: Teams = Teams()
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    cache: Cache = Cache()
    compressor: Compressor = Compressor()
    tokenizers: dict[str, FilePath] = field(default_factory=dict)
    windows: dict[str, Annotated[int, Field(ge=1)]] = field(default_factory=dict)
    prefix_terms: tuple[PrefixEntry, ...] = ()
    accounts: Accounts = Accounts()
    dashboard: Dashboard = Dashboard()
    price_table: PriceTable = "genai"
    prices: tuple[PriceEntry, ...] = ()
    request_log: RequestLog = RequestLog()
    telemetry: Telemetry = Telemetry()
    log: Log = Log()


def load_settings(file: FilePath | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Merge defaults, file, `ELISION_*` variables and flags; the later wins.

    Args:
        file: the settings file; None: what `ELISION_SETTINGS` names, else no file.
        environ: the process's environment; only `ELISION_*` is looked at. An empty value counts
            as not set; a variable that the file names for a key or a password is no setting.
        flags: by the setting's name, dotted inside a group (`log.format`); None is not given.
    Raises: ConfigError with a line for each wrong thing, of all three sources at once.
    """
    named = environ.get(SETTINGS_FILE, "")
    file = file or (FilePath(named) if named else None)
    layers: list[Callable[[], _Layer]] = [
        lambda: _from_environment(environ, _named(settings, environ)),
        lambda: _from_flags(flags),
    ]
    if file is not None:
        chosen = file
        layers.insert(0, lambda: _from_file(chosen))
    settings = Settings()
    problems: list[str] = []
    for layer in layers:
        try:
            given = layer()
        except ConfigError as error:
            problems += error.problems
        else:
            settings = _overlay(settings, given.settings, given.keys)
    if problems:
        raise ConfigError(problems)
    return settings


def with_upstreams(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Return what serving needs: upstreams complete, with keys, timeouts and connections; passwords.

    `upstream` becomes the one named `default`, or "" where it is alone.
    Raises: ConfigError if there is no upstream, two are the default, one is the proxy itself, or a
        variable with a key is missing.
    """
    entries = dict(settings.upstreams)
    if settings.upstream:
        _check_default(entries)
        entries = {DEFAULT_UPSTREAM if entries else "": UpstreamEntry(settings.upstream), **entries}
    if not entries:
        raise ConfigError(
            ["no upstream: say --upstream https://api.openai.com, or set ELISION_UPSTREAM to your provider"]
        )
    _check_loops(entries, settings)
    complete = {name: _complete(entry, settings) for name, entry in with_secrets(entries, environ).items()}
    redis = with_password(settings.redis, environ) if settings.redis else None
    return replace(settings, upstream="", upstreams=complete, redis=redis)


def _check_default(entries: Mapping[str, UpstreamEntry]) -> None:
    """Refuse what cannot stand beside `upstream`, which a flag or a variable may have brought."""
    if DEFAULT_UPSTREAM in entries:
        told = "`upstream` is called that already; rename it, or leave out `upstream`"
        raise ConfigError([f"upstreams.{DEFAULT_UPSTREAM}: {told}"])
    for name, entry in entries.items():
        if entry.is_default:
            told = "`upstream` takes what no other does already; give it a prefix or models"
            raise ConfigError([f"upstreams.{name}: {told}, or leave out `upstream`"])


def _check_loops(entries: Mapping[str, UpstreamEntry], settings: Settings) -> None:
    """Refuse what would send each request round and round until no memory is left."""
    told = f"is where the proxy itself listens ({settings.host}:{settings.port}); say where the provider is"
    looping = [
        name for name, entry in entries.items() if is_own_address(entry.url, settings.host, settings.port)
    ]
    if looping:
        raise ConfigError([f"{f'upstreams.{name}' if name else 'upstream'}: {told}" for name in looping])


def _complete(entry: UpstreamEntry, settings: Settings) -> UpstreamEntry:
    """Fill in what an entry leaves to the settings of all."""
    general, own = settings.timeouts, entry.timeouts
    timeouts = UpstreamTimeouts(
        connect_s=own.connect_s or general.connect_s,
        first_byte_s=own.first_byte_s or general.first_byte_s,
        idle_s=own.idle_s or general.idle_s,
        pooled_s=own.pooled_s or general.pooled_s,
    )
    connections = settings.limits.connections if entry.connections is None else entry.connections
    return replace(entry, timeouts=timeouts, connections=connections)


@dataclass(frozen=True, slots=True)
class _Layer:
    """The settings of one source, and which of them it gave: nested mappings of keys."""

    settings: Settings
    keys: Mapping[str, Any]


def _from_file(file: FilePath) -> _Layer:
    document = read_document(file)
    settings = validate(document, Settings)
    if wrong := list(upstream_problems(settings.upstreams)):
        raise refusal(document, wrong)
    keys = document.data if isinstance(document.data, Mapping) else {}
    return _Layer(_rebased(settings, document), keys)


def _rebased(settings: Settings, document: Document) -> Settings:
    """Read relative paths in a settings file as relative to that file."""
    base = FilePath(document.file).parent
    cache_dir, kept = settings.compressor.cache_dir, settings.cache.path
    figures, log = settings.accounts.path, settings.request_log.path
    return replace(
        settings,
        policies=base / settings.policies if settings.policies else None,
        redis=under(base, settings.redis) if settings.redis else None,
        cache=replace(settings.cache, path=base / kept if kept else None),
        accounts=replace(settings.accounts, path=base / figures if figures else None),
        request_log=replace(settings.request_log, path=base / log if log else None),
        compressor=replace(settings.compressor, cache_dir=base / cache_dir if cache_dir else None),
        tokenizers={glob: base / path for glob, path in settings.tokenizers.items()},
    )


def _named(settings: Settings, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the variables that settings name: they hold keys and passwords, and are no settings."""
    redis = settings.redis
    named = [settings.cache.key_env, *settings.cache.old_key_envs]
    named += [settings.dashboard.token_env, settings.telemetry.headers_env]
    naming = ("CACHE__KEY_ENV", "DASHBOARD__TOKEN_ENV", "TELEMETRY__HEADERS_ENV")
    named += [environ.get(PREFIX + name) for name in naming]
    if redis is not None:
        named += [redis.password_env, redis.sentinel.password_env if redis.sentinel else None]
    for entry in settings.upstreams.values():
        named += [entry.key_env, *entry.headers_env.values()]
    return frozenset(filter(None, named))


def _from_environment(environ: Mapping[str, str], named: frozenset[str]) -> _Layer:
    known = {PREFIX + "__".join(path).upper(): path for path in setting_paths()}
    nested: dict[str, Any] = {}
    problems: list[str] = []
    for variable, value in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in {SETTINGS_FILE, *named} or not value:
            continue
        if variable not in known:
            problems.append(f"{variable}: unknown variable; {nearest(variable, known)}")
            continue
        path = known[variable]
        if path in _FILE_ONLY:
            problems.append(f"{variable}: cannot be set by a variable; write it in a settings file")
            continue
        _put(nested, path, value)
    return _checked(nested, _variable, problems)


def _from_flags(flags: Mapping[str, object]) -> _Layer:
    nested: dict[str, Any] = {}
    for name, value in flags.items():
        if value is not None:
            _put(nested, tuple(name.split(".")), str(value))
    return _checked(nested, _flag, [])


def _checked(nested: dict[str, Any], name: Callable[[Path], str], problems: list[str]) -> _Layer:
    """Validate texts as settings; `name` says what the operator calls a setting here."""
    settings = Settings()
    # A validator takes a tenth of a second to make: not where nothing is told, as for most commands.
    if nested:
        adapter = TypeAdapter(Settings)
        try:
            settings = adapter.validate_strings(nested)
        except ValidationError as error:
            found: list[Problem] = describe(error, adapter.json_schema(), nested)
            problems += [f"{name(problem.path)}: {problem.message}" for problem in found]
    if problems:
        raise ConfigError(problems)
    return _Layer(settings, nested)


def _variable(path: Path) -> str:
    return PREFIX + "__".join(map(str, path)).upper()


def _flag(path: Path) -> str:
    return "--" + "-".join(map(str, path)).replace("_", "-")


def _put(nested: dict[str, Any], path: tuple[str, ...], value: str) -> None:
    for step in path[:-1]:
        nested = nested.setdefault(step, {})
    nested[path[-1]] = value


def setting_paths() -> tuple[tuple[str, ...], ...]:
    """Return the path of every setting: `("port",)`, `("timeouts", "connect_s")`, ..."""
    paths: list[tuple[str, ...]] = []
    defaults = Settings()
    for item in fields(Settings):
        group = getattr(defaults, item.name)
        if is_dataclass(group):
            paths += [(item.name, inner.name) for inner in fields(group)]
        else:
            paths.append((item.name,))
    return tuple(paths)


def _overlay(base: T, given: T, keys: Mapping[str, Any]) -> T:
    """Return `base` with the values of `given` at `keys`; both are dataclasses of one type."""
    changes: dict[str, Any] = {}
    for key, inner in keys.items():
        value = getattr(given, key)
        is_group = is_dataclass(value) and is_dataclass(getattr(base, key)) and isinstance(inner, Mapping)
        changes[key] = _overlay(getattr(base, key), value, inner) if is_group else value
    return replace(base, **changes)  # type: ignore[type-var]
