"""The official `openai` client, through the proxy as directly: same results, same requests upstream."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import openai
import pydantic
import pytest

from elision.proxy.routing import Route, Upstreams
from elision.proxy.upstream import HttpUpstream, UpstreamLimits
from fakes.raw_upstream import RawUpstream, Received, answer, chunk
from fakes.running import Running, proxy

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}


def completion(message: dict[str, object]) -> dict[str, object]:
    choices = [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": choices,
        "usage": USAGE,
    }


def events(values: list[object]) -> list[bytes]:
    return [b"data: " + json.dumps(value).encode() + b"\n\n" for value in values]


def chat_events() -> list[bytes]:
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"role": "assistant", "content": ""}, {"content": "Grüß"}, {"content": " dich"}]
    chunks: list[object] = [{**base, "choices": [{"index": 0, "delta": d}]} for d in deltas]
    return [*events([*chunks, {**base, "choices": [], "usage": USAGE}]), b"data: [DONE]\n\n"]


FILE = {"id": "file-1", "object": "file", "bytes": 4, "created_at": 1, "filename": "a.jsonl"}
EMBEDDING = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
BY_PATH: dict[str, object] = {
    "/v1/responses": RESPONSE,
    "/v1/embeddings": {"object": "list", "data": [EMBEDDING], "model": "m", "usage": USAGE},
    "/v1/files": {**FILE, "purpose": "batch", "status": "processed"},
    "/v1/models": {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "o"}]},
}


async def provider(request: Received) -> AsyncIterator[bytes]:
    """Answer as a provider would, by path and body."""
    path = request.target.partition("?")[0]
    if path == "/v1/chat/completions":
        for part in chat_answer(json.loads(request.body)):
            yield part
    elif path == "/v1/files/file-1/content":
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
        yield answer(bytes(range(256)), head)
    else:
        yield answer(json.dumps(BY_PATH[path]).encode())


def chat_answer(said: dict[str, object]) -> list[bytes]:
    """Return what a provider says to a chat completion, in the pieces that it says it in."""
    if said.get("stream"):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        return [head, *(chunk(event) for event in chat_events()), b"0\r\n\r\n"]
    if said["model"] == "missing":
        error = {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}
        return [
            answer(json.dumps({"error": error}).encode(), "HTTP/1.1 404 Not Found\r\nx-request-id: r1\r\n")
        ]
    message: dict[str, object] = {"content": '{"a": 3}'}
    if "tools" in said:
        message = {"content": None, "tool_calls": [CALL]}
    return [answer(json.dumps(completion(message)).encode())]


class Answered(pydantic.BaseModel):
    """A structured output."""

    a: int


MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "Grüß Gott 😀"}]


async def chat(client: openai.AsyncOpenAI) -> object:
    return await client.chat.completions.create(model="m", messages=MESSAGES, temperature=0.10)


async def streamed(client: openai.AsyncOpenAI) -> object:
    stream = await client.chat.completions.create(
        model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    return [part async for part in stream]


async def tools(client: openai.AsyncOpenAI) -> object:
    tool: openai.types.chat.ChatCompletionToolParam = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object"}},
    }
    return await client.chat.completions.create(model="m", messages=MESSAGES, tools=[tool])


async def structured(client: openai.AsyncOpenAI) -> object:
    parsed = await client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Answered)
    return parsed.choices[0].message.parsed


async def responses(client: openai.AsyncOpenAI) -> object:
    return (await client.responses.create(model="m", input="hi")).output_text


async def embeddings(client: openai.AsyncOpenAI) -> object:
    return (await client.embeddings.create(model="m", input="hi", encoding_format="float")).data


async def upload(client: openai.AsyncOpenAI) -> object:
    return await client.files.create(file=("a.jsonl", b"\x00\xff{}"), purpose="batch")


async def download(client: openai.AsyncOpenAI) -> object:
    return (await client.files.content("file-1")).content


async def models(client: openai.AsyncOpenAI) -> object:
    return [model.id async for model in client.models.list()]


async def raw(client: openai.AsyncOpenAI) -> object:
    got = await client.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
    return got.status_code, got.headers["content-type"], got.text


async def raw_streamed(client: openai.AsyncOpenAI) -> object:
    create = client.chat.completions.with_streaming_response.create
    async with create(model="m", messages=MESSAGES, stream=True) as got:
        return [line async for line in got.iter_lines()]


async def refused(client: openai.AsyncOpenAI) -> object:
    with pytest.raises(openai.NotFoundError) as error:
        await client.chat.completions.create(model="missing", messages=MESSAGES)
    return error.value.code, error.value.request_id, error.value.body


Use = Callable[[openai.AsyncOpenAI], Awaitable[object]]
USES: list[Use] = [
    *(chat, streamed, tools, structured, responses, embeddings),
    *(upload, download, models, raw, raw_streamed, refused),
]


@pytest.mark.parametrize("use", USES)
async def test_every_use_of_the_client_is_as_without_a_proxy(use: Use) -> None:
    """What it returns, and every byte and header that the provider receives."""
    results: list[object] = []
    async with RawUpstream(provider) as upstream, proxy(upstream.url) as running:
        for base in (upstream.url, running.url):
            async with openai.AsyncOpenAI(base_url=base + "/v1", api_key="k", max_retries=0) as client:
                results.append(await use(client))
    direct, through = upstream.received
    assert results[0] == results[1]
    assert (through.method, through.target) == (direct.method, direct.target)
    assert without_boundary(through) == without_boundary(direct)
    assert comparable(through) == comparable(direct)


async def test_the_clients_own_retries_work_through_the_proxy() -> None:
    """A 429 with Retry-After reaches the client, which asks again; the proxy does not by itself."""
    said = [answer(b"{}", "HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\nretry-after-ms: 1\r\n")]

    async def busy_once(request: Received) -> AsyncIterator[bytes]:
        if said:
            yield said.pop()
        else:
            async for part in provider(request):
                yield part

    async with (
        RawUpstream(busy_once) as upstream,
        proxy(upstream.url) as running,
        openai.AsyncOpenAI(base_url=running.url + "/v1", api_key="k", max_retries=1) as client,
    ):
        got = await client.chat.completions.create(model="m", messages=MESSAGES)
    assert got.choices[0].message.content == '{"a": 3}'
    assert [request.values("x-stainless-retry-count") for request in upstream.received] == [["0"], ["1"]]


@asynccontextmanager
async def routed(near: RawUpstream, far: RawUpstream) -> AsyncIterator[Running]:
    """Run the proxy before `far`, under /far and with its own key, and `near`, which has the model `m`."""
    key = {"api-key": "operator"}
    clients = {
        "near": HttpUpstream(near.url, UpstreamLimits()),
        "far": HttpUpstream(far.url + "/base", UpstreamLimits(), headers=key),
    }
    routes = [Route("near", models=("m", "m-*")), Route("far", "/far")]
    async with proxy(Upstreams(routes, clients)) as running:
        yield running


@pytest.mark.parametrize("use", [use for use in USES if use is not refused])
async def test_every_use_works_through_a_prefix(use: Use) -> None:
    """The base URL names the upstream; bodies are the client's, the key is the operator's."""
    async with RawUpstream(provider) as near, RawUpstream(below_base) as far, routed(near, far) as running:
        results: list[object] = []
        for base in (near.url, running.url + "/t/team/far"):
            async with openai.AsyncOpenAI(base_url=base + "/v1", api_key="k", max_retries=0) as client:
                results.append(await use(client))
    [direct], [through] = near.received, far.received
    assert results[0] == results[1]
    assert through.target == "/base" + direct.target
    assert without_boundary(through) == without_boundary(direct)
    assert (through.values("authorization"), through.values("api-key")) == ([], ["operator"])


@pytest.mark.parametrize("use", [chat, streamed, tools, structured, responses, embeddings, raw, raw_streamed])
async def test_a_model_finds_its_upstream(use: Use) -> None:
    """Nothing in the client says so but the model's name; every byte and header is the client's."""
    async with RawUpstream(provider) as near, RawUpstream(below_base) as far, routed(near, far) as running:
        results: list[object] = []
        for base in (near.url, running.url):
            async with openai.AsyncOpenAI(base_url=base + "/v1", api_key="k", max_retries=0) as client:
                results.append(await use(client))
    direct, through = near.received
    assert results[0] == results[1]
    assert (through.target, through.body) == (direct.target, direct.body)
    assert comparable(through) == comparable(direct)
    assert running.records[0].upstream == "near"


async def test_a_model_that_no_upstream_has_is_the_clients_own_error() -> None:
    """Which says what there is."""
    async with (
        RawUpstream(provider) as near,
        RawUpstream(below_base) as far,
        routed(near, far) as running,
        openai.AsyncOpenAI(base_url=running.url + "/v1", api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(openai.NotFoundError) as error:
            await client.chat.completions.create(model="n", messages=MESSAGES)
    assert error.value.code == "no_upstream"
    assert "near (models m, m-*), far (under /far)" in str(error.value)
    assert near.received + far.received == []


async def below_base(request: Received) -> AsyncIterator[bytes]:
    """Answer as a provider whose API is below /base."""
    async for part in provider(replace(request, target=request.target.removeprefix("/base"))):
        yield part


def comparable(request: Received) -> list[tuple[str, str]]:
    """Return the headers but for those of the hop, and a multipart body's random boundary."""
    hop = ("host", "connection", "content-type")
    return sorted((n.lower(), v) for n, v in request.headers if n.lower() not in hop)


def without_boundary(request: Received) -> bytes:
    kind = "".join(request.values("content-type"))
    boundary = kind.partition("boundary=")[2].encode()
    return request.body.replace(boundary, b"") if boundary else request.body
