"""The compressor process: an engine behind a Unix socket, one thread that computes.

`python -m elision.proxy.worker_process '{"socket": ..., ...}'`. A process rather than a thread: it
can be killed when it hangs, a crash of native code does not take the proxy along, and its work
never holds the proxy's interpreter lock. It serves every HTTP worker of one machine, so that their
jobs share batches and weights. It ends when its parent does (end of standard input), and ends
itself when one batch runs longer than `stuck_after_s`: its keeper starts another.
"""

import asyncio
import itertools
import logging
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from elision.compressors.base import Job, Method, Outcome
from elision.compressors.errors import CompressionError
from elision.proxy import logs
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
    Question,
)

EXIT_STUCK = 70
_MAX_BATCH_JOBS = 256


class WorkerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the keeper tells its compressor process on the command line."""

    socket: str
    threads: int = 0
    cache_dir: str | None = None
    tokenizers: dict[str, str] = {}
    queue_limit: int = 256
    stuck_after_s: float = 60.0
    start_timeout_s: float = 180.0
    log_format: str = "console"
    log_level: str = "info"


class JobRunner(Protocol):
    """What the process needs of `elision.compressors.engine.Engine`."""

    def prepare(self, method: Method) -> str:
        """Load a method's weights; return its fingerprint."""
        ...

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Return one outcome for each job."""
        ...


@dataclass(eq=False, slots=True)
class Work:
    """A question, how to answer it, and until when that is wanted (monotonic seconds)."""

    question: Prepare | Compress
    reply: Callable[[Answer], None]
    expires: float
    cancelled: bool = False


@dataclass(slots=True)
class WorkQueue:
    """Work between the socket's loop and the computing thread; safe for both."""

    limit: int
    _works: deque[Work] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, work: Work) -> bool:
        """Add work; False if the queue is full."""
        with self._changed:
            if len(self._works) >= self.limit and isinstance(work.question, Compress):
                return False
            self._works.append(work)
            self._changed.notify()
            return True

    def take(self) -> list[Work]:
        """Wait for work; return one preparation, or a batch of compressions."""
        with self._changed:
            while not self._works:
                self._changed.wait()
            batch = [self._works.popleft()]
            jobs = len(batch[0].question.jobs) if isinstance(batch[0].question, Compress) else _MAX_BATCH_JOBS
            while self._works and isinstance(following := self._works[0].question, Compress):
                jobs += len(following.jobs)
                if jobs > _MAX_BATCH_JOBS:
                    break
                batch.append(self._works.popleft())
            return batch


class _Connection:
    """The answering side of one connection; lives on the socket's loop."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.codec = Codec()
        self.waiting: dict[int, Work] = {}
        self._loop = asyncio.get_running_loop()
        self._writer = writer

    def send(self, answer: Answer) -> None:
        """Answer, if anyone is still there."""
        self.waiting.pop(answer.id, None)
        if not self._writer.is_closing():
            self._writer.write(self.codec.frame(answer))

    def reply(self, answer: Answer) -> None:
        """Answer from another thread."""
        self._loop.call_soon_threadsafe(self.send, answer)

    def cancel(self, number: int) -> None:
        """Drop one question's work if it has not begun."""
        work = self.waiting.pop(number, None)
        if work is not None:
            work.cancelled = True

    def close(self) -> None:
        """Drop all work that this connection waits for."""
        for number in tuple(self.waiting):
            self.cancel(number)
        self._writer.close()


