"""Which upstream gets which request, and which key goes with it."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from elision.accounts.records import Report
from elision.proxy.errors import RequestError
from elision.proxy.rewriter import Ask, Rewrite, Rewriter
from elision.proxy.routing import (
    Route,
    Routes,
    Upstreams,
    may_name_model,
    model_in,
    model_in_query,
    origin_form,
)
from elision.proxy.upstream import HttpUpstream, UpstreamLimits
from fakes.raw_upstream import RawUpstream, always, answer
from fakes.running import Running, proxy, raw_exchange, request_bytes

ROUTES = Routes(
    [
        Route("default"),
        Route("azure", "/azure"),
        Route("deep", "/azure/deep", ("o3", "gpt-*")),
        Route("local", models=("llama-*", "gpt-4o")),
    ]
)
JSON = [("Content-Type", "application/json")]


@pytest.mark.parametrize(
    ("path", "model", "name", "rest"),
    [
        ("/v1/models", "", "default", "/v1/models"),
        ("/azure/v1/x?a=%2F", "", "azure", "/v1/x?a=%2F"),
        ("/azure", "", "azure", "/"),
        ("/azure/", "", "azure", "/"),
        ("/azure?a=b", "", "azure", "/?a=b"),
        ("/azure2/v1", "", "default", "/azure2/v1"),
        ("/Azure/v1", "", "default", "/Azure/v1"),
        ("/azure%2Fv1", "", "default", "/azure%2Fv1"),
        ("/v1/azure/x", "", "default", "/v1/azure/x"),
        ("/azure/deep/v1", "", "deep", "/v1"),
        ("/azure/deeper/v1", "", "azure", "/deeper/v1"),
        ("/azure/v1/x", "llama-3", "azure", "/v1/x"),
        ("/v1/x", "llama-3", "local", "/v1/x"),
        ("/v1/x", "gpt-4o", "deep", "/v1/x"),
        ("/v1/x", "LLAMA-3", "default", "/v1/x"),
        ("/v1/x", "my-llama-3", "default", "/v1/x"),
    ],
)
def test_the_longest_prefix_decides_then_the_first_glob(path: str, model: str, name: str, rest: str) -> None:
    """Then the default; a prefix is left out of the path, whose other bytes stay."""
    assert ROUTES.route(path, model) == (name, rest)


def test_the_model_is_asked_for_only_where_it_matters() -> None:
    """Else no body is read for it."""
    assert ROUTES.asks_model("/v1/x")
    assert not ROUTES.asks_model("/azure/v1/x")
    assert not Routes([Route("a"), Route("b", "/b")]).asks_model("/v1/x")


def test_what_nobody_takes_is_a_404_that_says_what_there_is() -> None:
    """Names, prefixes and models."""
    routes = Routes([Route("azure", "/azure"), Route("local", "/l", ("llama-*", "qwen*"))])
    with pytest.raises(RequestError) as refused:
        routes.route("/v1/x", "gpt-4o")
    assert (refused.value.status, refused.value.code) == (404, "no_upstream")
    told = "There are: azure (under /azure), local (under /l; models llama-*, qwen*)."
    assert refused.value.message.endswith(told)


PREFIXES = st.lists(st.from_regex(r"(/[ab]{1,2}){1,3}", fullmatch=True), min_size=1, max_size=5, unique=True)


@given(PREFIXES, st.from_regex(r"(/[ab]{1,2}){0,4}(/|\?a)?", fullmatch=True))
def test_routing_by_prefix_is_as_by_whole_steps_of_the_path(prefixes: list[str], path: str) -> None:
    """Compared with a slow reading of the rule; prefix and rest make up the path again."""
    routes = Routes([Route(""), *(Route(prefix, prefix) for prefix in prefixes)])
    name, rest = routes.route(path, "")
    steps = path.partition("?")[0].split("/")
    fitting = [p for p in prefixes if steps[: p.count("/") + 1] == p.split("/")]
    assert name == max(fitting, key=len, default="")
    assert name + rest == path or (name + rest).replace("/?", "?").rstrip("/") == path


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"messages": [{"model": "inner"}], "model": "m"}', "m"),
        (b' {"model": "a\\u00e9\\n"}', "a\u00e9\n"),
        (b"{}", ""),
        (b'{"model": 3}', ""),
        (b'{"model": null}', ""),
        (b'["model"]', ""),
        (b"", ""),
        (b'{"model": "m"', ""),
        (b'{"model": "\xff"}', ""),
        (b'{"model": "\\ud800"}', ""),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b', "model": "m"}', ""),
    ],
)
def test_the_model_of_a_body_is_its_top_level_text(body: bytes, model: str) -> None:
    """Anything else names none, and goes to the default."""
    assert model_in(body) == model


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(msgspec.json.encode))
def test_no_body_is_too_strange_to_look_into(body: bytes) -> None:
    """The answer is a text, never an error."""
    assert isinstance(model_in(body), str)


def test_a_websocket_names_its_model_in_the_query() -> None:
    """It has no body to name it in."""
    assert model_in_query("/v1/realtime?a=b&model=gpt%2Drealtime") == "gpt-realtime"
    assert model_in_query("/v1/realtime") == ""


@pytest.mark.parametrize(
    ("method", "kind", "encoding", "worth"),
    [
        ("POST", "application/json", "", True),
        ("POST", "Application/JSON; charset=utf-8", "", True),
        ("POST", "application/vnd.api+json", "", True),
        ("POST", "multipart/form-data; boundary=json", "", False),
        ("POST", "", "", False),
        ("POST", "application/json", "gzip", False),
        ("PUT", "application/json", "", False),
    ],
)
def test_only_plain_json_is_looked_into(method: str, kind: str, encoding: str, worth: bool) -> None:
    """What cannot name a model is not read for one."""
    headers = [("content-type", kind)] * bool(kind) + [("Content-Encoding", encoding)] * bool(encoding)
    assert may_name_model(method, headers) is worth


@dataclass
class Two:
    """A proxy before two upstreams and a default."""

    running: Running
    keyed: RawUpstream
    other: RawUpstream
    default: RawUpstream

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
    ) -> int:
        got = await raw_exchange(self.running.port, request_bytes(method, path, headers, body))
        return got.status

    def received(self) -> tuple[list[str], list[str], list[str]]:
        """Return the targets that each upstream was asked for."""
        lists = [[r.target for r in upstream.received] for upstream in (self.keyed, self.other, self.default)]
        return lists[0], lists[1], lists[2]


@asynccontextmanager
async def two(rewriter: Rewriter | None = None, body_limit_bytes: int = 1 << 20) -> AsyncIterator[Two]:
    """`keyed` by prefix /azure, with a key; `other` by models m-*, with another; and a default."""
    said = answer(b"{}", "HTTP/1.1 307 Elsewhere\r\nLocation: /azure/v1/models\r\n")
    async with (
        RawUpstream(lambda _: always(said)) as keyed,
        RawUpstream(lambda _: always(said)) as other,
        RawUpstream(lambda _: always(said)) as default,
    ):
        routes = [Route("keyed", "/azure"), Route("other", models=("m-*",)), Route("default")]
        keys: dict[str, Mapping[str, str]] = {
            "keyed": {"Authorization": "Bearer first"},
            "other": {"api-key": "second", "X-Org": "ours"},
            "default": {},
        }
        servers = {"keyed": keyed, "other": other, "default": default}
        clients = {
            name: HttpUpstream(server.url, UpstreamLimits(), headers=keys[name])
            for name, server in servers.items()
        }
        upstreams = Upstreams(routes, clients)
        async with proxy(upstreams, rewriter, body_limit_bytes=body_limit_bytes) as running:
            yield Two(running, keyed, other, default)


async def test_a_request_goes_to_one_upstream_and_the_record_names_it() -> None:
    """By prefix, by model, or to the default; a team's prefix comes first."""
    body = b'{"model": "m-1"}'
    async with two() as asked:
        await asked.ask("POST", "/v1/chat/completions", body, JSON)
        await asked.ask("POST", "/azure/v1/chat/completions", body, JSON)
        await asked.ask("POST", "/t/search/azure/v1/x", body, JSON)
        await asked.ask("POST", "/t/search/v1/embeddings?a", body, JSON)
        await asked.ask("POST", "/v1/x", b'{"model": "n"}', JSON)
        await asked.ask("POST", "/v1/x", body)
        await asked.ask("GET", "/v1/models")
    assert asked.received() == (
        ["/v1/chat/completions", "/v1/x"],
        ["/v1/chat/completions", "/v1/embeddings?a"],
        ["/v1/x", "/v1/x", "/v1/models"],
    )
    records = asked.running.records
    names = ["other", "keyed", "keyed", "other", "default", "default", "default"]
    assert [record.upstream for record in records] == names


