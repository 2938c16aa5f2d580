"""What may be said of a Redis or Valkey: one URL, or a mapping that also holds timeouts and certificates.

This module owns the shape of `redis:`, what its URLs mean, and putting passwords from the
environment in their place. Errors never repeat a URL, since passwords hide in them. Connecting is
`elision.proxy`'s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import unquote

from pydantic import BeforeValidator, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator

from elision.config.errors import ConfigError
from elision.config.upstreams import Variable

_STRICT = ConfigDict(extra="forbid")
_PORT, _SENTINEL_PORT = 6379, 26379
_SCHEME = re.compile(r"(rediss?)(\+sentinel|\+cluster)?|unix")
_EXAMPLES = (
    "must be a URL such as redis://127.0.0.1:6379/0, rediss://user:password@host, unix:///run/redis.sock, "
    "redis+sentinel://host1,host2/master or redis+cluster://host1,host2"
)

Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


# What passes a function before it is validated is Python's and no longer JSON's, and there a list is
# no tuple.
Nodes = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Secret = Annotated[str, Field(json_schema_extra={"writeOnly": True})]


class Shape(Enum):
    """How servers belong together."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Address(NamedTuple):
    """Where a server listens; a Unix socket is its path and port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else self.host


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are; "" and "": nobody in particular."""

    user: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class SentinelEntry:
    """Sentinels to ask for the master.

    Attributes:
        master: its name, as in the sentinels' `sentinel monitor`.
        nodes: `host` or `host:port` of sentinels, port 26379 by default.
        db: database of the master.
        user: where sentinels want another login than the servers.
    """

    __pydantic_config__ = _STRICT

    master: Annotated[str, Field(min_length=1)]
    nodes: Annotated[Nodes, Field(min_length=1)]
    db: Annotated[int, Field(ge=0)] = 0
    user: str = ""
    password: Secret = field(default="", repr=False)
    password_env: Variable | None = None


@dataclass(frozen=True, slots=True)
class BreakerEntry:
    """When Redis is left alone, and for how long.

    Attributes:
        failures: requests in a row without an answer in time, after which it is left alone.
        pause_ms: before it is first tried again; doubled each time.
        longest_pause_ms: where the doubling ends.
    """

    __pydantic_config__ = _STRICT

    failures: Annotated[int, Field(ge=1)] = 3
    pause_ms: Milliseconds = 100.0
    longest_pause_ms: Milliseconds = 10_000.0


@dataclass(frozen=True, slots=True)
class RedisEntry:
    """Everything that is said of Redis; `default.yaml` explains each key.

    Attributes:
        url: may hold a password, hence not in the repr; "" where there is `sentinel`.
        password_env: variable that holds the password.
        ca: PEM file of authorities to trust in place of the system's; "": the system's.
        client_cert: PEM file; "": none is shown.
        queue_mib: memory for values that wait to be written.
    """

    __pydantic_config__ = _STRICT

    url: Secret = field(default="", repr=False)
    sentinel: SentinelEntry | None = None
    cluster: bool = False
    user: str = ""
    password: Secret = field(default="", repr=False)
    password_env: Variable | None = None
    tls: bool = False
    ca: str = ""
    client_cert: str = ""
    client_key: str = ""
    check_hostname: bool = True
    timeout_ms: Milliseconds = 5.0
    connect_timeout_ms: Milliseconds = 2_000.0
    breaker: BreakerEntry = BreakerEntry()
    queue_mib: Annotated[int, Field(ge=1, le=1024)] = 16


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """Which servers an entry means.

    Attributes:
        nodes: the server; or sentinels; or some nodes of the cluster.
        master: its name among the sentinels; "" without.
        sentinel_login: an empty one: that of the servers, where sentinels ask for one.
    """

    shape: Shape
    nodes: tuple[Address, ...]
    tls: bool
    db: int = 0
    master: str = ""
    login: Login = Login()
    sentinel_login: Login = Login()


def redis_target(entry: RedisEntry) -> RedisTarget:
    """Return which servers an entry means.

    Raises: ValueError that says what is wrong and never repeats a URL.
    """
    if bool(entry.url) == bool(entry.sentinel):
        raise ValueError("must have either `url` or `sentinel`")
    if entry.sentinel is None:
        found = _from_url(entry.url)
        if entry.cluster and found.shape is Shape.SENTINEL:
            raise ValueError("is either behind Sentinel or a cluster, not both")
        if entry.cluster:
            found = replace(found, shape=Shape.CLUSTER)
    else:
        found = _from_sentinel(entry.sentinel, cluster=entry.cluster)
    _check(found, entry)
    login = Login(entry.user, entry.password) if entry.user or entry.password else found.login
    tls = found.tls or entry.tls or bool(entry.ca or entry.client_cert)
    return replace(found, login=login, tls=tls)


def with_password(entry: RedisEntry, environ: Mapping[str, str]) -> RedisEntry:
    """Return the entry with the passwords that its `password_env` name.

    Raises: ConfigError with a line for each variable that is not set; never with a value.
    """
    missing = [
        f"redis.{place}password_env: the variable {name} is not set, or empty; set it before the start"
        for place, name in _variables(entry)
        if name and not environ.get(name)
    ]
    if missing:
        raise ConfigError(missing)
    if entry.password_env:
        entry = replace(entry, password=environ[entry.password_env], password_env=None)
    if entry.sentinel and entry.sentinel.password_env:
        word = environ[entry.sentinel.password_env]
        entry = replace(entry, sentinel=replace(entry.sentinel, password=word, password_env=None))
    return entry


