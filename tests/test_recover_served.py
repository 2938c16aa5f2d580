"""`recover: true` through `elision serve`, before upstreams that answer in every way that upstreams do."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.raw_upstream import RawUpstream, Received, answer, chunk
from fakes.running import Answer, raw_exchange, request_bytes
from fakes.serving import PATIENCE_S, Served, served

pytestmark = pytest.mark.timeout(600)

POLICY = """
recover: true
deadline_s: 60
rules:
  - name: documents
    when: {segment: context}
    use: {method: frequency, rate: 0.5, options: {level: word}}
"""
PLACES = ("harbour", "mill", "library", "tower", "orchard", "quarry", "chapel", "market")
DOCUMENT = "\n\n".join(
    f"The old {place} stands near the river and the people of the town walk there in the evening. "
    f"A carpenter mended the roof of the {place} because rain came through it every single winter. "
    f"Visitors who see the {place} for the first time remember its heavy door and its narrow windows."
    for place in PLACES
)
JSON = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ENCODED = f"{JSON}Content-Encoding: "
QUOTE = "@quote@"
# What stands around the strings: odd numbers, spaces, escapes and fields that nobody knows.
_AROUND = (
    b'{"id":"\\u0061",  "created": 1.50e3, "x":[1,2.0,{}], "choices":[ %s ],\n "usage":{"prompt_tokens":7},'
    b' "system_fingerprint":null , "z": "Marguerite" }'
)


def body(*choices: str) -> bytes:
    return _AROUND.replace(b"%s", " , ".join(choices).encode())


def message(more: str = "", text: str = f'"It says: {QUOTE}!"') -> str:
    said = '{"role":"assistant","content": ' + text + more + "}"
    return '{"index":0, "message":' + said + ', "finish_reason":"stop"}'


TOUCHED: dict[str, tuple[Callable[[bytes], bytes], bytes]] = {
    "plain": (answer, body(message())),
    "chunked": (
        lambda said: (
            f"{JSON}Transfer-Encoding: chunked\r\n\r\n".encode()
            + chunk(said[:9])
            + chunk(said[9:])
            + chunk(b"")
        ),
        body(message()),
    ),
    "three choices": (answer, body(message(), message(text='"nothing"'), message())),
    "completions": (answer, body(f'{{"text":"{QUOTE}", "logprobs":null}}')),
    "nulls": (answer, body(message(', "refusal":null,"tool_calls":null,"annotations":[] , "audio":null'))),
    "unknown fields": (answer, body(message(', "reasoning":"@quote@", "thing":{"a":[1e400]}'))),
    "other charset name": (
        lambda said: answer(said, JSON.replace("json", "JSON; charset=UTF-8")),
        body(message()),
    ),
}
UNTOUCHED: dict[str, tuple[Callable[[bytes], bytes], bytes]] = {
    "gzip": (lambda said: answer(gzip.compress(said, mtime=0), f"{ENCODED}gzip\r\n"), body(message())),
    "deflate": (lambda said: answer(zlib.compress(said), f"{ENCODED}deflate\r\n"), body(message())),
    "br": (lambda said: answer(b"\x8b\x02\x80" + said, f"{ENCODED}br\r\n"), body(message())),
    "two codings": (
        lambda said: answer(said, f"{ENCODED}identity\r\nContent-Encoding: gzip\r\n"),
        body(message()),
    ),
    "tool calls": (answer, body(message(', "tool_calls":[{"id":"c","function":{"arguments":"{}"}}]'))),
    "a refusal": (answer, body(message(', "refusal":"@quote@"'))),
    "no content": (answer, body(message(text="null"))),
    "parts": (answer, body(message(text='[{"type":"text","text":"@quote@"}]'))),
    "logprobs": (answer, body(message()).replace(b'"finish', b'"logprobs":{"content":[]},"finish')),
    "a key twice": (answer, body(message()).replace(b'"choices"', b'"choices":[],"choices"')),
    "ten megabytes": (answer, body(message(', "pad":"' + "y" * (10 << 20) + '"'))),
    "no JSON": (answer, b'{"choices": [{"message": {"content": "@quote@"'),
    "not UTF-8": (answer, body(message()).replace(b"It says", b"It \xff says")),
    "deep": (answer, b'{"choices":' + b"[" * 100_000 + b'"@quote@"' + b"]" * 100_000 + b"}"),
    "empty": (answer, b""),
    "another success": (lambda said: answer(said, JSON.replace("200 OK", "201 Made")), body(message())),
    "refused": (lambda said: answer(said, JSON.replace("200 OK", "401 No")), body(message())),
    "too many": (lambda said: answer(said, JSON.replace("200 OK", "429 Slow")), body(message())),
    "failed": (lambda said: answer(said, JSON.replace("200 OK", "500 Oh")), body(message())),
    "a stream told as JSON": (answer, body(message())),
    "a stream": (
        lambda said: answer(
            b"data: " + said + b"\n\ndata: [DONE]\n\n", JSON.replace("application/json", "text/event-stream")
        ),
        body(message()),
    ),
}


@dataclass
class Hostile:
    """An upstream that answers as the model's name asks, with a quotation of what it was sent."""

    sent: dict[str, bytes] = field(default_factory=dict)
    quotes: dict[str, str] = field(default_factory=dict)

    async def __call__(self, request: Received) -> AsyncIterator[bytes]:
        if request.method == "HEAD":
            yield f"{JSON}Content-Length: 512\r\n\r\n".encode()
            return
        asked = json.loads(request.body)
        case, quote = asked["model"], quotation(asked["messages"][0]["content"])
        self.quotes[case] = quote
        if case == "holds":
            yield f"{JSON}Content-Length: 900\r\n\r\n{{".encode()
            await asyncio.Event().wait()
        if case == "cut off":
            yield answer(body(message()).replace(QUOTE.encode(), quote.encode()))[:-20]
            return
        framed, said = {**TOUCHED, **UNTOUCHED}[case]
        self.sent[case] = said.replace(QUOTE.encode(), quote.encode())
        yield framed(self.sent[case])


