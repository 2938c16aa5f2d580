"""How many connections to one upstream may be in use at once, and the line before them."""

import asyncio


class Places:
    """So many may be taken at once; who finds none free waits, first come, first served.

    Args:
        count: how many there are.
        patience_s: how long one waits.
    """

    def __init__(self, count: int, patience_s: float) -> None:
        self.count = count
        self._patience_s = patience_s
        # Its line is in order, and a waiter that is cancelled just as its turn comes passes it on.
        self._free = asyncio.BoundedSemaphore(count)

    async def take(self) -> None:
        """Take a place, which `give_back` is to be called for once.

        Raises:
            TimeoutError: none became free in time.
        """
        if not self._free.locked():
            await self._free.acquire()
            return
        async with asyncio.timeout(self._patience_s):
            await self._free.acquire()

    def give_back(self) -> None:
        """Free a place for who waits longest.

        Raises:
            ValueError: more were given back than were taken.
        """
        self._free.release()
