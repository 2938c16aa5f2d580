"""What a request's body asks: the texts of chat completions, completions and responses. Pure.

Finds which endpoint a path is, every text of its body with its place, role and byte range, and the
few figures that a policy wants. Everything else (tool calls, schemas, images, audio, refusals,
reasoning, what is signed or encrypted, token ids) is left where it is. Bytes are
`elision.proxy.carry`'s matter, what the texts are for `elision.policies.segments`'.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import msgspec

from elision.policies.model import Endpoint, PromptText
from elision.proxy import carry
from elision.proxy.carry import NotCarriedError, Value

# "/fim/completions" and the like ask for something else: what precedes must be a version, a
# deployment or nothing.
_BASE = re.compile(r"v\d\w*|openai")
_DEPLOYMENTS = ("deployments", "engines")
_OTHERS = {"completions": Endpoint.COMPLETIONS, "responses": Endpoint.RESPONSES}

_TEXT_PARTS = frozenset(("text", "input_text", "output_text"))
_OUTPUT = "_call_output"
# A provider that signed a part, or a message, finds it changed; so does one that reads the signature.
_SIGNED = frozenset(
    ("signature", "thought_signature", "thoughtSignature", "extra_content", "encrypted_content")
)
_LIMITS = {
    Endpoint.CHAT: ("max_completion_tokens", "max_tokens"),
    Endpoint.COMPLETIONS: ("max_tokens",),
    Endpoint.RESPONSES: ("max_output_tokens",),
}
_CALL_ITEMS = frozenset(("function_call", "custom_tool_call"))
_COUNT = re.compile(rb"[1-9]\d{0,8}")
# Items that are neither a message nor a tool's output, and yet the client's.
_ANSWERED = {"mcp_approval_response": "user"}
# What the Responses API goes on from, where the conversation is kept by the provider.
_THREADS = ("previous_response_id", "conversation")

Range = tuple[int, int]
Members = Mapping[str, Value]


class Message(NamedTuple):
    """One message of a conversation, or one item or prompt: `body[start:end]`. Bodies have thousands.

    Attributes:
        role: whose it is: `assistant` where the model made it, `tool` where a tool answered, "" where
            nothing says whose.
    """

    start: int
    end: int
    role: str


@dataclass(frozen=True, slots=True)
class Body:
    """What was found in a request's body.

    Attributes:
        raw: the client's bytes.
        model: the model that is asked for, "" if none is named.
        stream: whether the answer is to be streamed.
        reply_tokens: the most that the reply may take; None: the body does not say.
        texts: every text, in the order in which the model reads them.
        ranges: byte range of each text's JSON string in `raw`, quotes included.
        others: byte ranges of what the model reads beside texts: tools, schemas, tool calls.
        messages: every message; the texts' `message` is the index of theirs.
        thread: JSON of what names the conversation that the provider keeps and this goes on; b"" for none.
    """

    raw: bytes
    endpoint: Endpoint
    model: str
    stream: bool
    reply_tokens: int | None
    texts: tuple[PromptText, ...]
    ranges: tuple[Range, ...]
    others: tuple[Range, ...] = ()
    messages: tuple[Message, ...] = ()
    thread: bytes = b""

    def read_beside_texts(self) -> str:
        """Return the JSON that the model reads beside texts, for an estimate of its tokens."""
        return b"\n".join(self.raw[start:end] for start, end in self.others).decode("utf-8", "replace")


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """Return which kind of request a method and a path are, None where it is none that we know.

    Args:
        path: the raw target, query included; under `/v1`, another base or Azure's `/openai`.
    """
    if method != "POST":
        return None
    before, above, last = ("", "", "", *_steps(path))[-3:]
    if last == "completions" and above == "chat":
        return Endpoint.CHAT
    is_base = not above or _BASE.fullmatch(above) or before in _DEPLOYMENTS
    return _OTHERS.get(last) if is_base else None


def deployment_of(path: str) -> str:
    """Return the deployment that Azure's paths name in place of a model, "" in others."""
    steps = _steps(path)
    return next((name for step, name in pairwise(steps) if step in _DEPLOYMENTS), "")


def _steps(path: str) -> list[str]:
    return [step for step in path.partition("?")[0].split("/") if step]


