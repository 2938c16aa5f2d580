"""`POST /v1/compress` as Headroom's clients send it: answered by the team's policy, never forwarded."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from elision.policies.model import Kind, Mode, Permissions, Policy, Rule, Use, When
from elision.proxy.compress_endpoint import CompressEndpoint
from elision.proxy.errors import RequestError
from elision.proxy.headers import Headers
from elision.proxy.ledger import Ledger
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planner
from elision.proxy.rewriter import Ask
from elision.proxy.store import MemoryStore
from fakes.halving import Halving
from fakes.raw_upstream import RawUpstream, Received, always, answer
from fakes.running import proxy, raw_exchange, request_bytes

LONG = "A fact of some length. " * 100
MESSAGES: list[dict[str, object]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": f"{LONG}\n\nWhat is it?"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "extra": 1.50}]},
    {"role": "tool", "tool_call_id": "1", "content": LONG},
]
RATES = Permissions(rate=True)


class Words:
    """Counts words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


class Policies:
    """One policy for every team but `none`."""

    def __init__(self, mode: Mode = Mode.ENFORCE, permissions: Permissions | None = None) -> None:
        use = Use("halve", rate=0.5)
        kinds = (Kind.CONTEXT, Kind.TOOL_RESULT)
        rule = Rule("long", When(segment=kinds), use)
        self._policy = Policy("rag", "1", mode, 2.0, (rule,), permissions=permissions or Permissions())

    def for_team(self, team: str) -> Policy | None:
        return None if team == "none" else self._policy


def endpoint(
    halving: Halving | None = None, mode: Mode = Mode.ENFORCE, permissions: Permissions | None = None
) -> CompressEndpoint:
    policies = Policies(mode, permissions)
    planner = Planner(policies, lambda model: Words())
    memory = MemoryStore(1 << 20)
    return CompressEndpoint(policies, planner, Pipeline(memory, halving or Halving()), Ledger(memory, memory))


async def answered(
    asked: CompressEndpoint, headers: Headers | None = None, **members: object
) -> dict[str, Any]:
    body = json.dumps({"messages": MESSAGES, "model": "m", **members}).encode()
    told, _ = await asked.answer(body, Ask("POST", "/v1/compress", "t", headers or []))
    found: dict[str, Any] = json.loads(told)
    return found


async def test_a_conversation_comes_back_shorter() -> None:
    """With as many messages, everything but the planned texts as it was, and the figures."""
    told = await answered(endpoint())
    messages = told["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool"]
    assert (messages[0], messages[2]) == (MESSAGES[0], MESSAGES[2])
    assert messages[1]["content"].endswith("What is it?")
    assert len(messages[3]["content"]) < len(LONG) * 0.6
    assert told["tokens_before"] - told["tokens_after"] == told["tokens_saved"] > 400
    assert told["compression_ratio"] == pytest.approx(told["tokens_after"] / told["tokens_before"], abs=1e-4)
    assert (told["transforms_applied"], told["ccr_hashes"]) == (["halve"], [])
    assert "compression_skipped" not in told


async def test_the_first_messages_stay_where_the_client_says_so() -> None:
    """The provider has them in its cache; our own tags in them stay too."""
    tagged = [{"role": "user", "content": f"<elision off>x</elision> {LONG}\n\nWhat is it?"}]
    messages = [*tagged, *MESSAGES[2:]]
    told = await answered(endpoint(), messages=messages, config={"frozen_message_count": 2})
    assert told["messages"][:2] == messages[:2]
    assert len(told["messages"][2]["content"]) < len(LONG) * 0.6
    frozen = await answered(endpoint(), messages=messages, config={"frozen_message_count": 99})
    assert (frozen["messages"], frozen["tokens_saved"]) == (messages, 0)


async def test_a_ratio_counts_where_the_policy_lets_requests_choose() -> None:
    """As `x-elision-rate`, which goes before it."""
    halving = Halving()
    await answered(endpoint(halving, permissions=RATES), config={"target_ratio": 0.3})
    await answered(
        endpoint(halving, permissions=RATES), [("x-elision-rate", "0.7")], config={"target_ratio": 0.3}
    )
    await answered(endpoint(halving), config={"target_ratio": 0.3})
    assert [job.target.rate for job in halving.asked[::2]] == [0.3, 0.7, 0.5]


@pytest.mark.parametrize(
    ("mode", "headers"),
    [
        (Mode.ENFORCE, [("X-Headroom-Bypass", "true")]),
        (Mode.ENFORCE, [("x-elision", "off")]),
        (Mode.OFF, []),
        (Mode.AUDIT, []),
    ],
)
async def test_where_nothing_is_to_be_changed_the_messages_come_back(mode: Mode, headers: Headers) -> None:
    """By the client's word, or the policy's; nothing is said to be saved."""
    told = await answered(endpoint(mode=mode), headers)
    assert told["messages"] == MESSAGES
    assert (told["tokens_saved"], told["compression_ratio"], told["transforms_applied"]) == (0, 1.0, [])


