"""Conversations held through the real rewriter, in this process, and billed by a simulated provider.

Everything is real but the provider and what goes wrong: planner, pipeline, ledger, stores, and the
compressors that need no weights, which run in the caller's thread and are asked about a text once
for all conversations. A `World` is a proxy's deployment while one conversation is held; an event
changes it between two requests.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from random import Random
from typing import Any

from elision.compressors.base import Identity, Job, Method, Result
from elision.compressors.engine import Engine
from elision.compressors.registry import DEFAULT_METHOD
from elision.compressors.tokens import Counters
from elision.policies.model import Policy
from elision.proxy.ledger import Ledger
from elision.proxy.patience import Patience
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planner
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.policy_source import load_preset
from elision.proxy.rewriter import Ask, Rewriter
from elision.proxy.store import MemoryStore
from elision.proxy.store_tiers import Tiers
from elision.proxy.wire import Refusal
from elision.proxy.worker import CompressorUnavailableError
from fakes.prefix_cache import Bill, Provider, Rules, Tokens
from fakes.shared_level import SharedLevel
from fakes.talks import Sent, Talk

ASK = Ask("POST", "/v1/chat/completions", "team")
_MEMORY = 1 << 26
_REFUSALS = (Refusal.DEADLINE, Refusal.OVERLOADED, Refusal.TOO_LONG)


class InThread:
    """Compressors that run where they are asked, and fail where they are told to.

    Attributes:
        random: draws which texts fail.
        failing: share of the texts that come back too late, or not at all.
    """

    def __init__(self, engine: Engine) -> None:
        self.random = Random(0)
        self.failing = 0.0
        self._engine = engine
        self._identities: dict[Method, Identity] = {}
        self._results: dict[Job, Result] = {}

    def identity(self, method: Method) -> Identity:
        if method not in self._identities:
            self._identities[method] = self._engine.prepare(method)
        return self._identities[method]

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        if self.random.random() < self.failing:
            raise CompressorUnavailableError(self.random.choice(_REFUSALS))
        if job not in self._results:
            self._results[job] = self._engine.run_known([job], [scores])[0]
        return self._results[job]

    def shortened(self, job: Job) -> str:
        """Return what becomes of a text."""
        return self._engine.run([job])[0].text


class Machinery:
    """What all conversations share, because it is the same for all: counting, planning, compressing."""

    def __init__(self) -> None:
        counters = Counters()
        self._counter = counters.counter_for("gpt-4o")
        self._policy: Policy = load_preset("balanced")
        self.tokens = Tokens(self._cut)
        self.compressor = InThread(Engine(counters))
        self.planner = Planner(self, counters.counter_for)

    def for_team(self, team: str) -> Policy | None:
        """Return the policy of this moment, whoever asks."""
        return self._policy

    def apply(self, policy: Policy) -> None:
        """Let a policy hold from now on.

        With patience, because no test waits for the clock; and with a method that costs little in
        place of the default one, because bills do not depend on which words stay.
        """
        rules = tuple(
            replace(rule, use=replace(rule.use, method="frequency"))
            if rule.use.method == DEFAULT_METHOD
            else rule
            for rule in policy.rules
        )
        self._policy = replace(policy, deadline_s=60.0, rules=rules)

    def _cut(self, text: str) -> list[str]:
        starts = self._counter.starts(text).tolist()
        ends = [*starts[1:], len(text)][: len(starts)]
        return [text[start:end] for start, end in zip(starts, ends, strict=True)]


@dataclass(slots=True)
class World:
    """A proxy's deployment: workers over a shared store.

    Attributes:
        shared: what they share, which may be in trouble, and be exchanged for an empty one.
        workers: of which the next request goes to that of the number `turn`.
        over: how much of the conversation was over at the last request.
    """

    machinery: Machinery
    random: Random
    shared: SharedLevel = field(default_factory=SharedLevel)
    workers: list[Rewriter] = field(default_factory=list)
    turn: int = 0
    over: float = -1.0
    _written: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def start(self, workers: int = 1) -> None:
        """Start workers that remember nothing themselves, in place of those that run."""
        self.workers = [self._worker() for _ in range(workers)]
        self.turn = 0

    def _worker(self) -> Rewriter:
        memory = MemoryStore(_MEMORY)
        store = Tiers(memory, self.shared)
        pipeline = Pipeline(store, self.machinery.compressor)
        ledger = Ledger(store, memory, is_sure=lambda: store.is_sure)
        self._written += [pipeline.close, ledger.close]
        return PolicyRewriter(self.machinery.planner, pipeline, ledger)

    async def sent(self, body: bytes) -> bytes:
        """Return a request's body as the upstream gets it."""
        rewrite = await self.workers[self.turn % len(self.workers)].rewrite(body, ASK)
        assert "internal_error" not in rewrite.report.bypass
        if rewrite.receipt is not None:
            rewrite.receipt.sent()
        await self.settled()
        return rewrite.body

    async def settled(self) -> None:
        """Wait until what was decided is written."""
        for close in self._written:
            await close()


Event = Callable[[World, float], None]
"""What happens before a request; told how much of the conversation is over, 0 to 1."""


def nothing(world: World, over: float) -> None:
    """Nothing happens."""


def body_of(talk: Talk, sent: Sent, model: str) -> bytes:
    """Return a request as a client sends it."""
    told: dict[str, Any] = {"model": model, "prompt_cache_key": talk.name}
    if talk.tools:
        told["tools"] = talk.tools
    return json.dumps({**told, "messages": sent.messages}).encode()


Bodies = list[dict[str, Any]]


def bodies_without(talk: Talk, model: str) -> Bodies:
    """Return what the provider gets of a conversation as it is."""
    return [json.loads(body_of(talk, sent, model)) for sent in talk.requests]


async def bodies_with(world: World, talk: Talk, model: str, event: Event = nothing) -> Bodies:
    """Return what the provider gets of a conversation through the proxy, whatever happens on the way."""
    bodies: Bodies = []
    for number, sent in enumerate(talk.requests):
        over = number / len(talk.requests)
        event(world, over)
        world.over = over
        bodies.append(json.loads(await world.sent(body_of(talk, sent, model))))
    return bodies


def bills_of(
    tokens: Tokens, talk: Talk, bodies: Bodies, rules: Mapping[str, Rules] | None = None
) -> list[Bill]:
    """Return what the provider bills, request by request."""
    provider = Provider(tokens, rules)
    bills: list[Bill] = []
    for sent, body in zip(talk.requests, bodies, strict=True):
        provider.now += sent.after_s
        bills.append(provider.serve("one", body, sent.answer))
    return bills


def total(bills: Sequence[Bill]) -> Fraction:
    """Return the cost of a conversation, in tokens of uncached input."""
    return sum((bill.cost for bill in bills), Fraction(0))


def cached_share(bills: Sequence[Bill]) -> float:
    """Return how much of what was repeated came from the cache; 1 where nothing was."""
    repeated = sum(bill.repeated for bill in bills)
    return sum(bill.cached for bill in bills) / repeated if repeated else 1.0
