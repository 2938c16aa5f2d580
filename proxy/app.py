"""The composition of the product: the only place that chooses concrete classes.

`serve` runs the proxy until it is told to stop. One HTTP worker runs here; several are processes of
their own (`elision.proxy.workers`), which share one compressor process and one port.
"""

import asyncio
import gc
import logging
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from elision.compressors.base import Method
from elision.compressors.errors import CompressionError
from elision.compressors.registry import method_names
from elision.config.settings import Settings
from elision.config.upstreams import UpstreamEntry
from elision.proxy import logs
from elision.proxy.admin import Admin, Readiness
from elision.proxy.cache import CacheBackend, MemoryCache
from elision.proxy.handler import Deps, Handler
from elision.proxy.policy_source import PolicySet, load_policies
from elision.proxy.records import LogSink
from elision.proxy.rewriter import PassThrough, Rewriter
from elision.proxy.routing import Route, Upstreams
from elision.proxy.server import BoundedServer, ClientLimits
from elision.proxy.upstream import HttpUpstream, UpstreamLimits
from elision.proxy.worker import CompressorClient, CompressorKeeper
from elision.proxy.worker_process import WorkerOptions

if TYPE_CHECKING:
    from elision.compressors.tokens import Counters

EXIT_CANNOT_START = 3
_MIB = 1024 * 1024


def serve(settings: Settings) -> int:
    """Run the proxy until SIGTERM or SIGINT; return the process's exit code.

    Args:
        settings: everything that is set, `with_upstreams`.

    Raises:
        ConfigError: a policy file is wrong.
    """
    logs.configure(settings.log.format, settings.log.level)
    policies = policies_of(settings)
    if settings.workers > 1:
        from elision.proxy.workers import supervise

        return run(supervise(settings, policies))
    return run(serve_here(settings, policies, socket=None))


def policies_of(settings: Settings) -> PolicySet | None:
    """Return the policies that the settings name, None where they name none."""
    return load_policies(settings.policies, method_names()) if settings.policies else None


def run(main: Awaitable[int]) -> int:
    """Run a coroutine on uvloop where there is one."""

    async def awaited() -> int:
        return await main

    try:
        import uvloop
    except ImportError:
        return asyncio.run(awaited())
    return uvloop.run(awaited())


async def serve_here(settings: Settings, policies: PolicySet | None, socket: str | None) -> int:
    """Run one HTTP worker in this process.

    Args:
        settings: everything that is set.
        policies: the teams' policies, None to pass everything through.
        socket: of a compressor process that somebody else keeps; None to keep one here if needed.
    """
    loop = asyncio.get_running_loop()
    stop, at_once = signals_to_stop(forwarded=settings.workers > 1)
    async with AsyncExitStack() as stack:
        handler = await _handler(settings, policies, socket, stack)
        server = BoundedServer(handler, client_limits(settings))
        try:
            listening = await loop.create_server(
                server, settings.host, settings.port, reuse_port=settings.workers > 1, backlog=1024
            )
        except OSError as error:
            return cannot_listen(settings, error)
        settle_garbage()
        _announce(settings, listening.sockets[0].getsockname()[1])
        await stop.wait()
        listening.close()
        await server.drain(settings.timeouts.drain_s, at_once)
        await server.shutdown(timeout=0.5)
    return 0


def client_limits(settings: Settings) -> ClientLimits:
    """Return what clients may take."""
    return ClientLimits(
        header_bytes=settings.limits.header_kib * 1024,
        head_s=settings.timeouts.head_s,
        keepalive_s=settings.timeouts.keepalive_s,
        idle_s=settings.timeouts.client_idle_s,
        stalled_s=settings.timeouts.client_stalled_s,
    )


def signals_to_stop(*, forwarded: bool = False) -> tuple[asyncio.Event, asyncio.Event]:
    """Return what the first SIGTERM or SIGINT sets, and what the second does: stop, and at once.

    Args:
        forwarded: another process forwards each as SIGTERM; SIGINT, which a terminal sends to all
            processes at once, would be a second one and is ignored.
    """
    stop, at_once = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (at_once if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told)
    loop.add_signal_handler(signal.SIGINT, (lambda: None) if forwarded else told)
    return stop, at_once


