"""What docs/headers.md says is what a served proxy sends, in every situation that the page tells of."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from elision.accounts.records import LONGEST_VALUE
from fakes.raw_upstream import RawUpstream, Received, answer, chunk
from fakes.running import Answer, proxy, raw_exchange, request_bytes
from fakes.serving import PATIENCE_S, Served, served
from fakes.tidy import BODY, POLICY, echo, next_turn

PAGE = Path(__file__).parent.parent / "docs/headers.md"
CHAT = "/v1/chat/completions"
AUDITED_RULE = POLICY.replace("{method: lossless}", "{method: lossless, mode: audit}")
POLICIES = {
    "default": "name: nothing\nrules: []\n",
    "tidy": POLICY,
    "audited": f"mode: audit{POLICY}",
    "half": AUDITED_RULE,
    "idle": f"mode: off{POLICY}",
    "quiet": f"headers: none{POLICY}",
}

READ = {"always", "policy", "counted", "enforced"}
PRICED = {"counted, if the price is known", "with the cost"}
SHORTENED = READ | PRICED | {"shortened", "tried"}

SHAPES = {
    "request-id": r"[0-9a-f]{32}",
    "overhead-ms": r"\d+\.\d\d",
    "team": r"\w+",
    "policy": r"\w+@[0-9a-f]{8}",
    "mode": "enforce|audit|off",
    "tokens-before": r"\d+",
    "tokens-after": r"\d+",
    "tokens-saved": r"\d+",
    "ratio": r"\d\.\d{3}",
    "tokens-audited": r"[1-9]\d*",
    "cost-saved-usd": r"-?\d+\.\d{9}",
    "cost-basis": "estimate",
    "method": r"\w+(,\w+)*",
    "segments": r"\w+:\d+>\d+(,\w+:\d+>\d+)*",
    "cache": "hit|miss|partial|replay",
    "prefix": r"replayed=\d+,new=\d+(,unknown=\d+)?(,\w+=.*)?",
    "recovered": r"[1-9]\d*",
    "bypass": r"\w+(,\w+)*",
}


class Row(NamedTuple):
    """A line of the page's table, without ticks."""

    header: str
    example: str
    sent: str
    meaning: str


