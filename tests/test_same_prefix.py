"""A conversation's earlier messages go out byte-identical in every later request, by every preset.

Conversations are drawn from a seed and sent turn by turn through planner, pipeline and splice. The
compressor's outcome names all that it was asked, so that any difference in text, target, question
or method shows in what is sent. Nothing is remembered, and unknown history is compressed: this is
what holds where the ledger was lost. What holds with it, `test_ledger_events` shows.
"""

import asyncio
import hashlib
import json
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from elision.compressors.base import Identity, Job, Method, Outcome, Result
from elision.policies.model import Budget, History, Kind, Policy, Rule, Use, When
from elision.proxy.ledger import Ledger
from elision.proxy.patience import Patience
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planner
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.policy_source import load_preset, preset_names
from elision.proxy.rewriter import Ask
from elision.proxy.store import MemoryStore
from fakes.forgetful import Forgetful

TURNS = 30
TEXT = (
    "the river mill stood tower height because contract party shall pay not before March 12 invoice error "
    "service temperature village people house water cat dog quick answer and of in to with for from about"
)
WORDS = TEXT.split()
PATHS = {"messages": "/v1/chat/completions", "input": "/v1/responses"}
EVERYTHING = (
    Rule("all", When(segment=tuple(Kind)), Use("selective_context", min_tokens=20)),
    Rule("rest", When(), Use("lossless", min_tokens=1)),
)

Message = dict[str, Any]


class Words:
    """Counts words, as a tokenizer that needs no download."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


@dataclass(frozen=True, slots=True)
class OnePolicy:
    """Everybody's."""

    policy: Policy

    def for_team(self, team: str) -> Policy | None:
        return self.policy


class Telling:
    """A compressor whose outcome is a digest of the whole job, and the text's two ends."""

    def identity(self, method: Method) -> Identity:
        return Identity("telling")

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        digest = hashlib.sha256(repr((job.text, job.method, job.target)).encode()).hexdigest()
        text = f"<{digest[:10]}> {job.text[:20]} {job.text[-20:]}"
        return Result(Outcome(text, 1000, 10, (), job.method.name, "telling"))


@dataclass(slots=True)
class Conversation:
    """Messages, and after how many of them the client sent a request."""

    messages: list[Message] = field(default_factory=list)
    sends: list[int] = field(default_factory=list)

    def send(self) -> None:
        self.sends.append(len(self.messages))


@dataclass(frozen=True, slots=True)
class Author:
    """Writes what users, tools and assistants may say."""

    random: Random

    def words(self, number: int) -> str:
        return " ".join(self.random.choice(WORDS) + "." * (self.random.random() < 0.1) for _ in range(number))

    def documents(self) -> str:
        made = [self.words(self.random.randint(50, 300)) for _ in range(self.random.randint(1, 4))]
        numbered = "\n\n".join(f"[{number}] {text}" for number, text in enumerate(made, 1))
        tagged = "\n".join(f"<document>{text}</document>" for text in made)
        return self.random.choice(
            [numbered, f"<documents>\n{tagged}\n</documents>", "Context:\n\n" + "\n\n".join(made)]
        )

    def prompt(self) -> str:
        asks = f"What is the {self.random.choice(WORDS)} of the {self.random.choice(WORDS)}?"
        shown = "\n\n".join(f"Q: {self.words(30)}?\nA: {self.words(60)}" for _ in range(4))
        marked = f'<elision rate="0.4">{self.words(350)}</elision> <elision off>{self.words(50)}</elision>'
        code = "```python\n" + "\n".join(f"x{n} = f({n})" for n in range(80)) + "\n```"
        above = [self.documents(), self.documents(), marked, shown, code]
        return self.random.choice([asks, f"{asks}\n\n{self.documents()}", *(f"{a}\n\n{asks}" for a in above)])

    def result(self) -> str:
        rows = json.dumps([{"id": n, "name": self.words(3)} for n in range(40)], indent=2)
        log = "\n".join(f"2026-01-01T00:00:{n % 60:02d} INFO {self.words(6)}" for n in range(80))
        return self.random.choice([rows, log, "", self.words(1200), self.documents()])