async def test_a_key_goes_to_its_own_upstream_only_and_replaces_the_clients() -> None:
    """Nor does a redirect carry it anywhere: it is passed on."""
    theirs = [*JSON, ("authorization", "Bearer client"), ("X-API-Key", "client"), ("x-org", "theirs")]
    async with two() as asked:
        for path, body in (("/azure/v1/x", b"{}"), ("/v1/x", b'{"model": "m-1"}'), ("/v1/x", b"{}")):
            assert await asked.ask("POST", path, body, theirs) == 307
    [keyed], [other], [default] = asked.keyed.received, asked.other.received, asked.default.received
    assert (keyed.values("authorization"), keyed.values("x-api-key")) == (["Bearer first"], [])
    assert keyed.values("x-org") == ["theirs"]
    assert (other.values("authorization"), other.values("x-api-key")) == ([], [])
    assert (other.values("api-key"), other.values("x-org")) == (["second"], ["ours"])
    assert (default.values("authorization"), default.values("x-api-key")) == (["Bearer client"], ["client"])
    assert "first" not in str(other.headers) + str(default.headers)
    assert "second" not in str(keyed.headers) + str(default.headers)


async def test_a_client_cannot_keep_the_operators_key_back() -> None:
    """Nor bring another by naming it a header of the hop."""
    hop = [("Connection", "authorization"), ("Authorization", "Bearer client")]
    async with two() as asked:
        await asked.ask("GET", "/azure/v1/x", headers=hop)
    assert asked.keyed.received[0].values("authorization") == ["Bearer first"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_was_read_for_its_model_goes_out_as_it_came(chunked: bool) -> None:
    """Its framing, the order of its headers, every byte."""
    body = b' {"model":"m-1", "x": 1e2 }\n'
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
    headers = [("A", "1"), framing, *JSON, ("B", "2")]
    async with two() as asked:
        await asked.ask("POST", "/v1/x", framed, headers)
    [received] = asked.other.received
    assert received.body == body
    sent = [pair for pair in received.headers if pair[0] not in ("Host", "api-key", "X-Org")]
    assert [p for p in sent if p != framing] == [p for p in headers if p != framing]
    assert received.values(framing[0]) == [framing[1]]


async def test_what_cannot_be_looked_into_goes_to_the_default() -> None:
    """Too large, or compressed; whole all the same."""
    large = b'{"model": "m-1", "x": "' + b"x" * 200_000 + b'"}'
    packed = gzip.compress(b'{"model": "m-1"}')
    async with two(body_limit_bytes=1000) as asked:
        await asked.ask("POST", "/v1/x", large, JSON)
        await asked.ask("POST", "/v1/x", packed, [*JSON, ("Content-Encoding", "gzip")])
    assert [request.body for request in asked.default.received] == [large, packed]
    assert asked.other.received == []


class Asked:
    """A rewriter that remembers what it was asked, and takes a word out."""

    def __init__(self) -> None:
        self.asks: list[Ask] = []

    def wants(self, ask: Ask) -> bool:
        return True

    def unread(self, ask: Ask, *reasons: str) -> Report:
        return Report(team=ask.team, bypass=reasons)

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        self.asks.append(ask)
        return Rewrite(body.replace(b" very", b""), True, Report(team=ask.team))


async def test_the_rewriter_learns_which_upstream_it_is_and_the_path_there() -> None:
    """A body that was read for its model is not read again."""
    rewriter = Asked()
    async with two(rewriter) as asked:
        await asked.ask("POST", "/v1/chat/completions", b'{"model": "m-1", "a": "a very b"}', JSON)
        await asked.ask("POST", "/t/s/azure/v1/chat/completions", b'{"model": "m-1"}', JSON)
    assert [(ask.upstream, ask.team, ask.path) for ask in rewriter.asks] == [
        ("other", "", "/v1/chat/completions"),
        ("keyed", "s", "/v1/chat/completions"),
    ]
    assert asked.other.received[0].body == b'{"model": "m-1", "a": "a b"}'


async def test_a_request_that_nobody_takes_is_answered_here() -> None:
    """In OpenAI's shape, with names and without keys."""
    async with RawUpstream(lambda _: always(answer(b"{}"))) as upstream:
        client = HttpUpstream(upstream.url, UpstreamLimits(), headers={"Authorization": "Bearer secret"})
        async with proxy(Upstreams([Route("azure", "/azure")], {"azure": client})) as running:
            got = await raw_exchange(running.port, request_bytes("POST", "/v1/x", JSON, b"{}"))
    error = json.loads(got.body)["error"]
    assert (got.status, error["code"], error["type"]) == (404, "no_upstream", "invalid_request_error")
    assert "azure (under /azure)" in error["message"]
    assert b"secret" not in got.body
    assert (running.records[0].status, running.records[0].upstream) == (404, "")
    assert upstream.received == []


async def test_a_client_that_expects_100_is_told_once_whoever_reads_its_body() -> None:
    """Here for the model first, then by the rewriter."""
    body = b'{"model": "m-1"}'
    async with two(Asked()) as asked:
        reader, writer = await asyncio.open_connection("127.0.0.1", asked.running.port)
        head = [*JSON, ("Expect", "100-continue"), ("Content-Length", str(len(body)))]
        writer.write(request_bytes("POST", "/v1/x", head))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 307")
        writer.close()
    assert asked.other.received[0].body == body


@pytest.mark.parametrize(
    ("path", "key"), [("/azure/v1/realtime", "Bearer first"), ("/v1/realtime?model=m-1", "none")]
)
async def test_a_websocket_is_routed_and_keyed_like_a_request(path: str, key: str) -> None:
    """By prefix, or by the model in its query; the client's key stays here."""
    seen: list[tuple[str, str, str]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        protocols = request.headers.get("Sec-WebSocket-Protocol", "")
        seen.append((request.path, request.headers.get("Authorization", "none"), protocols))
        socket = web.WebSocketResponse(protocols=("realtime",))
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    server = web.Server(handle)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    keyed = HttpUpstream(url, UpstreamLimits(), headers={"Authorization": "Bearer first"})
    other = HttpUpstream(url, UpstreamLimits(), headers={"api-key": "second"})
    routes = [Route("keyed", "/azure"), Route("other", models=("m-*",))]
    async with (
        proxy(Upstreams(routes, {"keyed": keyed, "other": other})) as running,
        aiohttp.ClientSession() as session,
    ):
        socket = await session.ws_connect(
            running.url + path,
            headers={"Authorization": "Bearer client"},
            protocols=("realtime", "openai-insecure-api-key.client"),
        )
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        await socket.close()
    listening.close()
    await server.shutdown(0.1)
    assert seen == [("/v1/realtime", key, "realtime")]


async def test_one_upstream_takes_everything_without_a_name() -> None:
    """As if there were no routing."""
    async with RawUpstream(lambda _: always(answer(b"{}"))) as upstream, proxy(upstream.url) as running:
        await raw_exchange(running.port, request_bytes("GET", "/azure/v1/x?a=b"))
    assert (upstream.received[0].target, running.records[0].upstream) == ("/azure/v1/x?a=b", "")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v1/models?x=http://y/z", "/v1/models?x=http://y/z"),
        ("//other/v1", "//other/v1"),
        ("http://other.test/v1/a%2Fb?q=1", "/v1/a%2Fb?q=1"),
        ("https://user@other.test:1/t/search/v1", "/t/search/v1"),
        ("http://other.test", "/"),
        ("http://other.test?q=/1", "/?q=/1"),
        ("*", "*"),
    ],
)
def test_a_target_with_a_host_loses_it(target: str, path: str) -> None:
    """The upstream is the operator's choice; what a client calls it never reaches it."""
    assert origin_form(target) == path
