"""Plan, compress, splice, report; and whatever fails, the original."""

import asyncio
import json
import logging
import threading
from dataclasses import replace
from math import inf

import pytest

from elision.config.prefix_terms import PrefixEntry
from elision.policies.model import Budget, History, Kind, Mode, Policy, Rule, Use, When
from elision.proxy.bodies import Body
from elision.proxy.ledger import Ledger
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planned, Planner, packaged_knowledge
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.rewriter import Ask, Rewrite
from elision.proxy.store import MemoryStore
from fakes.halving import Halving

LONG = "A fact of some length. " * 100
ASK = Ask("POST", "/v1/chat/completions", "t")
BODY = json.dumps(
    {"model": "m", "seed": 1.50, "messages": [{"role": "user", "content": f"{LONG}\n\nWhat is it?"}]}
).encode()


class Words:
    """Counts words, or fails."""

    name = "words"

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def count(self, text: str) -> int:
        if self._error is not None:
            raise self._error
        return len(text.split())


class Fixed:
    """Just this policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def for_team(self, team: str) -> Policy:
        return self._policy


class OnePolicy:
    """The same policy for every team."""

    def __init__(self, mode: Mode, deadline_s: float = 2.0) -> None:
        self._mode = mode
        self._deadline_s = deadline_s

    def for_team(self, team: str) -> Policy:
        rule = Rule("documents", When(segment=(Kind.CONTEXT,)), Use("halve", rate=0.5))
        alone = History(expected_turns=0)  # prices are another test's matter
        return Policy("rag", "1", self._mode, self._deadline_s, (rule,), history=alone)


def ledger() -> Ledger:
    """Return one that is empty."""
    memory = MemoryStore(1 << 20)
    return Ledger(memory, memory)


def rewriter(
    halving: Halving, *, mode: Mode = Mode.ENFORCE, error: Exception | None = None
) -> PolicyRewriter:
    planner = Planner(OnePolicy(mode), lambda model: Words(error))
    return PolicyRewriter(planner, Pipeline(MemoryStore(1 << 20), halving), ledger())


async def test_only_the_planned_text_changes() -> None:
    """The question and every other byte stay; the report tells what was saved."""
    done = await rewriter(Halving()).rewrite(BODY, Ask("POST", "/v1/chat/completions", "search"))
    assert done.changed
    assert len(done.body) < len(BODY) * 0.6
    assert json.loads(done.body)["messages"][0]["content"].endswith("What is it?")
    assert b'"seed": 1.5,' in done.body
    assert (done.report.team, done.report.policy, done.report.methods) == ("search", "rag@1", ("halve",))
    assert done.report.tokens_before > done.report.tokens_after > 0
    assert (done.report.cache, done.report.bypass) == ("miss", ())


async def test_the_same_request_is_the_same_bytes_again() -> None:
    """Sent again, and not made again."""
    same = rewriter(Halving())
    first = await same.rewrite(BODY, ASK)
    await asyncio.sleep(0)  # the cache is written beside the request
    second = await same.rewrite(BODY, ASK)
    assert (first.body, second.report.cache) == (second.body, "replay")


async def test_audit_reports_and_forwards_the_original() -> None:
    """What would have been saved."""
    done = await rewriter(Halving(), mode=Mode.AUDIT).rewrite(BODY, ASK)
    assert (done.changed, done.body) == (False, BODY)
    assert (done.report.mode, done.report.methods) == ("audit", ("halve",))
    assert done.report.tokens_before > done.report.tokens_after


@pytest.mark.parametrize("reason", ["deadline", "compressor_crashed", "queue_full"])
async def test_what_was_not_compressed_goes_out_as_it_was(reason: str) -> None:
    """Byte for byte, with the reason."""
    done = await rewriter(Halving(failing=reason)).rewrite(BODY, ASK)
    assert (done.changed, done.body, done.report.bypass) == (False, BODY, (reason,))
    assert done.report.tokens_before == done.report.tokens_after


async def test_a_body_that_is_not_ours_to_read_goes_out_as_it_was() -> None:
    """With the reason."""
    done = await rewriter(Halving()).rewrite(b"not json", ASK)
    assert (done.body, done.report.bypass) == (b"not json", ("malformed_body",))
    assert (done.report.team, done.report.policy, done.report.mode) == ("t", "rag@1", "enforce")


async def test_a_request_may_ask_for_its_plan_in_place_of_an_answer() -> None:
    """Nothing is compressed, nothing forwarded, nothing of the prompt is quoted."""
    halving = Halving()
    ask = Ask("POST", "/v1/chat/completions", "t", [("X-Elision", "explain")])
    done = await rewriter(halving).rewrite(BODY, ask)
    assert done.answer is not None
    segments = json.loads(done.answer)["segments"]
    assert [(part["segment"], part["method"]) for part in segments] == [
        ("context", "halve"),
        ("question", "keep"),
    ]
    assert (done.changed, halving.asked) == (False, [])
    assert "A fact" not in done.answer.decode()


async def test_a_fault_of_ours_goes_out_as_it_was_and_tells_no_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the error's type and place; its message might quote the prompt."""
    with caplog.at_level(logging.ERROR):
        done = await rewriter(Halving(), error=ValueError("the prompt said X")).rewrite(BODY, ASK)
    assert (done.body, done.report.bypass) == (BODY, ("internal_error",))
    assert "ValueError" in caplog.text
    assert "prompt said" not in caplog.text


