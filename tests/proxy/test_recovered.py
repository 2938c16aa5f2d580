"""Answers come back in the client's words where a policy wants that; every other byte is the upstream's."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest

from elision.accounts.records import Report
from elision.proxy.recovered import Held, Quoted, recover, recovered_body
from elision.proxy.rewriter import Ask, Rewrite
from fakes.raw_upstream import RawUpstream, Received, always, answer, chunk
from fakes.running import Answer, proxy, raw_exchange, request_bytes

QUOTED = Quoted(
    ("Be brief.", "The vault holds Marguerite Oswald's emerald chess set."), ("vault Marguerite Oswald set",)
)
BODY = (
    b'{"id": "a",  "choices":[ {"index":0,"message":{"role":"assistant",'
    b'"content":"Marguerite Oswald set \\u2713", "refusal":null,"annotations":[] },'
    b'"logprobs":null, "finish_reason":"stop"},\n'
    b' {"index":1,"text":"Oswald set?"}], "usage":{"prompt_tokens":7,"completion_tokens":1 }, "x": 1.50}'
)
JSON = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WANTED = BODY.replace(
    b'"Marguerite Oswald set \\u2713"', '"Marguerite Oswald\'s emerald chess set ✓"'.encode()
).replace(b"Oswald set?", b"Oswald's emerald chess set?")


class Quoting:
    """A rewriter that shortens, and says what may be quoted."""

    def __init__(self, quoted: Quoted | None = QUOTED) -> None:
        self.quoted = quoted

    def wants(self, ask: Ask) -> bool:
        return True

    def unread(self, ask: Ask, *reasons: str) -> Report:
        return Report(team=ask.team, bypass=reasons)

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        return Rewrite(b"{}", True, Report(ask.team, "p@1", "enforce"), quoted=self.quoted)


class Arrived:
    """An answer that has arrived."""

    status, reason = 200, b"OK"

    def __init__(self, body: bytes) -> None:
        self.headers = [("Content-Type", "application/json"), ("Trailer", "X")]
        self._chunks = [b"", body]

    async def read(self) -> bytes:
        return self._chunks.pop()


async def asked(said: bytes, quoted: Quoted | None = QUOTED) -> Answer:
    async with (
        RawUpstream(lambda _: always(said)) as upstream,
        proxy(upstream.url, Quoting(quoted)) as running,
    ):
        return await raw_exchange(running.port, request_bytes("POST", "/v1/chat/completions", [], b'{"a":1}'))


async def test_texts_of_choices_are_put_back_and_nothing_else() -> None:
    """Of chat completions and completions; numbers, order and white space stay; the length is right."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nETag: x\r\nX-R: 1\r\n"
    got = await asked(answer(BODY, head))
    assert got.body == WANTED
    assert (
        json.loads(got.body)["choices"][0]["message"]["content"] == "Marguerite Oswald's emerald chess set ✓"
    )
    assert got.value("content-length") == str(len(WANTED))
    assert (got.value("etag"), got.value("x-r"), got.value("x-elision-recovered")) == ("", "1", "2")


