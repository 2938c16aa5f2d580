"""With Elision the bill is never above the bill without, whatever is said and whatever goes wrong.

Conversations of many sorts go through the real rewriter and, some of them, through `elision serve`;
a simulated provider (`fakes.prefix_cache`, by the providers' own rules) bills them. docs/prefix-cache.md
says what is promised here in words, and what is not.
"""

import asyncio
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from elision.proxy.policy_source import load_preset
from fakes.author import Author
from fakes.billed import (
    Bodies,
    Event,
    Machinery,
    World,
    bills_of,
    bodies_with,
    bodies_without,
    body_of,
    nothing,
    total,
)
from fakes.billing_upstream import BillingUpstream, heard
from fakes.prefix_cache import Bill, Rules, provider_rules
from fakes.running import raw_exchange, request_bytes
from fakes.serving import served
from fakes.shared_level import SharedLevel
from fakes.talks import (
    MINIMA,
    Material,
    Talk,
    agent,
    at_minimum,
    chat,
    edited,
    few_shot,
    growing,
    long_system,
    pauses,
    rag,
    same_document,
    window,
)

RULES = provider_rules()
MODELS = tuple(RULES)
CAREFUL = ("balanced", "agent", "gentle", "lossless", "few-shot")
"""Presets that look at no question when they shorten a document."""


def talks(material: Material) -> list[Talk]:
    """Return a conversation of every sort, long enough to be billed for its prefix many times."""
    held = [
        chat(material),
        agent(material, 10),
        rag(material, 6),
        long_system(material, 8),
        few_shot(material, 6),
        same_document(material, 6),
        edited(material, 8),
        pauses(material, 7),
        window(material, 9),
        growing(material, 10),
    ]
    return [*held, *(at_minimum(material, minimum, 6) for minimum in MINIMA)]


TALKS = {talk.name: talk for talk in talks(Author("bill"))}


@pytest.fixture(scope="module")
def machinery() -> Machinery:
    """Return what plans and compresses, which remembers from test to test."""
    return Machinery()


def billed(
    machinery: Machinery, talk: Talk, model: str, preset: str, *, event: Event = nothing, workers: int = 1
) -> tuple[Bodies, Bodies]:
    """Return what the provider gets without the proxy, and with it."""
    machinery.apply(load_preset(preset))
    machinery.compressor.failing = 0.0
    machinery.compressor.random = Random(f"{talk.name} {model} {preset}")

    async def held() -> Bodies:
        world = World(machinery, Random(f"{talk.name} {model}"))
        world.start(workers)
        return await bodies_with(world, talk, model, event)

    return bodies_without(talk, model), asyncio.run(held())


def even(model: str) -> dict[str, Rules]:
    """Return the model's rules without the steps by which hits are rounded down, which is luck."""
    return {model: replace(RULES[model], step=1)}


def rounding(bills: list[Bill], model: str) -> Fraction:
    """Return the most that rounding hits down can have cost."""
    rules = RULES[model]
    return (1 - rules.read) * (rules.step - 1) * sum(bill.cached > 0 for bill in bills)


@pytest.mark.parametrize("name", list(TALKS))
@pytest.mark.parametrize("model", MODELS)
def test_the_bill_is_not_above_the_bill_without(machinery: Machinery, model: str, name: str) -> None:
    """For every provider's rules and every sort of conversation, each pair with another preset.

    Where hits are rounded down, luck may have a part in it: then the bill without rounding counts.
    """
    talk, preset = TALKS[name], preset_for(model, name)
    without, with_ = billed(machinery, talk, model, preset)
    fair = [total(bills_of(machinery.tokens, talk, bodies, even(model))) for bodies in (without, with_)]
    real = [bills_of(machinery.tokens, talk, bodies) for bodies in (without, with_)]
    assert total(real[1]) <= total(real[0]) or fair[1] <= fair[0], preset
    assert total(real[1]) <= total(real[0]) + rounding(real[1], model), preset


