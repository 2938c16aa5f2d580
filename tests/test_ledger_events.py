"""Whatever happens between them, requests that share their first messages send the same bytes for these.

Conversations are drawn from a seed, and what happens to them: turns, tool loops, a second message
without an answer, regenerated answers, edits, dropped messages, retries, requests at the same time,
another worker, a restart, another policy, plans that come too late or not at all. No outcome of the
compressor is ever the same twice, so that whatever is decided a second time shows.
"""

import asyncio
import copy
import itertools
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any

import pytest

from elision.compressors.base import Outcome
from elision.config.prefix_terms import PrefixEntry
from elision.policies.model import Decision, History, Kind, Mode, Permissions, Plan, Policy, Rule, Use, When
from elision.proxy.bodies import Body
from elision.proxy.ledger import Ledger, Settled
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned, Planner, packaged_knowledge
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.rewriter import Ask, Rewrite
from elision.proxy.store import MemoryStore
from elision.proxy.store_tiers import Tiers
from fakes.shared_level import SharedLevel

Message = dict[str, Any]
WORDS = ("river", "mill", "tower", "contract", "party", "shall", "pay", "not", "before", "invoice", "error")
PATHS = {"messages": "/v1/chat/completions", "input": "/v1/responses"}
EVENTS = 60
KEPT_FROM_THE_FIRST_TOKEN = (PrefixEntry(minimum=0),)


class Words:
    """Counts words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


def policy(version: str, rate: float = 0.5, history: History | None = None) -> Policy:
    rules = (Rule("all", When(segment=tuple(Kind)), Use("selective_context", rate, min_tokens=8)),)
    allowed = Permissions(rate=True)
    return Policy("p", version, Mode.ENFORCE, 60.0, rules, permissions=allowed, history=history or History())


class Fickle:
    """Never shortens a text alike twice, sometimes not at all, sometimes fails, and takes a while."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._numbers = itertools.count()

    def wanted(self, decisions: Sequence[Decision], model: str, team: str) -> list[bytes]:
        return []

    async def run(
        self, plan: Plan, model: str, team: str, spent_s: float, known: Mapping[bytes, bytes | None]
    ) -> list[Fate]:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)
        if self._random.random() < 0.05:
            raise ValueError("nobody expected this")
        return [self._fate(decision) for decision in plan.decisions if decision.compresses]

    def _fate(self, decision: Decision) -> Fate:
        if self._random.random() < 0.2:
            return Fate(decision, None, self._random.choice(["deadline", "compressor_crashed", "queue_full"]))
        text = f"<{next(self._numbers)}> {decision.segment.text[:30]}"
        return Fate(decision, Outcome(text, decision.segment.tokens, 6, (), "fickle", "f"))


class Unsteady:
    """Plans by the policy of the moment, and sometimes too late, or not."""

    def __init__(self, random: Random, first: Policy) -> None:
        self.now = first
        self.trouble = 0.1
        self._random = random
        # The provider keeps prefixes of any size: what was sent is never without worth.
        self._planner = Planner(
            self, lambda _: Words(), packaged_knowledge(prefix_terms=KEPT_FROM_THE_FIRST_TOKEN)
        )

    def for_team(self, team: str) -> Policy:
        return self.now

    def wants(self, ask: Ask) -> bool:
        return self._planner.wants(ask)

    def policy(self, team: str) -> Policy | None:
        return self.now

    def plan(self, body: bytes | Body, ask: Ask, until: float = inf) -> Planned | None:
        if self._random.random() < self.trouble:
            raise self._random.choice([TimeoutError, KeyError])("of the test")
        return self._planner.plan(body, ask, until)


@dataclass
class Worker:
    """One process of the proxy."""

    ledger: Ledger
    rewriter: PolicyRewriter


