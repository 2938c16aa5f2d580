"""The local upstream speaks OpenAI's API: shapes, errors, order, and stopping when nobody listens."""

import asyncio
import hashlib
import json
import signal
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from elision.compressors.causal_lm import CausalLM
from elision.compressors.errors import PromptTooLong
from elision.compressors.generation import Sampling, Writer
from elision.compressors.weights import resolve
from elision.proxy.errors import RequestError
from elision.proxy.local_upstream import LocalUpstream, Model, parse_request, run
from fakes.tiny_lm import save_tiny_lm

HELLO = [{"role": "user", "content": "Hello"}]


class Recital:
    """An answer that recites given words, each when its gate is open."""

    finish_reason = "stop"
    prompt_tokens = 7

    def __init__(self, words: Sequence[str], gate: threading.Event, spoken: "list[Recital]") -> None:
        self._words = list(words)
        self._gate = gate
        self._spoken = spoken
        self.completion_tokens = 0
        self.closed = threading.Event()

    def __next__(self) -> str:
        self._gate.wait(10)
        if self.closed.is_set() or not self._words:
            raise StopIteration
        self.completion_tokens += 1
        self._spoken.append(self)
        return self._words.pop(0)

    def close(self) -> None:
        self.closed.set()


@dataclass
class Reciter:
    """A model that recites, and remembers what it was asked and who spoke when."""

    words: Sequence[str] = ("Good ", "day, ", "日本.")
    gate: threading.Event = field(default_factory=threading.Event)
    answers: list[Recital] = field(default_factory=list)
    spoken: list[Recital] = field(default_factory=list)
    asked: list[tuple[list[Mapping[str, str]], Sampling]] = field(default_factory=list)

    def generate(self, messages: Sequence[Mapping[str, str]], sampling: Sampling | None = None) -> Recital:
        if any("too long" in message["content"] for message in messages):
            raise PromptTooLong("the prompt has 9000 tokens and the model reads 8192: shorten it")
        self.asked.append((list(messages), sampling or Sampling()))
        self.answers.append(Recital(self.words, self.gate, self.spoken))
        return self.answers[-1]


@pytest.fixture
def reciter() -> Reciter:
    model = Reciter()
    model.gate.set()
    return model


@asynccontextmanager
async def serving(model: Model) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve a model on a free port; yield a client whose paths are relative to it."""
    app = LocalUpstream(model, "reciter-1").application()
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
            yield client
    finally:
        await runner.cleanup()


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def ask(client: aiohttp.ClientSession, **body: object) -> tuple[int, Any]:
    async with client.post("/v1/chat/completions", json={"messages": HELLO} | body) as response:
        return response.status, await response.json()


async def ask_streamed(client: aiohttp.ClientSession, **body: object) -> list[Any]:
    """Return the events' values; the last is "[DONE]"."""
    sent = {"messages": HELLO, "stream": True} | body
    async with client.post("/v1/chat/completions", json=sent) as response:
        assert response.content_type == "text/event-stream"
        events = (await response.text()).removesuffix("\n\n").split("\n\n")
    values = [event.removeprefix("data: ") for event in events]
    return [*map(json.loads, values[:-1]), values[-1]]


async def test_an_answer_has_the_shape_of_a_chat_completion(reciter: Reciter) -> None:
    """The text, the reason of its end, the usage, and the model's own name whatever was asked for."""
    async with serving(reciter) as client:
        status, answer = await ask(client, model="gpt-4o")
    assert status == 200
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "reciter-1"
    assert answer["choices"][0]["message"]["content"] == "Good day, 日本."
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


async def test_a_streamed_answer_is_the_same_answer(reciter: Reciter) -> None:
    """Role first, pieces as they come, the reason last, [DONE]; no usage unless it is asked for."""
    async with serving(reciter) as client:
        *events, done = await ask_streamed(client)
    deltas = [event["choices"][0]["delta"] for event in events]
    assert done == "[DONE]"
    assert deltas[0]["role"] == "assistant"
    assert [delta["content"] for delta in deltas[1:-1]] == ["Good ", "day, ", "日本."]
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * 4 + ["stop"]
    assert len({event["id"] for event in events}) == 1
    assert not any("usage" in event for event in events)


async def test_usage_ends_a_stream_when_it_is_asked_for(reciter: Reciter) -> None:
    """`stream_options.include_usage` adds one event without choices, before [DONE]."""
    async with serving(reciter) as client:
        *_, last, _ = await ask_streamed(client, stream_options={"include_usage": True})
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 10


async def test_the_request_says_how_to_generate(reciter: Reciter) -> None:
    """Parts are joined, `developer` is the system, and every sampling field reaches the model."""
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
    ]
    async with serving(reciter) as client:
        await ask(client, messages=messages, temperature=0.5, top_p=0.9, stop="\n", seed=4, max_tokens=9)
        await ask(client, stop=["a", "b"], max_completion_tokens=5)
    heard, sampling = reciter.asked[0]
    assert heard == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert sampling == Sampling(max_tokens=9, temperature=0.5, top_p=0.9, stop=("\n",), seed=4)
    assert reciter.asked[1][1] == Sampling(max_tokens=5, stop=("a", "b"))


