"""Any JSON that an upstream might accept is planned or left alone, and nothing but texts changes.

Bodies are made as clients of all sorts might write them: the shapes that the three endpoints know,
with odd ones in their places, unknown keys, deep nesting, repeated keys, every way to write a
number, a string or white space.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from elision.compressors.base import Identity, Job, Method, Outcome, Result
from elision.policies.model import Budget, Endpoint, FewShot, Kind, Mode, Policy, Rule, Use, When
from elision.proxy.bodies import Body, parse, splice
from elision.proxy.carry import NotCarriedError
from elision.proxy.ledger import Ledger
from elision.proxy.patience import Patience
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planner
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.rewriter import Ask, Rewrite
from elision.proxy.store import MemoryStore
from fakes.forgetful import Forgetful

PATHS = {
    Endpoint.CHAT: "/v1/chat/completions",
    Endpoint.COMPLETIONS: "/v1/completions",
    Endpoint.RESPONSES: "/v1/responses",
}


class Raw(str):
    """JSON that is written as it is."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object's members, of which several may have one name."""


# Structure


NUMBERS = st.sampled_from(
    ["0", "-0", "1.50", "1e3", "1E-7", "-0.0", "12345678901234567890123", "1e400", "0.1000", "4096"]
).map(Raw)
TEXTS = st.text(max_size=12) | st.sampled_from(
    [
        "Context:\n\nA fact.\n\nAnother fact.\n\nWhat is it?",
        "Q: one?\nA: 1\n\nQ: two?\nA: 2\n\nQ: three?\nA:",
        '<elision rate="0.5">drop</elision> <elision off>keep</elision> <elision>open',
        "<documents><document>a</document><document>b</document></documents>\n\nWhich?",
        "```python\nx = 1\n```\n\nExplain.",
        '{"a": [1, 2, {"b": null}]}',
        "word " * 400 + "\n\nWhy?",
        "\ud800",
        "\x00\u2028\U0001f469\u200d\U0001f680",
    ]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
KEYS = st.sampled_from(
    ["role", "content", "type", "text", "name", "output", "messages", "input", "model", "signature", "x", ""]
)


def objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pairs]:
    return st.lists(st.tuples(KEYS | st.text(max_size=3), values), max_size=3).map(Pairs)


ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | objects(inner), max_leaves=6)


def shaped(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Pairs]:
    """Objects with the known members, some absent, some odd, in any order, with others among them."""
    members = [st.tuples(st.just(name), values | ANYTHING) for name, values in known.items()]
    straight = [st.tuples(st.just(name), values) for name, values in known.items()]
    usual = st.tuples(*straight).map(list)
    odd = st.tuples(*(st.lists(member, max_size=2) for member in members)).map(
        lambda lists: list(chain(*lists))
    )
    extra = st.lists(st.tuples(KEYS | st.text(max_size=3), ANYTHING), max_size=2)
    whole = st.tuples(usual | odd, extra).map(lambda two: two[0] + two[1])
    return whole.flatmap(st.permutations).map(Pairs) | usual.map(Pairs)


PARTS = shaped(
    {
        "type": st.sampled_from(["text", "input_text", "output_text", "image_url", "thinking", "refusal"]),
        "text": TEXTS,
    }
)
CONTENT = TEXTS | st.lists(PARTS | ANYTHING, max_size=3)
MESSAGES = shaped(
    {
        "role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "odd"]),
        "content": CONTENT,
        "name": st.sampled_from(["example_user", "example_assistant", "x"]),
    }
)
ITEMS = MESSAGES | shaped(
    {
        "type": st.sampled_from(
            ["message", "function_call", "function_call_output", "custom_tool_call_output", "reasoning"]
        ),
        "output": CONTENT,
        "arguments": TEXTS,
        "encrypted_content": TEXTS,
    }
)
FIGURES = {
    "model": st.sampled_from(["gpt-4o", "gpt-4", "claude-3", ""]),
    "stream": st.booleans(),
    "max_tokens": NUMBERS,
    "tools": ANYTHING,
}
VALUES = {
    Endpoint.CHAT: shaped({"messages": st.lists(MESSAGES, max_size=5), **FIGURES}),
    Endpoint.COMPLETIONS: shaped({"prompt": TEXTS | st.lists(TEXTS | NUMBERS, max_size=3), **FIGURES}),
    Endpoint.RESPONSES: shaped(
        {"input": TEXTS | st.lists(ITEMS, max_size=5), "instructions": TEXTS, **FIGURES}
    ),
}


# Writing


@st.composite
def written(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """JSON with one writer's white space and escapes, or none's."""
    blank = st.just("") if draw(st.booleans()) else st.sampled_from(["", " ", "\n  ", "\t", "\r\n"])
    is_ascii = draw(st.booleans())
    blanks = draw(st.lists(blank, min_size=8, max_size=8))
    text = "".join(pieces(draw(values), blanks, is_ascii=is_ascii))
    return (blanks[0] + text + blanks[1]).encode("utf-8", "surrogatepass")


def pieces(value: Any, blanks: list[str], *, is_ascii: bool) -> Iterator[str]:
    before, after, *_ = blanks = blanks[1:] + blanks[:1]
    if isinstance(value, Raw):
        yield value
    elif isinstance(value, list):
        opened, closed = "{}" if isinstance(value, Pairs) else "[]"
        yield opened + before
        for number, item in enumerate(value):
            if number:
                yield before + "," + after
            if isinstance(value, Pairs):
                yield json.dumps(item[0], ensure_ascii=is_ascii) + after + ":" + before
            inner = item[1] if isinstance(value, Pairs) else item
            yield from pieces(inner, blanks, is_ascii=is_ascii)
        yield after + closed
    else:
        yield json.dumps(value, ensure_ascii=is_ascii)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Endpoint, bytes]:
    endpoint = draw(st.sampled_from(Endpoint))
    return endpoint, draw(written(VALUES[endpoint]))


