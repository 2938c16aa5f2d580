"""What records say was paid and saved, held against a provider that bills: to the cent, and never too much.

Conversations go twice through the real handler, over sockets, to an upstream that keeps a prefix
cache and bills (`fakes.billing_upstream`): with a policy, and as they are. The sum of `cost` is the
bill; `cost + saved` is the bill without Elision. docs/accounts.md says where that is not exact.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

import pytest

from elision.accounts.money import Basis
from elision.accounts.prices import Prices
from elision.accounts.pricing import Priced
from elision.accounts.records import Report, RequestRecord, Shortened
from elision.accounts.usage import Answered, Usage
from elision.config.accounts import PriceEntry
from elision.proxy.policy_source import load_preset
from elision.proxy.rewriter import Ask, Rewrite, Rewriter
from fakes.author import Author
from fakes.billed import ASK, Event, Machinery, World, body_of, nothing
from fakes.billing_upstream import BillingUpstream, usage_of
from fakes.prefix_cache import Bill, Provider, Rules, provider_rules
from fakes.raw_upstream import RawUpstream, always, answer
from fakes.running import proxy, raw_exchange, request_bytes
from fakes.talks import (
    Talk,
    Talking,
    agent,
    at_minimum,
    chat,
    edited,
    growing,
    long_system,
    pauses,
    rag,
    same_document,
    window,
)

CENT = 10_000_000
"""Nano-dollars."""
INPUT, OUTPUT = 20, 80
"""Dollars per million tokens: dear, so that an error is seen."""
RULES = provider_rules()
MODELS = tuple(RULES)


def stepping(author: Author) -> Talk:
    """Return a conversation in which old turns are shortened a second time."""
    talking = Talking(author)
    talking.say("system", author.rules(60))
    for _ in range(9):
        talking.say("user", f"{author.document(500)}\n\n{author.question()}")
        talking.ask(60, after_s=20.0)
    return talking.as_talk("stepping")


def talks() -> dict[str, Talk]:
    """Return conversations of many sorts."""
    author = Author("accounts")
    held = [chat(author, 12), agent(author, 8), rag(author, 6), long_system(author, 6), edited(author, 8)]
    held += [pauses(author, 7), window(author, 8), growing(author, 8), same_document(author, 5)]
    held += [at_minimum(author, 1024, 5), at_minimum(author, 2048, 5), stepping(author)]
    return {talk.name: talk for talk in held}


TALKS = talks()


@pytest.fixture(scope="module")
def machinery() -> Machinery:
    """Return what plans and compresses."""
    return Machinery()


def priced() -> Priced:
    """Return the provider's prices, as an operator writes them down."""
    entries = [
        PriceEntry(
            input=INPUT,
            output=OUTPUT,
            cache_read=float(INPUT * rules.read),
            cache_write=float(INPUT * rules.write),
            models=(model,),
        )
        for model, rules in RULES.items()
    ]
    return Priced(Prices(entries, "none"))


def nanos(bills: Sequence[Bill]) -> Fraction:
    """Return what a provider asks for, in nano-dollars; each answer has one token."""
    return sum((bill.cost * INPUT * 1000 + OUTPUT * 1000 for bill in bills), Fraction(0))


def granules(rules: Rules, requests: int) -> Fraction:
    """Return what the luck of rounding hits may be worth, at most."""
    return (1 - rules.read) * (rules.step - 1) * INPUT * 1000 * requests


def seams(records: Sequence[RequestRecord]) -> int:
    """Return what tokens that lie across the cuts between segments may be worth: two in each message."""
    return sum(2 * len(record.report.shortened) for record in records) * INPUT * 1000


@dataclass(frozen=True, slots=True)
class Account:
    """What was said of a conversation, and what was asked for.

    Attributes:
        bills, without: the provider's, of what was sent, and of the client's own words.
    """

    records: Sequence[RequestRecord]
    bills: Sequence[Bill]
    without: Sequence[Bill]

    @property
    def cost(self) -> int:
        return sum(record.money.cost for record in self.records if record.money)

    @property
    def saved(self) -> int:
        return sum(record.money.saved for record in self.records if record.money)

    @property
    def too_much(self) -> Fraction:
        """What is claimed beyond what was saved."""
        return self.saved - (nanos(self.without) - nanos(self.bills))


