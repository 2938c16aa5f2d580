"""A store that keeps nothing, so that everything is asked for anew."""

from collections.abc import Mapping, Sequence


class Forgetful:
    """Answers every key with a miss."""

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [None for _ in keys]

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        pass

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        return True

    async def drop(self, keys: Sequence[bytes]) -> None:
        pass

    async def close(self) -> None:
        pass