class Service:
    """Carries questions from connections to the engine, and answers back.

    Args:
        engine: does the work, in the thread that calls `compute_forever`.
        options: limits and patience.
    """

    def __init__(self, engine: JobRunner, options: WorkerOptions) -> None:
        self._engine = engine
        self._options = options
        self._queue = WorkQueue(options.queue_limit)
        self._busy_since: float | None = None
        self._patience_s = options.stuck_after_s
        self._log = logging.getLogger("elision.compressor")

    def compute_forever(self) -> None:
        """Take work and do it; never returns."""
        while True:
            self.do(self._queue.take())

    @property
    def stuck(self) -> bool:
        """Whether the current batch has run longer than anyone should wait."""
        since = self._busy_since
        return since is not None and time.monotonic() - since > self._patience_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it closes; what it still waits for is dropped."""
        connection = _Connection(writer)
        try:
            while True:
                self._accept(await connection.codec.read_question(reader), connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            connection.close()

    def _accept(self, question: Question, connection: "_Connection") -> None:
        if isinstance(question, Ping):
            connection.send(Pong(question.id))
        elif isinstance(question, Cancel):
            connection.cancel(question.id)
        else:
            patience_s = question.deadline_s if isinstance(question, Compress) else math.inf
            work = Work(question, connection.reply, time.monotonic() + patience_s)
            connection.waiting[question.id] = work
            if not self._queue.put(work):
                connection.send(Failed(question.id, "queue_full", ""))

    def do(self, batch: list[Work]) -> None:
        """Do one preparation, or one batch of compressions, and answer."""
        preparing = isinstance(batch[0].question, Prepare)
        self._patience_s = self._options.start_timeout_s if preparing else self._options.stuck_after_s
        self._busy_since = time.monotonic()
        try:
            self._do(batch)
        finally:
            self._busy_since = None

    def _do(self, batch: list[Work]) -> None:
        first = batch[0]
        if isinstance(first.question, Prepare):
            first.reply(self._prepared(first.question))
            return
        now = time.monotonic()
        late = [work for work in batch if not work.cancelled and work.expires <= now]
        for work in late:
            work.reply(Failed(work.question.id, "deadline", "expired in the queue"))
        live = [work for work in batch if not work.cancelled and work.expires > now]
        if live and not self._answer_together(live) and len(live) > 1:
            for work in live:
                self._answer_together([work])

    def _answer_together(self, works: list[Work]) -> bool:
        """Run the jobs of several requests in one batch; of one request, answer a failure too."""
        questions = [work.question for work in works if isinstance(work.question, Compress)]
        jobs = [job for question in questions for job in question.jobs]
        try:
            outcomes = iter(self._engine.run(jobs))
        except Exception as error:  # noqa: BLE001  a method may raise anything; the process goes on
            if len(works) == 1:
                self._log.error("A batch failed: %s", _told(error))
                works[0].reply(Failed(works[0].question.id, "compressor_error", _told(error)))
            return False
        for work, question in zip(works, questions, strict=True):
            work.reply(Compressed(question.id, tuple(itertools.islice(outcomes, len(question.jobs)))))
        return True

    def _prepared(self, question: Prepare) -> Prepared:
        fingerprints: list[str] = []
        errors: list[str] = []
        for method in question.methods:
            try:
                fingerprints.append(self._engine.prepare(method))
                errors.append("")
            except Exception as error:  # noqa: BLE001  one method's failure must not hide the others
                self._log.error("Method %s cannot be used: %s", method.name, _told(error))
                fingerprints.append("")
                errors.append(_told(error))
        return Prepared(question.id, tuple(fingerprints), tuple(errors))


def _told(error: Exception) -> str:
    """Return what may be told of an error: our own messages, or its type; a text could be in the rest."""
    return str(error) if isinstance(error, CompressionError) else type(error).__name__


async def run_service(service: Service, socket: str) -> None:
    """Listen on a Unix socket until the process is told to end, or finds itself stuck."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    Path(socket).unlink(missing_ok=True)
    server = await asyncio.start_unix_server(service.serve, socket)
    Path(socket).chmod(0o600)
    threading.Thread(target=service.compute_forever, name="compute", daemon=True).start()
    while not ended.is_set():
        try:
            async with asyncio.timeout(1.0):
                await ended.wait()
        except TimeoutError:
            if service.stuck:
                logging.getLogger("elision.compressor").error("A batch is stuck; ending the process.")
                os._exit(EXIT_STUCK)
    server.close()


def _end_with_parent() -> None:
    """Block until standard input ends, which it does when the parent dies."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def serve_process(make_engine: Callable[[WorkerOptions], JobRunner]) -> None:
    """Be a compressor process with the options given as one JSON argument.

    Args:
        make_engine: called once, before the socket opens.
    """
    options = msgspec.json.decode(sys.argv[1], type=WorkerOptions)
    logs.configure(options.log_format, options.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    asyncio.run(run_service(Service(make_engine(options), options), options.socket))
    logging.shutdown()
    os._exit(0)  # the computing thread may be inside native code that does not end


def _engine(options: WorkerOptions) -> JobRunner:
    from elision.compressors.engine import Engine
    from elision.compressors.tokens import Counters

    cache_dir = Path(options.cache_dir) if options.cache_dir else None
    return Engine(Counters(options.tokenizers, cache_dir), cache_dir=cache_dir, threads=options.threads)


if __name__ == "__main__":
    serve_process(_engine)