def preset_for(model: str, name: str) -> str:
    """Return a preset, in turn."""
    names = CAREFUL if name == "same document" else (*CAREFUL, "rag", "aggressive")
    return names[(3 * MODELS.index(model) + list(TALKS).index(name)) % len(names)]


@dataclass(frozen=True, slots=True)
class Once:
    """Something that happens when so much of a conversation is over."""

    at: float
    do: Event

    def __call__(self, world: World, over: float) -> None:
        if world.over < self.at <= over:
            self.do(world, over)


@dataclass(frozen=True, slots=True)
class Both:
    """Several things that happen."""

    events: tuple[Event, ...]

    def __call__(self, world: World, over: float) -> None:
        for event in self.events:
            event(world, over)


def policy(name: str, at: float) -> Event:
    """The operator changes the policy."""
    return Once(at, lambda world, _: world.machinery.apply(load_preset(name)))


def failing(share: float, at: float) -> Event:
    """From now on so many texts fail in the compressor, or are late."""

    def fail(world: World, _: float) -> None:
        world.machinery.compressor.failing = share

    return Once(at, fail)


def redis(trouble: str, at: float) -> Event:
    """What workers share is in trouble, or well again."""

    def hit(world: World, _: float) -> None:
        world.shared.trouble = trouble

    return Once(at, hit)


def restart(at: float, workers: int = 1) -> Event:
    """The proxy is started again; what it had in memory is gone."""
    return Once(at, lambda world, _: world.start(workers))


def emptied(world: World, _: float) -> None:
    """Everything that was ever kept is gone."""
    world.shared = SharedLevel()
    world.start(len(world.workers))


def any_worker(world: World, _: float) -> None:
    """The request comes to whichever worker is free."""
    world.turn = world.random.randrange(len(world.workers))


SWITCHED = Both((policy("lossless", 0.2), policy("aggressive", 0.5), policy("balanced", 0.8)))
EVENTS: dict[str, tuple[Event, int]] = {
    "policy changed": (SWITCHED, 1),
    "restarted": (restart(0.5), 1),
    "other workers": (any_worker, 3),
    "compressor fails at random": (failing(0.4, 0.0), 1),
    "compressor gone for a while": (Both((failing(1.0, 0.2), failing(0.0, 0.6))), 1),
    "Redis gone for a while": (Both((redis("timeout", 0.2), redis("", 0.6))), 1),
    "Redis gone for a while under three workers": (
        Both((redis("timeout", 0.3), redis("", 0.6), any_worker)),
        3,
    ),
    "Redis emptied": (Once(0.4, lambda world, _: world.shared.values.clear()), 1),
    "all at once": (Both((SWITCHED, any_worker, failing(0.3, 0.1), restart(0.7, 3))), 3),
}


@pytest.mark.parametrize("name", ["chat", "agent", "edited", "pauses"])
@pytest.mark.parametrize("happens", list(EVENTS))
def test_whatever_happens_the_bill_is_not_above_the_bill_without(
    machinery: Machinery, happens: str, name: str
) -> None:
    """One thing after another goes wrong or is changed, in the middle of a conversation."""
    event, workers = EVENTS[happens]
    model = ("gpt-5.6", "deepseek-v4-pro")[(list(EVENTS).index(happens) + len(name)) % 2]
    without, with_ = billed(machinery, TALKS[name], model, "balanced", event=event, workers=workers)
    bills = [bills_of(machinery.tokens, TALKS[name], one, even(model)) for one in (without, with_)]
    assert total(bills[1]) <= total(bills[0]), model