async def test_a_body_that_takes_too_long_to_plan_goes_out_at_the_deadline() -> None:
    """Planning is part of the time that the policy allows."""
    release = threading.Event()

    def count_slowly(model: str) -> Words:
        release.wait(10)
        return Words()

    large = BODY.replace(b"{", b"{" + b" " * 10_000, 1)
    planner = Planner(OnePolicy(Mode.ENFORCE, deadline_s=0.05), count_slowly)
    done = await PolicyRewriter(planner, Pipeline(MemoryStore(1), Halving()), ledger()).rewrite(large, ASK)
    release.set()
    assert (done.body, done.report.bypass) == (large, ("deadline",))


ANSWERED = [
    {"role": "user", "content": f"{LONG}\n\nWhat is it?"},
    {"role": "assistant", "content": "A mill."},
]
FURTHER = {"role": "user", "content": f"{LONG}\n\nWhose is it?"}


def chat(*messages: dict[str, str]) -> bytes:
    return json.dumps({"model": "m", "messages": messages}).encode()


def contents(done: Rewrite) -> list[str]:
    return [message["content"] for message in json.loads(done.body)["messages"]]


class Faltering:
    """A planner that does what it is told to once it has planned something."""

    def __init__(self, error: Exception, policy: Fixed | None = None) -> None:
        always = policy or Fixed(OnePolicy(Mode.ENFORCE).for_team(""))
        self.planner = Planner(always, lambda model: Words())
        self.is_well = True
        self._error = error

    def wants(self, ask: Ask) -> bool:
        return True

    def policy(self, team: str) -> Policy | None:
        return self.planner.policy(team)

    def plan(self, body: bytes | Body, ask: Ask, until: float = inf) -> Planned | None:
        if not self.is_well:
            raise self._error
        return self.planner.plan(body, ask, until)


@pytest.mark.parametrize(("error", "reason"), [(TimeoutError(), "deadline"), (KeyError(), "internal_error")])
@pytest.mark.parametrize("padding", [0, 10_000, 1 << 20])
async def test_what_was_sent_is_sent_again_without_a_plan(
    error: Exception, reason: str, padding: int
) -> None:
    """All else goes as it came, and stays so; on the loop, in a thread, in two."""
    faltering = Faltering(error)
    same = PolicyRewriter(faltering, Pipeline(MemoryStore(1 << 20), Halving()), ledger())
    blank = b" " * padding
    first = await same.rewrite(blank + chat(*ANSWERED[:1]), ASK)
    faltering.is_well = False
    second = await same.rewrite(blank + chat(*ANSWERED, FURTHER), ASK)
    assert second.changed
    assert contents(second) == [*contents(first), "A mill.", FURTHER["content"]]
    assert (second.report.bypass, second.report.prefix) == ((reason,), ("replayed=1", "new=2"))
    assert second.report.tokens_before > second.report.tokens_after > 0
    faltering.is_well = True
    third = await same.rewrite(blank + chat(*ANSWERED, FURTHER, ANSWERED[1], FURTHER), ASK)
    assert contents(third)[:3] == contents(second)
    assert len(contents(third)[4]) < len(LONG) * 0.6


async def test_a_compressor_that_is_gone_changes_nothing_of_what_was_sent() -> None:
    """It is not asked about it."""
    halving = Halving()
    same = rewriter(halving)
    first = await same.rewrite(chat(*ANSWERED[:1]), ASK)
    halving.unavailable = "method_unavailable"
    second = await same.rewrite(chat(*ANSWERED, FURTHER), ASK)
    assert contents(second) == [*contents(first), "A mill.", FURTHER["content"]]
    assert (second.report.cache, second.report.bypass) == ("partial", ("method_unavailable",))
    again = await same.rewrite(chat(*ANSWERED, FURTHER), ASK)
    assert (again.body, again.report.bypass) == (second.body, ("method_unavailable",))


