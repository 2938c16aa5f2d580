"""Conversations through the rewriter, billed as providers do: never above the bill without Elision."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from elision.accounts.records import Report
from elision.compressors.base import Identity, Job, Method, Outcome, Result, Span
from elision.config.prefix_terms import PrefixRow, PrefixTable
from elision.config.windows import Windows
from elision.policies.economy import request_bill
from elision.policies.model import Ability, History, Kind, Mode, Policy, PrefixTerms, Rule, Use, When
from elision.proxy.ledger import Ledger
from elision.proxy.patience import Patience
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Knowledge, Planner
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.rewriter import Ask
from elision.proxy.store import MemoryStore

Message = dict[str, Any]

ASK = Ask("POST", "/v1/chat/completions", "team")
RULE = Rule("documents", When(segment=(Kind.CONTEXT,)), Use("cut", rate=0.5, min_tokens=50))
GPT_4O = PrefixTerms(0.5, 1.0, 1024)
GPT_5 = PrefixTerms(0.1, 1.0, 1024)
GPT_6 = PrefixTerms(0.1, 1.25, 1024)
UNCACHED = PrefixTerms()


class Words:
    """Tokens are words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


class Cutting:
    """Keeps the first words, exactly as many as it is told."""

    def identity(self, method: Method) -> Identity:
        return Identity(method.name)

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        words = job.text.split(" ")
        rate, tokens = job.target.rate, job.target.tokens
        keep = tokens if tokens is not None else int(len(words) * (1.0 if rate is None else rate))
        text = " ".join(words[:keep])
        kept = (Span(0, len(text)),)
        return Result(Outcome(text, len(job.text.split()), len(text.split()), kept, "cut", "cut"))


@dataclass
class Policies:
    """The same for every team; it may be exchanged."""

    policy: Policy

    def for_team(self, team: str) -> Policy | None:
        return self.policy


def policy_of(history: History, version: str = "1") -> Policy:
    return Policy("p", version, Mode.ENFORCE, 60.0, (RULE,), history=history)


def rewriter(terms: PrefixTerms, policies: Policies) -> PolicyRewriter:
    row = PrefixRow(("*",), terms.read, "a page", terms.write, terms.minimum, terms.ttl_s, terms.granule)
    knowledge = Knowledge({"cut": Ability()}, "cut", Windows(()), PrefixTable((), (row,)))
    planner = Planner(policies, lambda _: Words(), knowledge)
    memory = MemoryStore(1 << 24)
    return PolicyRewriter(planner, Pipeline(MemoryStore(1 << 24), Cutting()), Ledger(memory, memory))


def tokens_of(messages: Sequence[Message]) -> int:
    return sum(len(message["content"].split()) + 4 for message in messages) + 4


@dataclass
class Meter:
    """Bills requests as a provider does that finds the longest prefix of an earlier one, by messages."""

    terms: PrefixTerms
    total: float = 0.0
    last: Sequence[Message] = ()

    def bill(self, messages: Sequence[Message]) -> float:
        same = 0
        while same < min(len(self.last), len(messages)) and self.last[same] == messages[same]:
            same += 1
        was_kept = tokens_of(self.last) >= self.terms.minimum
        warm = tokens_of(messages[:same]) if was_kept and same else 0
        self.total += float(request_bill(tokens_of(messages), warm, self.terms))
        self.last = messages
        return self.total