@dataclass
class World:
    """Workers over one shared store, clients with their conversations, and what ever was sent."""

    random: Random
    where: str
    refuses: bool
    workers: list[Worker] = field(default_factory=list)
    shared: SharedLevel = field(default_factory=SharedLevel)
    talks: list[list[Message]] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)
    sent: dict[tuple[str, str], bytes] = field(default_factory=dict)
    replayed: int = 0
    changed: int = 0

    def __post_init__(self) -> None:
        self.planner = Unsteady(self.random, policy("1"))
        self.pipeline = Fickle(self.random)
        self.workers = [self.worker() for _ in range(2)]

    def worker(self) -> Worker:
        memory = MemoryStore(1 << 22)
        # That an original went out instead, another worker would see within a minute.
        tiers = Tiers(memory, self.shared, current_s=-1) if self.refuses else Tiers(memory, self.shared)
        ledger = Ledger(tiers, memory)
        return Worker(ledger, PolicyRewriter(self.planner, self.pipeline, ledger))

    def body(self, messages: list[Message]) -> bytes:
        layout = self.random.choice([None, 1])
        # A model without a smallest prefix: nothing is given back, which is the guard's matter.
        return json.dumps({"model": "deepseek-chat", self.where: messages}, indent=layout).encode()

    async def send(self, *talks: list[Message], worker: Worker | None = None) -> None:
        """Send conversations at the same time to one worker, and check what came of each."""
        chosen = worker or self.random.choice(self.workers)
        ask = Ask("POST", PATHS[self.where], "team")
        bodies = [self.body(messages) for messages in talks]
        lineages = [self.lineage(messages) for messages in talks]
        done = await asyncio.gather(*(chosen.rewriter.rewrite(body, ask) for body in bodies))
        for messages, lineage, rewrite in zip(talks, lineages, done, strict=True):
            self.check(messages, lineage, rewrite)
            assert rewrite.receipt is not None
            rewrite.receipt.sent()
        await chosen.ledger.close()

    def lineage(self, messages: list[Message]) -> str:
        """Return under what the conversation began, as far as it was ever seen; "" for a new one."""
        ends = (self.ended.get(name(messages, end)) for end in range(len(messages), 0, -1))
        return next((lineage for lineage in ends if lineage), "")

    def check(self, messages: list[Message], lineage: str, rewrite: Rewrite) -> None:
        """A message that was sent in this conversation before is sent alike; others are noted.

        A new conversation shares what others of today's policy sent, unless it is one for itself, by a
        bad moment or because others sent it before.
        """
        assert isinstance(rewrite.receipt, Settled), rewrite.report
        if not lineage:
            lineage, today = rewrite.receipt.lineage, self.planner.now.label
            is_for_itself = bool(rewrite.report.bypass) or "unknown" in str(rewrite.report.prefix)
            assert lineage == today or (is_for_itself and lineage.startswith(today))
        out = json.loads(rewrite.body)[self.where]
        assert len(out) == len(messages)
        lineage = self.ended.setdefault(name(messages, len(messages)), lineage)
        for index, message in enumerate(out):
            key = (lineage, name(messages, index + 1))
            told = json.dumps(message).encode()
            self.replayed += key in self.sent
            self.changed += told != json.dumps(messages[index]).encode()
            assert self.sent.setdefault(key, told) == told

    def words(self, most: int = 40) -> str:
        return " ".join(self.random.choice(WORDS) for _ in range(self.random.randint(1, most)))

    def user(self) -> Message:
        return {
            "role": "user",
            "content": self.random.choice([self.words(), f"{self.words(90)}\n\nWhat is it?"]),
        }

    def answer(self) -> list[Message]:
        """Return an answer, sometimes a call of tools with what they say."""
        if self.random.random() < 0.7:
            return [{"role": "assistant", "content": self.words()}]
        if self.where == "input":
            call: Message = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
            output = {"type": "function_call_output", "call_id": "c", "output": self.words(90)}
            return [{"type": "reasoning", "encrypted_content": "abc"}, call, output]
        call = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]}
        return [call, {"role": "tool", "tool_call_id": "c", "content": self.words(90)}]


def name(messages: list[Message], number: int) -> str:
    return json.dumps(messages[:number], sort_keys=True)


async def turn(world: World, talk: list[Message]) -> None:
    talk += world.answer()
    if talk[-1].get("role") == "assistant":
        talk.append(world.user())
    await world.send(talk)


async def second_message(world: World, talk: list[Message]) -> None:
    talk.append(world.user())
    await world.send(talk)