def settle_garbage() -> None:
    """Take what start-up made out of the garbage collector's sight, and let it look less often.

    Requests leave few cycles; scanning the modules' objects for them was about 7 % of a request's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


def cannot_listen(settings: Settings, error: OSError) -> int:
    """Tell that the address is not to be had; return the exit code for it."""
    told = f"error: cannot listen on {settings.host}:{settings.port} ({error.strerror or error}); "
    sys.stderr.write(told + "choose another address with --host and --port\n")
    return EXIT_CANNOT_START


def worker_options(settings: Settings, socket: str) -> WorkerOptions:
    """Return what the compressor process is to know."""
    compressor = settings.compressor
    return WorkerOptions(
        socket=socket,
        threads=compressor.threads,
        cache_dir=str(compressor.cache_dir) if compressor.cache_dir else None,
        tokenizers={pattern: str(path) for pattern, path in settings.tokenizers.items()},
        queue_limit=compressor.queue_limit,
        stuck_after_s=compressor.stuck_after_s,
        start_timeout_s=compressor.start_timeout_s,
        log_format=settings.log.format,
        log_level=settings.log.level,
    )


def methods_of(policies: PolicySet) -> tuple[Method, ...]:
    """Return every method that a policy may call, without repeats, in order of appearance."""
    uses = [rule.use for policy in policies.all() for rule in policy.rules]
    return tuple(dict.fromkeys(Method(use.method, use.options) for use in uses if use.method != "keep"))


async def _handler(
    settings: Settings, policies: PolicySet | None, socket: str | None, stack: AsyncExitStack
) -> Handler:
    upstreams = _upstreams(settings)
    stack.push_async_callback(upstreams.close)
    rewriter: Rewriter = PassThrough()
    readiness: Callable[[], Readiness] = _always_ready
    if policies is not None:
        rewriter, readiness = await _with_policies(settings, policies, socket, stack)
    deps = Deps(upstreams, rewriter, LogSink(), Admin(readiness), settings.limits.body_mib * _MIB)
    return Handler(deps)


def _upstreams(settings: Settings) -> Upstreams:
    header_bytes = settings.limits.header_kib * 1024
    routes = [Route(name, entry.prefix, entry.models) for name, entry in settings.upstreams.items()]
    clients = {
        name: HttpUpstream(entry.url, _upstream_limits(entry, header_bytes), headers=entry.headers)
        for name, entry in settings.upstreams.items()
    }
    return Upstreams(routes, clients)


def _upstream_limits(entry: UpstreamEntry, header_bytes: int) -> UpstreamLimits:
    """Return patience and sizes; what the entry leaves open is `UpstreamLimits`' own."""
    said = {name: value for name, value in asdict(entry.timeouts).items() if value is not None}
    return UpstreamLimits(**said, header_bytes=header_bytes, connections=entry.connections or 0)


async def _with_policies(
    settings: Settings, policies: PolicySet, socket: str | None, stack: AsyncExitStack
) -> tuple[Rewriter, Callable[[], Readiness]]:
    from elision.compressors.tokens import Counters
    from elision.proxy.pipeline import Pipeline
    from elision.proxy.planner import Planner
    from elision.proxy.policy_rewriter import PolicyRewriter

    methods = methods_of(policies)
    tasks = await stack.enter_async_context(Background())
    if methods and socket is None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="elision-"))
        socket = str(Path(folder) / "compressor.sock")
        tasks.start(CompressorKeeper(worker_options(settings, socket)).run())
    client = CompressorClient(socket or "", methods)
    if methods:
        tasks.start(client.run())
    cache = _cache(settings)
    stack.push_async_callback(cache.close)
    pipeline = Pipeline(cache, client)
    stack.push_async_callback(pipeline.close)
    counters = Counters(
        {pattern: str(path) for pattern, path in settings.tokenizers.items()}, settings.compressor.cache_dir
    )
    warming = Warming(counters, tuple(settings.tokenizers))
    tasks.start(warming.run())

    def readiness() -> Mapping[str, object]:
        ready = client.ready and not client.errors and warming.done and not warming.errors
        return {"ready": ready, "methods": client.errors, "tokenizers": warming.errors}

    return PolicyRewriter(Planner(policies, counters.counter_for), pipeline), readiness


class Warming:
    """Loads token counters before the first request needs them.

    Args:
        counters: where they are kept.
        patterns: of model names that have a tokenizer of their own.
    """

    def __init__(self, counters: "Counters", patterns: Sequence[str]) -> None:
        self.done = False
        self.errors: dict[str, str] = {}
        self._counters = counters
        self._patterns = patterns

    async def run(self) -> None:
        """Load the default encoding and every configured tokenizer, off the event loop."""
        for pattern in ("gpt-4o", *self._patterns):
            try:
                await asyncio.to_thread(self._count_once, pattern)
            except CompressionError as error:
                self.errors[pattern] = str(error)
                logging.getLogger("elision.app").error("No tokens for %s: %s", pattern, error)
        self.done = True

    def _count_once(self, model: str) -> None:
        self._counters.counter_for(model).count("warm")


def _cache(settings: Settings) -> CacheBackend:
    if settings.redis:
        from elision.proxy.cache_redis import RedisCache

        return RedisCache.from_url(settings.redis, settings.cache.ttl_s)
    return MemoryCache(settings.cache.memory_mib * _MIB, settings.cache.ttl_s)


def _always_ready() -> Readiness:
    return {"ready": True}


def _announce(settings: Settings, port: int) -> None:
    log = logging.getLogger("elision.app")
    told = ", ".join(f"{name} {entry.url}".strip() for name, entry in settings.upstreams.items())
    log.info("Listening on http://%s:%s, upstream %s", settings.host, port, told)


class Background:
    """Tasks that live as long as the proxy; cancelled, and waited for, at the end."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run `work` until the end of the proxy."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(_tell_failure)
        self._tasks.append(task)

    async def __aenter__(self) -> "Background":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _tell_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logging.getLogger("elision.app").error("A background task ended", exc_info=error)
