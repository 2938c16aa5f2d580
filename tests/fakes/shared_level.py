"""A shared level in this process, which can be in trouble and counts its trips."""

from collections.abc import Callable, Mapping, Sequence

from elision.proxy.store import SCOPE_BYTES, Kept, Kind


class SharedLevel:
    """Two `Tiers` over one of these are two workers.

    Attributes:
        values: what is kept, for tests to look at and to tamper with.
        trips: the keys of each `get_many`.
    """

    def __init__(self, level: str = "redis") -> None:
        self.level = level
        self.trouble = ""
        self.failures: dict[str, int] = {}
        self.values: dict[bytes, bytes] = {}
        self.lives_s: dict[bytes, float] = {}
        self.trips: list[list[bytes]] = []
        self.closed = False

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.trips.append(list(keys))
        return [None if self._failed() else self.values.get(key) for key in keys]

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        for key, value in items.items():
            if not self._failed() and not (only_new and key in self.values):
                self.values[key] = value
                self.lives_s[key] = ttl_s

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        if self._failed():
            return True
        new = key not in self.values
        await self.put_many({key: value}, ttl_s, only_new=True)
        return new

    async def drop(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self.values.pop(key, None)

    async def close(self) -> None:
        self.closed = True

    async def kept(self, scope: bytes | None = None) -> list[Kept]:
        found = [key for key in self.values if scope is None or key.startswith(scope)]
        return [Kept(key[:SCOPE_BYTES], key[8:9], 1, len(key), self.lives_s[key]) for key in found]

    async def clear(self, scope: bytes | None, tell: Callable[[int], None]) -> int:
        gone = [key for key in self.values if scope is None or key.startswith(scope)]
        gone = [key for key in gone if key[8:9] != Kind.CLEARED.value]
        await self.drop(gone)
        tell(len(gone))
        return len(gone)

    def _failed(self) -> bool:
        if self.trouble:
            self.failures[self.trouble] = self.failures.get(self.trouble, 0) + 1
        return bool(self.trouble)
