"""Who makes what, among machines that share a store: one does, the others look for what he made.

A lease is a value under a key of its own, for a short time; it goes when the work is done or given
up, or by itself when its holder is gone. It saves work and promises nothing: where the store is in
trouble, or time runs short, everybody makes his own.
"""

import asyncio
import time
from collections.abc import Callable

from elision.proxy.patience import Patience
from elision.proxy.store import Store

LEAST_S = 0.025
"""Work that should take less is not worth asking others about."""
_LEAST_TTL_S = 0.5
_HELD = b"\x01"
_FIRST_PAUSE_S, _MOST_PAUSE_S, _GROWTH = 0.004, 0.064, 1.5


class Lease:
    """The right to make one thing, once.

    Args:
        store: that the machines share.
        key: of the lease.
        watched: the key under which what is made will be.
        expected_s: how long the work should take.
    """

    def __init__(self, store: Store, key: bytes, watched: bytes, expected_s: float) -> None:
        self._store, self._key, self._watched = store, key, watched
        self._expected_s = expected_s
        self._held_until = 0.0

    async def settle(self, patience: Patience, waits: Callable[[], None]) -> bytes | None:
        """Return what another has made; None when the work is to be done here.

        That is: when the lease was free or has ended, or when there is just time enough for it.

        Args:
            patience: until when there is time at all.
            waits: called if another holds the lease.
        """
        if await self._take():
            return None
        waits()
        pause_s = _FIRST_PAUSE_S
        while (spare_s := patience.left_s - self._expected_s) > 0:
            await asyncio.sleep(min(pause_s, spare_s))
            pause_s = min(pause_s * _GROWTH, _MOST_PAUSE_S)
            if (found := await self._found()) is not None:
                return found
            if await self._take():
                # Its holder may have finished between the two questions.
                return await self._found()
        return None

    async def release(self) -> None:
        """Let others have it; what is made must be in the store by now."""
        if self._held_until > time.monotonic():
            self._held_until = 0.0
            await self._store.drop([self._key])

    async def _take(self) -> bool:
        ttl_s = max(2 * self._expected_s, _LEAST_TTL_S)
        taken = await self._store.add(self._key, _HELD, ttl_s)
        self._held_until = time.monotonic() + ttl_s if taken else 0.0
        return taken

    async def _found(self) -> bytes | None:
        [value] = await self._store.get_many([self._watched])
        return value
