"""The cache in Redis, shared by workers and machines; needs `elision[redis]`.

Redis is never required to answer: every failure or delay beyond the timeout is a miss, counted in
`failures`, and the reason is logged once per kind of failure until Redis answers again.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

import redis.asyncio
import redis.exceptions

from elision.proxy.store import Store

_PREFIX = b"elision:1:outcome:"
_FAILURES = (redis.exceptions.RedisError, OSError, asyncio.TimeoutError)


class RedisCache:
    """Values in Redis under `elision:1:outcome:<key in hex>`.

    Args:
        client: connected lazily by redis-py; bytes in, bytes out.
        timeout_s: how long one request may wait for Redis.
    """

    def __init__(self, client: redis.asyncio.Redis, timeout_s: float) -> None:
        self.failures = 0
        self._client = client
        self._timeout_s = timeout_s
        self._troubled = ""
        self._log = logging.getLogger("elision.cache")

    @classmethod
    def from_url(cls, url: str, timeout_s: float = 0.25) -> Store:
        """Return a cache at a `redis://`, `rediss://` or `unix://` URL; connects on first use."""
        client = redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=1.0, socket_timeout=timeout_s, health_check_interval=0
        )
        return cls(client, timeout_s)

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key by one MGET, None for a miss."""
        try:
            async with asyncio.timeout(self._timeout_s):
                values = await self._client.mget([_name(key) for key in keys])
        except _FAILURES as error:
            self._failed(error)
            return [None] * len(keys)
        self._recovered()
        return [value if isinstance(value, bytes) else None for value in values]

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        """Write the values in one pipeline."""
        try:
            async with asyncio.timeout(self._timeout_s), self._client.pipeline(transaction=False) as pipe:
                for key, value in items.items():
                    pipe.set(_name(key), value, px=int(ttl_s * 1000), nx=only_new)
                await pipe.execute()
        except _FAILURES as error:
            self._failed(error)
            return
        self._recovered()

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        """Keep a value where there is none; return whether there was none. In trouble: True."""
        try:
            async with asyncio.timeout(self._timeout_s):
                kept = await self._client.set(_name(key), value, px=int(ttl_s * 1000), nx=True)
        except _FAILURES as error:
            self._failed(error)
            return True
        self._recovered()
        return bool(kept)

    async def drop(self, keys: Sequence[bytes]) -> None:
        """Forget the values."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.unlink(*map(_name, keys))
        except _FAILURES as error:
            self._failed(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _failed(self, error: BaseException) -> None:
        self.failures += 1
        kind = type(error).__name__
        if kind != self._troubled:
            self._troubled = kind
            self._log.warning("Redis does not answer (%s); requests go on without it.", kind)

    def _recovered(self) -> None:
        if self._troubled:
            self._troubled = ""
            self._log.warning("Redis answers again.")


def _name(key: bytes) -> bytes:
    return _PREFIX + key.hex().encode("ascii")