async def test_a_chunked_answer_comes_back_with_a_length() -> None:
    """It was read whole, so its length is known."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    got = await asked(head + chunk(BODY[:50]) + chunk(BODY[50:]) + chunk(b""))
    assert (got.body, got.value("content-length")) == (WANTED, str(len(WANTED)))
    assert got.value("transfer-encoding") == ""


async def test_usage_is_seen_as_it_would_be() -> None:
    """What the upstream states of tokens is accounted for, though the answer changed on its way."""
    said = answer(BODY)
    async with RawUpstream(lambda _: always(said)) as upstream, proxy(upstream.url, Quoting()) as running:
        got = await raw_exchange(running.port, request_bytes("POST", "/v1/chat/completions", [], b"{}"))
        [record] = running.records
    assert got.body == WANTED
    assert record.answered.usage is not None
    assert record.answered.usage.prompt_tokens == 7
    assert record.body_bytes == len(WANTED)


@pytest.mark.parametrize(
    "said",
    [
        answer(BODY, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"),
        answer(
            gzip.compress(BODY),
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n",
        ),
        answer(BODY, "HTTP/1.1 429 Too Many\r\nContent-Type: application/json\r\n"),
        answer(BODY, "HTTP/1.1 200 OK\r\n"),
        answer(BODY[:-5]),
        answer(b'{"choices": {}}'),
        answer(b'{"choices": [{"message": {"content": "Oswald set", "tool_calls": [{"id": "c"}]}}]}'),
        answer(b'{"choices": [{"message": {"content": "Oswald set", "annotations": [{"start": 3}]}}]}'),
        answer(b'{"choices": [{"message": {"content": "Oswald set"}, "logprobs": {"content": []}}]}'),
        answer(b'{"choices": [{"message": {"content": "{\\"a\\": \\"Oswald set\\"}"}}]}'),
        answer(b'{"choices": [{"message": {"content": [{"type": "text", "text": "Oswald set"}]}}]}'),
        answer(b'{"choices": [{"message": {"content": "Oswald set", "content": "Oswald set"}}]}'),
        answer(b'{"choices": [{"message": {"content": "Oswald \\ud800 set"}}]}'),
        answer(b'{"choices": [{"message": {"content": null}}], "output": "Oswald set"}'),
        answer(b'{"choices": [{"message": {"content": "nothing quoted"}}]}'),
        answer(b'{"choices": [{"text": "Oswald set", "x": "' + b"y" * (1 << 20) + b'"}]}'),
    ],
)
async def test_all_else_passes_as_it_came(said: bytes) -> None:
    """Streams, encoded answers, errors, other types, broken JSON, tool calls, texts that are pointed into,
    structured output, what is too large.
    """
    got, plain = await asked(said), await asked(said, None)
    assert (got.status, got.body) == (plain.status, plain.body)
    assert said.endswith(got.body)
    theirs = [[pair for pair in one.headers if not pair[0].startswith("x-elision-")] for one in (got, plain)]
    assert theirs[0] == theirs[1]
    assert got.value("x-elision-recovered") == ""


async def test_an_answer_that_breaks_off_breaks_off() -> None:
    """What has come goes on to the client, and no clean end is made up for it."""
    said = answer(BODY)[:-30]
    head, body = said.split(b"\r\n\r\n", 1)
    async with (
        RawUpstream(lambda _: always(said), close_after=True) as upstream,
        proxy(upstream.url, Quoting()) as running,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        try:
            writer.write(request_bytes("POST", "/v1/chat/completions", [], b"{}"))
            async with asyncio.timeout(30):
                await reader.readuntil(b"\r\n\r\n")
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await reader.readexactly(len(body) + 30)
        finally:
            writer.close()
    assert head.startswith(b"HTTP/1.1 200")


async def test_a_policy_without_headers_stays_silent() -> None:
    """Nothing of ours is said, and the text is put back all the same."""
    got = await asked(answer(BODY), Quoted(QUOTED.original, QUOTED.sent, silent=True))
    assert (got.body, got.value("x-elision-recovered")) == (WANTED, "")


async def test_an_answer_to_the_client_s_own_body_stays() -> None:
    """Where the upstream refused ours, nothing was shortened for the answer."""

    async def once(request: Received) -> AsyncIterator[bytes]:
        refused = request.body == b"{}"
        yield (
            answer(b"{}", "HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\n")
            if refused
            else answer(BODY)
        )

    async with RawUpstream(once) as upstream, proxy(upstream.url, Quoting()) as running:
        request = request_bytes("POST", "/v1/chat/completions", [], b'{"a":1}')
        got = await raw_exchange(running.port, request)
    assert (got.status, got.body) == (200, BODY)


async def test_an_answer_does_not_wait_for_ever() -> None:
    """What is not recovered in time goes out as it came, with its own length and tags."""
    arrived = Arrived(BODY)
    held = Held(arrived)  # type: ignore[arg-type]
    await held.read_ahead()
    await recover(held, QUOTED, patience_s=0)
    assert (held.body(), held.headers) == (BODY, arrived.headers)
    await recover(held, QUOTED)
    assert held.body() == WANTED
    assert ("Trailer", "X") not in held.headers


async def test_prompts_beyond_all_measure_are_let_be() -> None:
    """Rather than a second for each answer."""
    long = Quoted(("x " * 1_000_001,), QUOTED.sent)
    assert (await asked(answer(BODY), long)).body == BODY


def test_an_answer_of_many_choices_ends_when_nobody_waits_any_more() -> None:
    """Between two texts: a hundred of them would keep a thread busy long after the answer went out."""
    asked = 0

    def late() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    many = b'{"choices": [' + b",".join([b'{"text": "Oswald set"}'] * 100) + b"]}"
    assert recovered_body(many, QUOTED, late) == (many, 0)
    assert asked == 3
    whole, changes = recovered_body(many, QUOTED, lambda: False)
    assert (changes, whole.count(b"emerald")) == (100, 100)
