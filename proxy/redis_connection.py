"""One connection to a Redis or Valkey: requests go out at once, answers come back in their order.

Many requests share a connection without waiting for one another's answers (pipelining), which costs
a third to half of the CPU that a pool of redis-py takes (benchmarks/redis_client.py). Who does not get an
answer in time stops waiting for it; the connection stays in step, since the late answer is taken
and thrown away. This module owns the frames (RESP 2, by hiredis), the greeting, and the sorting of
whatever goes wrong; texts of errors end here, since they may repeat what was sent.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import hiredis

from elision.config.redis import Address, Login

Reply: TypeAlias = "bytes | int | list[Reply] | RedisTrouble | None"
Word: TypeAlias = bytes | str | int


class Reason(StrEnum):
    """Why Redis was of no use."""

    CONNECTING = "connecting"
    DOWN = "down"
    TIMEOUT = "timeout"
    READONLY = "readonly"
    OOM = "oom"
    LOADING = "loading"
    MOVED = "moved"
    CLUSTERDOWN = "clusterdown"
    AUTH = "auth"
    TLS = "tls"
    PROTOCOL = "protocol"


_BY_CODE = {
    "READONLY": Reason.READONLY,
    "MISCONF": Reason.READONLY,
    "NOREPLICAS": Reason.READONLY,
    "OOM": Reason.OOM,
    "LOADING": Reason.LOADING,
    "MOVED": Reason.MOVED,
    "ASK": Reason.MOVED,
    "TRYAGAIN": Reason.MOVED,
    "CLUSTERDOWN": Reason.CLUSTERDOWN,
    "NOAUTH": Reason.AUTH,
    "WRONGPASS": Reason.AUTH,
    "NOPERM": Reason.AUTH,
    "DENIED": Reason.AUTH,
    "MASTERDOWN": Reason.DOWN,
    "BUSY": Reason.TIMEOUT,
}
_BY_WORDS = {
    "ERR invalid password": Reason.AUTH,
    "ERR AUTH": Reason.AUTH,
    "ERR Client sent AUTH": Reason.AUTH,
    "ERR max number of clients": Reason.DOWN,
}
"""What servers before Redis 6, and full ones, say without a code."""


class RedisTrouble(Exception):
    """Redis was of no use.

    Attributes:
        reason: why.
        elsewhere: where a cluster says that the key is now; None: it does not say.
        asking: whether only this once, while the slot moves.
    """

    def __init__(self, reason: Reason, elsewhere: Address | None = None, *, asking: bool = False) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.elsewhere = elsewhere
        self.asking = asking


def trouble_of(text: str) -> RedisTrouble:
    """Sort an error that a server answered with."""
    code, _, rest = text.partition(" ")
    reason = _BY_CODE.get(code)
    if reason is None:
        found = (reason for words, reason in _BY_WORDS.items() if text.startswith(words))
        reason = next(found, Reason.PROTOCOL)
    if code not in ("MOVED", "ASK"):
        return RedisTrouble(reason)
    host, _, port = rest.rpartition(" ")[2].rpartition(":")
    return RedisTrouble(reason, address_of(host, port), asking=code == "ASK")


def address_of(host: str, port: str) -> Address | None:
    """Return an address that a server named; None for what is none."""
    number = int(port) if port.isdecimal() and len(port) < 6 else 0
    return Address(host, number) if host and 0 < number < 65536 else None


def pack(*words: Word) -> bytes:
    """Return one command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub knows one word only
    return packed


@dataclass(slots=True)
class _Waiting:
    """Who waits for answers: so many are missing."""

    future: asyncio.Future[list[Reply]]
    missing: int
    replies: list[Reply]