def prose(random: Random, words: int) -> str:
    named = ("mill", "river", "water", "stone", "wheel", "grain", "owner", "bridge")
    return " ".join(
        f"The {random.choice(named)} stood by the {random.choice(named)}." for _ in range(words // 6)
    )


def talk(random: Random, turns: int, document: int, answer: int = 40) -> Iterator[list[Message]]:
    """Yield the messages of each request of a conversation: a document with every question."""
    said: list[Message] = [{"role": "system", "content": "Answer from the documents."}]
    for _ in range(turns):
        asked = f"<document>\n{prose(random, document)}\n</document>\n\nWho owned the mill?"
        said.append({"role": "user", "content": asked})
        yield list(said)
        said.append({"role": "assistant", "content": prose(random, answer)})


@dataclass
class Billed:
    """What became of a conversation.

    Attributes:
        bills: after each request, with us and without.
        sent: messages of each request, as they went out.
    """

    bills: list[tuple[float, float]]
    sent: list[list[Message]]
    reports: list[Report]

    @property
    def changed(self) -> list[int]:
        """Return the requests in which a message went out otherwise than in the one before.

        Those are left out that gave messages back which were too few to be cached.
        """
        pairs = enumerate(pairwise(self.sent), 1)
        changed = (number for number, (before, after) in pairs if after[: len(before)] != before)
        return [number for number in changed if number not in self.returned]

    @property
    def returned(self) -> list[int]:
        """Return the requests that gave messages back."""
        told = (" ".join(report.prefix) for report in self.reports)
        return [number for number, words in enumerate(told) if "returned=cache_minimum" in words]


async def billed(conversation: Iterator[list[Message]], terms: PrefixTerms, history: History) -> Billed:
    proxy = rewriter(terms, Policies(policy_of(history)))
    ours, theirs = Meter(terms), Meter(terms)
    found = Billed([], [], [])
    for messages in conversation:
        done = await proxy.rewrite(json.dumps({"model": "m", "messages": messages}).encode(), ASK)
        sent = json.loads(done.body)["messages"]
        found.bills.append((ours.bill(sent), theirs.bill(messages)))
        found.sent.append(sent)
        found.reports.append(done.report)
        assert done.receipt is not None
        done.receipt.sent()
    return found


@pytest.mark.parametrize("terms", [GPT_4O, GPT_5, GPT_6, UNCACHED], ids=["4o", "5", "5.6", "none"])
@pytest.mark.parametrize("document", [120, 300, 700, 1000, 1500, 3000])
@pytest.mark.parametrize("turns", [1, 2, 6, 16])
async def test_the_bill_is_never_above_the_bill_without(
    terms: PrefixTerms, document: int, turns: int
) -> None:
    """Conversations that begin below the minimum, about it and above it; short ones and long ones."""
    conversation = talk(Random(f"{document}"), turns, document)
    found = await billed(conversation, terms, History())
    assert all(ours <= theirs for ours, theirs in found.bills)
    assert found.changed == []


async def test_a_prompt_is_held_above_the_minimum_and_says_so() -> None:
    """By a higher target, not by giving up the whole document; later turns find it as it was."""
    found = await billed(talk(Random("1"), 3, 1500), GPT_6, History())
    first = found.reports[0]
    assert first.prefix[-1].startswith("kept=cache_minimum,tokens=1522>771>1173,")
    assert 1088 <= tokens_of(found.sent[0]) <= 1180
    assert first.methods == ("cut",)
    assert found.reports[1].prefix == ("replayed=2", "new=2")


@pytest.mark.parametrize("terms", [GPT_4O, GPT_5, GPT_6], ids=["4o", "5", "5.6"])
@pytest.mark.parametrize("turns", [2, 6, 12, 40])
async def test_a_conversation_that_was_too_small_is_given_back_when_it_is_large_enough(
    terms: PrefixTerms, turns: int
) -> None:
    """900 tokens made 450 grow slowly; from the third turn on the client's own may be cached, and go out."""
    asked = ({"role": "user", "content": f"And who owned bridge number {number}?"} for number in range(99))
    said = next(talk(Random("1"), 1, 860))
    conversation = [list(said)]
    for question in list(asked)[: turns - 1]:
        said += [{"role": "assistant", "content": prose(Random("1"), 30)}, question]
        conversation.append(list(said))
    found = await billed(iter(conversation), terms, History())
    assert all(ours <= theirs for ours, theirs in found.bills)
    assert found.changed == []
    assert len(found.returned) == (turns > 2)
    if found.returned:
        first = found.returned[0]
        assert found.sent[first][1] == conversation[first][1]
        assert found.bills[-1][0] < found.bills[-1][1]


async def test_what_is_taken_back_is_recorded_as_it_was() -> None:
    """With its reason, so that the next turn sends it again as it is."""
    found = await billed(talk(Random("1"), 2, 1080), GPT_6, History())
    assert found.reports[0].bypass == ("cache_minimum",)
    assert tokens_of(found.sent[0]) > 1088
    assert found.changed == []


async def test_who_expects_no_further_turn_gets_the_shortest_prompt() -> None:
    """And says nothing of a minimum."""
    found = await billed(talk(Random("1"), 1, 1500), GPT_6, History(expected_turns=0))
    assert tokens_of(found.sent[0]) < 800
    assert found.reports[0].prefix == ("replayed=0", "new=2")
    assert replace(found.reports[0], prefix=()).bypass == ()


OLD = History(older_than_turns=2, step=3, use=Use("cut", rate=0.2, min_tokens=50), expected_turns=10)


async def test_old_turns_change_at_the_steps_only() -> None:
    """Every third turn, all that has come together at once; between the steps bytes are equal."""
    found = await billed(talk(Random("2"), 14, 600), GPT_4O, OLD)
    assert found.changed == [5, 8, 11]
    words = [report.prefix[-1].partition(",")[0] for report in found.reports]
    assert [number for number, word in enumerate(words) if word == "step=taken"] == [5, 8, 11]
    assert not [word for word in words if word == "step=waits"]
    before, after = found.sent[4], found.sent[5]
    smaller = [n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]]
    assert smaller == [1, 3, 5]
    for number in smaller:
        assert tokens_of([after[number]]) < 0.5 * tokens_of([before[number]])
        assert after[number]["content"].endswith("Who owned the mill?")


