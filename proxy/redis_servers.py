"""Which server a key lies on: one server, the master that Sentinel names, or the nodes of a cluster.

In a cluster all keys of a team share a slot, so that what a request needs comes with one command
from one node. The map of slots is fetched in the background, at the start and whenever an answer
says that it is old; a request follows at most one redirection, within its time.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from elision.config.redis import Address, Login, RedisTarget, Shape
from elision.proxy.breaker import Breaker
from elision.proxy.redis_connection import (
    Connection,
    Dialer,
    Reason,
    RedisTrouble,
    Reply,
    address_of,
    pack,
)
from elision.proxy.redis_link import Link, LinkSetting, in_background
from elision.proxy.redis_names import SLOTS
from elision.proxy.redis_writes import Write

_LONGEST_PAUSE_S = 1.0
"""Between two looks at the map while nodes are missing: a failover should be seen soon after it happened."""

_ASKING = pack("ASKING")
_SLOTS_QUESTION = pack("CLUSTER", "SLOTS")


class Servers(Protocol):
    """The servers of a store."""

    @property
    def is_cluster(self) -> bool:
        """Whether keys of different slots must be asked for apart."""
        ...

    def links(self) -> Sequence[Link]:
        """Return the way to each server that is known."""
        ...

    def start(self) -> None:
        """Connect in the background."""
        ...

    async def ask(self, slot: int, packed: bytes) -> Reply:
        """Return the answer to one command about keys of a slot.

        Raises: RedisTrouble, also where the server answered with an error.
        """
        ...

    def write(self, write: Write) -> None:
        """Let a write wait for its server."""
        ...

    def refused(self, slot: int, reason: Reason) -> None:
        """Note that a server takes no writes."""
        ...

    async def until_well(self) -> None:
        """Wait until every server that is known is of use."""
        ...

    async def aclose(self) -> None:
        """End all connections."""
        ...


class OneServer:
    """A single server, or whichever one Sentinel calls the master.

    Args:
        find: returns its address.
        setting: of its link.
    """

    is_cluster = False

    def __init__(self, find: Callable[[], Awaitable[Address]], setting: LinkSetting) -> None:
        self._link = Link(find, setting)

    def links(self) -> Sequence[Link]:
        """Return its link."""
        return (self._link,)

    def start(self) -> None:
        """Connect in the background."""
        self._link.start()

    async def ask(self, slot: int, packed: bytes) -> Reply:
        """Return the answer to one command; of a slot nothing depends here."""
        return _first(await self._link.ask(packed, 1))

    def write(self, write: Write) -> None:
        """Let a write wait."""
        self._link.queue.put(write)

    def refused(self, slot: int, reason: Reason) -> None:
        """Note that it takes no writes."""
        self._link.refused(reason)

    async def until_well(self) -> None:
        """Wait until it is of use."""
        await self._link.until_well()

    async def aclose(self) -> None:
        """End its connections."""
        await self._link.aclose()


@dataclass(frozen=True, slots=True)
class _Constant:
    """Finds what is known."""

    address: Address

    async def __call__(self) -> Address:
        return self.address


class SentinelFinder:
    """Asks sentinels for the master, the one that answered last first.

    Args:
        target: whom to ask, and for which master.
        dialer: greets sentinels; without a login where they have none of their own.
        fallback: login of the servers, for sentinels that want it too.
    """

    def __init__(self, target: RedisTarget, dialer: Dialer, fallback: Login) -> None:
        self._nodes = list(target.nodes)
        self._question = pack("SENTINEL", "get-master-addr-by-name", target.master)
        self._dialers = [dialer]
        if not dialer.login.password and fallback.password:
            self._dialers.append(replace(dialer, login=fallback))

    async def __call__(self) -> Address:
        """Return the master's address.

        Raises: RedisTrouble if no sentinel knows it; with the last one's reason.
        """
        trouble = RedisTrouble(Reason.DOWN)
        for node in tuple(self._nodes):
            try:
                found = await self._ask(node)
            except RedisTrouble as error:
                trouble = error
                continue
            self._nodes.remove(node)
            self._nodes.insert(0, node)
            return found
        raise trouble

    async def _ask(self, node: Address) -> Address:
        trouble = RedisTrouble(Reason.DOWN)
        for dialer in self._dialers:
            try:
                reply = await ask_once(dialer, node, self._question)
            except RedisTrouble as error:
                trouble = error
                if error.reason is Reason.AUTH:
                    continue
                raise
            return _address_in(reply)
        raise trouble


def _address_in(reply: Reply) -> Address:
    """Return the address that a sentinel names; an unknown master is as good as down."""
    if isinstance(reply, list) and len(reply) == 2:
        host, port = reply
        if isinstance(host, bytes) and isinstance(port, bytes):
            found = address_of(host.decode("ascii", "replace"), port.decode("ascii", "replace"))
            if found is not None:
                return found
    raise RedisTrouble(Reason.DOWN)


async def ask_once(dialer: Dialer, address: Address, packed: bytes) -> Reply:
    """Return the answer to one command over a connection of its own.

    Raises: RedisTrouble.
    """
    connection = await dialer.dial(address, _forget)
    try:
        return _first(await connection.ask(packed, 1, dialer.timeout_s))
    finally:
        await connection.aclose()


class ClusterServers:
    """The masters of a cluster, by slots.

    Args:
        seeds: nodes to ask for the map while none is known.
        setting: of the links; what strays comes back here.
    """

    is_cluster = True

    def __init__(self, seeds: Sequence[Address], setting: LinkSetting) -> None:
        self._seeds = seeds
        self._setting = setting = replace(setting, strayed=self.strayed)
        self._links: dict[Address, Link] = {}
        self._by_slot: list[Link | None] = [None] * SLOTS
        self._homeless = Link(_Constant(seeds[0]), setting)
        self._homeless.name = ", ".join(map(str, seeds))
        self._old = asyncio.Event()
        self._old.set()
        self._mapped = asyncio.Event()
        longest_s = min(setting.limits.longest_pause_s, _LONGEST_PAUSE_S)
        self._pauses = Breaker(replace(setting.limits, longest_pause_s=longest_s), random.random)
        self._tasks: list[asyncio.Task[None]] = []
        self._trouble = Reason.CONNECTING

    def links(self) -> Sequence[Link]:
        """Return the masters; while no map is known, one that is of no use and says why."""
        return tuple(self._links.values()) or (self._homeless,)

    def start(self) -> None:
        """Fetch the map and connect in the background."""
        self._tasks.append(in_background(self._keep()))

    async def ask(self, slot: int, packed: bytes) -> Reply:
        """Return the answer to one command, from another node where the first one names it."""
        link = self._by_slot[slot]
        if link is None:
            raise RedisTrouble(self._trouble)
        try:
            return await self._ask(link, slot, packed)
        except RedisTrouble as trouble:
            if trouble.reason in (Reason.MOVED, Reason.CLUSTERDOWN, Reason.DOWN):
                self._old.set()
            raise

    async def _ask(self, link: Link, slot: int, packed: bytes) -> Reply:
        loop = asyncio.get_running_loop()
        latest = loop.time() + self._setting.timeout_s
        try:
            return _first(await link.ask(packed, 1))
        except RedisTrouble as trouble:
            other = self._links.get(trouble.elsewhere) if trouble.elsewhere else None
            left_s = latest - loop.time()
            if other is None or left_s <= 0:
                raise
            if trouble.asking:
                return _first((await other.ask(_ASKING + packed, 2, left_s))[1:])
            self._by_slot[slot] = other
            self._old.set()
            return _first(await other.ask(packed, 1, left_s))

    def write(self, write: Write) -> None:
        """Let a write wait for its node, or for the map."""
        (self._by_slot[write.slot] or self._homeless).queue.put(write)

    def strayed(self, writes: Iterable[tuple[Write, Address | None]]) -> None:
        """Send writes to the nodes that were named; the map is old."""
        self._old.set()
        for write, address in writes:
            link = self._links.get(address) if address else None
            (link or self._homeless).queue.put(write)

    def refused(self, slot: int, reason: Reason) -> None:
        """Note that a node takes no writes."""
        if (link := self._by_slot[slot]) is not None:
            link.refused(reason)

    async def until_well(self) -> None:
        """Wait for the map, and for every node on it."""
        await self._mapped.wait()
        for link in self.links():
            await link.until_well()

    async def aclose(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(link.aclose() for link in self._links.values()))

    async def _keep(self) -> None:
        """Fetch the map whenever it is old, with growing pauses while nodes are missing."""
        while True:
            await self._old.wait()
            self._old.clear()
            try:
                await self._refresh()
            except RedisTrouble as trouble:
                self._trouble = trouble.reason
                if self._homeless.reason is not trouble.reason:
                    self._homeless.reason = trouble.reason
                    self._setting.changed(self._homeless, "requests", trouble.reason)
                self._old.set()
            if any(link.reason not in (None, Reason.CONNECTING) for link in self._links.values()):
                self._old.set()
            if self._old.is_set():
                await asyncio.sleep(self._pauses.next_pause_s())
            else:
                self._pauses.succeed()

    async def _refresh(self) -> None:
        trouble = RedisTrouble(Reason.DOWN)
        well = [address for address, link in self._links.items() if link.reason is None]
        for address in dict.fromkeys((*well, *self._links, *self._seeds)):
            try:
                reply = await ask_once(self._setting.dialer, address, _SLOTS_QUESTION)
            except RedisTrouble as error:
                trouble = error
                continue
            if await self._adopt(slot_ranges(reply, address)):
                return
            trouble = RedisTrouble(Reason.CLUSTERDOWN)
        raise trouble

    async def _adopt(self, ranges: Sequence[tuple[int, int, Address]]) -> bool:
        """Take over a map, unless it is empty; return whether it was not."""
        if not ranges:
            return False
        wanted = dict.fromkeys(address for _, _, address in ranges)
        for address in wanted:
            if address not in self._links:
                self._links[address] = link = Link(_Constant(address), self._setting)
                link.start()
        by_slot: list[Link | None] = [None] * SLOTS
        for first, last, address in ranges:
            by_slot[first : last + 1] = [self._links[address]] * (last + 1 - first)
        self._by_slot = by_slot
        gone = [self._links.pop(address) for address in tuple(self._links) if address not in wanted]
        self._mapped.set()
        for link in gone:
            await link.aclose()  # gives back the batch that was under way
        for link in (*gone, self._homeless):
            for write in link.queue.take(len(link.queue), self._setting.budget.limit_bytes * 2):
                self.write(write)
        return True


def slot_ranges(reply: Reply, asked: Address) -> list[tuple[int, int, Address]]:
    """Return (first slot, last slot, master) of an answer to CLUSTER SLOTS.

    Args:
        reply: the answer; what cannot be read is left out.
        asked: the node that answered: one without a host of its own is on the same.
    """
    ranges: list[tuple[int, int, Address]] = []
    for item in reply if isinstance(reply, list) else ():
        match item:
            case [int(first), int(last), [host, int(port), *_], *_] if 0 <= first <= last < SLOTS:
                name = host.decode("ascii", "replace") if isinstance(host, bytes) else ""
                address = address_of(name if name not in ("", "?") else asked.host, str(port))
                if address is not None:
                    ranges.append((first, last, address))
    return ranges


def servers_of(target: RedisTarget, setting: LinkSetting) -> Servers:
    """Return the servers that a target means, not yet connected."""
    if target.shape is Shape.CLUSTER:
        return ClusterServers(target.nodes, setting)
    if target.shape is Shape.SINGLE:
        return OneServer(_Constant(target.nodes[0]), setting)
    dialer = replace(setting.dialer, login=target.sentinel_login, db=0)
    finder = SentinelFinder(target, dialer, target.login)
    return OneServer(finder, replace(setting, master=True))


def _first(replies: Sequence[Reply]) -> Reply:
    """Return the only answer, or raise it where it is an error."""
    if isinstance(replies[0], RedisTrouble):
        raise replies[0]
    return replies[0]


def _forget(connection: Connection) -> None:
    """Nobody needs to know that a connection for one question ended."""
