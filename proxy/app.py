"""The composition of the product: the only place that chooses concrete classes.

`serve` runs the proxy until it is told to stop. One HTTP worker runs here; several are processes of
their own (`elision.proxy.workers`), which share one compressor process and one port.
"""

import asyncio
import gc
import logging
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from ipaddress import ip_network

from elision.accounts.request_log import check_request_log
from elision.compressors.registry import method_names
from elision.config.settings import Settings
from elision.config.upstreams import UpstreamEntry
from elision.proxy import logs
from elision.proxy.bookkeeping import open_books
from elision.proxy.handler import Deps, Handler
from elision.proxy.metrics import Metrics, Post
from elision.proxy.nursery import Nursery
from elision.proxy.pages import admin_of
from elision.proxy.policy_source import PolicySet, load_policies
from elision.proxy.redis_security import check_redis
from elision.proxy.rewriter import PassThrough
from elision.proxy.routing import Route, Upstreams
from elision.proxy.server import BoundedServer, ClientLimits
from elision.proxy.service_counts import follow_service
from elision.proxy.stores import check_cache
from elision.proxy.teams import Teams, TrustedHeader
from elision.proxy.upstream import HttpUpstream, UpstreamLimits

EXIT_CANNOT_START = 3
_MIB = 1024 * 1024


def serve(settings: Settings, nursery: Nursery | None = None) -> int:
    """Run the proxy until SIGTERM or SIGINT; return the process's exit code.

    Args:
        settings: everything that is set, `with_upstreams`.
        nursery: where the compressor process is born; None to start it plainly.

    Raises:
        ConfigError: a policy file is wrong, or a package is missing that the settings need.
    """
    ignore_hangup()
    allow_files()
    logs.configure(settings.log.format, settings.log.level)
    check_cache(settings.cache)
    check_request_log(settings.request_log)
    if settings.redis is not None:
        check_redis(settings.redis)
    if settings.redis is not None and settings.cache.path is not None:
        logging.getLogger("elision.app").warning("cache.path is not used: what is kept is kept in Redis.")
    policies = policies_of(settings)
    if settings.workers > 1:
        from elision.proxy.workers import supervise

        return run(supervise(settings, policies, nursery))
    return run(serve_here(settings, policies, nursery))


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


async def serve_here(
    settings: Settings,
    policies: PolicySet | None,
    compressor: str | Nursery | None,
    post: Post | None = None,
) -> int:
    """Run one HTTP worker in this process.

    Args:
        settings: everything that is set.
        policies: the teams' policies, None to pass everything through.
        compressor: socket of a process that somebody else keeps; a nursery, or None, to keep one here.
        post: of this worker among several; None: it is the only one.
    """
    loop = asyncio.get_running_loop()
    stop, at_once = signals_to_stop(forwarded=settings.workers > 1)
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        if post is not None:
            await metrics.share(post, stack)
        handler = await _handler(settings, policies, compressor, metrics, stack)
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


async def _handler(
    settings: Settings,
    policies: PolicySet | None,
    compressor: str | Nursery | None,
    metrics: Metrics,
    stack: AsyncExitStack,
) -> Handler:
    upstreams = _upstreams(settings)
    stack.push_async_callback(upstreams.close)
    parts = None
    if policies is not None:
        from elision.proxy.assembly import with_policies

        parts = await with_policies(settings, policies, compressor, stack)
    on_hangup(parts.watch.reload_soon if parts is not None else _nothing_to_reload)
    books = await open_books(settings, metrics, stack)
    handler = Handler(
        Deps(
            upstreams=upstreams,
            rewriter=parts.rewriter if parts is not None else PassThrough(),
            records=books.sinks,
            pricing=books.pricing,
            admin=admin_of(settings, metrics, books, parts),
            teams=Teams(parts.live if parts is not None else None, _trusted(settings)),
            body_limit_bytes=settings.limits.body_mib * _MIB,
            compress=parts.compress if parts is not None else None,
            texts=books.texts,
        )
    )
    follow_service(metrics, handler, parts, books.archive)
    return handler


def allow_files() -> None:
    """Raise the limit of open files as far as it goes: a request takes two, and 1,024 is a usual default."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems know a limit and refuse to be set to it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def ignore_hangup() -> None:
    """Have SIGHUP, which ends a process by default, do nothing until `on_hangup` is called."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def on_hangup(*then: Callable[[], None]) -> None:
    """Have SIGHUP mean that policies are to be read again."""

    def told() -> None:
        for call in then:
            call()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, told)


def _nothing_to_reload() -> None:
    logging.getLogger("elision.app").info("SIGHUP: there are no policies to read again.")


def _trusted(settings: Settings) -> TrustedHeader:
    return TrustedHeader(settings.teams.header.lower(), tuple(map(ip_network, settings.teams.networks)))


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


def _announce(settings: Settings, port: int) -> None:
    log = logging.getLogger("elision.app")
    told = ", ".join(f"{name} {entry.url}".strip() for name, entry in settings.upstreams.items())
    log.info("Listening on http://%s:%s, upstream %s", settings.host, port, told)