async def test_history_that_nobody_knows_goes_as_it_came() -> None:
    """Once and for all, and it is told once; our own tags in it go."""
    halving = Halving()
    same = rewriter(halving)
    tagged = {"role": "user", "content": f"{LONG}<elision off>\n\nWhat is it?</elision>"}
    first = await same.rewrite(chat(tagged, ANSWERED[1], FURTHER), ASK)
    assert contents(first)[0] == f"{LONG}\n\nWhat is it?"
    assert len(contents(first)[2]) < len(LONG) * 0.6
    assert first.report.bypass == ("history_unknown",)
    assert first.report.prefix == ("replayed=0", "new=1", "unknown=2")
    second = await same.rewrite(chat(tagged, ANSWERED[1], FURTHER, ANSWERED[1], FURTHER), ASK)
    assert contents(second)[:3] == contents(first)
    assert (second.report.bypass, second.report.prefix) == ((), ("replayed=3", "new=2"))
    assert len(halving.asked) == 2


SHARED = ANSWERED[0]


def shared_with(done: Rewrite) -> bool:
    """Return whether the first message was shortened."""
    return len(contents(done)[0]) < len(LONG) * 0.6


@pytest.mark.parametrize("fault", ["failing", "unavailable", "planning", "unknown"])
async def test_what_one_conversation_could_not_shorten_others_that_begin_alike_can(fault: str) -> None:
    """Because a method or a plan came too late, or nobody knew how it went out before; it stays with that."""
    halving, faltering = Halving(), Faltering(TimeoutError())
    same = PolicyRewriter(faltering, Pipeline(MemoryStore(1 << 20), halving), ledger())
    faltering.is_well = fault != "planning"
    halving.failing = halving.unavailable = "deadline" if fault in ("failing", "unavailable") else ""
    begun = [SHARED, {"role": "user", "content": "Whose?"}]
    begun += [ANSWERED[1], {"role": "user", "content": "Why?"}] if fault == "unknown" else []
    first = await same.rewrite(chat(*begun), ASK)
    assert not shared_with(first)
    faltering.is_well, halving.failing, halving.unavailable = True, "", ""
    other = await same.rewrite(chat(SHARED, {"role": "user", "content": "Since when?"}), ASK)
    assert shared_with(other)
    for messages in (begun, [*begun, ANSWERED[1], FURTHER]):
        later = await same.rewrite(chat(*messages), ASK)
        assert contents(later)[: len(begun)] == contents(first)


async def test_a_new_conversation_with_other_headers_is_decided_by_its_own_rules() -> None:
    """Though it begins like one without them; neither changes while it runs, whatever headers come."""
    policy = OnePolicy(Mode.ENFORCE).for_team("")
    careful = Rule("careful", When(header=(("x-class", "contract*"),)), Use())
    fixed = Fixed(replace(policy, rules=(careful, *policy.rules)))
    planner = Planner(fixed, lambda model: Words())
    same = PolicyRewriter(planner, Pipeline(MemoryStore(1 << 20), Halving()), ledger())
    contract = replace(ASK, headers=[("X-Class", "contract-7")])
    begun = [[SHARED, {"role": "user", "content": word}] for word in ("Whose?", "Since when?")]
    short = await same.rewrite(chat(*begun[0]), ASK)
    whole = await same.rewrite(chat(*begun[1]), contract)
    assert (shared_with(short), shared_with(whole)) == (True, False)
    for messages, first, other in ((begun[0], short, contract), (begun[1], whole, ASK)):
        later = await same.rewrite(chat(*messages, ANSWERED[1], {"role": "user", "content": "Why?"}), other)
        assert contents(later)[:2] == contents(first)


async def test_of_requests_at_once_each_tells_what_was_new_for_it() -> None:
    """History that nobody knew is known to the second of them."""
    same = rewriter(Halving())
    done = await asyncio.gather(*(same.rewrite(chat(*ANSWERED, FURTHER), ASK) for _ in range(2)))
    assert done[0].body == done[1].body
    assert [one.report.prefix for one in done] == [
        ("replayed=0", "new=1", "unknown=2"),
        ("replayed=3", "new=0"),
    ]


@pytest.mark.parametrize("content", ["", None, [], [{"type": "image_url", "image_url": {"url": "data:,"}}]])
async def test_a_message_without_words_is_remembered_too(content: object) -> None:
    """What follows it is no unknown history, then."""
    same = rewriter(Halving())
    begun = [*ANSWERED, {"role": "user", "content": content}]
    messages = [*begun, ANSWERED[1], FURTHER]
    asked = [json.dumps({"model": "m", "messages": part}).encode() for part in (begun[:1], begun, messages)]
    prefixes = [(await same.rewrite(body, ASK)).report.prefix for body in asked]
    assert prefixes == [
        ("replayed=0", "new=1"),
        ("replayed=1", "new=2"),
        ("replayed=3", "new=2"),
    ]