async def test_a_prompt_that_does_not_fit_is_named_as_openai_names_it(reciter: Reciter) -> None:
    """Clients look for the code `context_length_exceeded`."""
    async with serving(reciter) as client:
        status, answer = await ask(client, messages=[{"role": "user", "content": "too long"}])
    assert status == 400
    assert answer["error"]["code"] == "context_length_exceeded"
    assert "9000 tokens" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{", "truncated"),
        ("{}", "messages"),
        ('{"messages": []}', "messages"),
        ('{"messages": [{"role": "user", "content": 3}]}', "$.messages[0].content"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "image_url"),
        ('{"messages": [{"role": "user"}], "temperature": 3}', "$.temperature"),
        ('{"messages": [{"role": "user"}], "max_tokens": 0}', "$.max_tokens"),
        ('{"messages": [{"role": "user"}], "n": 2}', "$.n"),
        ('{"messages": [{"role": "user"}], "tools": [{}]}', "$.tools"),
        ('{"messages": [{"role": "user"}], "logprobs": true}', "logprobs"),
        ('{"messages": [{"role": "user"}], "response_format": {"type": "json_object"}}', "response_format"),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(body: str, named: str) -> None:
    """An error names the field; nothing that was asked for is silently left out."""
    with pytest.raises(RequestError) as caught:
        parse_request(body.encode())
    assert caught.value.status == 400
    assert named in caught.value.message


async def test_errors_have_openais_shape(reciter: Reciter) -> None:
    """A wrong body, path or method is answered with an error object."""
    async with serving(reciter) as client:
        status, answer = await ask(client, messages=[])
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
        async with client.get("/v1/embeddings") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (404, "unknown_url")
        async with client.get("/v1/chat/completions") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (405, "invalid_request")


async def test_models_and_health_name_the_model(reciter: Reciter) -> None:
    """`GET /v1/models` lists one model; `GET /health` answers once it is loaded."""
    async with serving(reciter) as client:
        async with client.get("/v1/models") as response:
            assert [model["id"] for model in (await response.json())["data"]] == ["reciter-1"]
        async with client.get("/health") as response:
            assert await response.json() == {"status": "ok", "model": "reciter-1"}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_says_what_body_arrived(reciter: Reciter, stream: bool) -> None:
    """`x-received-sha256` is the digest of the request's bytes."""
    body = json.dumps({"messages": HELLO, "stream": stream}).encode()
    async with (
        serving(reciter) as client,
        client.post("/v1/chat/completions", data=body) as response,
    ):
        assert response.headers["x-received-sha256"] == hashlib.sha256(body).hexdigest()


async def test_requests_are_answered_one_at_a_time(reciter: Reciter) -> None:
    """The second request's first word comes after the first request's last."""
    async with serving(reciter) as client:
        answers = await asyncio.gather(ask(client), ask(client), ask_streamed(client))
    assert [answer[0] for answer in answers[:2]] == [200, 200]
    assert [len(list(turn)) for _, turn in groupby(reciter.spoken)] == [3, 3, 3]


async def test_a_client_that_leaves_stops_the_generation_and_frees_the_place() -> None:
    """Words that nobody will read are not generated, and the next client is served."""
    model = Reciter(words=["word "] * 1000)
    async with serving(model) as client:
        response = await client.post("/v1/chat/completions", json={"messages": HELLO, "stream": True})
        await response.content.readuntil(b"\n\n")
        response.close()
        await asyncio.sleep(0.2)
        model.gate.set()
        assert await asyncio.to_thread(model.answers[0].closed.wait, 10)
        model.words = ("Next.",)
        status, answer = await ask(client)
    assert model.answers[0].completion_tokens < 1000
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "Next.")


async def test_a_signal_ends_the_server(reciter: Reciter, unused_tcp_port: int) -> None:
    """SIGTERM is an orderly end, after which the port is free."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(run(LocalUpstream(reciter, "reciter-1"), "127.0.0.1", unused_tcp_port))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{unused_tcp_port}") as client:
            while not await listens(unused_tcp_port):
                await asyncio.sleep(0.01)
            status, _ = await ask(client)
        signal.raise_signal(signal.SIGTERM)
    assert status == 200
    assert not await listens(unused_tcp_port)


async def test_a_real_model_of_random_weights_answers_alike_for_equal_seeds(tmp_path: Path) -> None:
    """The model behind is `Writer`: its answers, its counts, its window."""
    weights = resolve(str(save_tiny_lm(tmp_path / "lm", window=256)), tmp_path / "cache")
    async with serving(Writer(CausalLM.load(weights))) as client:
        drawn = {"temperature": 1.0, "seed": 11, "max_tokens": 12}
        (_, first), (_, second) = await ask(client, **drawn), await ask(client, **drawn)
        *_, usage, _ = await ask_streamed(client, stream_options={"include_usage": True}, max_tokens=1)
        status, refused = await ask(client, messages=[{"role": "user", "content": "word " * 300}])
    assert first["choices"] == second["choices"]
    assert first["usage"]["prompt_tokens"] == usage["usage"]["prompt_tokens"] > 0
    assert usage["usage"]["completion_tokens"] == 1
    assert (status, refused["error"]["code"]) == (400, "context_length_exceeded")


@pytest.mark.real_model
async def test_the_packaged_model_answers_openais_own_client(unused_tcp_port: int) -> None:
    """A question of general knowledge, whole and streamed, through the official client."""
    app = LocalUpstream(Writer(CausalLM.load(resolve())), "smollm2").application()
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    question: Any = [{"role": "user", "content": "What is the capital of France?"}]
    try:
        async with openai.AsyncOpenAI(
            base_url=f"http://127.0.0.1:{unused_tcp_port}/v1", api_key="none"
        ) as client:
            whole = await client.chat.completions.create(model="any", messages=question, max_tokens=16)
            stream = await client.chat.completions.create(
                model="any", messages=question, max_tokens=16, stream=True
            )
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    finally:
        await runner.cleanup()
    assert "Paris" in (whole.choices[0].message.content or "")
    assert "".join(pieces) == whole.choices[0].message.content
    assert whole.usage is not None
    assert whole.usage.prompt_tokens > 10
