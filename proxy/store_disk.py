"""The store on disk: one SQLite file for all workers of a machine, and for the next start of the proxy.

The event loop never waits for the disk: reading has a thread, writing another, each with its own
connection (`elision.proxy.disk_file`). A reader waits `patience_s` at most; while a read is overdue,
whether or not its reader has left, nobody else waits for the disk. Writes are gathered while the
writing thread is busy and go down in one transaction. All trouble is a miss, counted by its reason,
and told once in the log.
"""

import asyncio
import errno
import logging
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from elision.accounts.sqlite_file import ForeignFileError, is_damage
from elision.proxy.disk_file import DiskFile, Item
from elision.proxy.store import Kept, StoreUnreachable

T = TypeVar("T")

PATIENCE_S = 0.5
_WRITE_PATIENCE_S = 5.0
_TELL_EVERY_S = 60.0
"""The log has a kind of trouble that comes and goes this often at most; all of it is counted."""

_WAITING_LIMIT_BYTES = 16 * 1024 * 1024
_FAILURES = (sqlite3.Error, OSError, ForeignFileError)
_BY_SQLITE = {
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_CANTOPEN: "cannot_open",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_IOERR: "io",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_READONLY: "read_only",
}
_BY_SYSTEM = {
    errno.EACCES: "read_only",
    errno.EAGAIN: "busy",
    errno.EDQUOT: "full",
    errno.ENOSPC: "full",
    errno.EPERM: "read_only",
    errno.EROFS: "read_only",
}


