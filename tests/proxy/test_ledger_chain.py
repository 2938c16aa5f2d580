"""Names of prefixes: the same for the same messages however they are written, others for all others."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.model import Endpoint
from elision.proxy.bodies import parse
from elision.proxy.ledger_chain import DIGEST_BYTES, Chains, Origin, last_answer

ORIGIN = Origin("east", "m")
SAID: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is it?"},
    {"role": "assistant", "content": "A mill."},
    {"role": "user", "content": "Whose?"},
]
NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
STRINGS = st.text(alphabet=st.sampled_from(r'ab \/é漢😀{}[]:,"') | st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    NUMBERS | STRINGS.map(lambda text: json.dumps(text, ensure_ascii=len(text) % 2 == 0)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
        | st.lists(st.tuples(st.sampled_from(["a", "\\u0062", "c d"]), inner), max_size=3).map(
            lambda pairs: (
                "{" + ",".join(f'"{name}{n}":{value}' for n, (name, value) in enumerate(pairs)) + "}"
            )
        )
    ),
)


def names(
    messages: list[dict[str, Any]], origin: Origin = ORIGIN, chains: Chains | None = None, **members: Any
) -> list[bytes]:
    return of(json.dumps({"messages": messages, **members}).encode(), Endpoint.CHAT, origin, chains)


def of(body: bytes, endpoint: Endpoint, origin: Origin = ORIGIN, chains: Chains | None = None) -> list[bytes]:
    chain = (chains or Chains()).of(parse(body, endpoint), origin)
    return [chain[at : at + DIGEST_BYTES] for at in range(0, len(chain), DIGEST_BYTES)]


@given(VALUES)
def test_only_white_space_between_values_is_normalised(value: str) -> None:
    """Numbers and strings keep their bytes: `msgspec.json.format` is trusted with that."""
    assert msgspec.json.format(value.encode(), indent=-1) == value.encode()
    assert msgspec.json.format(msgspec.json.format(value.encode(), indent=2), indent=-1) == value.encode()


def test_a_prefix_has_the_same_name_in_every_later_request() -> None:
    """And names are as many as messages, all different."""
    whole = names(SAID)
    assert len(set(whole)) == 4
    for number in range(5):
        assert names(SAID[:number]) == whole[:number]


def test_layout_is_no_part_of_a_name() -> None:
    """Nor are members beside the messages."""
    body = json.dumps({"temperature": 1, "messages": SAID}, indent=3).encode()
    assert of(body, Endpoint.CHAT) == names(SAID, tools=[{"type": "function"}])


@pytest.mark.parametrize(
    "origin",
    [Origin("west", "m"), Origin("east", "n"), Origin("east", "m", 0.5), Origin("east", "m", apart="x")],
)
def test_other_conversations_have_other_names(origin: Origin) -> None:
    """Another upstream, model, rate, use."""
    assert not set(names(SAID)) & set(names(SAID, origin))


def test_a_change_renames_all_that_follows() -> None:
    """And nothing before it."""
    changed = [*SAID[:1], {"role": "user", "content": "What is it? "}, *SAID[2:]]
    assert names(changed)[:1] == names(SAID)[:1]
    assert not set(names(changed)[1:]) & set(names(SAID)[1:])


@given(st.lists(st.sampled_from(["user", "assistant", "tool"]), min_size=1, max_size=12), st.integers(1, 12))
def test_what_is_remembered_changes_no_name(roles: list[str], first: int) -> None:
    """Whichever request came before, and with however little memory."""
    said = [{"role": role, "content": str(number)} for number, role in enumerate(roles)]
    for chains in (Chains(), Chains(400)):
        names(said[:first], chains=chains)
        assert names(said, chains=chains) == names(said) == names(said, chains=chains)


def test_the_last_answer_begins_where_an_earlier_request_ended() -> None:
    """An answer may be several messages."""
    body = {"input": [{"role": "user", "content": "a"}, {"type": "reasoning"}, {"type": "function_call"}]}
    output = {"type": "function_call_output", "output": "b"}
    body["input"].append(output)
    assert last_answer(parse(json.dumps(body).encode(), Endpoint.RESPONSES).messages) == 1
    assert last_answer(parse(json.dumps({"messages": SAID[:2]}).encode(), Endpoint.CHAT).messages) == 0
    assert last_answer(()) == 0


def test_what_the_provider_keeps_of_a_conversation_names_it() -> None:
    """So do instructions, which are no input."""
    bodies: list[dict[str, Any]] = [
        {"input": "a"},
        {"instructions": "a"},
        {"input": "a", "previous_response_id": "r1"},
        {"input": "a", "previous_response_id": "r2"},
        {"input": "a", "conversation": {"id": "r2"}},
    ]
    told = [of(json.dumps(body).encode(), Endpoint.RESPONSES)[0] for body in bodies]
    assert len(set(told)) == len(told)
    null = {"previous_response_id": None, "input": "a"}
    assert of(json.dumps(null).encode(), Endpoint.RESPONSES) == told[:1]


def test_instructions_have_one_name_whatever_response_they_go_on_from() -> None:
    """They are sent anew with each; what follows them is another conversation's."""
    chains, found = Chains(), []
    for thread in ({}, {"previous_response_id": "r1"}, {"previous_response_id": "r2"}):
        body = json.dumps({"instructions": "Be brief.", "input": "a", **thread}).encode()
        found.append(of(body, Endpoint.RESPONSES, chains=chains))
    assert len({first for first, _ in found}) == 1
    assert len({second for _, second in found}) == 3


@pytest.mark.parametrize("given", ["a", [{"role": "user", "content": "a"}]])
def test_instructions_may_stand_after_the_input(given: str | list[dict[str, str]]) -> None:
    """The model reads them first; what is remembered of one conversation is never taken for another's."""
    chains = Chains()
    other: str | list[dict[str, str]] = (
        "b" if given == "a" else [{"role": "user", "content": "b"}, {"role": "user", "content": "c"}]
    )
    for said in (given, other, given):
        told = [("model", "m"), ("input", said), ("instructions", "Be brief.")]
        found = [
            of(json.dumps(dict(way)).encode(), Endpoint.RESPONSES, chains=chains)
            for way in (told, told[::-1])
        ]
        assert found[0] == found[1] == of(json.dumps(dict(told)).encode(), Endpoint.RESPONSES)
        assert len(found[0]) == 1 + (1 if isinstance(said, str) else len(said))


def test_a_prompt_is_one_message() -> None:
    """Several prompts are several."""
    assert len(of(b'{"prompt":"a"}', Endpoint.COMPLETIONS)) == 1
    assert len(of(b'{"prompt":["a","b"]}', Endpoint.COMPLETIONS)) == 2
    assert of(b'{"messages":[]}', Endpoint.CHAT) == []
