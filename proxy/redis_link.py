"""One server that is a Redis or Valkey: connected in the background, left alone while in trouble.

A request is answered by a connection that stands, or not at all: connecting, probing and writing
are done by two tasks of the link. Two connections, since an answer must not wait behind a batch of
writes. What is wrong with reading and with writing is told apart: a full or read-only server still
answers questions.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

from elision.config.redis import Address
from elision.proxy.breaker import Breaker, BreakerLimits, BreakerState
from elision.proxy.redis_connection import Connection, Dialer, Reason, RedisTrouble, Reply, pack, raise_first
from elision.proxy.redis_writes import MAX_STRAYS, Write, WriteBudget, WriteQueue

BATCH_WRITES = 256
BATCH_BYTES = 512 * 1024
_PING = pack("PING")
_PROBE = _PING + pack("GET", "elision:2:probe")

_OF_THE_SERVER = frozenset((Reason.LOADING, Reason.AUTH, Reason.DOWN, Reason.TIMEOUT))
"""Answers after which the next request would get the same one."""

_PASSING = frozenset(
    (Reason.DOWN, Reason.TIMEOUT, Reason.READONLY, Reason.LOADING, Reason.CLUSTERDOWN, Reason.CONNECTING)
)
"""Reasons for which a write is tried again; others would meet the same answer."""


@dataclass(slots=True)
class BatchFigures:
    """What went out in the background."""

    batches: int = 0
    writes: int = 0
    largest: int = 0

    def add(self, writes: int) -> None:
        """Count one batch."""
        self.batches += 1
        self.writes += writes
        self.largest = max(self.largest, writes)


@dataclass(frozen=True, slots=True)
class LinkSetting:
    """What all links of a store share.

    Attributes:
        dialer: opens connections.
        timeout_s: for a request's answer; a probe must be answered within it too.
        limits: of the breakers.
        budget: of the queues.
        master: whether a server must be one.
        look_in_s: after so long a connection is tried, lest something between has forgotten it.
        changed: told of each change: the link, whether of reading or writing, and the reason; None: well.
        strayed: given writes whose slot is elsewhere.
    """

    dialer: Dialer
    timeout_s: float
    limits: BreakerLimits
    budget: WriteBudget
    changed: "Callable[[Link, str, Reason | None], None]"
    strayed: Callable[[list[tuple[Write, Address | None]]], None]
    master: bool = False
    look_in_s: float = 15.0
    batches: BatchFigures = field(default_factory=BatchFigures)


def in_background(work: Coroutine[object, object, None]) -> "asyncio.Task[None]":
    """Run what goes on until it is cancelled by its owner; tell if it ends otherwise."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_tell_failure)
    return task


def _tell_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logging.getLogger("elision.redis").error("A background task ended", exc_info=error)