class DiskStore:
    """Values in one file on a local disk.

    Attributes:
        written: how many values this process has written in the background.

    Args:
        path: of the file.
        limit_bytes: the size at which the oldest values go.
        patience_s: what a request waits for the disk at most.
    """

    level = "disk"

    def __init__(self, path: Path, limit_bytes: int, *, patience_s: float = PATIENCE_S) -> None:
        self._path = path
        self._patience_s = patience_s
        self._counts: Counter[str] = Counter()
        self._troubles = {"read": "", "write": ""}
        self._told = ""
        self._told_at: dict[str, float] = {}
        self._read_from = DiskFile(path, limit_bytes, patience_s)
        self._write_to = DiskFile(path, limit_bytes, _WRITE_PATIENCE_S)
        self._reading = ThreadPoolExecutor(1, "elision-disk-read")
        self._writing = ThreadPoolExecutor(1, "elision-disk-write")
        self.written = 0
        self._reads: deque[tuple[Future[dict[bytes, bytes]], float]] = deque()
        self._lock = threading.Lock()
        self._waiting: list[Item] = []
        self._waiting_bytes = 0

    @property
    def trouble(self) -> str:
        """Why reading or writing failed last; "" while all is well."""
        return self._troubles["read"] or self._troubles["write"]

    @property
    def failures(self) -> Mapping[str, int]:
        """How often it was in trouble, by reason."""
        return dict(self._counts)

    @property
    def held_bytes(self) -> int:
        """What the file held when this process last wrote."""
        return self._write_to.held_bytes

    @property
    def evictions(self) -> int:
        """How many values this process dropped because the file was full."""
        return self._write_to.evictions

    @property
    def waiting_bytes(self) -> int:
        """What waits to be written."""
        return self._waiting_bytes

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key by one SELECT, None for a miss."""
        if not keys:
            return []
        if self._is_overdue():
            self._failed("read", "slow")
            return [None] * len(keys)
        job = self._reading.submit(self._read_from.read, keys)
        self._reads.append((job, time.monotonic()))
        try:
            async with asyncio.timeout(self._patience_s):
                found = await asyncio.wrap_future(job)
        except TimeoutError:
            self._failed("read", "slow")
            return [None] * len(keys)
        except _FAILURES as error:
            self._failed("read", reason_of(error))
            return [None] * len(keys)
        self._succeeded("read")
        return [found.get(key) for key in keys]

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        """Have the values written soon; returns at once."""
        ends = time.time() + ttl_s
        size = sum(len(key) + len(value) for key, value in items.items())
        with self._lock:
            idle, full = not self._waiting, self._waiting_bytes + size > _WAITING_LIMIT_BYTES
            if not full:
                self._waiting += [Item(key, value, ends, only_new) for key, value in items.items()]
                self._waiting_bytes += size
        if full:
            self._failed("write", "overflow")
        elif idle and items:
            self._writing.submit(self._write_waiting, asyncio.get_running_loop())

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        """Keep a value where no process has one; return whether there was none. In trouble: True."""
        job = self._writing.submit(self._write_to.add, Item(key, value, time.time() + ttl_s, True))
        return await self._written(job, otherwise=True)

    async def drop(self, keys: Sequence[bytes]) -> None:
        """Forget the values."""
        await self._written(self._writing.submit(self._write_to.drop, keys), otherwise=None)

    async def close(self) -> None:
        """Write what waits, and let go of the file."""
        for threads, file in ((self._writing, self._write_to), (self._reading, self._read_from)):
            threads.submit(file.close)
            await asyncio.to_thread(threads.shutdown)

    async def kept(self, scope: bytes | None = None) -> list[Kept]:
        """Return what is kept, by scope and kind.

        Raises: StoreUnreachable.
        """
        return await self._inspected(lambda: self._write_to.kept(scope))

    async def clear(self, scope: bytes | None, tell: Callable[[int], None]) -> int:
        """Forget and overwrite what is kept in a scope, or in all; return how many values that were.

        Raises: StoreUnreachable.
        """
        steps = self._write_to.clear(scope)
        total = 0
        while gone := await self._inspected(lambda: next(steps, 0)):
            total += gone
            tell(total)
        return total

    def _is_overdue(self) -> bool:
        """Whether the oldest read that is not done should be."""
        while self._reads and self._reads[0][0].done():
            self._reads.popleft()
        return bool(self._reads) and time.monotonic() - self._reads[0][1] >= self._patience_s

    async def _inspected(self, look: Callable[[], T]) -> T:
        try:
            return await asyncio.wrap_future(self._writing.submit(look))
        except _FAILURES as error:
            raise StoreUnreachable(f"{self._path}: {error}") from error

    async def _written(self, job: Future[T], *, otherwise: T) -> T:
        """Wait a while for a write, which is done even if it is late."""
        try:
            async with asyncio.timeout(self._patience_s):
                done = await asyncio.shield(asyncio.wrap_future(job))
        except TimeoutError:
            self._failed("write", "slow")
            return otherwise
        except _FAILURES as error:
            self._failed("write", reason_of(error))
            return otherwise
        self._succeeded("write")
        return done

    def _write_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write all that waits by now; runs in the writing thread."""
        with self._lock:
            taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        reason = ""
        try:
            self._write_to.write(taken)
            self.written += len(taken)
        except _FAILURES as error:
            reason = reason_of(error)
        with suppress(RuntimeError):  # the loop has ended: nobody asks any more
            loop.call_soon_threadsafe(self._wrote, reason)

    def _wrote(self, reason: str) -> None:
        if reason:
            self._failed("write", reason)
        else:
            self._succeeded("write")

    def _failed(self, doing: str, reason: str) -> None:
        self._counts[reason] += 1
        self._troubles[doing] = reason
        now = time.monotonic()
        if reason != self._told and now - self._told_at.get(reason, -_TELL_EVERY_S) >= _TELL_EVERY_S:
            self._told = reason
            self._told_at[reason] = now
            log = logging.getLogger("elision.cache")
            log.warning("Cannot %s %s (%s); requests go on without it.", doing, self._path, reason)

    def _succeeded(self, doing: str) -> None:
        self._troubles[doing] = ""
        if self._told and not self.trouble:
            self._told = ""
            logging.getLogger("elision.cache").warning("%s works again.", self._path)


def reason_of(error: Exception) -> str:
    """Return one word for why the disk failed."""
    if isinstance(error, sqlite3.Error) and is_damage(error):
        return "damaged"
    if isinstance(error, sqlite3.Error):
        return _BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "error")
    if isinstance(error, OSError):
        return _BY_SYSTEM.get(error.errno or 0, "cannot_open")
    return "foreign"