def under(base: Path, entry: RedisEntry) -> RedisEntry:
    """Return the entry with relative paths read as relative to `base`."""
    return replace(
        entry,
        ca=str(base / entry.ca) if entry.ca else "",
        client_cert=str(base / entry.client_cert) if entry.client_cert else "",
        client_key=str(base / entry.client_key) if entry.client_key else "",
    )


def _variables(entry: RedisEntry) -> list[tuple[str, str | None]]:
    own = [("", entry.password_env)]
    return [*own, ("sentinel.", entry.sentinel.password_env)] if entry.sentinel else own


def _from_sentinel(entry: SentinelEntry, *, cluster: bool) -> RedisTarget:
    if cluster:
        raise ValueError("is either behind Sentinel or a cluster, not both")
    nodes = tuple(_address(node, _SENTINEL_PORT) for node in entry.nodes)
    login = Login(entry.user, entry.password)
    return RedisTarget(Shape.SENTINEL, nodes, False, entry.db, entry.master, sentinel_login=login)


def _check(found: RedisTarget, entry: RedisEntry) -> None:
    """Refuse what contradicts itself beyond one value."""
    if found.shape is Shape.SINGLE and len(found.nodes) > 1:
        raise ValueError(
            "names several servers; say `cluster: true`, or redis+cluster:// or redis+sentinel://"
        )
    if found.shape is Shape.CLUSTER and found.db:
        raise ValueError("must name no database: a cluster has only database 0")
    if found.shape is Shape.CLUSTER and not found.nodes[0].port:
        raise ValueError("must name a cluster's nodes by host and port, not by a Unix socket")
    if (entry.user or entry.password or entry.password_env) and found.login != Login():
        raise ValueError("has a login in its URL and one beside it; remove one")
    words = (entry, entry.sentinel) if entry.sentinel else (entry,)
    if any(word.password and word.password_env for word in words):
        raise ValueError("has both `password` and `password_env`; remove one")
    if entry.client_key and not entry.client_cert:
        raise ValueError("has a `client_key` without its `client_cert`; name both")


def _from_url(url: str) -> RedisTarget:
    scheme, separator, rest = url.partition("://")
    known = _SCHEME.fullmatch(scheme)
    if not separator or known is None or any(c.isspace() for c in url) or "#" in url:
        raise ValueError(_EXAMPLES)
    rest, _, query = rest.partition("?")
    if scheme == "unix":
        return _from_socket(rest, query)
    if query:
        raise ValueError("must have no query; write `redis:` as a mapping to say more than a URL does")
    authority, _, path = rest.partition("/")
    login, hosts = _login(authority)
    steps = [unquote(step) for step in path.split("/") if step]
    shape = Shape((known[2] or "+single")[1:])
    master = ""
    if shape is Shape.SENTINEL:
        if not steps:
            raise ValueError("must name the master: redis+sentinel://host1,host2/master")
        master = steps.pop(0)
    port = _SENTINEL_PORT if shape is Shape.SENTINEL else _PORT
    nodes = tuple(_address(host, port) for host in hosts.split(","))
    return RedisTarget(shape, nodes, known[1] == "rediss", _database(steps), master, login)


def _from_socket(rest: str, query: str) -> RedisTarget:
    authority, _, path = rest.partition("/")
    login, host = _login(authority) if authority else (Login(), "")
    name, _, database = query.partition("=")
    if host or not path or (query and name != "db"):
        raise ValueError("must be a URL such as unix:///run/redis.sock or unix:///run/redis.sock?db=1")
    address = Address("/" + unquote(path), 0)
    return RedisTarget(Shape.SINGLE, (address,), False, _database([database] if query else []), login=login)


def _login(authority: str) -> tuple[Login, str]:
    """Return the login and what follows it; a name without a colon is a user."""
    login, separator, hosts = authority.rpartition("@")
    if not separator:
        return Login(), hosts
    user, _, password = login.partition(":")
    return Login(unquote(user), unquote(password)), hosts


def _address(text: str, port: int) -> Address:
    """Return `host`, `host:port` or `[::1]:port` as an address; messages do not repeat it."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^\[\]:@/\s]+)(?::([0-9]{1,5}))?", text)
    number = int(found[2] or port) if found else 0
    if found is None or not 0 < number < 65536:
        raise ValueError(f"must name its servers as host or host:port (an IPv6 address in []). {_EXAMPLES}")
    return Address(found[1].strip("[]"), number)


def _database(steps: list[str]) -> int:
    if not steps:
        return 0
    if len(steps) > 1 or not re.fullmatch(r"[0-9]{1,6}", steps[0]):
        raise ValueError("must end with the number of a database, or with none")
    return int(steps[0])


def _read(value: object, mapping: ValidatorFunctionWrapHandler) -> RedisEntry:
    """Read a text as a URL alone; what JSON or YAML gave otherwise goes on as it came."""
    if not isinstance(value, (str, Mapping)):
        raise ValueError(f"{_EXAMPLES}; or a mapping with `url` or `sentinel`")
    entry: RedisEntry = RedisEntry(url=value) if isinstance(value, str) else mapping(value)
    redis_target(entry)
    return entry


Redis = Annotated[RedisEntry, WrapValidator(_read)]
"""What settings hold: a URL or a mapping, checked."""
