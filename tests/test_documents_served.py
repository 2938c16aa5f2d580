"""Documents that change places go through the whole proxy: what was sent is sent again, byte for byte.

A real LongLLMLingua on a tiny random model, behind the proxy's own server, ledger and cache.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elision.compressors.base import Identity, Job, Method, Result
from elision.compressors.engine import Engine
from elision.compressors.tokens import Counters
from elision.policies.model import History, Kind, Mode, Policy, Rule, Use, When
from elision.proxy.cli import run
from elision.proxy.ledger import Ledger
from elision.proxy.patience import Patience
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planner
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.store import MemoryStore
from fakes.raw_upstream import RawUpstream, Received, answer
from fakes.running import Answer, Running, proxy, raw_exchange, request_bytes
from fakes.tiny_lm import save_tiny_lm

FACTS = (
    "A witness said that the meeting was held late and that reports may be filed by anyone who was there.",
    "The quick brown fox jumps over the lazy dog and it was the best of times for all of them that day.",
    "Weather in the north is cold and dark in winter but the lights of the town are warm and bright too.",
    "He said of the dogs that they jump over foxes when times are best and meetings are held in May.",
    "Ships of the northern line leave the harbour in the evening and carry timber, wool and passengers.",
    "The library keeps letters that a miller wrote to his daughter while she was away at school in town.",
)
DOCUMENTS = "\n\n".join(
    f"Document [{number}]: {fact} Nobody said more of it then. {fact.lower()} It cost {number}7 EUR."
    for number, fact in enumerate(FACTS, 1)
)
FIRST, SECOND = "Who jumps over the lazy dog?", "When are reports filed by the witness?"

Message = dict[str, Any]


class InProcess:
    """The compressor that a policy's jobs go to, in the test's own process."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.asked: list[Job] = []

    def identity(self, method: Method) -> Identity:
        return self.engine.prepare(method)

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        self.asked.append(job)
        [result] = self.engine.run_known([job], [scores])
        return result


class OnePolicy:
    """Everybody's."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def for_team(self, team: str) -> Policy | None:
        return self.policy


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    weights = str(save_tiny_lm(tmp_path_factory.mktemp("lm")))
    options = {"context_budget": "+40", "reorder_context": "sort", "weights": weights}
    use = Use("longllmlingua", 0.5, None, tuple(sorted(options.items())), min_tokens=50)
    rule = Rule("documents", When(segment=(Kind.CONTEXT,)), use)
    return Policy("rag", "1", Mode.ENFORCE, 60.0, (rule,))


@pytest.fixture(scope="module")
def compressor() -> InProcess:
    return InProcess()


def rewriter(policy: Policy, compressor: InProcess) -> PolicyRewriter:
    """Return a rewriter that remembers nothing of what another one did."""
    memory, counters = MemoryStore(1 << 24), Counters()
    planner = Planner(OnePolicy(policy), counters.counter_for)
    return PolicyRewriter(planner, Pipeline(memory, compressor), Ledger(memory, memory))


async def said(request: Received) -> AsyncIterator[bytes]:
    """Answer with the words of the last document that was sent, of which most was taken away."""
    content = json.loads(request.body)["messages"][0]["content"]
    words = content.split("]: ")[-1].split("\n")[0]
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": words}}]}
    yield answer(json.dumps(body).encode())


async def asked(running: Running, messages: list[Message]) -> Answer:
    body = json.dumps({"model": "gpt-4o", "messages": messages}).encode()
    headers = [("Content-Type", "application/json")]
    return await raw_exchange(running.port, request_bytes("POST", "/v1/chat/completions", headers, body))


def talk() -> list[Message]:
    """Return a conversation of two turns that both ask about documents."""
    return [
        {"role": "user", "content": f"Documents:\n\n{DOCUMENTS}\n\n{FIRST}"},
        {"role": "assistant", "content": "The fox."},
        {"role": "user", "content": f"Documents:\n\n{DOCUMENTS}\n\n{SECOND}"},
    ]


def contents(request: Received) -> list[str]:
    return [message["content"] for message in json.loads(request.body)["messages"]]


def numbers(text: str) -> list[int]:
    """Return the documents in a text, in order."""
    return [int(part[0]) for part in text.split("Document [")[1:]]


async def test_reordered_documents_are_sent_again_as_they_were(policy: Policy, compressor: InProcess) -> None:
    """Out of the ledger, of numbers alone; whole documents, the most apt first, nothing protected lost."""
    async with (
        RawUpstream(said) as upstream,
        proxy(upstream.url, rewriter(policy, compressor)) as running,
    ):
        first = await asked(running, talk()[:1])
        second = await asked(running, talk())
    assert (first.status, second.status) == (200, 200)
    [one], [again, _, other] = (contents(request) for request in upstream.received)
    assert one == again
    assert one.endswith(FIRST)
    assert other.endswith(SECOND)
    order = numbers(one)
    assert 1 < len(order) < 6
    assert order != sorted(order) or numbers(other) != sorted(numbers(other))
    assert all(f"{number}7 EUR" in one for number in order)
    assert first.value("x-elision-method") == "longllmlingua"
    assert int(first.value("x-elision-tokens-after")) < 0.7 * int(first.value("x-elision-tokens-before"))
    assert "replayed=" in second.value("x-elision-prefix")


async def test_a_message_s_question_is_that_of_its_own_turn(policy: Policy, compressor: InProcess) -> None:
    """So an earlier turn is decided alike in a later request, even by a proxy that has forgotten it."""
    anew = replace(policy, history=History(compress_unknown=True))
    sent: list[list[str]] = []
    for messages in (talk()[:1], talk()):
        async with (
            RawUpstream(said) as upstream,
            proxy(upstream.url, rewriter(anew, compressor)) as running,
        ):
            await asked(running, messages)
        sent.append(contents(upstream.received[0]))
    assert sent[0][0] == sent[1][0]
    questions = {job.target.question.strip() for job in compressor.asked}
    assert questions == {FIRST, SECOND}
    # The same documents, another question: other words stay.
    assert sent[1][0].removesuffix(FIRST) != sent[1][2].removesuffix(SECOND)


def test_the_documented_policy_is_one(tmp_path: Path) -> None:
    """The example of docs/longllmlingua.md is read as a policy, without a warning."""
    page = (Path(__file__).parent.parent / "docs/longllmlingua.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "default.yaml").write_text(example)
    assert run(["check", str(tmp_path), "--strict"]) == 0


async def test_answers_come_back_in_the_client_s_words(policy: Policy, compressor: InProcess) -> None:
    """Where the policy says so: what the model quotes of a document reads as the client wrote it."""
    plain, recovering = policy, replace(policy, recover=True)
    told: list[Answer] = []
    for one in (plain, recovering):
        async with (
            RawUpstream(said) as upstream,
            proxy(upstream.url, rewriter(one, compressor)) as running,
        ):
            told.append(await asked(running, talk()[:1]))
    quoted, recovered = (json.loads(one.body)["choices"][0]["message"]["content"] for one in told)
    assert quoted not in DOCUMENTS
    assert recovered != quoted
    assert len(recovered) > len(quoted)
    assert int(told[1].value("x-elision-recovered")) > 0
    assert told[0].value("x-elision-recovered") == ""
    assert told[1].value("content-length") == str(len(told[1].body))