async def test_a_compressor_that_fails_costs_the_saving_only() -> None:
    """The messages come back with the reason."""
    told = await answered(endpoint(Halving(failing="overloaded")))
    assert (told["messages"], told["tokens_saved"]) == (MESSAGES, 0)
    assert (told["compression_skipped"], told["skip_reason"]) == (True, "overloaded")


@pytest.mark.parametrize("messages", [[], [{"role": "user"}], [3]])
async def test_messages_of_any_shape_come_back(messages: list[object]) -> None:
    """What is no conversation of ours is the next one's matter."""
    told = await answered(endpoint(), messages=messages)
    assert (told["messages"], told["tokens_before"], told["compression_ratio"]) == (messages, 0, 1.0)


async def test_a_plan_is_shown_where_it_is_asked_for() -> None:
    """`x-elision: explain` works here as everywhere."""
    told = await answered(endpoint(), [("x-elision", "explain")])
    assert {segment["method"] for segment in told["segments"]} >= {"halve"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_body"),
        (b"[]", "malformed_body"),
        (b'{"messages":[],"messages":[]}', "malformed_body"),
        (b'{"model":"m"}', "no_messages"),
        (b'{"messages":"hello"}', "no_messages"),
        (b'{"messages":[],"config":7}', "bad_config"),
        (b'{"messages":[],"config":{"mode":"lossless"}}', "bad_config"),
        (b'{"messages":[],"config":{"frozen_message_count":-1}}', "bad_config"),
        (b'{"messages":[],"config":{"target_ratio":1.5}}', "bad_config"),
    ],
)
async def test_what_is_no_request_for_compression_is_refused(body: bytes, code: str) -> None:
    """With a word and a message."""
    with pytest.raises(RequestError) as refused:
        await endpoint().answer(body, Ask("POST", "/v1/compress"))
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize("config", [{}, None, {"mode": "ccr", "session_id": "s", "protect_recent": 2}])
async def test_what_is_the_policy_s_matter_is_passed_over(config: object) -> None:
    """Members of `config` that other services know."""
    assert (await answered(endpoint(), config=config))["tokens_saved"] > 400


async def test_only_the_endpoint_of_teams_with_a_policy_is_ours() -> None:
    """Anything else is forwarded."""
    asked = endpoint()
    assert asked.takes(Ask("POST", "/v1/compress?x=1", "t"))
    others = [
        Ask("GET", "/v1/compress", "t"),
        Ask("POST", "/v1/compress/response", "t"),
        Ask("POST", "/v1/compress", "none"),
    ]
    assert not any(map(asked.takes, others))


def ok(_: Received) -> AsyncIterator[bytes]:
    return always(answer(b"{}"))


async def test_over_http_it_is_answered_here_and_recorded() -> None:
    """A team is told by its path, as everywhere; errors look like OpenAI's; without a policy it passes."""
    body = json.dumps({"messages": MESSAGES}).encode()
    async with RawUpstream(ok) as upstream, proxy(upstream.url, compress=endpoint()) as running:
        good = await raw_exchange(running.port, request_bytes("POST", "/t/t/v1/compress", body=body))
        bad = await raw_exchange(running.port, request_bytes("POST", "/t/t/v1/compress", body=b"{}"))
        encoded = await raw_exchange(
            running.port,
            request_bytes("POST", "/t/t/v1/compress", [("Content-Encoding", "gzip")], b"{}"),
        )
        large = await raw_exchange(
            running.port, request_bytes("POST", "/t/t/v1/compress", body=b" " * ((1 << 20) + 1))
        )
        assert upstream.received == []
        await raw_exchange(running.port, request_bytes("POST", "/t/none/v1/compress", body=body))
        assert [request.body for request in upstream.received] == [body]
    assert json.loads(good.body)["tokens_saved"] > 400
    assert (good.status, good.value("x-elision-policy")) == (200, "rag@1")
    assert (bad.status, json.loads(bad.body)["error"]["code"]) == (400, "no_messages")
    assert [encoded.status, large.status] == [415, 413]
    assert [record.status for record in running.records[:4]] == [200, 400, 415, 413]


async def test_a_conversation_that_grows_is_answered_with_the_same_bytes() -> None:
    """Whatever becomes of the compressor; what the client froze is its own word."""
    halving = Halving()
    asked = endpoint(halving)
    first = await answered(asked, messages=MESSAGES[:2])
    halving.failing = "overloaded"
    second = await answered(asked)
    assert second["messages"] == [*first["messages"], *MESSAGES[2:]]
    assert second["tokens_saved"] == first["tokens_saved"] > 200
    frozen = await answered(asked, config={"frozen_message_count": 4})
    assert (frozen["messages"], frozen["tokens_saved"]) == (MESSAGES, 0)
    assert (await answered(asked))["messages"] == second["messages"]