def table() -> list[Row]:
    lines = re.findall(r"^\| `x-elision-.*\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [Row(*(cell.strip().strip("`") for cell in line.strip("|").split("|"))) for line in lines]


def documented(*tags: str) -> set[str]:
    """Return the headers that the page promises where so much is true of a request."""
    return {row.header for row in table() if row.sent in tags}


def own(got: Answer) -> dict[str, str]:
    """Return an answer's `x-elision-*` headers, each of which may be there once."""
    pairs = [(name.lower(), value) for name, value in got.headers if name.lower().startswith("x-elision")]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def check_shapes(told: dict[str, str]) -> None:
    for header, value in told.items():
        name = header.removeprefix("x-elision-")
        assert re.fullmatch(SHAPES[name], value), f"{header}: {value}"
        assert value == value.lower()
        assert len(value) <= LONGEST_VALUE


async def upstream_answer(request: Received) -> AsyncIterator[bytes]:
    """Refuse what was shortened for `picky`, talk nonsense to `rude`, stream where that is asked for."""
    said = json.loads(request.body) if request.body.startswith(b"{") else {}
    if said.get("model") == "rude":
        yield b"no answer at all\r\n\r\n"
    elif said.get("model") == "picky" and "        " not in said["messages"][0]["content"]:
        yield answer(b"{}", "HTTP/1.1 400 Bad Request\r\n")
    elif said.get("stream"):
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        usage = b'{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}'
        for event in (b'{"choices": [{"delta": {"content": "Yes."}}]}', usage, b"[DONE]"):
            yield chunk(b"data: " + event + b"\n\n")
        yield chunk(b"")
    else:
        async for part in echo(request):
            yield part


async def ask(running: Served, team: str, body: bytes = BODY, *headers: tuple[str, str]) -> Answer:
    pairs = [("Content-Type", "application/json"), ("Connection", "close"), *headers]
    return await raw_exchange(running.port, request_bytes("POST", f"/t/{team}{CHAT}", pairs, body))


async def until_priced(running: Served) -> None:
    """Wait until prices are known, which are read beside the start."""
    async with asyncio.timeout(PATIENCE_S):
        while not (await ask(running, "nobody")).value("x-elision-cost-basis"):
            await asyncio.sleep(0.05)


def for_model(model: str) -> bytes:
    return BODY.replace(b"gpt-4o", model.encode())


async def serve_and_ask(folder: Path) -> dict[str, Answer]:
    """Serve all the policies, bring every situation about, return the answers by its name."""
    for team, policy in POLICIES.items():
        (folder / f"{team}.yaml").write_text(policy)
    other = BODY.replace(b"How many rows", b"How many columns")
    later = json.loads(next_turn(BODY))
    later["messages"][-1]["content"] = json.dumps([{"it": n} for n in range(500)], indent=8) + "\n\nAnd now?"
    refused = ("x-elision-rate", "0.5")
    async with (
        RawUpstream(upstream_answer) as upstream,
        served("--upstream", upstream.url, "--policies", str(folder)) as running,
    ):
        await running.until_ready()
        await until_priced(running)
        got = {
            "miss": await ask(running, "tidy"),
            "replay": await ask(running, "tidy"),
            "hit": await ask(running, "tidy", other),
            "partial": await ask(running, "tidy", json.dumps(later).encode()),
            "stream": await ask(running, "tidy", BODY.replace(b'"model"', b'"stream": true, "model"')),
            "unpriced": await ask(running, "tidy", for_model("nobody-knows-it")),
            "audit": await ask(running, "audited"),
            "a rule in audit": await ask(running, "half"),
            "a policy that is off": await ask(running, "idle"),
            "off by wish": await ask(running, "tidy", BODY, ("x-elision", "off")),
            "bypass": await ask(running, "tidy", BODY, refused),
            "explained": await ask(running, "tidy", BODY, ("x-elision", "explain")),
            "compressed alone": await running.post("/t/tidy/v1/compress", BODY),
            "nothing to shorten": await ask(running, "nobody"),
            "malformed": await ask(running, "tidy", b"no JSON"),
            "encoded": await ask(running, "tidy", BODY, ("Content-Encoding", "br")),
            "rejected": await ask(running, "tidy", for_model("picky")),
            "error": await ask(running, "tidy", for_model("rude")),
            "another path": await running.get("/t/tidy/v1/models"),
            "own page": await running.get("/elision/live"),
            "silent": await ask(running, "quiet"),
            "silent, off": await ask(running, "quiet", BODY, ("x-elision", "off")),
            "silent error": await ask(running, "quiet", for_model("rude")),
            "silent, malformed": await ask(running, "quiet", b"no JSON"),
            "silent, another path": await running.get("/t/quiet/v1/models"),
        }
        assert await running.stop() == 0
    return got


EXPECTED = {
    "miss": SHORTENED,
    "replay": SHORTENED,
    "hit": SHORTENED,
    "partial": SHORTENED,
    "stream": SHORTENED,
    "unpriced": SHORTENED - PRICED,
    "audit": SHORTENED - {"enforced"} | {"counted, if not 0"},
    "a rule in audit": SHORTENED | {"counted, if not 0"},
    "a policy that is off": {"always", "policy"},
    "off by wish": {"always", "policy"},
    "bypass": SHORTENED | {"not done"},
    "explained": READ - {"enforced"},
    "compressed alone": SHORTENED - PRICED,
    "nothing to shorten": READ | PRICED,
    "malformed": {"always", "policy", "not done"},
    "encoded": {"always", "policy", "not done"},
    "error": SHORTENED - PRICED,
    "another path": {"always", "policy"},
    "silent": set(),
    "silent, off": set(),
    "silent error": set(),
    "silent, malformed": set(),
    "silent, another path": set(),
}


async def test_what_is_documented_is_what_is_sent(tmp_path: Path) -> None:
    """In every situation the very headers that the page names for it, with values of its kind."""
    got = await serve_and_ask(tmp_path)
    told = {situation: own(answered) for situation, answered in got.items()}
    for situation, tags in EXPECTED.items():
        assert set(told[situation]) == documented(*tags), situation
        check_shapes(told[situation])
    named = ("miss", "replay", "hit", "partial")
    assert [told[name]["x-elision-cache"] for name in named] == list(named)
    assert told["stream"]["x-elision-tokens-saved"] == told["miss"]["x-elision-tokens-saved"]
    assert [told[name]["x-elision-mode"] for name in ("audit", "off by wish", "a policy that is off")] == [
        "audit",
        "off",
        "off",
    ]
    assert told["audit"]["x-elision-tokens-saved"] == "0"
    assert told["audit"]["x-elision-tokens-audited"] == told["miss"]["x-elision-tokens-saved"]
    assert told["nothing to shorten"]["x-elision-team"] == "default"
    assert told["encoded"]["x-elision-bypass"] == "encoded_body"
    assert (got["error"].status, got["silent error"].status) == (502, 502)
    assert list(told["own page"]) == ["x-elision-request-id"]
    assert told["rejected"]["x-elision-bypass"] == "upstream_400"
    assert told["rejected"]["x-elision-tokens-saved"] == "0"
    kept = {f"x-elision-{name}" for name in ("method", "segments", "cache", "prefix")}
    assert not kept & set(told["rejected"])


async def test_without_policies_there_are_the_first_two() -> None:
    """Whoever asks."""
    async with RawUpstream(echo) as upstream, proxy(upstream.url) as running:
        headers = [("Content-Type", "application/json"), ("Connection", "close")]
        got = await raw_exchange(running.port, request_bytes("POST", CHAT, headers, BODY))
    assert set(own(got)) == documented("always")


def test_the_table_tells_of_every_header_with_an_example_of_its_kind() -> None:
    """And what is sent beside it has a definition."""
    rows = table()
    assert {row.header.removeprefix("x-elision-") for row in rows} == set(SHAPES)
    check_shapes({row.header: row.example for row in rows})
    page = PAGE.read_text(encoding="utf-8")
    assert [row.sent for row in rows if f"**{row.sent.partition(',')[0]}**" not in page] in (
        [],
        ["with the cost"],
    )


@pytest.mark.parametrize("value", ["hit", "miss", "partial", "replay"])
def test_every_word_about_the_cache_is_defined(value: str) -> None:
    """In a table of its own."""
    assert f"\n| `{value}` |" in PAGE.read_text(encoding="utf-8")
