"""What a proxy with policies is made of, and how its parts follow when the policies change.

Only composition: the compressor process and its client, the cache, the pipeline, the planner, the
token counters and the watch over the policy files are put together here, and started in the order
in which they need one another.
"""

import asyncio
import logging
import tempfile
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from elision.compressors.base import Method
from elision.compressors.errors import CompressionError
from elision.compressors.registry import method_names
from elision.compressors.tokens import Counters
from elision.config.settings import Settings
from elision.policies.model import KEEP
from elision.proxy.admin import Readiness
from elision.proxy.compress_endpoint import CompressEndpoint
from elision.proxy.ledger import Ledger
from elision.proxy.nursery import Nursery
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planner, packaged_knowledge
from elision.proxy.playground import Playground
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.policy_source import PolicySet, load_policies
from elision.proxy.reload import LivePolicies, PolicyWatch
from elision.proxy.rewriter import Rewriter
from elision.proxy.store import Scopes
from elision.proxy.store_tiers import Figures
from elision.proxy.stores import OpenStore, open_store
from elision.proxy.worker import CompressorClient, CompressorKeeper
from elision.proxy.worker_process import WorkerOptions


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


class CompressorHost:
    """Keeps a compressor process from the moment that a policy first needs one.

    Args:
        settings: of the process.
        socket: where it listens.
        tasks: that keep it.
        nursery: where it is born; None to start it plainly.
    """

    def __init__(self, settings: Settings, socket: str, tasks: Background, nursery: Nursery | None) -> None:
        self._settings = settings
        self._socket = socket
        self._tasks = tasks
        self._nursery = nursery
        self._kept = False

    def follow(self, policies: PolicySet) -> None:
        """Start the process if these policies need one and there is none."""
        if not self._kept and methods_of(policies):
            self._kept = True
            options = worker_options(self._settings, self._socket)
            self._tasks.start(CompressorKeeper(options, nursery=self._nursery).run())


@dataclass(frozen=True, slots=True)
class PolicyParts:
    """What the rest of the proxy needs of the parts that apply policies.

    Attributes:
        readiness: whether policies are carried out, with the reasons why not.
        live: the policies of this moment.
        watch: over their files.
        kept: figures of what is kept.
        texts: how many texts came to be shortened in which way.
        playground: where prompts are tried.
    """

    rewriter: Rewriter
    compress: CompressEndpoint
    readiness: Callable[[], Readiness]
    live: LivePolicies
    watch: PolicyWatch
    kept: Callable[[], Figures]
    texts: Callable[[], Mapping[str, int]]
    playground: Playground


async def with_policies(
    settings: Settings, policies: PolicySet, compressor: str | Nursery | None, stack: AsyncExitStack
) -> PolicyParts:
    """Put together and start what applies policies.

    Args:
        settings: everything that is set.
        policies: as the files said when the proxy started.
        compressor: socket of a process that somebody else keeps; a nursery, or None, to keep one here when
            it is needed, born there or started plainly.
        stack: ends what is started.
    """
    tasks = await stack.enter_async_context(Background())
    nursery = None if isinstance(compressor, str) else compressor
    path, host = _kept_where(settings, compressor, tasks, stack)
    client = CompressorClient(path, ())
    tasks.start(client.run())

    def follow(changed: PolicySet) -> None:
        client.want(methods_of(changed))
        if host is not None:
            host.follow(changed)

    follow(policies)
    live = LivePolicies(policies)
    watch = watch_over(settings, live, follow)
    tasks.start(watch.run())
    opened = open_store(settings)
    stack.push_async_callback(opened.store.close)
    pipeline = _pipeline(settings, opened, client, stack)
    ledger = _ledger(settings, opened, stack)
    files = {pattern: str(path) for pattern, path in settings.tokenizers.items()}
    counters = Counters(files, settings.compressor.cache_dir, nursery.counters if nursery else None)
    warming = Warming(counters, tuple(settings.tokenizers))
    tasks.start(warming.run())

    def readiness() -> Readiness:
        ready = client.ready and not client.errors and warming.done and not warming.errors
        return {
            "ready": ready,
            "methods": client.errors,
            "tokenizers": warming.errors,
            "policies": _state(live),
            "shared_store": opened.state(),
        }

    knowledge = packaged_knowledge(settings.windows, settings.prefix_terms)
    planner = Planner(live, counters.counter_for, knowledge)
    playground = Playground(client, counters.counter_for, knowledge)
    rewriter = PolicyRewriter(planner, pipeline, ledger)
    compress = CompressEndpoint(live, planner, pipeline, ledger)
    return PolicyParts(
        rewriter, compress, readiness, live, watch, opened.figures, pipeline.figures, playground
    )


def _kept_where(
    settings: Settings, compressor: str | Nursery | None, tasks: Background, stack: AsyncExitStack
) -> tuple[str, CompressorHost | None]:
    """Return the socket of the compressor process, and who keeps it if that is to be done here."""
    if isinstance(compressor, str):
        return compressor, None
    path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elision-"))) / "s"
    return str(path), CompressorHost(settings, str(path), tasks, compressor)


def _pipeline(
    settings: Settings, opened: OpenStore, client: CompressorClient, stack: AsyncExitStack
) -> Pipeline:
    pipeline = Pipeline(
        opened.store,
        client,
        settings.cache.ttl_s,
        scopes=Scopes(shared=settings.cache.scope == "shared"),
        is_shared=settings.redis is not None,
    )
    stack.push_async_callback(pipeline.close)
    return pipeline


def _ledger(settings: Settings, opened: OpenStore, stack: AsyncExitStack) -> Ledger:
    store, memory = opened.store, opened.memory
    ledger = Ledger(store, memory, settings.cache.ttl_s, is_sure=lambda: store.is_sure)
    stack.push_async_callback(ledger.close)
    return ledger


def watch_over(settings: Settings, live: LivePolicies, changed: Callable[[PolicySet], None]) -> PolicyWatch:
    """Return a watch over the directory of policies that the settings name."""
    if settings.policies is None:
        raise ValueError("there is no directory of policies to watch")
    return PolicyWatch(live, settings.policies, _load, changed=changed)


def _load(directory: Path) -> PolicySet:
    return load_policies(directory, method_names())


def _state(live: LivePolicies) -> Mapping[str, object]:
    """Return what an operator may want to know of the policies."""
    return {
        "loaded": {team: policy.label for team, policy in sorted(live.current.by_team.items())},
        "loads": live.loads,
        "refusals": live.refusals,
        "refused": live.problems,
    }


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
    uses = [use for policy in policies.all() for use in (*(r.use for r in policy.rules), policy.history.use)]
    return tuple(dict.fromkeys(Method(use.method, use.options) for use in uses if use.method != KEEP))


class Warming:
    """Loads token counters before the first request needs them.

    Args:
        counters: where they are kept.
        patterns: of model names that have a tokenizer of their own.
    """

    def __init__(self, counters: Counters, patterns: Sequence[str]) -> None:
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
