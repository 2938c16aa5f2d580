"""`elision upstream`: a small real language model behind OpenAI's API, for demos and tests.

This module owns the HTTP face of one causal model on this machine: `POST /v1/chat/completions`
(streamed or whole), `GET /v1/models`, `GET /health`. Requests are answered one at a time, in order
of arrival, by one thread off the event loop; a client that goes away frees its place. Whatever
model a request names, this one answers, under its own name. The header `x-received-sha256` says
what body arrived, so that a client can tell whether something between them changed it. It refuses
what the model cannot do (tools, images, several choices) with an error, and does not try to be fast.

Unlike OpenAI's, an answer is the model's best guess (temperature 0) unless the request says
otherwise: a small model that rolls dice makes a poor demonstration.
"""

import asyncio
import hashlib
import json
import logging
import secrets
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

import msgspec
from aiohttp import web

from elision.compressors.causal_lm import CausalLM
from elision.compressors.errors import PromptTooLong
from elision.compressors.generation import Sampling, Writer
from elision.compressors.weights import DEFAULT_MODEL, resolve
from elision.proxy import logs
from elision.proxy.errors import OwnError, ProxyError, RequestError

EXIT_CANNOT_START = 3
_BODY_LIMIT = 8 * 1024 * 1024
_DEFAULT_TOKENS = 256

Json = dict[str, object]
T = TypeVar("T")


class Answer(Protocol):
    """A text in the making; `elision.compressors.generation.Generation` is one."""

    def __next__(self) -> str:
        """Return the next piece, or raise StopIteration at the end."""
        ...

    def close(self) -> None:
        """Generate nothing more."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        ...

    @property
    def completion_tokens(self) -> int:
        """Tokens generated so far."""
        ...

    @property
    def finish_reason(self) -> str:
        """`stop` or `length` once the answer is complete."""
        ...


class Model(Protocol):
    """What answers conversations; `elision.compressors.generation.Writer` does."""

    def generate(self, messages: Sequence[Mapping[str, str]], sampling: Sampling | None = None) -> Answer:
        """Begin an answer; raise PromptTooLong if the conversation does not fit."""
        ...


class _TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class _Message(msgspec.Struct):
    role: str
    content: str | list[_TextPart] | None = None

    def plain(self) -> dict[str, str]:
        """Return role and text as chat templates want them."""
        role = "system" if self.role == "developer" else self.role
        if isinstance(self.content, list):
            return {"role": role, "content": "".join(part.text for part in self.content)}
        return {"role": role, "content": self.content or ""}


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _TextFormat(msgspec.Struct):
    type: Literal["text"] = "text"


_Tokens = Annotated[int, msgspec.Meta(ge=1)]


class ChatRequest(msgspec.Struct):
    """The body of a chat completion, as far as it is looked at; the API's reference names the rest.

    The last four are what this model cannot do: only their idle values are accepted.
    """

    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: Literal[1] | None = None
    tools: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=0)] | None = None
    logprobs: bool | None = None
    response_format: _TextFormat | None = None

    @property
    def sampling(self) -> Sampling:
        """How the answer is to be generated."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_tokens=self.max_completion_tokens or self.max_tokens or _DEFAULT_TOKENS,
            temperature=self.temperature or 0.0,
            top_p=1.0 if self.top_p is None else self.top_p,
            stop=tuple(stop),
            seed=self.seed,
        )


def parse_request(body: bytes) -> ChatRequest:
    """Read a request's body.

    Raises: RequestError (400) saying which field is wrong and how.
    """
    try:
        request = msgspec.json.decode(body, type=ChatRequest)
    except msgspec.DecodeError as error:
        raise RequestError(400, "invalid_request", f"This model cannot serve the body: {error}.") from None
    if request.logprobs:
        raise RequestError(400, "unsupported_parameter", "This model gives no logprobs: leave them out.")
    return request


class Bench:
    """The one place where answers are made: a thread of its own, one answer at a time, in order."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="elision-upstream")

    async def begin(self, request: ChatRequest) -> Answer:
        """Lay out an answer; nothing is generated yet.

        Raises: RequestError (400, `context_length_exceeded`) if the conversation does not fit.
        """
        messages = [message.plain() for message in request.messages]
        try:
            return await self._run(lambda: self._model.generate(messages, request.sampling))
        except PromptTooLong as error:
            raise RequestError(400, "context_length_exceeded", f"{error}.") from error

    async def pieces(self, answer: Answer) -> AsyncGenerator[str, None]:
        """Generate an answer when its turn comes; leaving the loop early stops the generation."""
        async with self._turn:
            try:
                while (piece := await self._run(lambda: next(answer, None))) is not None:
                    yield piece
            finally:
                # By the same thread, since the step that was under way may still be running there.
                self._thread.submit(answer.close)

    def close(self) -> None:
        """Take no more work; the step under way, if there is one, is the last."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one answer's JSON is made: what all of its chunks have in common."""

    identity: str
    created: int
    model: str

    def whole(self, text: str, answer: Answer) -> Json:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
        return self._head("chat.completion") | {"choices": [choice], "usage": _usage(answer)}

    def chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._head("chat.completion.chunk") | {"choices": [choice]}

    def usage(self, answer: Answer) -> Json:
        return self._head("chat.completion.chunk") | {"choices": [], "usage": _usage(answer)}

    def _head(self, kind: str) -> Json:
        return {"id": self.identity, "object": kind, "created": self.created, "model": self.model}