async def served(
    upstream: BillingUpstream, rewriter: Rewriter | None, key: str, talk: Talk, model: str
) -> list[RequestRecord]:
    """Hold a conversation over sockets, every other answer streamed; return its records."""
    async with proxy(upstream.url, rewriter, pricing=priced()) as running:
        upstream.provider.now += 10 * 86400
        for number, sent in enumerate(talk.requests):
            upstream.provider.now += sent.after_s
            body = json.loads(body_of(talk, sent, model)) | {"stream": number % 2 == 1}
            headers = [("Authorization", key), ("Content-Type", "application/json"), ("Connection", "close")]
            data = request_bytes("POST", "/v1/chat/completions", headers, json.dumps(body).encode())
            came = await raw_exchange(running.port, data)
            assert came.status == 200
            assert came.value("x-elision-cost-basis") == ("estimate" if rewriter else "")
        records = running.records
    assert len(records) == len(talk.requests)
    return records


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "chat"),
        ("gpt-5", "rag"),
        ("gpt-5.6", "stepping"),
        ("claude-sonnet-5", "agent"),
        ("deepseek-v4-pro", "pauses"),
        ("gemini-2.5-flash", "long system"),
        ("llama-3.3-70b", "edited"),
    ],
)
@pytest.mark.timeout(120)
async def test_over_sockets_costs_are_the_bill_and_with_what_was_saved_the_bill_without(
    machinery: Machinery, model: str, name: str
) -> None:
    """To the cent, for each provider's terms, streamed or not; a policy less it costs and saves nothing."""
    talk = TALKS[name]
    machinery.apply(load_preset("balanced"))
    world = World(machinery, Random(name))
    world.start()
    async with BillingUpstream([talk], machinery.tokens) as upstream:
        bare = await served(upstream, None, "bare", talk, model)
        ours = await served(upstream, world.workers[0], "ours", talk, model)
        bills = {key: upstream.provider.bills[key, talk.name] for key in ("bare", "ours")}
    await world.settled()
    account = Account(ours, bills["ours"], bills["bare"])
    assert account.cost == pytest.approx(float(nanos(account.bills)), abs=len(ours))
    assert abs(account.too_much) < CENT
    # Beside tools, an estimate of ours cannot be held against the upstream's count, and stays one.
    sure = Basis.ESTIMATE if (model, name) == ("claude-sonnet-5", "agent") else Basis.BILLED
    assert {record.basis for record in ours if record.tokens_saved} == {sure}
    passed = Account(bare, bills["bare"], bills["bare"])
    assert passed.cost == pytest.approx(float(nanos(passed.bills)), abs=len(bare))
    assert passed.saved == 0


async def held(
    machinery: Machinery, talk: Talk, model: str, preset: str, *, stated: bool = True, event: Event = nothing
) -> Account:
    """Hold a conversation through the rewriter in this process."""
    policy = load_preset(preset)
    machinery.apply(policy)
    machinery.compressor.failing = 0.0
    machinery.compressor.random = Random(talk.name)
    world = World(machinery, Random(talk.name))
    world.start()
    providers = Provider(machinery.tokens), Provider(machinery.tokens)
    records, pricing = list[RequestRecord](), priced()
    for number, sent in enumerate(talk.requests):
        event(world, number / len(talk.requests))
        body = body_of(talk, sent, model)
        rewrite = await world.workers[0].rewrite(body, ASK)
        if rewrite.receipt is not None:
            rewrite.receipt.sent()
        await world.settled()
        for provider in providers:
            provider.now += sent.after_s
        bill = providers[0].serve("one", json.loads(rewrite.body), sent.answer)
        providers[1].serve("one", json.loads(body), sent.answer)
        record = record_of(rewrite.report, usage_in_words(bill, model) if stated else None)
        records.append(pricing.settle(record))
    names = "one", talk.name
    return Account(records, providers[0].bills[names], providers[1].bills[names])


def usage_in_words(bill: Bill, model: str) -> Usage:
    """Return a bill as the observer reads it."""
    told = usage_of(bill, model)
    written = bill.written if RULES[model].write > 1 else 0
    return Usage(told["prompt_tokens"], told["completion_tokens"], bill.cached, written)


def record_of(report: Report, usage: Usage | None) -> RequestRecord:
    """Return the record of an answered request."""
    return RequestRecord(
        "id",
        "POST",
        "/v1/chat/completions",
        200,
        report,
        Answered(usage),
        at=time.time(),
        body_bytes=100,
        tokens_saved=report.tokens_saved,
    )


@pytest.mark.parametrize("name", list(TALKS))
@pytest.mark.parametrize("model", MODELS)
async def test_no_more_is_claimed_than_was_saved(machinery: Machinery, model: str, name: str) -> None:
    """For every provider's terms and sort of conversation, steps and cold caches among them.

    But for the tokens at seams between segments; and where hits are rounded, in the sum.
    """
    preset = ("balanced", "agent", "aggressive", "lossless")[(MODELS.index(model) + len(name)) % 4]
    account = await held(machinery, TALKS[name], model, preset)
    assert account.cost == pytest.approx(float(nanos(account.bills)), abs=len(account.records))
    assert account.too_much <= seams(account.records) + granules(RULES[model], 1)