def chat(random: Random) -> Conversation:
    """Several user messages in a row, images, named examples, parallel tool calls with and without words."""
    author, made = Author(random), Conversation()
    made.messages.append({"role": "system", "content": author.words(400)})
    for name in ("example_user", "example_assistant") * 3:
        made.messages.append({"role": "system", "name": name, "content": author.words(150)})
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    for _ in range(TURNS):
        for _ in range(random.choice([1, 1, 1, 2])):
            text = author.prompt()
            parts = [{"type": "text", "text": text}, image, {"type": "text", "text": author.words(9) + "?"}]
            made.messages.append({"role": "user", "content": random.choice([text, text, parts])})
        made.send()
        while random.random() < 0.4:
            calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f"}} for n in range(2)]
            said: Message = random.choice(
                [{}, {"content": None}, {"content": ""}, {"content": author.words(60)}]
            )
            made.messages.append({"role": "assistant", "tool_calls": calls, **said})
            for call in calls:
                answer = {"role": "tool", "tool_call_id": call["id"], "content": author.result()}
                made.messages.append(answer)
            made.send()
        made.messages.append({"role": "assistant", "content": author.words(random.randint(5, 300))})
    return made


def responses(random: Random) -> Conversation:
    """Items: reasoning, calls, their outputs, messages of both kinds."""
    author, made = Author(random), Conversation()
    for _ in range(TURNS):
        content = random.choice([author.prompt(), [{"type": "input_text", "text": author.prompt()}]])
        made.messages.append({"role": "user", "content": content})
        made.send()
        while random.random() < 0.4:
            made.messages.append({"type": "reasoning", "summary": [], "encrypted_content": "abc"})
            for kind in ("function_call", "function_call_output"):
                said = {"arguments": "{}", "name": "f"} if kind == "function_call" else {}
                out = {"output": author.result()} if kind == "function_call_output" else said
                made.messages += [{"type": kind, "call_id": f"c{n}", **out} for n in range(2)]
            made.send()
        made.messages.append({"role": "assistant", "content": author.words(100)})
    return made


def told(name: str) -> Policy:
    """Return a preset, or one that compresses all that there is, out of a budget with all its parts."""
    history = History(compress_unknown=True)
    if name != "everything":
        return replace(load_preset(name), deadline_s=60.0, history=history)
    budget = Budget(rate=0.5, slope=0.2, min_rates=((Kind.CONTEXT, 0.2),), max_rates=((Kind.CONTEXT, 0.7),))
    whole = replace(load_preset("rag"), rules=EVERYTHING, budget=budget, history=history)
    return replace(whole, deadline_s=60.0)


async def sent(conversation: Conversation, where: str, policy: Policy) -> list[list[bytes]]:
    """Return the messages of each request, as an upstream gets them."""
    pipeline = Pipeline(Forgetful(), Telling())
    ledger = Ledger(Forgetful(), MemoryStore(0))
    rewriter = PolicyRewriter(Planner(OnePolicy(policy), lambda _: Words()), pipeline, ledger)
    requests: list[list[bytes]] = []
    for number in conversation.sends:
        body = json.dumps({"model": "gpt-4o", where: conversation.messages[:number]}).encode()
        rewrite = await rewriter.rewrite(body, Ask("POST", PATHS[where], "team"))
        assert "internal_error" not in rewrite.report.bypass
        requests.append([json.dumps(message).encode() for message in json.loads(rewrite.body)[where]])
    await pipeline.close()
    return requests


@pytest.mark.parametrize("where", ["messages", "input"])
@pytest.mark.parametrize("name", [*preset_names(), "everything"])
def test_earlier_messages_are_sent_as_before(name: str, where: str) -> None:
    """Thirty turns, tool loops among them; and no message with something to say is sent empty."""
    random = Random(f"{name} {where}")
    conversation = chat(random) if where == "messages" else responses(random)
    requests = asyncio.run(sent(conversation, where, told(name)))
    for before, after in pairwise(requests):
        assert after[: len(before)] == before
    original = [json.dumps(message).encode() for message in conversation.messages]
    if name not in ("audit", "few-shot"):
        assert requests[-1] != original[: conversation.sends[-1]]
    for message, text in zip(conversation.messages, requests[-1], strict=False):
        content = message.get("content")
        if isinstance(content, str) and content.strip():
            assert json.loads(text)["content"].strip()