class Connection(asyncio.Protocol):
    """An open connection.

    Args:
        lost: called once, when it ends, however it ends.
    """

    def __init__(self, lost: "Callable[[Connection], None]") -> None:
        self.alive = False
        self._lost = lost
        self._reader = hiredis.Reader(replyError=trouble_of, notEnoughData=self)
        self._waiting: deque[_Waiting] = deque()
        self._transport: asyncio.Transport | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ask(self, packed: bytes, count: int, timeout_s: float) -> list[Reply]:
        """Send commands and return their answers, errors of the server among them.

        Args:
            packed: one or more commands.
            count: of the commands.
            timeout_s: after which nobody waits any more.
        Raises: RedisTrouble if no answer came, for whatever reason.
        """
        if not self.alive or self._transport is None:
            raise RedisTrouble(Reason.DOWN)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future(), count, [])
        self._waiting.append(waiting)
        self._transport.write(packed)
        timer = loop.call_later(timeout_s, _look_once_more, loop, waiting.future, 2)
        try:
            return await waiting.future
        finally:
            timer.cancel()

    def abort(self) -> None:
        """End the connection; who waits for an answer gets none."""
        self.alive = False
        if self._transport is not None:
            self._transport.abort()

    async def aclose(self) -> None:
        """End the connection and wait until it has ended."""
        self.abort()
        await self._ended

    @property
    def is_idle(self) -> bool:
        """Whether no answer is due."""
        return not self._waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.alive = True

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not self:
                self._take(reply)
        except (hiredis.ProtocolError, IndexError):
            # Not Redis, or an answer to a question that nobody asked: what follows means nothing.
            self._fail(Reason.PROTOCOL)
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.alive = False
        # A certificate of ours that is missing or refused is told after the handshake (TLS 1.3).
        self._fail(Reason.TLS if isinstance(error, ssl.SSLError) else Reason.DOWN)
        self._ended.set_result(None)
        self._lost(self)

    def _take(self, reply: Reply) -> None:
        first = self._waiting[0]
        first.replies.append(reply)
        first.missing -= 1
        if not first.missing:
            self._waiting.popleft()
            if not first.future.done():
                first.future.set_result(first.replies)

    def _fail(self, reason: Reason) -> None:
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(RedisTrouble(reason))


def _look_once_more(
    loop: asyncio.AbstractEventLoop, future: "asyncio.Future[list[Reply]]", turns: int
) -> None:
    """Give up on an answer, but not because the loop was busy while it lay in the socket.

    A loop may run timers before it reads; two turns later it has read.
    """
    if turns:
        loop.call_soon(_look_once_more, loop, future, turns - 1)
    elif not future.done():
        future.set_exception(RedisTrouble(Reason.TIMEOUT))


@dataclass(frozen=True, slots=True)
class Dialer:
    """Opens connections, and greets.

    Attributes:
        login: whose.
        db: database; 0 needs no greeting.
        security: None: no TLS.
        timeout_s: for the connection, and again for the greeting.
        check_hostname: whether a certificate must name the host.
    """

    login: Login
    db: int
    security: ssl.SSLContext | None
    timeout_s: float

    async def dial(
        self, address: Address, lost: Callable[[Connection], None], *, master: bool = False
    ) -> Connection:
        """Open a connection that is ready for requests.

        Args:
            address: whose.
            lost: called when it ends.
            master: refuse a server that is none.
        Raises: RedisTrouble.
        """
        connection = await self._open(address, lost)
        try:
            await self._greet(connection, master=master)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _open(self, address: Address, lost: Callable[[Connection], None]) -> Connection:
        loop = asyncio.get_running_loop()

        def made() -> Connection:
            return Connection(lost)

        try:
            async with asyncio.timeout(self.timeout_s):
                if not address.port:
                    return (await loop.create_unix_connection(made, address.host))[1]
                return (await loop.create_connection(made, *address, ssl=self.security))[1]
        except TimeoutError as error:
            raise RedisTrouble(Reason.TIMEOUT) from error
        except ssl.SSLError as error:
            raise RedisTrouble(Reason.TLS) from error
        except (OSError, UnicodeError) as error:  # the latter for what cannot be a host's name
            raise RedisTrouble(Reason.DOWN) from error

    async def _greet(self, connection: Connection, *, master: bool) -> None:
        commands: list[bytes] = []
        if self.login.password:
            user = (self.login.user,) if self.login.user else ()
            commands.append(pack("AUTH", *user, self.login.password))
        if self.db:
            commands.append(pack("SELECT", self.db))
        name = len(commands)
        commands.append(pack("CLIENT", "SETNAME", "elision"))
        if master:
            commands.append(pack("ROLE"))
        replies = await connection.ask(b"".join(commands), len(commands), self.timeout_s)
        del replies[name]  # an ACL may forbid to give a name; nothing depends on it
        raise_first(replies)
        if master and not is_master(replies[-1]):
            raise RedisTrouble(Reason.READONLY)


def is_master(reply: Reply) -> bool:
    """Return whether an answer to ROLE is a master's."""
    return isinstance(reply, list) and bool(reply) and reply[0] == b"master"


def raise_first(replies: Sequence[Reply]) -> None:
    """Raise the first error among answers."""
    for reply in replies:
        if isinstance(reply, RedisTrouble):
            raise reply