def quotation(sent: str) -> str:
    """Return words in a row of what was sent that the document does not have in a row."""
    words = sent.split()
    rows = [" ".join(words[at : at + 6]) for at in range(len(words) - 5)]
    return next((row for row in rows if row not in " ".join(DOCUMENT.split())), "nothing was shortened")


def request(case: str) -> bytes:
    asked: dict[str, object] = {
        "model": case,
        "messages": [{"role": "user", "content": f"{DOCUMENT}\n\nWhat of the mill?"}],
    }
    if "stream" in case:
        asked["stream"] = True
    headers = [("Content-Type", "application/json"), ("Connection", "close")]
    return request_bytes("POST", "/v1/chat/completions", headers, json.dumps(asked).encode())


async def asked(running: Served, case: str) -> Answer:
    return await raw_exchange(running.port, request(case), PATIENCE_S)


async def recovered(running: Served, case: str) -> Answer:
    """Ask until the answer is recovered: a busy machine may take more than the two seconds that it waits."""
    async with asyncio.timeout(PATIENCE_S):
        while not (got := await asked(running, case)).value("x-elision-recovered"):
            assert got.status == 200, case
    return got


def check_touched(case: str, got: Answer, upstream: Hostile) -> None:
    """The quotation reads as the client wrote it; every other byte is the upstream's."""
    quote = upstream.quotes[case]
    assert quote != "nothing was shortened"
    count = TOUCHED[case][1].count(b'"It says') + TOUCHED[case][1].count(b'"text":')
    assert got.value("x-elision-recovered") == str(count), case
    choice = json.loads(got.body)["choices"][0]
    found = choice["message"]["content"] if "message" in choice else choice["text"]
    whole = found.removeprefix("It says: ").removesuffix("!")
    assert whole in DOCUMENT
    assert len(whole) > len(quote)
    theirs = upstream.sent[case].replace(f"It says: {quote}!".encode(), f"It says: {whole}!".encode())
    assert got.body == theirs.replace(f'"text":"{quote}"'.encode(), f'"text":"{whole}"'.encode()), case
    assert got.value("content-length") == str(len(got.body))


async def test_answers_of_all_kinds(tmp_path: Path) -> None:
    """What may be touched reads as the client wrote it; all else is the upstream's to the byte."""
    (tmp_path / "default.yaml").write_text(POLICY)
    upstream = Hostile()
    async with (
        RawUpstream(upstream, close_after=True) as serving,
        served("--upstream", serving.url, "--policies", str(tmp_path)) as running,
    ):
        await running.until_ready()
        for case in TOUCHED:
            check_touched(case, await recovered(running, case), upstream)
        for case, (framed, _) in UNTOUCHED.items():
            got = await asked(running, case)
            assert framed(upstream.sent[case]).endswith(got.body), case
            assert len(got.body) == int(got.value("content-length")), case
            assert got.value("x-elision-recovered") == "", case
            assert int(got.value("x-elision-tokens-saved")) > 100, case
        await check_broken(running, serving)
        head = request("plain").replace(b"POST", b"HEAD", 1)
        assert (await raw_exchange(running.port, head, PATIENCE_S)).value("content-length") == "512"
        # It is well after all that.
        check_touched("plain", await recovered(running, "plain"), upstream)


async def check_broken(running: Served, serving: RawUpstream) -> None:
    """What breaks off breaks off for the client too; a client that leaves is not read on for."""
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asked(running, "cut off")
    serving.left_early.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        before = len(serving.received)
        writer.write(request("holds"))
        async with asyncio.timeout(PATIENCE_S):
            while len(serving.received) == before:
                await asyncio.sleep(0.02)
    finally:
        writer.close()
    async with asyncio.timeout(PATIENCE_S):
        await serving.left_early.wait()