def _usage(answer: Answer) -> dict[str, int]:
    prompt, completion = answer.prompt_tokens, answer.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


class LocalUpstream:
    """The routes over one model.

    Args:
        model: what answers.
        name: what answers call it.
    """

    def __init__(self, model: Model, name: str) -> None:
        self._name = name
        self._started = int(time.time())
        self._bench = Bench(model)

    def application(self) -> web.Application:
        """Return the server's application."""
        app = web.Application(client_max_size=_BODY_LIMIT, middlewares=[_errors_as_openai_does])
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.on_cleanup.append(self._close)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        chat = parse_request(body)
        answer = await self._bench.begin(chat)
        shape = _Shape(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), self._name)
        received = {"x-received-sha256": hashlib.sha256(body).hexdigest()}
        if chat.stream:
            response = web.StreamResponse(headers=received)
            await self._stream(await _prepared(response, request), chat, answer, shape)
            return response
        async with aclosing(self._bench.pieces(answer)) as pieces:
            text = "".join([piece async for piece in pieces])
        return web.json_response(shape.whole(text, answer), headers=received)

    async def _stream(
        self, response: web.StreamResponse, chat: ChatRequest, answer: Answer, shape: _Shape
    ) -> None:
        await response.write(_event(shape.chunk({"role": "assistant", "content": ""})))
        async with aclosing(self._bench.pieces(answer)) as pieces:
            async for piece in pieces:
                await response.write(_event(shape.chunk({"content": piece})))
        await response.write(_event(shape.chunk({}, answer.finish_reason)))
        if chat.stream_options and chat.stream_options.include_usage:
            await response.write(_event(shape.usage(answer)))
        await response.write(b"data: [DONE]\n\n")

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": self._name, "object": "model", "created": self._started, "owned_by": "elision"}
        return web.json_response({"object": "list", "data": [model]})

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "model": self._name})

    async def _close(self, _: web.Application) -> None:
        self._bench.close()


async def _prepared(response: web.StreamResponse, request: web.Request) -> web.StreamResponse:
    response.content_type = "text/event-stream"
    response.headers["Cache-Control"] = "no-cache"
    await response.prepare(request)
    return response


def _event(value: Json) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _errors_as_openai_does(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProxyError as error:
        told = error
    except web.HTTPException as error:
        told = _routing_error(error.status, request)
    return web.Response(status=told.status, body=told.body(), content_type="application/json")


def _routing_error(status: int, request: web.Request) -> ProxyError:
    if status == web.HTTPNotFound.status_code:
        return RequestError(
            404, "unknown_url", f"Nothing at {request.method} {request.path}; try /v1/chat/completions."
        )
    if status == web.HTTPRequestEntityTooLarge.status_code:
        return RequestError(status, "body_too_large", f"The body is larger than {_BODY_LIMIT} bytes.")
    if status < 500:
        return RequestError(status, "invalid_request", f"{request.method} {request.path} is not served here.")
    return OwnError(status, "internal_error", "The local upstream failed; its log says why.")


def serve(host: str, port: int, weights: str = "") -> int:
    """Load a model and answer requests until SIGTERM or SIGINT; return the process's exit code.

    Args:
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        weights: as `elision.compressors.weights.resolve` takes them; "" for the packaged model.
    Raises: WeightsMissing, naming what to install or correct.
    """
    logs.configure("console", "info")
    log = logging.getLogger("elision.upstream")
    log.info("Loading the model; the first time its weights are converted, which takes a minute")
    model = Writer(CausalLM.load(resolve(weights)))
    name = Path(weights).name or DEFAULT_MODEL
    try:
        asyncio.run(run(LocalUpstream(model, name), host, port))
    except OSError as error:
        log.error("Cannot listen on %s:%s (%s): choose another port with --port", host, port, error.strerror)
        return EXIT_CANNOT_START
    return 0


async def run(upstream: LocalUpstream, host: str, port: int) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Raises: OSError if the address is not to be had.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        upstream.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.5
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        chosen = runner.addresses[0][1]
        logging.getLogger("elision.upstream").info("Listening on http://%s:%s/v1", host, chosen)
        await stop.wait()
    finally:
        await runner.cleanup()
