"""The compressor process: an engine behind a Unix socket, one thread that computes, one that loads.

`python -m elision.proxy.worker_process '{"socket": ..., ...}'`, or forked in a nursery
(`elision.proxy.nursery`), where it finds its token counters in memory. A process rather than a thread: it
can be killed when it hangs, a crash of native code does not take the proxy along, and its work
never holds the proxy's interpreter lock. It serves every HTTP worker of one machine, so that their
jobs share batches and weights. It ends when its parent does (end of standard input), and ends
itself when a batch shows no progress for `stuck_after_s`: its keeper starts another.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn, Protocol

import msgspec

from elision.compressors.base import Identity, Job, Method, Result, TokenCounter
from elision.compressors.breaks import Abandoned, breaks
from elision.compressors.errors import CompressionError, OutOfMemory
from elision.compressors.memory import one_heap, trim
from elision.compressors.tokens import Counters, load_default
from elision.proxy import logs
from elision.proxy.errors import where
from elision.proxy.nursery import Nursery, begin, may_begin
from elision.proxy.wire import (
    Answer,
    Cancel,
    Codec,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Prolong,
    Question,
    Refusal,
)
from elision.proxy.work_queue import Batch, Limits, Order, Preparation, WorkQueue

EXIT_STUCK = 70
EXIT_BROKEN = 71
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Torch's threads sleep rather than spin for one another: on two busy cores scoring took 0.6 of the time
(median of six paired rounds), on idle ones no more than before. The operator's own value goes first."""


class WorkerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the keeper tells its compressor process on the command line."""

    socket: str
    threads: int = 0
    cache_dir: str | None = None
    tokenizers: dict[str, str] = {}
    queue_limit: int = 1024
    queue_tokens: int = 4_000_000
    stuck_after_s: float = 60.0
    start_timeout_s: float = 180.0
    log_format: str = "console"
    log_level: str = "info"


class JobRunner(Protocol):
    """What the process needs of `elision.compressors.engine.Engine`."""

    def load(self, method: Method) -> None:
        """Load a method's weights while another thread runs jobs."""
        ...

    def prepare(self, method: Method) -> Identity:
        """Run a method's weights once, loading them if need be; return its identity."""
        ...

    def run_known(self, jobs: Sequence[Job], known: Sequence[bytes]) -> list[Result]:
        """Return one result for each job; `known` are packed scores of each, b"" for none."""
        ...


class Watch:
    """Knows whether what runs in its block has shown no progress for too long.

    Args:
        patience_s: how long that is.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._since = None

    def progress(self) -> None:
        """Begin to wait anew."""
        self._since = time.monotonic()

    @property
    def on(self) -> bool:
        """Whether anything runs in its block."""
        return self._since is not None

    @property
    def over(self) -> bool:
        """Whether patience is over; never while nothing runs."""
        since = self._since
        return since is not None and time.monotonic() - since > self._patience_s


class _Connection:
    """The answering side of one connection; lives on the socket's loop."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.codec = Codec()
        self.waiting: dict[int, Order] = {}
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

    def close(self) -> None:
        """Send nothing any more."""
        self._writer.close()


