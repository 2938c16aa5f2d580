"""A prompt tried: what the proxy would make of it, told part by part, and nothing of it kept."""

import json
from collections.abc import Sequence

import pytest

from elision.accounts.money import Basis, Money, Unpriced
from elision.accounts.records import Report
from elision.compressors.base import Method
from elision.policies.model import Kind, Mode, Policy, Rule, Use, When
from elision.proxy.planner import packaged_knowledge
from elision.proxy.playground import Playground, Tried, Wanted, policy_of, request_of
from fakes.halving import Halving

DOCUMENT = "It has 12 wheels and a roof of slate. " * 60
QUESTION = "How many wheels does it have?"
PROMPT = f"{DOCUMENT}\n\n{QUESTION}"
HALVE = Method("halve")


class Words:
    """Counts words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


class Flat(Unpriced):
    """Every token costs a thousand nano-dollars."""

    def estimate(self, report: Report, upstream: str) -> Money | None:
        return Money(report.tokens_after * 1000, report.tokens_saved * 1000, Basis.ESTIMATE)


def policy(*rules: Rule, mode: Mode = Mode.ENFORCE) -> Policy:
    return Policy("rag", "1", mode, 0.5, rules or (documents(Use("halve", rate=0.5)),))


def documents(use: Use) -> Rule:
    return Rule("documents", When(segment=(Kind.CONTEXT,)), use)


async def tried(wanted: Wanted, halving: Halving | None = None) -> Tried:
    playground = Playground(halving or Halving(), lambda _: Words(), packaged_knowledge())
    return await playground.run(wanted, Flat())


def whole(pieces: Sequence[tuple[str, str]]) -> str:
    return "".join(text for what, text in pieces if what != "new")


async def test_every_part_is_told_with_what_became_of_its_words() -> None:
    """Kept, protected and dropped words make the original; tokens and money are the report's."""
    done = await tried(Wanted(PROMPT, policy(), "search"))
    context, question = done.parts
    assert (context.kind, context.rule, context.method, context.target) == (
        "context",
        "documents",
        "halve",
        "50%",
    )
    assert whole(context.pieces) + whole(question.pieces) == PROMPT
    kinds = {what for what, _ in context.pieces}
    assert kinds == {"kept", "protected", "dropped"}
    assert ("protected", "12") in context.pieces
    assert [what for what, _ in question.pieces] == ["kept"]
    assert done.report.tokens_before == context.tokens_before + question.tokens_before
    assert done.report.tokens_after == context.tokens_after + question.tokens_after
    assert done.report.tokens_saved > 200
    assert done.cost_before == done.report.tokens_before * 1000
    assert done.cost_after == done.report.tokens_after * 1000
    assert done.prefix.startswith("taken as a conversation's first request")


async def test_a_wished_rate_and_method_go_before_the_policys() -> None:
    """Whatever the policy permits to requests, and whatever else it would do."""
    halving = Halving()
    await tried(Wanted(PROMPT, policy(), "search", rate=0.25), halving)
    assert [job.target.rate for job in halving.asked] == [0.25]
    other = Method("other", (("level", "word"),))
    keeping = policy(documents(Use()))
    done = await tried(Wanted(PROMPT, keeping, "search", method=other, rate=0.3), halving)
    assert (halving.asked[-1].method, halving.asked[-1].target.rate) == (other, 0.3)
    assert done.parts[0].method == "other"
    assert (await tried(Wanted(PROMPT, keeping, "search"), halving)).report.tokens_saved == 0


async def test_a_policy_that_is_off_is_tried_all_the_same() -> None:
    """What it would do is what is asked."""
    done = await tried(Wanted(PROMPT, policy(mode=Mode.OFF), "search"))
    assert done.report.tokens_saved > 0
    assert done.wanted.policy.mode is Mode.OFF


async def test_all_turns_of_a_conversation_are_decided() -> None:
    """As they were had it gone through the proxy from its beginning."""
    turns = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": "Twelve."},
        {"role": "user", "content": PROMPT.replace("12", "13")},
    ]
    body = json.dumps({"model": "m", "messages": turns})
    done = await tried(Wanted(body, policy(), "search"))
    halved = [part for part in done.parts if part.tokens_after < part.tokens_before]
    assert [part.place for part in halved] == ["/messages/0/content", "/messages/2/content"]
    assert done.report.bypass == ()


@pytest.mark.parametrize("reason", ["compressor_starting", "queue_full"])
async def test_why_nothing_was_shortened_is_told(reason: str) -> None:
    """Of the request and of the part."""
    done = await tried(Wanted(PROMPT, policy(), "search"), Halving(failing=reason))
    assert (done.report.bypass, done.parts[0].reason) == ((reason,), reason)
    assert [what for what, _ in done.parts[0].pieces if what == "dropped"] == []


async def test_a_body_that_the_proxy_would_not_read_has_no_parts() -> None:
    """And the reason."""
    done = await tried(Wanted('{"model": "m", "messages": [1]}', policy(), "search"))
    assert (done.parts, done.report.bypass) == ((), ("unexpected_shape",))


async def test_the_same_prompt_is_shortened_anew_each_time() -> None:
    """Nothing of it was kept."""
    halving = Halving()
    playground = Playground(halving, lambda _: Words(), packaged_knowledge())
    for _ in range(2):
        done = await playground.run(Wanted(PROMPT, policy(), "search"), Unpriced())
        assert (done.report.cache, done.cost_before) == ("miss", None)
    assert len(halving.asked) == 2


@pytest.mark.parametrize(
    ("prompt", "path", "under_way"),
    [
        ("a text", "/v1/chat/completions", False),
        ('{"messages": [{"role": "user", "content": "x"}]}', "/v1/chat/completions", False),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', "/v1/chat/completions", True),
        ('{"prompt": "x"}', "/v1/completions", False),
        ('{"input": [{"role": "assistant", "content": "x"}]}', "/v1/responses", True),
        ('{"messages": "no list"}', "/v1/chat/completions", False),
        ("[1, 2]", "/v1/chat/completions", False),
        ('{"input": 5}', "/v1/chat/completions", False),
    ],
)
def test_a_prompt_is_a_body_where_an_endpoint_would_take_it(prompt: str, path: str, under_way: bool) -> None:
    """Anything else is what a user says; the model is named where the body names none."""
    body, found, is_under_way = request_of(Wanted(prompt, policy(), "t", model="m-1"))
    assert (found, is_under_way) == (path, under_way)
    read = json.loads(body)
    assert read.pop("model") == "m-1"
    wrapped = {"messages": [{"role": "user", "content": prompt}]}
    assert read in (wrapped, json.loads(prompt) if prompt.startswith("{") else wrapped)


def test_a_body_goes_as_it_was_pasted() -> None:
    """Byte for byte where it names its model."""
    pasted = '{ "model":"x",  "messages": [ ]}'
    assert request_of(Wanted(pasted, policy(), "t", model="m"))[0] == pasted.encode()


def test_the_policy_to_try_by_is_the_teams_in_force() -> None:
    """With patience; a method in place of its rules leaves instructions and questions alone."""
    wanted = Wanted("x", policy(mode=Mode.AUDIT), "t", method=HALVE)
    made = policy_of(wanted)
    assert (made.mode, made.label, made.deadline_s) == (Mode.ENFORCE, "rag@1", 60.0)
    [rule] = made.rules
    assert rule.use.method == "halve"
    assert not {Kind.QUESTION, Kind.INSTRUCTION} & set(rule.when.segment)
