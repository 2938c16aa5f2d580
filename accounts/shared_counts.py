"""What each of several workers has counted, in small files of one folder, so that any of them knows all.

Each worker has a file, exchanged whole at most once a second when something changed, before whoever
asks is told anything, and at the end. A worker that takes a dead one's place goes on from its file.
So what was told never goes back, even if a worker is killed; of what was not told yet, a second may
be lost then. Trouble with the files costs figures of the others, never a request.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import msgspec

from elision.accounts.counts import Counts, Labels, Numbers, joined, lasting

EVERY_S = 1.0
_SUFFIX = ".counts"
_Kept = dict[str, list[tuple[tuple[str, ...], tuple[int, ...]]]]


class SharedCounts:
    """One worker's part in what all have counted; an async context, while which it is kept up.

    Args:
        folder: of all workers' files; exists.
        place: of this worker among them, the same for who replaces it.
        own: returns what this process has counted.
    """

    def __init__(self, folder: Path, place: int, own: Callable[[], Counts]) -> None:
        self.failures = 0
        self._folder = folder
        self._path = folder / f"{place}{_SUFFIX}"
        self._own = own
        self._before: Counts = {}
        self._written: Counts | None = None
        self._lock = asyncio.Lock()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._log = logging.getLogger("elision.accounts")

    async def __aenter__(self) -> "SharedCounts":
        before = await asyncio.to_thread(_read, self._path)
        self._before = lasting(before) if before is not None else {}
        await self._write()
        self._task = asyncio.get_running_loop().create_task(self._keep_up())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._task is not None:
            await self._task
        await self._write()

    async def all(self) -> Counts:
        """Return what all workers have counted, those that are gone included."""
        own = await self._write()
        return joined([own, *await asyncio.to_thread(self._others)])

    async def _keep_up(self) -> None:
        while not self._ending.is_set():
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._ending.wait()
            except TimeoutError:
                await self._write()

    async def _write(self) -> Counts:
        """Write what this worker has counted, if it changed; return it."""
        async with self._lock:
            counts = self._own()
            if self._before:
                counts = joined([self._before, counts])
            if counts != self._written:
                try:
                    await asyncio.to_thread(_exchange, self._path, counts)
                except OSError as error:
                    self._fail(f"cannot write {self._path} ({error.strerror or error})")
                else:
                    self._written = counts
            return counts

    def _others(self) -> list[Counts]:
        """Return what the other workers' files say."""
        found = []
        try:
            paths = sorted(self._folder.glob(f"*{_SUFFIX}"))
        except OSError as error:
            self._fail(f"cannot read {self._folder} ({error.strerror or error})")
            return []
        for path in paths:
            if path == self._path:
                continue
            counts = _read(path)
            if counts is None:
                self._fail(f"cannot read {path}")
            else:
                found.append(counts)
        return found

    def _fail(self, why: str) -> None:
        self.failures += 1
        if self.failures == 1:
            self._log.warning("Figures are not shared among workers as they should be: %s", why)


def _exchange(path: Path, counts: Mapping[str, Mapping[Labels, Numbers]]) -> None:
    kept = {name: list(rows.items()) for name, rows in counts.items()}
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(kept))
    new.replace(path)


def _read(path: Path) -> Counts | None:
    """Return what a file says; None if there is none, or it is not one of these."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return None
    return {name: dict(rows) for name, rows in kept.items()}