@pytest.mark.parametrize("terms", [GPT_4O, GPT_5, GPT_6, UNCACHED], ids=["4o", "5", "5.6", "none"])
@pytest.mark.parametrize("document", [120, 600, 2000, 6000])
async def test_a_step_lowers_the_bill_of_the_turns_that_were_expected(
    terms: PrefixTerms, document: int
) -> None:
    """Against the same conversation without one, if there is any; and never above no Elision at all."""
    once = replace(OLD, step=9, expected_turns=8)
    found = await billed(talk(Random("3"), 20, document), terms, once)
    plain = await billed(talk(Random("3"), 20, document), terms, History(expected_turns=8))
    assert found.changed in ([], [11])
    assert all(ours <= theirs for ours, theirs in found.bills[11:])
    if found.changed:
        assert found.bills[-1][0] < plain.bills[-1][0]
    else:
        assert found.sent == plain.sent


@pytest.mark.parametrize(("terms", "changed"), [(GPT_4O, True), (GPT_6, False), (UNCACHED, True)])
async def test_whether_a_step_pays_depends_on_the_provider(terms: PrefixTerms, changed: bool) -> None:
    """The same conversation, the same policy."""
    once = replace(OLD, step=9, expected_turns=4)
    assert bool((await billed(talk(Random("3"), 13, 600), terms, once)).changed) is changed


async def test_a_step_waits_where_breaking_the_prefix_costs_more() -> None:
    """It says what it would need, when more has come together, and changes nothing."""
    found = await billed(talk(Random("2"), 12, 600), GPT_6, replace(OLD, expected_turns=3))
    assert found.changed == []
    words = {number: report.prefix[-1] for number, report in enumerate(found.reports)}
    waits = [number for number, word in words.items() if word.startswith("step=waits")]
    assert waits == [5, 8, 11]
    assert ",turns=3,needs=" in words[5]


async def test_a_conversation_of_another_policy_takes_no_step() -> None:
    """What began before the policy changed goes on as it was, byte for byte; steps and all."""
    policies = Policies(policy_of(History(), "1"))
    proxy = rewriter(GPT_4O, policies)
    conversation = list(talk(Random("2"), 13, 2400))
    sent: list[list[Message]] = []
    for number, messages in enumerate(conversation):
        if number == 4:
            policies.policy = policy_of(OLD, "2")
        done = await proxy.rewrite(json.dumps({"model": "m", "messages": messages}).encode(), ASK)
        assert done.receipt is not None
        done.receipt.sent()
        sent.append(json.loads(done.body)["messages"])
    assert all(after[: len(before)] == before for before, after in pairwise(sent))


async def test_a_step_outlives_the_policy_that_took_it() -> None:
    """Messages that a step has shortened stay so when the policy has no steps any more."""
    policies = Policies(policy_of(OLD, "1"))
    proxy = rewriter(GPT_4O, policies)
    sent: list[list[Message]] = []
    for number, messages in enumerate(talk(Random("2"), 10, 2400)):
        if number == 6:
            policies.policy = policy_of(History(), "2")
        done = await proxy.rewrite(json.dumps({"model": "m", "messages": messages}).encode(), ASK)
        assert done.receipt is not None
        done.receipt.sent()
        sent.append(json.loads(done.body)["messages"])
    changed = [n for n, (before, after) in enumerate(pairwise(sent), 1) if after[: len(before)] != before]
    assert changed == [5]


async def test_a_retried_step_is_sent_alike() -> None:
    """Once more, from memory, though the first try was never answered; and in parallel."""
    conversation = list(talk(Random("2"), 7, 600))
    proxy = rewriter(GPT_4O, Policies(policy_of(OLD)))
    bodies = [json.dumps({"model": "m", "messages": messages}).encode() for messages in conversation]
    for body in bodies[:5]:
        done = await proxy.rewrite(body, ASK)
        assert done.receipt is not None
        done.receipt.sent()
    first, parallel = await asyncio.gather(proxy.rewrite(bodies[5], ASK), proxy.rewrite(bodies[5], ASK))
    again = await proxy.rewrite(bodies[5], ASK)
    further = await proxy.rewrite(bodies[6], ASK)
    assert any(done.report.prefix[-1].startswith("step=taken") for done in (first, parallel))
    assert first.body == parallel.body == again.body
    sent, then = (json.loads(done.body)["messages"] for done in (first, further))
    assert then[: len(sent)] == sent


async def test_another_branch_finds_what_it_was_sent() -> None:
    """A user who goes back behind a step has the prefix as it was before it."""
    conversation = list(talk(Random("2"), 7, 600))
    found = await billed(iter([*conversation[:6], [*conversation[4][:-1], branch()]]), GPT_4O, OLD)
    assert found.changed == [5, 6]
    assert found.sent[6][:-1] == found.sent[4][:-1]


def branch() -> Message:
    return {"role": "user", "content": "Who built the bridge?"}
