"""What the playground's page may ask, what it is told, and what is refused."""

import json
from pathlib import Path
from types import MappingProxyType

import pytest

from elision.compressors.base import Method
from elision.policies.model import Kind, Mode, Policy, Rule, Use, When
from elision.proxy.errors import RequestError
from elision.proxy.playground_api import LIMIT_BYTES, named_methods, teams_of, wanted_of
from elision.proxy.policy_source import PolicySet
from fakes.raw_upstream import RawUpstream
from fakes.running import Answer, raw_exchange, request_bytes
from fakes.serving import Served, served
from fakes.tidy import BODY, POLICY, echo

API = "/elision/api/playground"
PHRASES = Use("selective_context", options=(("level", "phrase"), ("words", ("a", "b"))))


def policy(name: str, *uses: Use, mode: Mode = Mode.ENFORCE) -> Policy:
    rules = tuple(Rule(f"r{at}", When(segment=(Kind.CONTEXT,)), use) for at, use in enumerate(uses))
    return Policy(name, "1", mode, 2.0, rules)


TIDY = policy("tidy", Use("lossless"), Use())
SEARCH = policy("rag", PHRASES, mode=Mode.AUDIT)
POLICIES = PolicySet(MappingProxyType({"search": SEARCH, "default": TIDY}), TIDY)


def question(**members: object) -> bytes:
    return json.dumps({"prompt": "text", **members}).encode()


def test_there_is_every_team_and_every_method_that_is_prepared() -> None:
    """The default team first; methods with the options that policies use them with."""
    assert [(row["team"], row["policy"], row["mode"]) for row in teams_of(POLICIES)] == [
        ("default", "tidy@1", "enforce"),
        ("search", "rag@1", "audit"),
    ]
    assert named_methods(POLICIES) == {
        "lossless": Method("lossless"),
        "selective_context (level=phrase, words=a+b)": Method(PHRASES.method, PHRASES.options),
    }


def test_a_question_names_its_policy_method_rate_and_model() -> None:
    """All but the prompt may be left out."""
    plain = wanted_of(question(), POLICIES)
    assert (plain.policy, plain.team, plain.method, plain.rate) == (TIDY, "default", None, None)
    full = wanted_of(question(team="search", method="lossless", rate=0.4, model="m"), POLICIES)
    assert (full.policy, full.team, full.method) == (SEARCH, "search", Method("lossless"))
    assert (full.rate, full.model, full.prompt) == (0.4, "m", "text")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"no JSON", "bad_question"),
        (question(prompt=" \n"), "no_prompt"),
        (question(prompt=5), "bad_question"),
        (question(other="x"), "bad_question"),
        (question(team="nobody"), "unknown_team"),
        (question(method="embedded"), "unknown_method"),
        (question(rate=0), "bad_rate"),
        (question(rate=1.5), "bad_rate"),
    ],
)
def test_what_cannot_be_asked_is_refused_without_a_word_of_it(body: bytes, code: str) -> None:
    """The error says what there is instead."""
    with pytest.raises(RequestError) as refused:
        wanted_of(body, POLICIES)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert "nobody" not in str(refused.value)


async def ask(running: Served, body: bytes, *headers: tuple[str, str]) -> Answer:
    pairs = [("Host", f"localhost:{running.port}"), ("Content-Type", "application/json"), *headers]
    raw = request_bytes("POST", API, pairs, body).replace(b"Host: elision.test\r\n", b"")
    return await raw_exchange(running.port, raw)


async def test_a_served_playground_tells_and_keeps_nothing(tmp_path: Path) -> None:
    """Through the compressor process that serves requests; no figure, header or log line is left of it."""
    (tmp_path / "default.yaml").write_text(POLICY)
    secret = json.dumps([{"id": n, "word": "Quagmire"} for n in range(200)], indent=8)
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(tmp_path)) as running,
    ):
        await running.until_ready()
        got = await ask(running, question(prompt=f"{secret}\n\nHow many?"))
        large = await ask(running, question(prompt="x" * LIMIT_BYTES))
        foreign = await ask(running, question(), ("Origin", "https://elsewhere.example"))
        after = await running.post("/v1/chat/completions", BODY)
        metrics = (await running.get("/elision/metrics")).body.decode()
        assert await running.stop() == 0
    told = json.loads(got.body)
    assert (got.status, got.value("cache-control"), told["policy"][:5]) == (200, "no-store", "tidy@")
    assert told["tokens"]["after"] < 0.6 * told["tokens"]["before"]
    assert told["parts"][0]["method"] == "lossless"
    assert told["took_s"] > 0
    assert (large.status, foreign.status) == (413, 403)
    assert after.value("x-elision-cache") == "miss"
    assert "Quagmire" not in "".join(running.log) + metrics
    assert len(upstream.received) == 1
