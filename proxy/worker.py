"""The compressor process seen from the proxy: its keeper and its client.

`CompressorKeeper` starts the process, pings it, kills it when it does not answer, starts another
when it ends. `CompressorClient` sends it jobs and gives up at the deadline. Neither ever makes a
request wait longer than it asked to: what cannot be had is a `CompressorUnavailableError` with a
reason that is counted.
"""

import asyncio
import itertools
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from elision.compressors.base import Identity, Job, Method, Result
from elision.proxy.nursery import Nursery, NurseryLostError, Nursling
from elision.proxy.patience import Patience
from elision.proxy.wire import (
    Answer,
    Cancel,
    Codec,
    Compress,
    Compressed,
    Failed,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Prolong,
    Question,
    Refusal,
)
from elision.proxy.worker_process import PATIENT_THREADS, WorkerOptions

COMMAND = (sys.executable, "-m", "elision.proxy.worker_process")
_GONE = (asyncio.IncompleteReadError, ConnectionError, OSError)


class CompressorUnavailableError(Exception):
    """No outcome can be had now; `reason` is the value of a `Refusal`, for headers and counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CompressorClient:
    """One HTTP worker's connection to the compressor process.

    `run` keeps it; until it has connected and the methods are prepared, every call is refused with
    a reason at once.

    Args:
        socket: path of the process's Unix socket.
        methods: to prepare after each connect; `want` names others.
    """

    def __init__(self, socket: str, methods: Sequence[Method]) -> None:
        self._socket = socket
        self._methods = tuple(methods)
        self._identities: dict[Method, Identity] = {}
        self._errors: dict[Method, str] = {}
        self._pending: dict[int, asyncio.Future[Answer]] = {}
        self._ids = itertools.count(1)
        self._codec = Codec()
        self._wanted = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._crashed = False
        self._log = logging.getLogger("elision.worker")

    @property
    def ready(self) -> bool:
        """Whether every method has been tried; those that failed are in `errors`."""
        return all(method in self._identities or method in self._errors for method in self._methods)

    @property
    def errors(self) -> dict[str, str]:
        """Why methods cannot be used, by method name."""
        return {method.name: self._errors[method] for method in self._methods if method in self._errors}

    def want(self, methods: Sequence[Method]) -> None:
        """Prepare these from now on, and those that could not be prepared once more."""
        self._methods = tuple(methods)
        self._errors.clear()
        self._wanted.set()

    def identity(self, method: Method) -> Identity:
        """Return what a prepared method's outcomes and scores depend on.

        Raises:
            CompressorUnavailableError: the process is starting, ended, or cannot load the method.
        """
        if method in self._identities:
            return self._identities[method]
        if method in self._errors:
            raise CompressorUnavailableError(Refusal.METHOD_UNAVAILABLE)
        raise CompressorUnavailableError(
            Refusal.COMPRESSOR_CRASHED if self._crashed else Refusal.COMPRESSOR_STARTING
        )

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        """Return what becomes of a text.

        Args:
            job: the text.
            patience: until when somebody waits; it may be prolonged meanwhile.
            beside: tokens of other texts that are asked for at the same time, as `size_of` estimates.
            scores: of the text, packed as they came back once; b"" for none.
            whose: who may share the work, and the time that it takes, with others of the same.

        Raises:
            CompressorUnavailableError: with the reason, at the latest when patience is over.
        """
        if patience.left_s <= 0:
            raise CompressorUnavailableError(Refusal.DEADLINE)
        question = Compress(next(self._ids), job, patience.left_s, beside, scores, whose)
        try:
            async with asyncio.timeout(patience.left_s) as limit:
                with patience.heard_by(lambda: self._prolong(question.id, patience, limit)):
                    answer = await self._ask(question)
        except TimeoutError as error:
            raise CompressorUnavailableError(Refusal.DEADLINE) from error
        if isinstance(answer, Compressed):
            return Result(answer.outcome, answer.scores)
        raise CompressorUnavailableError(
            answer.reason if isinstance(answer, Failed) else Refusal.COMPRESSOR_ERROR
        )

    async def run(self) -> None:
        """Connect, prepare, listen; again after the process was replaced. Ends when cancelled."""
        while True:
            with suppress(*_GONE):
                await self._connected()
            self._crashed = self._crashed or bool(self._identities)
            self._identities.clear()
            self._errors.clear()
            self._writer = None
            for future in self._pending.values():
                if not future.done():
                    future.set_result(Failed(0, Refusal.COMPRESSOR_CRASHED, ""))
            await asyncio.sleep(0.05)

    async def _connected(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(self._socket)
        try:
            async with asyncio.TaskGroup() as tasks:
                preparing = tasks.create_task(self._prepare())
                try:
                    await self._listen(reader)
                finally:
                    preparing.cancel()
        except* (*_GONE, CompressorUnavailableError):
            pass  # the process went away; `run` says so to those who wait
        finally:
            self._writer.close()

    async def _prepare(self) -> None:
        """Prepare what is wanted, now and whenever something else is."""
        while True:
            self._wanted.clear()
            if missing := tuple(method for method in self._methods if method not in self._identities):
                await self._prepared(missing)
            await self._wanted.wait()

    async def _prepared(self, methods: tuple[Method, ...]) -> None:
        answer = await self._ask(Prepare(next(self._ids), methods))
        if not isinstance(answer, Prepared):
            return
        for method, identity, error in zip(methods, answer.identities, answer.errors, strict=True):
            if identity is not None:
                self._identities[method] = identity
            else:
                self._errors[method] = error
                self._log.error("Method %s cannot be used: %s", method.name, error)
        self._crashed = False

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            answer = await self._codec.read_answer(reader)
            future = self._pending.get(answer.id)
            if future is not None and not future.done():
                future.set_result(answer)

    def _prolong(self, number: int, patience: Patience, limit: asyncio.Timeout) -> None:
        """Wait longer for an answer, and have the process do so; not where it is being given up."""
        if limit.expired():
            return
        limit.reschedule(asyncio.get_running_loop().time() + patience.left_s)
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(self._codec.frame(Prolong(number, patience.left_s)))

    async def _ask(self, question: Question) -> Answer:
        writer = self._writer
        if writer is None or writer.is_closing():
            raise CompressorUnavailableError(Refusal.COMPRESSOR_CRASHED)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[question.id] = future
        try:
            writer.write(self._codec.frame(question))
            return await future
        finally:
            del self._pending[question.id]
            if (not future.done() or future.cancelled()) and not writer.is_closing():
                writer.write(self._codec.frame(Cancel(question.id)))


class CompressorKeeper:
    """Keeps one compressor process alive.

    Args:
        options: for the process; its `socket` is where it listens.
        command: of the process, without the options, where there is no nursery, or none any more.
        nursery: where it is to be born.
        ping_every_s: seconds between pings.
        ping_timeout_s: seconds without an answer after which the process is killed.
    """

    def __init__(
        self,
        options: WorkerOptions,
        *,
        command: Sequence[str] = COMMAND,
        nursery: Nursery | None = None,
        ping_every_s: float = 2.0,
        ping_timeout_s: float = 15.0,
    ) -> None:
        self._options = options
        self._command = command
        self._nursery = nursery
        self._ping_every_s = ping_every_s
        self._ping_timeout_s = ping_timeout_s
        self._process: asyncio.subprocess.Process | Nursling | None = None
        self._log = logging.getLogger("elision.worker")
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Process id of the current process, None while there is none."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self) -> None:
        """Start the process, and another whenever one ends; on cancellation end it too."""
        pause_s = 0.1
        while True:
            started = asyncio.get_running_loop().time()
            await self._live()
            lived_s = asyncio.get_running_loop().time() - started
            pause_s = 0.1 if lived_s > 30 else min(pause_s * 2, 10.0)
            if self._process is not None:
                code = self._process.returncode
                self._log.error("The compressor process ended (code %s); starting another.", code)
            await asyncio.sleep(pause_s)

    async def _live(self) -> None:
        self.starts += 1
        self._process = None
        try:
            self._process = await self._started(msgspec.json.encode(self._options).decode())
        except OSError as error:  # no memory, no more processes: the same that may have ended the last one
            self._log.error("The compressor process cannot be started: %s", error.strerror)
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch())
                await self._process.wait()
                watching.cancel()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    async def _started(self, argument: str) -> asyncio.subprocess.Process | Nursling:
        if self._nursery is not None:
            try:
                return await self._nursery.bear(argument)
            except NurseryLostError as error:
                self._log.error("The nursery %s; compressor processes are started without it.", error)
                self._nursery.close()
                self._nursery = None
        return await asyncio.create_subprocess_exec(
            *self._command, argument, stdin=asyncio.subprocess.PIPE, env=PATIENT_THREADS | os.environ
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._ping_every_s)
            with suppress(*_GONE):
                await self._ping_until_silent()

    async def _ping_until_silent(self) -> None:
        codec = Codec()
        reader, writer = await asyncio.open_unix_connection(self._options.socket)
        try:
            for number in itertools.count(1):
                writer.write(codec.frame(Ping(number)))
                async with asyncio.timeout(self._ping_timeout_s):
                    answer = await codec.read_answer(reader)
                if not isinstance(answer, Pong):
                    return
                await asyncio.sleep(self._ping_every_s)
        except TimeoutError:
            self._log.error("The compressor process does not answer; killing it.")
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
        finally:
            writer.close()