@pytest.mark.parametrize("name", ["chat", "agent", "rag", "long system", "growing"])
@pytest.mark.parametrize("model", MODELS)
async def test_what_was_saved_is_claimed(machinery: Machinery, model: str, name: str) -> None:
    """All of it, to the token, far from the provider's minimum and where hits are not rounded.

    Where they are, a step for each request may be missing; near the minimum, what it is worth once.
    """
    rules = RULES[model]
    account = await held(machinery, TALKS[name], model, "balanced")
    near = (1 - rules.read) * INPUT * 1000 * rules.minimum
    slack = seams(account.records) + granules(rules, len(account.records)) + near
    assert -account.too_much <= slack


@pytest.mark.parametrize("model", ["gpt-5.6", "claude-sonnet-5", "deepseek-v4-pro", "llama-3.3-70b"])
async def test_of_long_conversations_everything_is_exact(machinery: Machinery, model: str) -> None:
    """Every request, to the tokens at seams, where nothing is rounded and no minimum is near."""
    account = await held(machinery, TALKS["rag"], model, "balanced")
    for record, bill, without in zip(account.records, account.bills, account.without, strict=True):
        assert record.money is not None
        claimed = record.money.cost + record.money.saved
        assert abs(claimed - nanos([without])) <= seams([record]) + 1
        assert abs(record.tokens_saved - (without.prompt - bill.prompt)) <= 2 * len(record.report.shortened)


@pytest.mark.parametrize("model", MODELS)
async def test_without_stated_usage_an_estimate_is_careful(machinery: Machinery, model: str) -> None:
    """And says that it is one. Where hits are rounded it may err by a step a request."""
    account = await held(machinery, TALKS["chat"], model, "balanced", stated=False)
    assert {record.basis for record in account.records} == {Basis.ESTIMATE}
    assert account.too_much <= seams(account.records) + granules(RULES[model], len(account.records))
    assert account.saved > 0


@pytest.mark.parametrize("model", ["gpt-5.6", "claude-sonnet-5", "deepseek-v4-pro", "gpt-5"])
async def test_who_breaks_the_prefix_is_charged_for_it(machinery: Machinery, model: str) -> None:
    """A step's request costs more than it would have: that is told as a loss, and earned back later."""
    machinery.apply(load_preset("balanced"))
    account = await held(machinery, TALKS["stepping"], model, "aggressive")
    assert account.too_much <= seams(account.records) + granules(RULES[model], 1)


async def test_an_original_that_is_sent_after_a_refusal_claims_nothing(machinery: Machinery) -> None:
    """What it breaks of the cache is a loss."""
    talk = TALKS["rag"]
    account = await held(machinery, talk, "gpt-5.6", "balanced")
    last, bill = account.records[-1], account.without[-1]
    report = last.report.withdrawn("upstream_400")
    usage = Usage(bill.prompt, 1, 0, bill.prompt)
    settled = priced().settle(replace(record_of(report, usage), sent_original_after_rejection=True))
    assert settled.tokens_saved == 0
    assert settled.money is not None
    assert settled.money.saved < 0


@pytest.mark.parametrize("preset", ["rag", "aggressive", "balanced"])
@pytest.mark.parametrize("model", MODELS)
async def test_a_document_that_the_cache_would_have_found_is_not_claimed(
    machinery: Machinery, model: str, preset: str
) -> None:
    """The same one before ever other questions: ranked by each, it is found no more, and that is told."""
    account = await held(machinery, TALKS["same document"], model, preset)
    assert account.too_much <= seams(account.records) + granules(RULES[model], 1)


class Halved:
    """A rewriter that says that it has halved a prompt."""

    def wants(self, ask: Ask) -> bool:
        return True

    def unread(self, ask: Ask, *reasons: str) -> Report:
        return Report(team=ask.team, bypass=reasons)

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        new = Shortened(0, 500, 500, 1, known=False)
        report = Report(
            policy="p@1",
            mode="enforce",
            model="gpt-5",
            tokens_before=1000,
            tokens_after=500,
            shortened=(new,),
        )
        return Rewrite(body, True, report)


@pytest.mark.parametrize("status", [200, 429, 500])
async def test_an_error_claims_nothing_in_headers_and_records(status: int) -> None:
    """It is not billed, though it came to the upstream shortened."""
    told = answer(b'{"error": {}}', f"HTTP/1.1 {status} Such\r\nContent-Type: application/json\r\n")
    async with RawUpstream(lambda _: always(told)) as upstream:
        async with proxy(upstream.url, Halved(), pricing=priced()) as running:
            data = request_bytes("POST", "/v1/chat/completions", [("Connection", "close")], b"{}")
            headers = await raw_exchange(running.port, data)
        [record] = running.records
    is_billed = status == 200
    assert headers.value("x-elision-cost-saved-usd") == ("0.010000000" if is_billed else "")
    assert record.tokens_saved == (500 if is_billed else 0)
    assert (record.money is not None) == is_billed