@pytest.mark.parametrize("name", ["chat", "agent", "rag", "edited"])
@pytest.mark.parametrize(
    "model", ["gpt-5", "gpt-5.6", "claude-haiku-4-5", "deepseek-v4-pro", "llama-3.3-70b"]
)
def test_losing_everything_costs_one_write_of_the_prefix(machinery: Machinery, model: str, name: str) -> None:
    """A new proxy with an empty store: what was said before goes out as it is, from then on."""
    talk, rules = TALKS[name], RULES[model]
    without, with_ = billed(machinery, talk, model, "balanced", event=Once(0.5, emptied))
    bills = [bills_of(machinery.tokens, talk, one, even(model)) for one in (without, with_)]
    lost = bills[0][-(-len(talk.requests) // 2)]
    assert total(bills[1]) <= total(bills[0]) + (rules.write - rules.read) * lost.repeated


@pytest.mark.parametrize("name", ["chat", "agent", "rag", "pauses", "window", "edited"])
@pytest.mark.parametrize("model", ["gpt-5.6", "claude-sonnet-5", "deepseek-v4-pro", "gpt-5"])
def test_the_cache_reaches_as_far_into_the_conversation(machinery: Machinery, model: str, name: str) -> None:
    """Up to the same message as without Elision, in every request whose prefix is large enough to be kept."""
    talk = TALKS[name]
    without, with_ = billed(machinery, talk, model, "balanced")
    pairs = zip(
        *(bills_of(machinery.tokens, talk, one, even(model)) for one in (without, with_)), strict=True
    )
    least = max(RULES[model].minimum, 1)
    read = [(bare, ours) for bare, ours in pairs if bare.cached and ours.repeated >= least]
    assert len(read) > len(talk.requests) // 4
    assert [ours.reached for _, ours in read] == [bare.reached for bare, _ in read]


@dataclass(frozen=True, slots=True)
class Client:
    """Holds conversations over HTTP, by a key of its own; every other answer is streamed."""

    upstream: BillingUpstream
    key: str
    model: str

    async def hold(self, port: int, talk: Talk, first: int, last: int) -> None:
        """Send the requests from `first` to `last`, and hear what the conversation has for an answer."""
        headers = [("Authorization", self.key), ("Content-Type", "application/json"), ("Connection", "close")]
        for number, sent in enumerate(talk.requests[first:last], first):
            self.upstream.provider.now += sent.after_s
            body = json.loads(body_of(talk, sent, self.model)) | {"stream": number % 2 == 1}
            data = request_bytes("POST", "/v1/chat/completions", headers, json.dumps(body).encode())
            answer = await raw_exchange(port, data, timeout_s=30)
            assert answer.status == 200
            assert heard(answer.body) == sent.answer

    def bill(self, talk: Talk) -> Fraction:
        """Return what a conversation cost."""
        return total(self.upstream.provider.bills[self.key, talk.name])


@pytest.mark.timeout(120)
async def test_through_elision_serve_across_workers_and_a_restart(
    machinery: Machinery, tmp_path: Path
) -> None:
    """Two workers, then one with another policy, over one file: the bill is lower, the prefix is read."""
    held = [chat(Author("served"), 8), agent(Author("served"), 8)]
    policies = tmp_path / "policies"
    policies.mkdir()
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"cache: {{path: {tmp_path / 'kept'}}}\n")
    async with BillingUpstream(held, machinery.tokens) as upstream:
        clients = [Client(upstream, key, "gpt-5.6") for key in ("Bearer without", "Bearer with")]
        for talk in held:
            await clients[0].hold(upstream.port, talk, 0, 99)
        for first, preset, workers in ((0, "aggressive", 2), (4, "lossless", 1)):
            (policies / "default.yaml").write_text(f"extends: {preset}\n")
            told = ("--policies", str(policies), "--settings", str(settings), "--workers", str(workers))
            async with served("--upstream", upstream.url, *told) as running:
                await running.until_ready()
                for talk in held:
                    await clients[1].hold(running.port, talk, first, first + 4 if workers > 1 else 99)
        bills = {talk.name: [upstream.provider.bills[one.key, talk.name] for one in clients] for talk in held}
    for without, with_ in bills.values():
        assert total(with_) < total(without)
        assert [one.reached for one in with_] == [one.reached for one in without]