class Service:
    """Carries questions from connections to the engine, and answers back.

    Two threads work: one loads weights (`load_forever`), so that a new method does not keep running
    ones waiting; the other runs models (`compute_forever`), and no other does, so that the engine
    needs no locks. Of a new method only one short text, which wakes its weights, runs there before
    requests do.

    Args:
        engine: does the work.
        options: limits and patience.
        give_back: called to return freed memory to the system.
    """

    def __init__(
        self, engine: JobRunner, options: WorkerOptions, give_back: Callable[[], object] = trim
    ) -> None:
        self._engine = engine
        self._options = options
        self._queue = WorkQueue(Limits(options.queue_limit, options.queue_tokens))
        self._to_load: SimpleQueue[Preparation] = SimpleQueue()
        self._computing = Watch(options.stuck_after_s)
        self._loading = Watch(options.start_timeout_s)
        self._waking = Watch(options.start_timeout_s)
        self._depth = 0
        self._aside_s = 0.0
        self._has_worked = False
        self._give_back = give_back
        self._log = logging.getLogger("elision.compressor")

    def compute_forever(self) -> None:
        """Take work and do it; never returns."""
        while True:
            self.do(self.next_work())

    def load_forever(self) -> None:
        """Load the weights of what is to be prepared; never returns."""
        while True:
            self.load(self._to_load.get())

    def next_work(self) -> Batch | Preparation:
        """Wait for what is to be done next."""
        return self._queue.take()

    def submit(self, order: Order) -> None:
        """Queue an order, or answer at once why it is refused."""
        if (refusal := self._queue.put(order)) is not None:
            order.fail(refusal)

    @property
    def stuck(self) -> bool:
        """Whether a batch shows no progress, or weights are loading, for longer than anyone should wait."""
        return self._computing.over or self._loading.over or self._waking.over

    def rest(self) -> None:
        """Give back what the work since the last rest has taken and freed; not while anything runs."""
        if self._has_worked and not self._computing.on:
            self._has_worked = False
            self._give_back()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it closes; what it still waits for is dropped."""
        connection = _Connection(writer)
        try:
            while True:
                self._accept(await connection.codec.read_question(reader), connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            for order in connection.waiting.values():
                self._queue.drop(order)
            connection.close()

    def _accept(self, question: Question, connection: "_Connection") -> None:
        if isinstance(question, Ping):
            connection.send(Pong(question.id))
        elif isinstance(question, Cancel):
            if (order := connection.waiting.pop(question.id, None)) is not None:
                self._queue.drop(order)
        elif isinstance(question, Prolong):
            if (order := connection.waiting.get(question.id)) is not None:
                self._queue.prolong(order, time.monotonic() + question.deadline_s)
        elif isinstance(question, Prepare):
            self._to_load.put(Preparation(question, connection.reply))
        else:
            now = time.monotonic()
            order = Order(question, connection.reply, now, now + question.deadline_s)
            connection.waiting[question.id] = order
            self.submit(order)

    def load(self, preparation: Preparation) -> None:
        """Load weights, then have those that are there woken between batches."""
        with self._loading:
            failed = _failures(self._engine.load, preparation.question.methods)
        self._queue.prepare(replace(preparation, failed=failed))

    def do(self, work: Batch | Preparation) -> None:
        """Do one preparation or one batch, and answer."""
        if isinstance(work, Preparation):
            with self._waking:
                work.reply(self._prepared(work))
        else:
            with self._computing:
                self._has_worked = True
                self._timed(work)

    def _timed(self, batch: Batch) -> None:
        """Run a batch, and note what it took without what was done in its breaks."""
        before_s, self._aside_s = self._aside_s, 0.0
        started = time.monotonic()
        whole = False
        try:
            whole = self._run(batch)
        finally:
            took_s = time.monotonic() - started
            self._queue.ran(batch, took_s - self._aside_s, whole=whole)
            self._aside_s = before_s + took_s

    def _run(self, batch: Batch) -> bool:
        """Run and answer a batch; where it fails, its orders one by one. Whether all went well."""
        try:
            with breaks(lambda: self._between(batch)):
                results = self._engine.run_known(batch.jobs, batch.scores)
        except Abandoned:
            for order in batch.orders:
                self._queue.expire(order)
            return False
        except Exception as error:  # noqa: BLE001  a method may raise anything; the process goes on
            self._failed(batch, error)
            return False
        for order, result in zip(batch.orders, results, strict=True):
            self._queue.done(order, result)
        return True

    def _failed(self, batch: Batch, error: Exception) -> None:
        """Give each order a batch of its own, so that it fails for no other's text; then answer."""
        if len(batch.orders) > 1:
            for order in batch.orders:
                part = replace(batch, orders=(order,))
                if part.wanted(time.monotonic()):
                    self._run(part)
                else:
                    self._queue.expire(order)
            return
        self._log.error("A batch failed: %s", _told(error))
        is_memory = isinstance(error, OutOfMemory)
        reason = Refusal.OUT_OF_MEMORY if is_memory else Refusal.COMPRESSOR_ERROR
        self._queue.fail(batch.orders[0], reason, _told(error))

    def _between(self, batch: Batch) -> None:
        """In a break of a batch: note progress, do what is shorter and more urgent, or give up."""
        self._computing.progress()
        if not batch.wanted(time.monotonic()):
            raise Abandoned
        if self._depth:
            return
        self._depth = 1
        try:
            while (urgent := self._queue.take_before(batch.urgency)) is not None:
                self._timed(urgent)
        finally:
            self._depth = 0

    def _prepared(self, preparation: Preparation) -> Prepared:
        """Wake what was loaded, and say of each method its identity or why it has none."""
        methods = preparation.question.methods
        identities: dict[Method, Identity] = {}

        def wake(method: Method) -> None:
            identities[method] = self._engine.prepare(method)

        loaded = [method for method in methods if method not in preparation.failed]
        failed = preparation.failed | _failures(wake, loaded)
        for method, told in failed.items():
            self._log.error("Method %s cannot be used: %s", method.name, told)
        return Prepared(
            preparation.question.id,
            tuple(identities.get(method) for method in methods),
            tuple(failed.get(method, "") for method in methods),
        )


