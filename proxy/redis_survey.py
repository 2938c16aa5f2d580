"""What is kept in Redis, counted and cleared: for `elision cache`, never for a request.

Looks through each server by SCAN, in steps between which it serves others, and clears by UNLINK,
which frees memory in the background. Counts may include a key twice while a server rehashes.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from elision.proxy.redis_connection import Reason, RedisTrouble, Reply, pack, raise_first
from elision.proxy.redis_link import Link
from elision.proxy.redis_names import PREFIX, key_of
from elision.proxy.store import SCOPE_BYTES, Kept, Kind

_PAGE = 500
_STEP_S = 5.0
_MEASURED = 1_000
_SAMPLED = 16
"""Of one kind in one scope the first thousand values are measured, then every sixteenth."""


@dataclass(slots=True)
class _Sum:
    """What was found of one kind in one scope."""

    entries: int = 0
    measured: int = 0
    measured_bytes: int = 0
    first_ends_ms: int | None = None

    def wants(self) -> bool:
        """Count one value; return whether it is to be measured."""
        self.entries += 1
        return self.entries <= _MEASURED or self.entries % _SAMPLED == 0

    def add(self, size: int, ends_ms: int) -> None:
        """Take a measured value: bytes of key and value, and its remaining life; none if negative."""
        self.measured += 1
        self.measured_bytes += size
        if ends_ms >= 0:
            self.first_ends_ms = min(
                ends_ms, self.first_ends_ms if self.first_ends_ms is not None else ends_ms
            )

    def kept(self, scope: bytes, kind: bytes) -> Kept:
        """Return it as others see it."""
        held = round(self.measured_bytes * self.entries / self.measured) if self.measured else 0
        return Kept(scope, kind, self.entries, held, (self.first_ends_ms or 0) / 1000)


async def kept_on(links: Sequence[Link], scope: bytes | None) -> list[Kept]:
    """Return what the servers hold, by scope and kind; bytes by a sample where there is much.

    Raises: RedisTrouble.
    """
    sums: dict[tuple[bytes, bytes], _Sum] = {}
    for link in links:
        async for page in _pages(link, scope):
            chosen = []
            for name, key in page:
                place = (key[:SCOPE_BYTES], key[SCOPE_BYTES : SCOPE_BYTES + 1])
                if sums.setdefault(place, _Sum()).wants():
                    chosen.append((name, sums[place]))
            await _measure(link, chosen)
    return [total.kept(*place) for place, total in sorted(sums.items())]


async def _measure(link: Link, chosen: Sequence[tuple[bytes, _Sum]]) -> None:
    if not chosen:
        return
    packed = b"".join(pack("STRLEN", name) + pack("PTTL", name) for name, _ in chosen)
    replies = await _ask(link, packed, 2 * len(chosen))
    for (name, total), size, ends in zip(chosen, replies[::2], replies[1::2], strict=True):
        if isinstance(size, int) and isinstance(ends, int):
            total.add(len(name) + size, ends)


async def clear_on(links: Sequence[Link], scope: bytes | None, tell: Callable[[int], None]) -> int:
    """Forget what the servers hold; return how many values that were.

    Raises: RedisTrouble.
    """
    gone = 0
    for link in links:
        async for page in _pages(link, scope):
            commands = [pack("UNLINK", *names) for names in _by_scope(page)]
            if commands:
                replies = await _ask(link, b"".join(commands), len(commands))
                gone += sum(reply for reply in replies if isinstance(reply, int))
                tell(gone)
    return gone


def _by_scope(page: Iterable[tuple[bytes, bytes]]) -> Iterable[list[bytes]]:
    """Group names by scope, since one command may only touch one slot of a cluster."""
    groups: dict[bytes, list[bytes]] = {}
    for name, key in page:
        groups.setdefault(key[:SCOPE_BYTES], []).append(name)
    return groups.values()


async def _pages(link: Link, scope: bytes | None) -> AsyncIterator[list[tuple[bytes, bytes]]]:
    """Yield (name, key) of a server's values, but for the notices that a scope was cleared."""
    tag = scope.hex().encode("ascii") if scope is not None else b"*"
    cursor: bytes = b"0"
    while True:
        pattern = PREFIX + b"{" + tag + b"}:*"
        [reply] = await _ask(link, pack("SCAN", cursor, "MATCH", pattern, "COUNT", _PAGE), 1)
        cursor, names = _page(reply)
        pairs = [(name, key) for name in names if (key := key_of(name)) is not None]
        yield [(name, key) for name, key in pairs if key[SCOPE_BYTES : SCOPE_BYTES + 1] != Kind.CLEARED.value]
        if cursor == b"0":
            return


def _page(reply: Reply) -> tuple[bytes, list[bytes]]:
    match reply:
        case [bytes(cursor), list(names)]:
            return cursor, [name for name in names if isinstance(name, bytes)]
    raise RedisTrouble(Reason.PROTOCOL)


async def _ask(link: Link, packed: bytes, count: int) -> list[Reply]:
    replies = await link.ask(packed, count, _STEP_S)
    raise_first(replies)
    return replies