async def retry(world: World, talk: list[Message]) -> None:
    await world.send(talk)


async def at_once(world: World, talk: list[Message]) -> None:
    """The same turn, and one that goes on, before any of them is answered."""
    talk += [*world.answer(), world.user()]
    world.talks.append([*copy.deepcopy(talk), world.user()])
    await world.send(talk, talk, world.talks[-1])


async def regenerated(world: World, talk: list[Message]) -> None:
    await turn(world, talk)
    while talk[-1].get("role") != "assistant" and talk[-1].get("type") != "function_call" and len(talk) > 1:
        talk.pop()
    talk.pop()
    if talk:
        await world.send(talk)


async def edited(world: World, talk: list[Message]) -> None:
    """An earlier message is another one; what followed is gone, or, rarely, stays."""
    at = world.random.randrange(len(talk))
    branch = copy.deepcopy(talk[:at])
    branch.append(world.user())
    branch += copy.deepcopy(talk[at + 1 :]) if world.random.random() < 0.2 else []
    world.talks.append(branch)
    await world.send(branch)


async def oldest_dropped(world: World, talk: list[Message]) -> None:
    del talk[1 : world.random.randint(1, max(len(talk) - 2, 1))]
    await turn(world, talk)


async def begun(world: World, talk: list[Message]) -> None:
    """Another conversation, with the system message of this one or a history that nobody saw."""
    started = copy.deepcopy(talk[:1])
    for _ in range(world.random.choice([0, 0, 1, 3])):
        started += [world.user(), *world.answer()]
    world.talks.append([*started, world.user()])
    await world.send(world.talks[-1])


async def restarted(world: World, talk: list[Message]) -> None:
    world.workers[world.random.randrange(2)] = world.worker()
    await turn(world, talk)


async def policy_changed(world: World, talk: list[Message]) -> None:
    world.planner.now = policy(str(world.random.randrange(4)), world.random.choice([0.2, 0.9]))
    await turn(world, talk)


async def refused(world: World, talk: list[Message]) -> None:
    """A turn of which the upstream takes only the client's own body."""
    talk += [*world.answer(), world.user()]
    if not world.refuses:
        return
    lineage, worker = world.lineage(talk), world.workers[0]
    rewrite = await worker.rewriter.rewrite(world.body(talk), Ask("POST", PATHS[world.where], "team"))
    world.check(talk, lineage, rewrite)
    told = rewrite.receipt
    assert isinstance(told, Settled)
    told.sent()
    await worker.ledger.close()
    told.withdrawn("upstream_400")
    await worker.ledger.close()
    changed = {index for index, known in told.messages.items() if known.texts}
    if changed <= set(told.new):
        lineage = world.ended[name(talk, len(talk))]
        taken = changed
    else:  # an earlier request's word stays that of others
        lineage = world.ended[name(talk, len(talk))] = f"without {len(world.sent)}"
        taken = set(range(len(talk)))
    for index in taken:
        world.sent[lineage, name(talk, index + 1)] = json.dumps(talk[index]).encode()


HAPPENINGS: tuple[Callable[[World, list[Message]], Coroutine[Any, Any, None]], ...] = (
    turn,
    turn,
    turn,
    second_message,
    retry,
    at_once,
    regenerated,
    edited,
    oldest_dropped,
    begun,
    restarted,
    policy_changed,
    refused,
)


@pytest.mark.parametrize("where", ["messages", "input"])
@pytest.mark.parametrize("seed", range(12))
def test_what_was_sent_once_is_sent_again(seed: int, where: str) -> None:
    """Sixty events each, on two workers; most messages have been sent before."""
    world = World(Random(f"{seed} {where}"), where, refuses=seed % 2 == 0)

    async def all_of_it() -> None:
        world.talks.append([{"role": "system", "content": world.words(60)}, world.user()])
        await world.send(world.talks[0])
        for _ in range(EVENTS):
            await world.random.choice(HAPPENINGS)(world, world.random.choice(world.talks[-4:]))

    asyncio.run(all_of_it())
    assert world.replayed > 50
    assert world.changed > 20