def _failures(do: Callable[[Method], None], methods: Sequence[Method]) -> dict[Method, str]:
    """Do something with each method; return what may be told of those where it failed."""
    failed: dict[Method, str] = {}
    for method in methods:
        try:
            do(method)
        except Exception as error:  # noqa: BLE001  one method's failure must not hide the others
            failed[method] = _told(error)
    return failed


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
    for work in (service.compute_forever, service.load_forever):
        threading.Thread(target=_work, args=(work,), name=work.__name__, daemon=True).start()
    while not ended.is_set():
        try:
            async with asyncio.timeout(1.0):
                await ended.wait()
        except TimeoutError:
            if service.stuck:
                logging.getLogger("elision.compressor").error("The compressor is stuck; ending the process.")
                os._exit(EXIT_STUCK)
            service.rest()
    server.close()


def _work(forever: Callable[[], None]) -> None:
    """Work, and end the process with the work: a process that answers pings alone would not be replaced."""
    try:
        forever()
    except BaseException as error:  # noqa: BLE001  a defect of ours; `_run` answers what methods raise
        logging.getLogger("elision.compressor").error(
            "A thread ended (%s); ending the process.", where(error)
        )
    os._exit(EXIT_BROKEN)


def _end_with_parent() -> None:
    """Block until standard input ends, which it does when the parent dies."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def serve_process(argument: str, make_engine: Callable[[WorkerOptions], JobRunner]) -> NoReturn:
    """Be a compressor process.

    Args:
        argument: `WorkerOptions` in JSON.
        make_engine: called once, before the socket opens.
    """
    one_heap()
    options = msgspec.json.decode(argument, type=WorkerOptions)
    logs.configure(options.log_format, options.log_level)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    asyncio.run(run_service(Service(make_engine(options), options), options.socket))
    logging.shutdown()
    os._exit(0)  # the computing thread may be inside native code that does not end


def begin_nursery() -> Nursery | None:
    """Load what proxy and compressor both need, and fork a nursery for compressor processes.

    Returns: None where forking is no way to share memory, or not safe; then nothing was loaded.
    """
    if not may_begin():
        return None
    one_heap()
    counters = load_default()

    def be(argument: str) -> None:
        # Read by libraries when they are loaded, which is later than this.
        os.environ.update(PATIENT_THREADS | os.environ)
        serve_process(argument, lambda options: _engine(options, counters))

    return begin(be, counters)


def _engine(options: WorkerOptions, loaded: Mapping[str, TokenCounter] | None = None) -> JobRunner:
    from elision.compressors.engine import Engine

    cache_dir = Path(options.cache_dir) if options.cache_dir else None
    counters = Counters(options.tokenizers, cache_dir, loaded)
    return Engine(counters, cache_dir=cache_dir, threads=options.threads)


if __name__ == "__main__":
    serve_process(sys.argv[1], _engine)
