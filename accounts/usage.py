"""What an upstream says of one answer: the tokens that it bills, and how the answer ended. Pure.

Owns the words in which providers say it: OpenAI's chat completions, completions, embeddings and
Responses, Anthropic's Messages, and what DeepSeek, OpenRouter, LiteLLM, xAI, Moonshot and Voyage add
to or leave out of these. Sources: their API references of autumn 2026. What cannot be understood counts
as not said.
"""

import re
from dataclasses import dataclass
from typing import Annotated

import msgspec

_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
_MODEL_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the upstream counted them.

    Attributes:
        prompt_tokens: all of the prompt's, those read from and written to a cache among them.
        completion_tokens: all of the answer's, reasoning among them.
        cached_tokens: of the prompt's, those that were read from the provider's cache.
        cache_write_tokens: of the prompt's, those that were written to it for a fee.
        reasoning_tokens: of the answer's, those that nobody is shown.
        cache_write_1h_tokens: of those written, those that are kept for an hour, for a higher fee.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What was seen of an answer in passing.

    Attributes:
        usage: None where the upstream stated none.
        model: the model that answered, as the upstream calls it; "" where it does not say.
        finish_reasons: why the answer's choices ended, in order of appearance.
        streamed: whether it came as a stream of events.
        service_tier: by which the upstream says that it bills, "" where it does not say.
    """

    usage: Usage | None = None
    model: str = ""
    finish_reasons: tuple[str, ...] = ()
    streamed: bool = False
    service_tier: str = ""


NOTHING_SEEN = Answered()
"""Of a request that was not answered, or by something that nobody reads."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)] | None
"""Of tokens; more in one request is nobody's count, and sums of nano-dollars must stay within 64 bits."""


class _Details(msgspec.Struct):
    """OpenAI's, of a prompt or an answer; LiteLLM and OpenRouter say of writes here too."""

    cached_tokens: _Count = None
    cache_write_tokens: _Count = None
    cache_creation_tokens: _Count = None
    reasoning_tokens: _Count = None


class _Creation(msgspec.Struct):
    """Anthropic's, of what was written."""

    ephemeral_1h_input_tokens: _Count = None


class _Fields(msgspec.Struct):
    """Whatever usage may be called."""

    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    total_tokens: _Count = None
    input_tokens: _Count = None
    output_tokens: _Count = None
    cached_tokens: _Count = None
    cache_write_tokens: _Count = None
    cache_read_input_tokens: _Count = None
    cache_creation_input_tokens: _Count = None
    prompt_cache_hit_tokens: _Count = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    cache_creation: _Creation | None = None


_NAMES = _Fields.__struct_fields__


class _Choice(msgspec.Struct):
    index: int | None = None
    finish_reason: str | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Response(msgspec.Struct):
    """The Responses API's answer, within an event."""

    usage: _Fields | None = None
    model: str | None = None
    service_tier: str | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None


class _Message(msgspec.Struct):
    """Anthropic's message, as it begins in a stream."""

    usage: _Fields | None = None
    model: str | None = None


class _Said(msgspec.Struct):
    """Whatever an answer, or an event of one, may say of these things."""

    object: str | None = None
    usage: _Fields | None = None
    model: str | None = None
    service_tier: str | None = None
    choices: list[_Choice] | None = None
    stop_reason: str | None = None
    delta: _Delta | str | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    response: _Response | None = None
    message: _Message | str | None = None


class _UsageOnly(msgspec.Struct):
    usage: _Fields | None = None


_SAID = msgspec.json.Decoder(_Said)
_USAGE_ONLY = msgspec.json.Decoder(_UsageOnly)
_ENDED = ("completed", "incomplete", "failed", "cancelled")


