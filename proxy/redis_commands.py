"""Commands to Redis for figures of requests: a link of its own, apart from that of values.

What is asked here may be large and may take its time; no request waits for it, and what goes wrong
here says nothing of the store (`elision.proxy.store_redis`), which tells the operator how Redis is.
"""

import asyncio
from collections.abc import Iterable, Sequence

from elision.accounts.archive_redis import TAG, Answer, RedisAway, Word
from elision.config.redis import Address, RedisEntry, redis_target
from elision.proxy.breaker import BreakerLimits
from elision.proxy.redis_connection import Dialer, Reason, RedisTrouble, Reply, pack
from elision.proxy.redis_link import Link, LinkSetting
from elision.proxy.redis_names import slot_of_tag
from elision.proxy.redis_security import security_of
from elision.proxy.redis_servers import Servers, servers_of
from elision.proxy.redis_writes import Write, WriteBudget

TIMEOUT_S = 2.0
"""For an answer, and for a connection where there is none yet."""


class RedisCommands:
    """A way to the server that holds the slot of figures; see `elision.accounts.archive_redis.Commands`.

    Args:
        entry: what the settings say, passwords in their place.
        timeout_s: for an answer, and for a connection.
    Raises: ConfigError if a certificate cannot be read.
    """

    def __init__(self, entry: RedisEntry, *, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._slot = slot_of_tag(TAG)
        self._servers: Servers = servers_of(redis_target(entry), self._setting(entry))

    def start(self) -> None:
        """Connect in the background; to be called within a running loop."""
        self._servers.start()

    async def run(self, commands: Sequence[Sequence[Word]]) -> list[Answer]:
        """Return the answers to commands, in their order.

        Raises: RedisAway.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._servers.until_well()
            asked = (self._servers.ask(self._slot, pack(*command)) for command in commands)
            return [_answer(reply) for reply in await asyncio.gather(*asked)]
        except TimeoutError as error:
            raise RedisAway("there is no connection") from error
        except RedisTrouble as trouble:
            if trouble.reason in (Reason.READONLY, Reason.TIMEOUT):
                for link in self._servers.links():
                    link.renew()  # another server may be the master by now
            raise RedisAway(f"it is of no use ({trouble.reason.value}; see docs/redis.md)") from trouble

    async def aclose(self) -> None:
        """End all connections."""
        await self._servers.aclose()

    def _setting(self, entry: RedisEntry) -> LinkSetting:
        target, breaker = redis_target(entry), entry.breaker
        security = security_of(entry) if target.tls else None
        return LinkSetting(
            dialer=Dialer(target.login, target.db, security, entry.connect_timeout_ms / 1000),
            timeout_s=self._timeout_s,
            limits=BreakerLimits(breaker.failures, breaker.pause_ms / 1000, breaker.longest_pause_ms / 1000),
            budget=WriteBudget(1),
            changed=_told_by_the_store,
            strayed=_nothing_was_written,
        )


def _answer(reply: Reply) -> Answer:
    """Return an answer; an error within one is as one to the whole."""
    if isinstance(reply, RedisTrouble):
        raise reply
    return [_answer(item) for item in reply] if isinstance(reply, list) else reply


def _told_by_the_store(link: Link, what: str, reason: Reason | None) -> None:
    """The store tells the operator of the same servers; what it costs figures, the recorder tells."""


def _nothing_was_written(writes: Iterable[tuple[Write, Address | None]]) -> None:
    """No write waits here."""