async def test_unknown_history_is_compressed_where_the_policy_says_so() -> None:
    """For upstreams that keep no prefix."""
    policy = replace(OnePolicy(Mode.ENFORCE).for_team(""), history=History(compress_unknown=True))
    asked = Faltering(KeyError(), Fixed(policy))
    done = await PolicyRewriter(asked, Pipeline(MemoryStore(1 << 20), Halving()), ledger()).rewrite(
        chat(*ANSWERED, FURTHER), ASK
    )
    assert all(len(contents(done)[at]) < len(LONG) * 0.6 for at in (0, 2))
    assert done.report.prefix == ("replayed=0", "new=3")


async def test_what_is_not_enforced_is_not_remembered() -> None:
    """Off by the request, in audit, explained."""
    same = rewriter(Halving())
    for word in ("audit", "explain", "off"):
        done = await same.rewrite(BODY, replace(ASK, headers=[("x-elision", word)]))
        assert (done.receipt, done.report.prefix) == (None, ())
    assert (await same.rewrite(BODY, ASK)).report.prefix == ("replayed=0", "new=1")


async def test_what_the_provider_keeps_is_no_part_of_what_goes_on_from_it() -> None:
    """A response is gone on from with the new items alone; instructions are what they were before."""
    same, ask = rewriter(Halving()), Ask("POST", "/v1/responses", "t")
    result = {"type": "function_call_output", "call_id": "c", "output": f"{LONG}"}

    async def sent(response: str) -> Rewrite:
        members = {
            "model": "m",
            "previous_response_id": response,
            "instructions": "Go on.",
            "input": [result],
        }
        return await same.rewrite(json.dumps(members).encode(), ask)

    prefixes = [(await sent(response)).report.prefix for response in ("r1", "r1", "r2")]
    assert prefixes == [("replayed=0", "new=2"), ("replayed=2", "new=0"), ("replayed=1", "new=1")]


class Known:
    """A cache that finds beginnings, and a budget that leaves out what the question has least to do with."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode

    def for_team(self, team: str) -> Policy:
        rule = Rule("documents", When(segment=(Kind.CONTEXT,)), Use("halve"))
        return Policy("rag", "1", self._mode, 2.0, (rule,), Budget(rate=0.5, slope=0.3))


def with_prices(mode: Mode, minimum: int) -> PolicyRewriter:
    """Return a rewriter of requests to a model whose beginnings are billed at a tenth."""
    known = packaged_knowledge(prefix_terms=[PrefixEntry(("*",), read=0.1, write=1, minimum=minimum)])
    planner = Planner(Known(mode), lambda model: Words(), known)
    return PolicyRewriter(planner, Pipeline(MemoryStore(1 << 20), Halving()), ledger())


def about(question: str, times: int = 90) -> bytes:
    """Return a request with two documents before a question."""
    mill, weir = "The mill stood by the river. " * times, "The weir was of stone and old. " * times
    found = f"<document>\n{mill}\n</document>\n<document>\n{weir}\n</document>"
    message = {"role": "user", "content": f"{found}\n\nQuestion: {question}"}
    return json.dumps({"model": "m", "messages": [message]}).encode()


def before_question(done: Rewrite) -> str:
    """Return what goes out before the question."""
    text: str = json.loads(done.body)["messages"][0]["content"]
    return text.partition("Question:")[0]


@pytest.mark.parametrize("times", [90, 200])
async def test_documents_that_come_again_are_the_same_bytes_before_every_question(times: int) -> None:
    """From the second time on, large or not, and the header says so; before, the question ranks them."""
    one = with_prices(Mode.ENFORCE, 64)
    asked = ["Who owned the mill?", "Was the weir of stone?", "When, and by whom, was the mill sold?"]
    done = []
    for question in asked:
        done.append(await one.rewrite(about(question, times), ASK))
        receipt = done[-1].receipt
        assert receipt is not None
        receipt.sent()
    heads = [[word for word in each.report.prefix if word.startswith("head=")] for each in done]
    assert heads[0] == []
    assert heads[1] == heads[2]
    assert heads[1][0].startswith("head=steady,tokens=")
    assert before_question(done[0]) != before_question(done[1]) == before_question(done[2])


async def test_audit_tells_no_saving_that_the_providers_minimum_would_take_back() -> None:
    """What is reported is what enforcing would save."""
    audited = await with_prices(Mode.AUDIT, 900).rewrite(about("Who owned the mill?"), ASK)
    enforced = await with_prices(Mode.ENFORCE, 900).rewrite(about("Who owned the mill?"), ASK)
    free = await with_prices(Mode.AUDIT, 64).rewrite(about("Who owned the mill?"), ASK)
    assert free.report.tokens_only_audited > audited.report.tokens_only_audited
    assert audited.report.tokens_only_audited >= enforced.report.tokens_saved
    assert audited.body == about("Who owned the mill?")
