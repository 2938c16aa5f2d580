"""Several HTTP workers on one port: processes that share one compressor process.

The parent holds the port, keeps the compressor process and replaces workers that die; the kernel
spreads connections over them (SO_REUSEPORT). Each worker has its own memory cache.
"""

import asyncio
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket as sockets
import tempfile
import threading
from contextlib import suppress
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from pathlib import Path

from elision.accounts.request_log import of_worker
from elision.config.settings import Settings
from elision.proxy import app, logs
from elision.proxy.assembly import Background, CompressorHost, watch_over
from elision.proxy.bookkeeping import with_shared_figures
from elision.proxy.metrics import Post
from elision.proxy.nursery import Nursery
from elision.proxy.policy_source import PolicySet
from elision.proxy.reload import LivePolicies
from elision.proxy.stores import with_shared_file

SOCKET = "compressor.sock"

_LOOK_EVERY_S = 0.1
_LAST_WORDS_S = 5.0
"""What a worker may take to end when nothing is left to wait for."""


async def supervise(settings: Settings, policies: PolicySet | None, nursery: Nursery | None) -> int:
    """Run `settings.workers` HTTP workers until SIGTERM or SIGINT; return the exit code.

    Args:
        settings: everything that is set.
        policies: the teams' policies, None to pass everything through.
        nursery: where the compressor process is born; None to start it plainly.
    """
    stop, at_once = app.signals_to_stop()
    try:
        holder = _hold_port(settings.host, settings.port)
    except OSError as error:
        return app.cannot_listen(settings, error)
    with holder, tempfile.TemporaryDirectory(prefix="elision-") as folder:
        settings = with_shared_file(replace(settings, port=holder.getsockname()[1]), Path(folder))
        settings = with_shared_figures(settings, Path(folder))
        path = str(Path(folder) / SOCKET)
        async with Background() as tasks:
            live = None if policies is None else LivePolicies(policies)
            crew = Crew(settings, Path(folder), live)
            if live is None:
                app.on_hangup(crew.hang_up)
            else:
                host = CompressorHost(settings, path, tasks, nursery)
                host.follow(live.current)
                watch = watch_over(settings, live, host.follow)
                tasks.start(watch.run())
                app.on_hangup(crew.hang_up, watch.reload_soon)
            try:
                await crew.keep_until(stop)
            finally:
                await crew.dismiss(at_once)
    return 0


class Crew:
    """The worker processes.

    Args:
        settings: theirs; `port` is the one that the parent holds.
        folder: of the compressor process's socket, and of what workers have counted.
        policies: the last good ones, which a new worker begins with; None: there are none.
    """

    def __init__(self, settings: Settings, folder: Path, policies: LivePolicies | None) -> None:
        self._settings = settings
        self._folder = folder
        self._policies = policies
        self._context = multiprocessing.get_context("spawn")
        self._processes: list[SpawnProcess] = []
        self._log = logging.getLogger("elision.workers")

    async def keep_until(self, stop: asyncio.Event) -> None:
        """Start the workers and replace those that end, until told to stop."""
        self._processes = [self._started(place) for place in range(self._settings.workers)]
        pause_s = _LOOK_EVERY_S
        while not stop.is_set():
            for index, process in enumerate(self._processes):
                if process.exitcode is not None:
                    self._log.error("A worker ended (code %s); starting another.", process.exitcode)
                    pause_s = min(pause_s * 2, 5.0)
                    await asyncio.sleep(pause_s)
                    self._processes[index] = self._started(index)
            try:
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                pause_s = max(pause_s * 0.99, _LOOK_EVERY_S)

    async def dismiss(self, at_once: asyncio.Event) -> None:
        """Ask every worker to drain and end, once more if it is to be at once; end those that do not."""
        self._terminate()
        await self._ended(self._settings.timeouts.drain_s + _LAST_WORDS_S, at_once)
        if at_once.is_set():
            self._terminate()
            await self._ended(_LAST_WORDS_S, asyncio.Event())
        for process in self._processes:
            process.kill()
            process.join()

    def hang_up(self) -> None:
        """Have every worker read its policies again."""
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGHUP)

    def _terminate(self) -> None:
        for process in self._processes:
            process.terminate()

    async def _ended(self, limit_s: float, at_once: asyncio.Event) -> None:
        """Wait until all workers have ended, or the time is up, or it is to be at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while any(process.is_alive() for process in self._processes) and not at_once.is_set():
                    await asyncio.sleep(0.05)

    def _started(self, place: int) -> SpawnProcess:
        policies = self._policies.current if self._policies is not None else None
        socket, post = str(self._folder / SOCKET), Post(self._folder, place)
        settings = replace(self._settings, request_log=of_worker(self._settings.request_log, place))
        process = self._context.Process(target=work, args=(settings, socket, policies, post))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # it would end who just starts
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return process


def work(settings: Settings, socket: str, policies: PolicySet | None, post: Post) -> None:
    """Be one worker process; ends when told, or when the parent does.

    Args:
        settings: everything that is set.
        socket: of the compressor process.
        policies: the last good ones; the files may be wrong when a worker is replaced.
        post: of this worker, the same for who replaces it.
    """
    app.ignore_hangup()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    logs.configure(settings.log.format, settings.log.level)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    raise SystemExit(app.run(app.serve_here(settings, policies, socket, post)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _hold_port(host: str, port: int) -> sockets.socket:
    """Return a bound socket that does not listen: it reserves the port, and tells a taken one."""
    family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
    holder = sockets.socket(family, sockets.SOCK_STREAM)
    try:
        holder.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEPORT, 1)
        holder.bind((host, port))
    except OSError:
        holder.close()
        raise
    return holder
