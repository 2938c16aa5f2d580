"""An upstream that keeps a prefix cache as a provider does, bills every chat request, and says so in `usage`.

It answers what the conversation has next (`fakes.talks`), by the number of the request within it,
whatever was sent: a conversation goes on alike with and without a proxy between. Conversations are
known by `prompt_cache_key`, customers by their key.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from fakes.prefix_cache import Bill, Provider, Tokens
from fakes.raw_upstream import RawUpstream, Received, answer, chunk
from fakes.talks import Message, Talk

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class BillingUpstream(RawUpstream):
    """Answers and bills.

    Args:
        talks: that will be held.
        tokens: how prompts are counted.

    Attributes:
        provider: its clock, which the test moves, and its bills.
    """

    def __init__(self, talks: Iterable[Talk], tokens: Tokens) -> None:
        super().__init__(self._answer)
        self.provider = Provider(tokens)
        self._talks = {talk.name: talk for talk in talks}
        self._asked: Counter[tuple[str, str]] = Counter()

    async def _answer(self, request: Received) -> AsyncIterator[bytes]:
        body = json.loads(request.body)
        customer = "".join(request.values("authorization"))
        talk = self._talks[body["prompt_cache_key"]]
        said = talk.requests[self._asked[customer, talk.name]].answer
        self._asked[customer, talk.name] += 1
        bill = self.provider.serve(customer, body, said)
        usage = usage_of(bill, body["model"])
        if not body.get("stream"):
            told = {"choices": [{"index": 0, "message": said}], "usage": usage, "model": body["model"]}
            yield answer(json.dumps(told).encode())
            return
        yield _STREAM
        for event in _events(said, usage, body["model"]):
            yield chunk(event)
        yield chunk(b"")


def _events(said: Message, usage: Mapping[str, Any], model: str) -> list[bytes]:
    """Return an answer as server-sent events: two halves, usage, the end."""
    text = said["content"] or ""
    halves = [{"content": text[: len(text) // 2]}, {**said, "content": text[len(text) // 2 :]}]
    told: list[Mapping[str, Any]] = [{"choices": [{"index": 0, "delta": half}]} for half in halves]
    told = [{"model": model, **one} for one in (*told, {"choices": [], "usage": usage})]
    return [*(f"data: {json.dumps(one)}\n\n".encode() for one in told), b"data: [DONE]\n\n"]


def heard(body: bytes) -> Message:
    """Return the message that an answer holds, streamed or whole, as a client puts it together."""
    if not body.startswith(b"data: "):
        message: Message = json.loads(body)["choices"][0]["message"]
        return message
    events = [line[6:] for line in body.split(b"\n\n") if line.startswith(b"data: {")]
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    text = "".join(delta["content"] for delta in deltas)
    return {**deltas[-1], "content": text or None}


def usage_of(bill: Bill, model: str) -> dict[str, Any]:
    """Return a bill's tokens in the words of the model's provider, within OpenAI's shape."""
    details = {"cached_tokens": bill.cached}
    usage: dict[str, Any] = {
        "prompt_tokens": bill.prompt,
        "completion_tokens": 1,
        "total_tokens": bill.prompt + 1,
        "prompt_tokens_details": details,
    }
    if model.startswith("gpt-5.6"):
        details["cache_write_tokens"] = bill.written
    elif model.startswith("claude"):
        usage |= {"cache_read_input_tokens": bill.cached, "cache_creation_input_tokens": bill.written}
    elif model.startswith("deepseek"):
        missed = bill.prompt - bill.cached
        usage |= {"prompt_cache_hit_tokens": bill.cached, "prompt_cache_miss_tokens": missed}
    return usage
