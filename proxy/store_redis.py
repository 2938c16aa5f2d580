"""The store in Redis or Valkey, shared by workers and machines; needs `elision[redis]`.

Redis is never required to answer. A request waits for it at most `timeout_ms`, once, and never for
a connection; where Redis is away, slow, full, read-only, loading or moving, reads are misses and
writes wait in the background, each counted by its reason, and each change is logged once.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from elision.config.redis import Address, RedisEntry, redis_target
from elision.proxy.breaker import BreakerLimits, BreakerState
from elision.proxy.redis_connection import Dialer, Reason, RedisTrouble, Reply, pack
from elision.proxy.redis_link import Link, LinkSetting
from elision.proxy.redis_names import name_of, slot_of
from elision.proxy.redis_security import security_of
from elision.proxy.redis_servers import Servers, servers_of
from elision.proxy.redis_survey import clear_on, kept_on
from elision.proxy.redis_writes import Write, WriteBudget
from elision.proxy.store import SCOPE_BYTES, Kept, StoreUnreachable

_FLUSH_S = 1.0
_MIB = 1024 * 1024

_NO_USE = "Redis%s is of no use for %s: %s (%s). Requests go on without it."
_OF_A_REQUEST = frozenset((Reason.MOVED, Reason.CLUSTERDOWN, Reason.PROTOCOL))
"""Answers to one request that say nothing of the next one."""

_IN_WORDS = {
    Reason.CONNECTING: "there is no connection yet",
    Reason.DOWN: "nothing answers there",
    Reason.TIMEOUT: "it does not answer in time",
    Reason.READONLY: "it takes no writes: a replica, or its disk is in trouble",
    Reason.OOM: "its memory is full: raise maxmemory, or set maxmemory-policy allkeys-lru",
    Reason.LOADING: "it is loading its data",
    Reason.MOVED: "keys are elsewhere: if it is a cluster, say `cluster: true`",
    Reason.CLUSTERDOWN: "the cluster is down",
    Reason.AUTH: "it refuses our login, or what the login may do",
    Reason.TLS: "the TLS handshake failed: see `ca`, `client_cert` and the host's name",
    Reason.PROTOCOL: "its answers are not those of Redis",
}


@dataclass(frozen=True, slots=True)
class RedisFigures:
    """What happened since the start, and how things stand.

    Attributes:
        hits: keys asked for that had a value.
        misses: keys asked for that had none, or whose server was of no use.
        failures: requests that Redis was of no use to, by reason.
        waiting_writes: that are in memory, of `waiting_bytes`.
        written: writes that were made, in `batches`, of which the largest had `largest_batch`.
        dropped: writes that will not be made, by reason; `full`: there was no room to wait.
        state: of the breaker; of the worst one in a cluster.
        servers: that are known, of which `servers_well` are of use.
    """

    hits: int
    misses: int
    failures: Mapping[str, int]
    waiting_writes: int
    waiting_bytes: int
    written: int
    batches: int
    largest_batch: int
    dropped: Mapping[str, int]
    state: BreakerState
    servers: int
    servers_well: int


class RedisStore:
    """Values in Redis, as `elision.proxy.store.SharedStore` has it.

    Args:
        entry: what the settings say, passwords in their place.
        reach_s: that `kept` and `clear` wait for a connection.
    Raises: ConfigError if a certificate cannot be read.
    """

    level = "redis"

    def __init__(self, entry: RedisEntry, *, reach_s: float = 10.0) -> None:
        self._reach_s = reach_s
        self._trouble = Reason.CONNECTING.value
        self._hits = self._misses = 0
        self._failures: Counter[Reason] = Counter()
        self._told: set[Reason] = set()
        self._log = logging.getLogger("elision.redis")
        self._budget = WriteBudget(entry.queue_mib * _MIB)
        self._setting = self._setting_of(entry)
        self._servers: Servers = servers_of(redis_target(entry), self._setting)

    @classmethod
    def start(cls, entry: RedisEntry) -> "RedisStore":
        """Return a store that connects in the background; to be called within a running loop."""
        store = cls(entry)
        store.connect()
        return store

    def connect(self) -> None:
        """Begin to connect, in the background."""
        self._servers.start()

    @property
    def trouble(self) -> str:
        """Why Redis was of no use when last tried, in one word; "" where it was."""
        return self._trouble

    @property
    def failures(self) -> Mapping[str, int]:
        """How many requests it was of no use to, by reason; and writes that were given up."""
        failures = Counter({reason.value: count for reason, count in self._failures.items()})
        failures.update({f"dropped_{reason}": count for reason, count in self._budget.dropped.items()})
        return dict(sorted(failures.items()))

    async def until_well(self, timeout_s: float) -> Reason | None:
        """Wait until every server is of use; return why it is not after `timeout_s`, None where it is."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._servers.until_well()
        except TimeoutError:
            return next((link.reason for link in self._servers.links() if link.reason), Reason.TIMEOUT)
        return None

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key by one MGET, None for a miss; one for each team in a cluster."""
        if not keys:
            return []
        if not self._servers.is_cluster or len({key[:SCOPE_BYTES] for key in keys}) == 1:
            groups: list[Sequence[bytes]] = [keys]
        else:
            by_scope: dict[bytes, list[bytes]] = {}
            for key in keys:
                by_scope.setdefault(key[:SCOPE_BYTES], []).append(key)
            groups = list(by_scope.values())
        answers = (
            await asyncio.gather(*map(self._get, groups)) if groups[1:] else [await self._get(groups[0])]
        )
        values: dict[bytes, bytes | None] = {}
        self._trouble = ""
        for group, answer in zip(groups, answers, strict=True):
            if isinstance(answer, RedisTrouble):
                self._note(answer)
            else:
                values.update(zip(group, answer, strict=True))
        found = [values.get(key) for key in keys]
        misses = found.count(None)
        self._misses += misses
        self._hits += len(found) - misses
        return found

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        """Let the values be written in the background; returns at once."""
        life = ("PX", max(1, round(ttl_s * 1000)), *(("NX",) if only_new else ()))
        for key, value in items.items():
            self._servers.write(Write(slot_of(key), pack("SET", name_of(key), value, *life)))

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        """Keep a value where there is none; return whether there was none. In trouble: True."""
        command = pack("SET", name_of(key), value, "PX", max(1, round(ttl_s * 1000)), "NX")
        try:
            return await self._servers.ask(slot_of(key), command) is not None
        except RedisTrouble as trouble:
            if trouble.reason in (Reason.READONLY, Reason.OOM):
                self._servers.refused(slot_of(key), trouble.reason)
            self._note(trouble)
            return True

    async def drop(self, keys: Sequence[bytes]) -> None:
        """Forget the values, in the background, after whatever is to be written before."""
        for key in keys:
            self._servers.write(Write(slot_of(key), pack("UNLINK", name_of(key))))

    async def close(self) -> None:
        """Write what waits, for a second at most, and end the connections."""
        try:
            async with asyncio.timeout(_FLUSH_S):
                await asyncio.gather(*(link.until_written() for link in self._servers.links()))
        except TimeoutError:
            self._log.warning("Redis took too long; what was to be written at the end is lost.")
        await self._servers.aclose()

    async def kept(self, scope: bytes | None = None) -> list[Kept]:
        """Return what is kept, by scope and kind; bytes by a sample where there is much.

        Raises: StoreUnreachable.
        """
        try:
            return await kept_on(await self._reachable(), scope)
        except RedisTrouble as trouble:
            raise self._unreachable(trouble.reason) from trouble

    async def clear(self, scope: bytes | None, tell: Callable[[int], None]) -> int:
        """Forget all that is kept in a scope, or in all; return how many values that were.

        Raises: StoreUnreachable.
        """
        try:
            return await clear_on(await self._reachable(), scope, tell)
        except RedisTrouble as trouble:
            raise self._unreachable(trouble.reason) from trouble

    def figures(self) -> RedisFigures:
        """Return what happened so far, for metrics."""
        links = self._servers.links()
        states = [link.state for link in links]
        worst = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)
        batches = self._setting.batches
        return RedisFigures(
            hits=self._hits,
            misses=self._misses,
            failures={reason.value: count for reason, count in sorted(self._failures.items())},
            waiting_writes=sum(len(link.queue) for link in links),
            waiting_bytes=self._budget.held_bytes,
            written=batches.writes,
            batches=batches.batches,
            largest_batch=batches.largest,
            dropped=dict(sorted(self._budget.dropped.items())),
            state=next(state for state in worst if state in states),
            servers=len(links),
            servers_well=sum(link.reason is None for link in links),
        )

    async def _get(self, keys: Sequence[bytes]) -> "list[bytes | None] | RedisTrouble":
        """Return the values of keys of one slot, or of any where there is no cluster; or why not."""
        try:
            reply = await self._servers.ask(slot_of(keys[0]), pack("MGET", *map(name_of, keys)))
            return _values(reply, len(keys))
        except RedisTrouble as trouble:
            return trouble

    def _note(self, trouble: RedisTrouble) -> None:
        """Count a request that Redis was of no use to; tell what no link tells, until one recovers."""
        reason = trouble.reason
        self._trouble = reason.value
        self._failures[reason] += 1
        if reason in _OF_A_REQUEST and reason not in self._told:
            self._told.add(reason)
            self._log.warning(_NO_USE, "", "a request", _IN_WORDS[reason], reason.value)

    async def _reachable(self) -> Sequence[Link]:
        """Return the way to each server, once all are of use.

        Raises: StoreUnreachable.
        """
        reason = await self.until_well(self._reach_s)
        if reason is not None:
            raise self._unreachable(reason)
        return self._servers.links()

    def _unreachable(self, reason: Reason) -> StoreUnreachable:
        name = next((link.name for link in self._servers.links() if link.reason), "")
        told = f"{_IN_WORDS[reason]} ({reason.value})"
        return StoreUnreachable(f"Redis{' at ' * bool(name)}{name} is of no use: {told}")

    def _setting_of(self, entry: RedisEntry) -> LinkSetting:
        target, breaker = redis_target(entry), entry.breaker
        security = security_of(entry) if target.tls else None
        return LinkSetting(
            dialer=Dialer(target.login, target.db, security, entry.connect_timeout_ms / 1000),
            timeout_s=entry.timeout_ms / 1000,
            limits=BreakerLimits(breaker.failures, breaker.pause_ms / 1000, breaker.longest_pause_ms / 1000),
            budget=self._budget,
            changed=self._changed,
            strayed=self._strayed,
        )

    def _strayed(self, writes: Iterable[tuple[Write, Address | None]]) -> None:
        """A lone server that says that keys are elsewhere is one of a cluster, and cannot be helped."""
        self._budget.drop([write for write, _ in writes], Reason.MOVED)

    def _changed(self, link: Link, what: str, reason: Reason | None) -> None:
        """Tell the operator, once per change."""
        if what == "requests":
            self._trouble = reason.value if reason else ""
            self._told.clear()
        name = f" at {link.name}" if link.name else ""
        if reason is None:
            self._log.info("Redis%s is well: it takes %s.", name, what)
        else:
            self._log.warning(_NO_USE, name, what, _IN_WORDS[reason], reason.value)


def _values(reply: Reply, count: int) -> list[bytes | None]:
    if not isinstance(reply, list) or len(reply) != count:
        raise RedisTrouble(Reason.PROTOCOL)
    return [value if isinstance(value, bytes) else None for value in reply]