# Reading


class Words:
    """Counts words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


class Policies:
    """Touch whatever may be touched; `thrifty` has a budget beside, and leaves parts out."""

    def for_team(self, team: str) -> Policy:
        use = Use("lossless", min_tokens=0)
        rules = (Rule("named", When(segment=tuple(Kind)), use), Rule("rest", When(), use))
        budget = Budget(rate=0.3, min_rates=((Kind.CONTEXT, 0.1),)) if team == "thrifty" else None
        return Policy("p", "1", Mode.ENFORCE, 60.0, rules, budget, FewShot(leading_pairs=1))


class Halving:
    """A compressor that keeps the first half of everything."""

    def identity(self, method: Method) -> Identity:
        return Identity("halving")

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        return Result(Outcome(job.text[: len(job.text) // 2], 2, 1, (), "halve", "halving"))


PLANNER = Planner(Policies(), lambda model: Words())


def rewritten(body: bytes, ask: Ask) -> Rewrite:
    async def run() -> Rewrite:
        pipeline = Pipeline(Forgetful(), Halving())
        ledger = Ledger(Forgetful(), MemoryStore(0))
        rewrite = await PolicyRewriter(PLANNER, pipeline, ledger).rewrite(body, ask)
        await pipeline.close()
        return rewrite

    return asyncio.run(run())


def value_at(value: Any, place: str) -> tuple[Any, str | int]:
    """Return what holds the value at a place, and under which key or index."""
    *path, last = place.strip("/").split("/")
    for step in path:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value, int(last) if isinstance(value, list) else last


def loaded(body: bytes) -> Any:
    return json.loads(body.decode("utf-8", "surrogatepass"))


def apart(body: Body, changed: bytes) -> list[str] | None:
    """Return the strings that stand in a changed body where the texts stood, None if more changed."""
    pattern: list[bytes] = []
    done = 0
    for start, end in sorted(body.ranges):
        pattern += (re.escape(body.raw[done:start]), rb'("(?:[^"\\]|\\.)*+")')
        done = end
    pattern.append(re.escape(body.raw[done:]))
    match = re.fullmatch(b"".join(pattern), changed, re.DOTALL)
    return None if match is None else [json.loads(group) for group in match.groups()]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests(), st.sampled_from(["", "thrifty"]))
def test_any_body_is_planned_or_left_alone(request: tuple[Endpoint, bytes], team: str) -> None:
    """No failure, no byte changed beside the texts, and every text in its place."""
    endpoint, body = request
    ask = Ask("POST", PATHS[endpoint], team)
    rewrite = rewritten(body, ask)
    assert "internal_error" not in rewrite.report.bypass
    if not rewrite.changed:
        assert rewrite.body == body
        return
    found = parse(body, endpoint)
    texts = apart(found, rewrite.body)
    assert texts is not None
    expected = loaded(body)
    in_order = sorted(range(len(found.texts)), key=lambda index: found.ranges[index])
    for index, text in zip(in_order, texts, strict=True):
        holder, key = value_at(expected, found.texts[index].place)
        assert holder[key] == found.texts[index].text
        holder[key] = text
    assert loaded(rewrite.body) == expected


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests(), st.sampled_from(["", "thrifty"]))
def test_a_plan_covers_the_texts_and_nothing_else(request: tuple[Endpoint, bytes], team: str) -> None:
    """Every text is the concatenation of its decisions' segments."""
    endpoint, body = request
    try:
        planned = PLANNER.plan(body, Ask("POST", PATHS[endpoint], team))
    except NotCarriedError as error:
        planned, reason = None, str(error)
        assert_short(reason)
    if planned is None:
        return
    parts = ["" for _ in planned.body.texts]
    for decision in planned.plan.decisions:
        parts[decision.segment.source] += decision.segment.text
    assert parts == [text.text for text in planned.body.texts]


def assert_short(reason: str) -> None:
    """A reason is a word for counters, never the body's text."""
    assert re.fullmatch("[a-z_]+", reason)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests(), st.data())
def test_any_replacement_changes_exactly_the_texts_that_it_names(
    request: tuple[Endpoint, bytes], data: st.DataObject
) -> None:
    """Whatever the new texts are: quotes, line ends, other scripts, nothing at all."""
    endpoint, body = request
    try:
        found = parse(body, endpoint)
    except NotCarriedError as error:
        assert_short(str(error))
        return
    indices = st.sets(st.integers(0, len(found.texts) - 1)) if found.texts else st.just(set())
    replaced = {index: data.draw(st.text(st.characters(codec="utf-8"))) for index in data.draw(indices)}
    changed = splice(found, replaced)
    expected = loaded(body)
    for index, text in replaced.items():
        holder, key = value_at(expected, found.texts[index].place)
        holder[key] = text
    assert loaded(changed) == expected
    assert apart(found, changed) is not None
    if not replaced:
        assert changed == body


def test_the_fuzz_reaches_what_it_is_for() -> None:
    """Of the bodies made, a good part is planned for, at each endpoint, and some are refused."""
    planned: Counter[Endpoint] = Counter()
    refused: Counter[str] = Counter()

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @seed(4)
    @given(requests())
    def look(request: tuple[Endpoint, bytes]) -> None:
        endpoint, body = request
        try:
            planned[endpoint] += bool(parse(body, endpoint).texts)
        except NotCarriedError as error:
            refused[str(error)] += 1

    look()
    assert min(planned[endpoint] for endpoint in Endpoint) >= 20
    assert {"duplicate_keys", "malformed_body"} <= refused.keys()