def parse(body: bytes, endpoint: Endpoint) -> Body:
    """Find the texts of a request's body.

    Raises:
        NotCarriedError: not JSON, not an object with a prompt, duplicate keys, lone surrogates or
            invalid UTF-8 where we would have to look.
    """
    reader = _Reader(body)
    try:
        members = carry.members(body, carry.whole(body))
        reader.read(endpoint, members)
        model = carry.text_or_none(body, members.get("model"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotCarriedError("malformed_body") from error
    stream = "stream" in members and bytes(members["stream"].raw) == b"true"
    limit = _limit(members, _LIMITS[endpoint])
    found = (tuple(reader.texts), tuple(reader.ranges), tuple(reader.others), tuple(reader.messages))
    return Body(body, endpoint, model or "", stream, limit, *found, _thread(endpoint, members))


def splice(body: Body, replaced: Mapping[int, str]) -> bytes:
    """Return the body with some of its texts exchanged; all other bytes are the original's.

    Args:
        body: as `parse` returned it.
        replaced: new text by index into `body.texts`.
    """
    return carry.splice(body.raw, ((body.ranges[index], text) for index, text in replaced.items()))


class _Seen(NamedTuple):
    """Where a string or an array of parts stands: place, message, role and name of its texts."""

    place: str
    message: int
    role: str
    name: str = ""


class _Reader:
    """Collects texts from the members of a body."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.texts: list[PromptText] = []
        self.ranges: list[Range] = []
        self.others: list[Range] = []
        self.messages: list[Message] = []

    def read(self, endpoint: Endpoint, members: Members) -> None:
        """Collect what a body's members hold."""
        if endpoint is Endpoint.CHAT:
            self._chat(members)
        elif endpoint is Endpoint.COMPLETIONS:
            self._completions(members)
        else:
            self._responses(members)

    def _beside(self, members: Members, names: tuple[str, ...]) -> None:
        """Note where members stand that the model reads beside texts."""
        for name in names:
            if name in members:
                self.others.append((members[name].start, members[name].end))

    def _add(self, value: Value, seen: _Seen, place: str, text: str) -> None:
        """Collect one text."""
        self.texts.append(PromptText(place, seen.message, seen.role, text, seen.name))
        self.ranges.append((value.start, value.end))

    def _content(self, value: Value | None, seen: _Seen) -> None:
        """Collect a string, or the text parts of an array; anything else is left alone."""
        if value is None:
            return
        text = carry.text_or_none(self.body, value)
        if text is not None:
            self._add(value, seen, seen.place, text)
        elif carry.begins(self.body, value, b"["):
            for number, part in enumerate(carry.items(self.body, value)):
                self._part(part, f"{seen.place}/{number}/text", seen)

    def _part(self, part: Value, place: str, seen: _Seen) -> None:
        if not carry.begins(self.body, part, b"{"):
            return
        fields = carry.members(self.body, part)
        if carry.text_or_none(self.body, fields.get("type")) not in _TEXT_PARTS or not _SIGNED.isdisjoint(
            fields
        ):
            return
        text = carry.text_or_none(self.body, fields.get("text"))
        if text is not None:
            self._add(fields["text"], seen, place, text)

    def _chat(self, members: Members) -> None:
        if "messages" not in members:
            raise NotCarriedError("no_messages")
        self._beside(members, ("tools", "functions", "response_format"))
        for number, (start, end, fields) in enumerate(carry.objects(self.body, members["messages"])):
            self._beside(fields, ("tool_calls", "function_call"))
            is_signed = not _SIGNED.isdisjoint(fields)
            role = (
                ""
                if "role" not in fields
                else self._role(fields)
                if is_signed
                else carry.text(fields["role"])
            )
            self.messages.append(Message(start, end, role))
            if "role" in fields and not is_signed:
                name = carry.text_or_none(self.body, fields.get("name")) or ""
                seen = _Seen(f"/messages/{number}/content", number, role, name)
                self._content(fields.get("content"), seen)

    def _completions(self, members: Members) -> None:
        """Read a prompt, or a list of prompts that have nothing to do with one another."""
        if "prompt" not in members:
            raise NotCarriedError("no_prompt")
        prompt = members["prompt"]
        if carry.begins(self.body, prompt, b'"'):
            self._whole(prompt, _Seen("/prompt", 0, "user"))
        elif carry.begins(self.body, prompt, b"["):
            for number, item in enumerate(carry.items(self.body, prompt)):
                if not carry.begins(self.body, item, b'"'):
                    break  # token ids, of which there may be very many
                self._whole(item, _Seen(f"/prompt/{number}", number, "user"))

    def _responses(self, members: Members) -> None:
        """Read instructions, which the model reads first, and input."""
        if not {"input", "instructions"} & members.keys():
            raise NotCarriedError("no_input")
        self._beside(members, ("tools", "text"))
        instructions, given = members.get("instructions"), members.get("input")
        if instructions is not None and carry.begins(self.body, instructions, b'"'):
            self._whole(instructions, _Seen("/instructions", 0, "system"))
        first = len(self.texts)
        if given is not None and carry.begins(self.body, given, b'"'):
            self._whole(given, _Seen("/input", first, "user"))
        elif given is not None and carry.begins(self.body, given, b"["):
            for number, (start, end, fields) in enumerate(carry.objects(self.body, given)):
                kind = carry.text_or_none(self.body, fields.get("type")) or "message"
                self.messages.append(Message(start, end, self._whose(kind, fields)))
                self._item(kind, fields, f"/input/{number}", first + number)

    def _whole(self, value: Value, seen: _Seen) -> None:
        """Collect a string that is a message by itself."""
        self.messages.append(Message(value.start, value.end, seen.role))
        self._content(value, seen)

    def _role(self, fields: Members) -> str:
        return carry.text_or_none(self.body, fields.get("role")) or ""

    def _whose(self, kind: str, fields: Members) -> str:
        """Return whose an item of a response's input is; what is no message and no answer the model made."""
        if kind == "message":
            return self._role(fields)
        return "tool" if kind.endswith(_OUTPUT) else _ANSWERED.get(kind, "assistant")

    def _item(self, kind: str, fields: Members, place: str, message: int) -> None:
        """Read one item of a response's input: a message, or what a tool answered."""
        if kind in _CALL_ITEMS:
            self._beside(fields, ("name", "arguments", "input"))
        if not _SIGNED.isdisjoint(fields):
            return
        if kind.endswith(_OUTPUT):
            self._content(fields.get("output"), _Seen(f"{place}/output", message, "tool"))
        elif kind == "message" and "role" in fields:
            role = carry.text(fields["role"])
            self._content(fields.get("content"), _Seen(f"{place}/content", message, role))


def _thread(endpoint: Endpoint, members: Members) -> bytes:
    """Return the JSON of the response or conversation that a request goes on from."""
    if endpoint is not Endpoint.RESPONSES:
        return b""
    named = (bytes(members[name].raw) for name in _THREADS if name in members)
    return b"".join(msgspec.json.format(raw, indent=-1) for raw in named if raw != b"null")


def _limit(members: Members, names: tuple[str, ...]) -> int | None:
    """Return the first of the named members that is a count."""
    for name in names:
        if name in members and _COUNT.fullmatch(raw := bytes(members[name].raw)):
            return int(raw)
    return None