class Link:
    """The way to one server.

    Attributes:
        name: its address, for the log; "" until it is known.
        reason: why it is of no use now; None: it is.
        write_reason: the same of writing alone.
        queue: what waits to be written.

    Args:
        find: returns where the server is; raises RedisTrouble.
        setting: what links share.
    """

    def __init__(self, find: Callable[[], Awaitable[Address]], setting: LinkSetting) -> None:
        self.name = ""
        self.reason: Reason | None = Reason.CONNECTING
        self.write_reason: Reason | None = None
        self.queue = WriteQueue(setting.budget)
        self._find = find
        self._setting = setting
        self._breaker = Breaker(setting.limits, random.random)
        self._writes_breaker = Breaker(setting.limits, random.random)
        self._reads: Connection | None = None
        self._writes: Connection | None = None
        self._leaving: set[Connection] = set()
        self._wake = asyncio.Event()
        self._well = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stale = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def state(self) -> BreakerState:
        """Closed while requests are sent to it."""
        if self.reason is None:
            return BreakerState.CLOSED
        return self._breaker.state if not self._breaker.is_closed else BreakerState.OPEN

    def start(self) -> None:
        """Connect, and stay connected, in the background."""
        self._tasks = [in_background(self._keep()), in_background(self._write())]

    async def ask(self, packed: bytes, count: int, timeout_s: float | None = None) -> list[Reply]:
        """Send commands and return their answers, errors of single commands among them.

        Args:
            packed: one or more commands.
            count: of the commands.
            timeout_s: in place of that of requests.
        Raises: RedisTrouble if the server is of no use, or did not answer in time.
        """
        connection = self._reads
        if self.reason is not None or connection is None:
            raise RedisTrouble(self.reason or Reason.DOWN)
        try:
            replies = await connection.ask(packed, count, timeout_s or self._setting.timeout_s)
        except RedisTrouble as trouble:
            if trouble.reason is Reason.TIMEOUT and self._breaker.fail():
                self._trouble(Reason.TIMEOUT)
            raise
        for reply in replies:
            if isinstance(reply, RedisTrouble) and reply.reason in _OF_THE_SERVER:
                self._breaker.fail(at_once=True)
                self._trouble(reply.reason)
                raise reply
        if self.reason is None:
            self._breaker.succeed()
        return replies

    def refused(self, reason: Reason) -> None:
        """A request's write was refused: the same is true of those in the background."""
        if self._writes_breaker.fail(at_once=True):
            self._tell_writes(reason)

    def renew(self) -> None:
        """Look again where the server is, and connect anew, while the old connections serve on."""
        self._stale = True
        self._wake.set()

    async def until_well(self) -> None:
        """Wait until the server is of use."""
        await self._well.wait()

    async def until_written(self) -> None:
        """Wait until nothing waits to be written; at once where nothing can be."""
        while self.reason is None and self.write_reason is None and (self.queue or not self._idle.is_set()):
            await asyncio.sleep(0.002)

    async def aclose(self) -> None:
        """End the tasks and the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._leave()
        for connection in tuple(self._leaving):
            await connection.aclose()

    async def _keep(self) -> None:
        """Connect, and mend what breaks, for ever."""
        while True:
            if self.reason is not None:
                await self._mend()
            elif self._stale:
                await self._replace()
            try:
                async with asyncio.timeout(self._setting.look_in_s):
                    await self._wake.wait()
            except TimeoutError:
                await self._look_in()
            self._wake.clear()

    async def _look_in(self) -> None:
        """Find out whether an idle connection was forgotten on its way, before a request does."""
        await self._hear()
        if self.reason is None and not self._stands():
            self._breaker.fail(at_once=True)
            self._trouble(Reason.DOWN)

    async def _mend(self) -> None:
        """Try until the server is of use again; a server that is there but in trouble is given time first."""
        if self.reason not in (Reason.CONNECTING, Reason.DOWN):
            await asyncio.sleep(self._breaker.next_pause_s())
        while True:
            self._breaker.probe()
            try:
                await self._prove()
            except RedisTrouble as trouble:
                self._breaker.fail()
                self._trouble(trouble.reason)
                await asyncio.sleep(self._breaker.next_pause_s())
            else:
                self._breaker.close()
                self._trouble(None)
                return

    async def _prove(self) -> None:
        """Connect if need be, and ask something that must be answered as fast as a request is."""
        if not self._stands() or self._stale:
            await self._connect()
        if self._reads is None:
            raise RedisTrouble(Reason.DOWN)
        try:
            pong, probe = await self._reads.ask(_PROBE, 2, self._setting.timeout_s)
        except RedisTrouble:
            await self._hear()
            raise
        if isinstance(probe, RedisTrouble) and probe.reason is Reason.MOVED:
            probe = None  # the key of the probe is another node's; this one lives
        raise_first((pong, probe))
        if not self._stands():
            raise RedisTrouble(Reason.DOWN)

    async def _hear(self) -> None:
        """Find out whether a server that is late says anything at all; else connect anew next time."""
        if self._reads is not None:
            try:
                await self._reads.ask(_PING, 1, self._setting.dialer.timeout_s)
            except RedisTrouble:
                self._leave()

    def _stands(self) -> bool:
        return self._reads is not None and self._writes is not None

    async def _replace(self) -> None:
        """Connect anew while the old connections serve; keep them where that fails."""
        try:
            await self._connect()
        except RedisTrouble:
            self._stale = False

    async def _connect(self) -> None:
        address = await self._find()
        self.name = str(address)
        dialer, master = self._setting.dialer, self._setting.master
        reads = await dialer.dial(address, self._lost, master=master)
        try:
            writes = await dialer.dial(address, self._lost)
        except BaseException:
            reads.abort()
            raise
        if not reads.alive:  # it ended meanwhile, which nobody was told: it was not yet ours
            writes.abort()
            raise RedisTrouble(Reason.DOWN)
        self._leave()
        self._reads, self._writes, self._stale = reads, writes, False

    def _leave(self) -> None:
        """Let go of the connections; answers that are due still come, where they come in time."""
        loop = asyncio.get_running_loop()
        for connection in (self._reads, self._writes):
            if connection is not None and connection.alive:
                self._leaving.add(connection)
                delay = 0.0 if connection.is_idle else self._setting.timeout_s
                loop.call_later(delay, connection.abort)
        self._reads = self._writes = None

    def _lost(self, connection: Connection) -> None:
        self._leaving.discard(connection)
        if connection is self._reads or connection is self._writes:
            self._leave()
            self._breaker.fail(at_once=True)
            self._trouble(Reason.DOWN)

    def _trouble(self, reason: Reason | None) -> None:
        """Note why the server is of no use, or None that it is, and tell once."""
        if reason is None:
            self._well.set()
        else:
            self._well.clear()
            self._wake.set()
        if reason is not self.reason:
            self.reason = reason
            self._setting.changed(self, "requests", reason)

    def _tell_writes(self, reason: Reason | None) -> None:
        if reason is not self.write_reason:
            self.write_reason = reason
            self._setting.changed(self, "writes", reason)

    async def _write(self) -> None:
        """Send what waits, one batch at a time; the batch after a pause is the probe."""
        while True:
            await self.queue.filled.wait()
            if not self._writes_breaker.is_closed:
                await asyncio.sleep(self._writes_breaker.next_pause_s())
                self._writes_breaker.probe()
            await self._well.wait()
            batch = self.queue.take(BATCH_WRITES, BATCH_BYTES)
            if not batch:
                continue
            self._idle.clear()
            try:
                reason = await self._send(batch)
            finally:
                self._idle.set()
            self._judge(reason)

    def _judge(self, reason: Reason | None) -> None:
        if reason is None:
            self._writes_breaker.succeed()
            self._tell_writes(None)
            return
        self._writes_breaker.fail(at_once=True)
        if reason not in (Reason.DOWN, Reason.CONNECTING):
            self._tell_writes(reason)
        if reason in (Reason.READONLY, Reason.TIMEOUT):
            self.renew()  # another server may be the master by now

    async def _send(self, batch: list[Write]) -> Reason | None:
        """Send a batch, and see to the writes that were not made; return why they were not."""
        connection = self._writes
        if connection is None:
            self.queue.put_back(batch)
            return Reason.DOWN
        try:
            packed = b"".join(write.packed for write in batch)
            replies = await connection.ask(packed, len(batch), self._setting.dialer.timeout_s)
        except RedisTrouble as trouble:
            self.queue.put_back(batch)
            return trouble.reason
        except asyncio.CancelledError:
            self.queue.put_back(batch)
            raise
        troubles = [
            (write, reply)
            for write, reply in zip(batch, replies, strict=True)
            if isinstance(reply, RedisTrouble)
        ]
        self._setting.batches.add(len(batch) - len(troubles))
        return self._sort(troubles)

    def _sort(self, troubles: list[tuple[Write, RedisTrouble]]) -> Reason | None:
        """Try again, send elsewhere or drop; return the first reason that is this server's."""
        again: list[Write] = []
        astray: list[tuple[Write, Address | None]] = []
        for write, trouble in troubles:
            if trouble.reason in _PASSING:
                again.append(write)
            elif trouble.reason is Reason.MOVED and write.strays < MAX_STRAYS:
                astray.append((Write(write.slot, write.packed, write.strays + 1), trouble.elsewhere))
            else:
                self._setting.budget.drop((write,), trouble.reason)
        self.queue.put_back(again)
        if astray:
            self._setting.strayed(astray)
        reasons = (trouble.reason for _, trouble in troubles)
        return next((reason for reason in reasons if reason is not Reason.MOVED), None)
