"""Requests of every kind against a served proxy, and an upstream that answers each as it asks for.

What an upstream is to do stands in a body's `user`: answer, stream, refuse, break off, talk nonsense,
or say nothing until the client has left. Every request is one connection, hence any of the workers.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from fakes.raw_upstream import Received, answer, chunk
from fakes.running import request_bytes

CHAT = "/v1/chat/completions"
TEAMS = ("search", "tools", "watched", "idle", "hasty", "nobody")
POLICY = """
name: {team}
mode: {mode}
deadline_s: {deadline_s}
rules:
  - when: {{segment: context, kind: json}}
    use: {{method: lossless, min_tokens: 20}}
  - when: {{segment: [context, tool_result]}}
    use: {{method: frequency, rate: 0.5, min_tokens: 20}}
"""
FACT = "The mill by the {0} river was built in the year 17{0} and it has been standing there since then. "
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_WORDS = b'data: {"choices": [{"index": 0, "delta": {"content": "Yes."}}]}\n\n'
_REFUSALS = {"500": "500 Oh", "429": "429 Too Many", "400": "400 Bad"}
_KINDS = {
    "answer": 20,
    "stream": 12,
    "bare stream": 3,
    "500": 2,
    "429": 2,
    "400": 2,
    "picky": 5,
    "nonsense": 2,
    "broken": 3,
    "vanish": 3,
    "leave": 3,
    "off": 3,
    "malformed": 2,
    "encoded": 2,
    "models": 2,
    "compress": 3,
}
_PATIENCE_S = 100.0


def policies() -> dict[str, str]:
    """Return the policy of each team, by the team; the default one keeps everything."""
    modes = {"watched": "audit", "idle": "off"}
    told = {
        team: POLICY.format(
            team=team, mode=modes.get(team, "enforce"), deadline_s=0.001 if team == "hasty" else 30
        )
        for team in TEAMS[:-1]
    }
    return {"default": "name: nothing\nrules: []\n", **told}


class Upstream:
    """Answers by what bodies ask for.

    Attributes:
        arrived: set once a request of this number is here.
    """

    def __init__(self) -> None:
        self.arrived: dict[int, asyncio.Event] = {}

    async def __call__(self, request: Received) -> AsyncIterator[bytes]:
        try:
            said: dict[str, Any] = json.loads(request.body)
        except (ValueError, UnicodeDecodeError):
            said = {}
        kind = said.get("user", "")
        if kind in _REFUSALS:
            yield answer(b"{}", f"HTTP/1.1 {_REFUSALS[kind]}\r\n")
        elif kind == "picky" and len(request.body) < said["seed"] % 1_000_000:
            yield answer(b"{}", "HTTP/1.1 400 Bad\r\n")
        elif kind == "nonsense":
            yield b"no answer at all\r\n\r\n"
        elif kind == "vanish":
            self.arrived[said["seed"]].set()
            await asyncio.sleep(_PATIENCE_S)
        elif said.get("stream"):
            async for part in self._streamed(kind, request.body):
                yield part
        else:
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": "Yes."},
                "finish_reason": "stop",
            }
            whole = {"model": said.get("model"), "choices": [choice]}
            yield answer(json.dumps(whole | ({"usage": _usage(request.body)} if said else {})).encode())

    async def _streamed(self, kind: str, body: bytes) -> AsyncIterator[bytes]:
        yield _STREAM + chunk(_WORDS)
        if kind == "leave":
            await asyncio.sleep(_PATIENCE_S)
        if kind == "broken":
            yield b"no chunk\r\n"
            return
        if kind == "stream":
            usage = json.dumps({"choices": [], "usage": _usage(body)}).encode()
            yield chunk(b"data: " + usage + b"\n\n")
        yield chunk(b"data: [DONE]\n\n") + chunk(b"")


def _usage(body: bytes) -> dict[str, object]:
    """Bill a token for every four bytes, a quarter of them as read from a cache."""
    tokens = len(body) // 4
    details = {"cached_tokens": tokens // 4}
    return {
        "prompt_tokens": tokens,
        "completion_tokens": 7,
        "total_tokens": tokens + 7,
        "prompt_tokens_details": details,
    }


@dataclass(frozen=True)
class Wanted:
    """One request that is to be sent."""

    number: int
    kind: str
    team: str
    raw: bytes


@dataclass(frozen=True)
class Got:
    """What a client got.

    Attributes:
        headers: of the answer, lower case; empty where it left before.
        billed: tokens of the prompt by the answer's `usage`; None where it saw none.
    """

    team: str
    kind: str
    headers: dict[str, str]
    billed: int | None


def traffic(random: Random, first: int, count: int) -> Iterator[Wanted]:
    """Yield requests of all kinds and teams, many of them about texts that came before."""
    kinds, weights = list(_KINDS), list(_KINDS.values())
    for number in range(first, first + count):
        kind = random.choices(kinds, weights)[0]
        yield _wanted(random, number, kind, random.choice(TEAMS))


def _wanted(random: Random, number: int, kind: str, team: str) -> Wanted:
    base = "" if team == "nobody" else f"/t/{team}"
    headers = [("Content-Type", "application/json"), ("Connection", "close")]
    if kind == "models":
        return Wanted(number, kind, team, request_bytes("GET", f"{base}/v1/models", headers))
    body = _body(random, number, kind)
    if kind == "off":
        headers.append(("x-elision", "off"))
    if kind == "encoded":
        headers.append(("Content-Encoding", "br"))
    path = "/v1/compress" if kind == "compress" else CHAT
    return Wanted(number, kind, team, request_bytes("POST", f"{base}{path}", headers, body))


def _body(random: Random, number: int, kind: str) -> bytes:
    if kind == "malformed":
        return b'{"messages": [' + str(number).encode()
    topic = random.randrange(40)
    rows = json.dumps([{"id": n, "topic": topic} for n in range(40)], indent=8)
    story = FACT.format(10 + topic) * 10
    document = random.choice((rows, f"{story}\n\n{story.title()}"))
    question = f"Whose is number {random.choice((number, topic))}?"
    messages = [{"role": "user", "content": f"{document}\n\n{question}"}]
    if random.random() < 0.25:
        later = {"role": "user", "content": f"{story}\n\nAnd what of {random.randrange(5)}?"}
        messages += [{"role": "assistant", "content": "Yes."}, later]
    model = random.choice(("gpt-4o", "gpt-4o", "gpt-4o-mini", "nobody-knows-it"))
    said: dict[str, object] = {"model": model, "user": kind, "seed": number, "messages": messages}
    if kind in ("stream", "bare stream", "broken", "leave"):
        said["stream"] = True
    if kind == "picky":  # what is shorter than this was rewritten
        said["seed"] = 1_000_000 + len(json.dumps({**said, "seed": 1_000_000}))
    return json.dumps(said).encode()


async def send(port: int, wanted: Wanted, upstream: Upstream) -> Got:
    """Send one request and read what comes; leave early where its kind does."""
    arrived = upstream.arrived[wanted.number] = asyncio.Event()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(_PATIENCE_S):
            writer.write(wanted.raw)
            if wanted.kind == "vanish":
                await arrived.wait()
                return Got(wanted.team, wanted.kind, {}, None)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            body = await (reader.readuntil(b"Yes.") if wanted.kind == "leave" else _rest(reader))
    finally:
        writer.close()
    lines = (line.partition(":") for line in head.split("\r\n")[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in lines}
    billed = re.search(rb'"prompt_tokens": (\d+)', body)
    return Got(wanted.team, wanted.kind, headers, int(billed[1]) if billed else None)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Return all bytes until the end, also where that is a broken connection."""
    got = b""
    try:
        while part := await reader.read(65536):
            got += part
    except ConnectionError:
        pass
    return got