class Gathering:
    """Puts together what an answer's parts say; what is said later counts."""

    def __init__(self) -> None:
        self.model = ""
        self._tier = ""
        self._fields: _Fields | None = None
        self._reasons: dict[int, str] = {}

    def take(self, data: bytes) -> None:
        """Look into an answer, or an event of one, in JSON."""
        said = _decoded(data)
        if said is None:
            return
        response = said.response or _Response()
        message = said.message if isinstance(said.message, _Message) else _Message()
        for fields in (message.usage, response.usage, said.usage):
            self._merge(fields)
        for model in (message.model, response.model, said.model):
            if model and len(model) <= _MODEL_LENGTH and model.isprintable():
                self.model = model
        self._tier = _word(said.service_tier or response.service_tier) or self._tier
        for place, choice in enumerate(said.choices or ()):
            self._end(place if choice.index is None else choice.index, choice.finish_reason)
        self._end(0, said.stop_reason)
        self._end(0, said.delta.stop_reason if isinstance(said.delta, _Delta) else None)
        self._end(0, _end_of(response.status, response.incomplete_details))
        if said.object == "response":
            self._end(0, _end_of(said.status, said.incomplete_details))

    def answered(self, *, streamed: bool) -> Answered:
        """Return what was said so far."""
        usage = _usage(self._fields) if self._fields is not None else None
        return Answered(usage, self.model, tuple(self._reasons.values()), streamed, self._tier)

    def _merge(self, fields: _Fields | None) -> None:
        """Take over what is said; Anthropic's streams tell of the prompt first, of the answer later."""
        if fields is None:
            return
        if self._fields is None:
            self._fields = fields
            return
        for name in _NAMES:
            value = getattr(fields, name)
            if value is not None:
                setattr(self._fields, name, value)

    def _end(self, choice: int, reason: str | None) -> None:
        if word := _word(reason):
            self._reasons[choice] = word


def _decoded(data: bytes) -> _Said | None:
    try:
        return _SAID.decode(data)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    try:  # something beside the usage is not as these APIs have it
        return _Said(usage=_USAGE_ONLY.decode(data).usage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _word(text: str | None) -> str:
    return text if text and _WORD.fullmatch(text) else ""


def _end_of(status: str | None, incomplete: _Incomplete | None) -> str | None:
    """Return why a response of the Responses API ended, None if it has not."""
    if status not in _ENDED:
        return None
    return (incomplete.reason if incomplete else None) or status


def _usage(said: _Fields) -> Usage | None:
    """Return tokens in our words; None where none are told."""
    told = (said.prompt_tokens, said.input_tokens, said.total_tokens, said.completion_tokens)
    if not any(count is not None for count in (*told, said.output_tokens)):
        return None
    read, written = _read(said), _written(said)
    answer = said.completion_tokens or said.output_tokens or 0
    reasoning = _reasoning(said)
    prompt = said.prompt_tokens
    if prompt is None:
        prompt = said.input_tokens
        if prompt is None:  # Voyage and rerankers tell the sum alone
            prompt = max(0, (said.total_tokens or 0) - answer)
        elif said.cache_read_input_tokens is not None or said.cache_creation_input_tokens is not None:
            prompt += read + written  # Anthropic's input_tokens are those beside the cache
    if prompt < read + written:  # the same, by a gateway in OpenAI's words
        prompt += read + written
    beyond = (said.total_tokens or 0) - prompt - answer
    if beyond > 0 and (not reasoning or beyond == reasoning):
        answer += beyond  # xAI and Gemini bill reasoning that is in the sum only
    long = said.cache_creation.ephemeral_1h_input_tokens if said.cache_creation else None
    return Usage(prompt, answer, read, written, min(reasoning, answer), min(long or 0, written))


def _read(said: _Fields) -> int:
    details = said.prompt_tokens_details or said.input_tokens_details or _Details()
    places = (
        *(details.cached_tokens, said.cache_read_input_tokens),
        *(said.prompt_cache_hit_tokens, said.cached_tokens),
    )
    return next((count for count in places if count), 0)


def _written(said: _Fields) -> int:
    details = said.prompt_tokens_details or said.input_tokens_details or _Details()
    places = (
        *(details.cache_write_tokens, details.cache_creation_tokens),
        *(said.cache_creation_input_tokens, said.cache_write_tokens),
    )
    return next((count for count in places if count), 0)


def _reasoning(said: _Fields) -> int:
    details = said.completion_tokens_details or said.output_tokens_details or _Details()
    return details.reasoning_tokens or 0
