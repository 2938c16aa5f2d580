"""The log of requests: one line of JSON for each."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from elision.accounts.money import Basis, Money
from elision.accounts.records import Report, RequestRecord
from elision.accounts.request_log import RequestLogSink, check_request_log, line_of, of_worker
from elision.accounts.usage import Answered, Usage
from elision.config.accounts import RequestLog
from elision.config.errors import ConfigError
from elision.proxy.rewriter import Ask, Rewrite
from fakes.raw_upstream import RawUpstream, always, answer
from fakes.running import proxy, raw_exchange, request_bytes

RECORD = RequestRecord(
    request_id="id",
    method="POST",
    path="/v1/chat/completions",
    status=200,
    report=Report("search", "rag@1", "enforce", ("m",), 100, 40, "o200k_base", model="gpt-4o"),
    answered=Answered(Usage(50, 9, 30), "gpt-4o-2024", ("stop",)),
    overhead_ms=1.23456,
    total_ms=400.0,
    at=1_800_000_000.25,
    money=Money(1_500, 2_500_000_000, Basis.BILLED),
    tokens_saved=55,
    basis=Basis.BILLED,
)


@asynccontextmanager
async def logged(path: Path, **limits: int) -> AsyncIterator[RequestLogSink]:
    sink = RequestLogSink(RequestLog(path=path), **limits)
    sink.start()
    try:
        yield sink
    finally:
        await sink.close()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_line_tells_all_figures() -> None:
    """Under names that stay, whether there is something to tell or not."""
    told = json.loads(line_of(RECORD))
    assert told["at"] == "2027-01-15T08:00:00.250Z"
    assert (told["team"], told["policy"], told["model"]) == ("search", "rag@1", "gpt-4o")
    assert (told["tokens_before"], told["tokens_after"], told["tokens_saved"]) == (100, 40, 55)
    assert (told["cost_usd"], told["cost_saved_usd"], told["cost_basis"]) == (1.5e-6, 2.5, "billed")
    assert told["usage"]["cached_tokens"] == 30
    assert "texts" not in told
    nothing = json.loads(line_of(RequestRecord("id", "GET", "/v1/models", 200)))
    assert nothing.keys() == told.keys()
    assert (nothing["usage"], nothing["cost_usd"]) == (None, None)


async def test_every_record_is_written_when_the_log_is_closed(tmp_path: Path) -> None:
    """In order."""
    path = tmp_path / "requests.jsonl"
    async with logged(path) as sink:
        for number in range(5000):
            sink.add(replace(RECORD, request_id=str(number)))
    assert [line["request_id"] for line in lines(path)] == [str(number) for number in range(5000)]
    assert (sink.written, sink.lost) == (5000, 0)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'{\n "a": 12345678901234567890123,\r\n "b": "\\n\xc3\xa9"}',
            {"a": 12345678901234567890123, "b": "\né"},
        ),
        (b"not JSON\n\xff", "not JSON\n\ufffd"),
        (b'{"a": 1', '{"a": 1'),
    ],
)
async def test_texts_are_on_the_line_of_their_request(tmp_path: Path, body: bytes, told: object) -> None:
    """As JSON where they are; what went out as it came is not told twice."""
    path = tmp_path / "requests.jsonl"
    async with logged(path) as sink:
        sink.keep("id", body, body)
        sink.add(RECORD)
        sink.add(RECORD)
        sink.keep("id", b"[1]", b"[2]")
        sink.add(RECORD)
    same, without, other = lines(path)
    assert same["texts"] == {"sent": told, "forwarded": None}
    assert "texts" not in without
    assert other["texts"] == {"sent": [1], "forwarded": [2]}


async def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """Beyond that lines are lost, and texts before them; both are counted."""
    sink = RequestLogSink(RequestLog(path=tmp_path / "a"), records=3, text_bytes=10)
    for _ in range(3):
        sink.keep("id", b"123", b"456")
        sink.add(RECORD)
    assert (sink.lost, sink.without_text) == (0, 2)
    sink.add(RECORD)
    assert sink.lost == 1
    await sink.close()
    assert ["texts" in line for line in lines(tmp_path / "a")] == [True, False, False]
    sink.keep("id", b"123", b"456")
    sink.add(RECORD)
    await sink.close()
    assert "texts" in lines(tmp_path / "a")[-1]


async def test_a_disk_in_trouble_costs_lines_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the end of it."""
    path = tmp_path / "gone" / "requests.jsonl"
    sink = RequestLogSink(RequestLog(path=path))
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            sink.add(RECORD)
            await sink.close()
        path.parent.mkdir()
        sink.add(RECORD)
        await sink.close()
    assert (sink.lost, sink.written, len(lines(path))) == (3, 1, 1)
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert str(path) in caplog.text


def test_workers_write_files_of_their_own(tmp_path: Path) -> None:
    """Named after their place."""
    assert of_worker(RequestLog(path=tmp_path / "r.jsonl"), 2).path == tmp_path / "r-2.jsonl"
    assert of_worker(RequestLog(), 2) == RequestLog()


def test_a_path_that_cannot_be_written_to_is_refused_at_the_start(tmp_path: Path) -> None:
    """With the fix."""
    with pytest.raises(ConfigError, match=r"request_log\.path: .* is a folder; name a file in it"):
        check_request_log(RequestLog(path=tmp_path))
    with pytest.raises(ConfigError, match="there is no folder"):
        check_request_log(RequestLog(path=tmp_path / "a" / "b"))
    check_request_log(RequestLog(path=tmp_path / "a"))
    check_request_log(RequestLog())


class Shortening:
    """A rewriter that exchanges one word; its policy wants texts in the log if its path does."""

    def wants(self, ask: Ask) -> bool:
        return True

    def unread(self, ask: Ask, *reasons: str) -> Report:
        return Report(team=ask.team, bypass=reasons)

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        report = Report(ask.team, "p@1", "enforce", ("m",), 9, 3, log_text="texts" in ask.path)
        return Rewrite(body.replace(b"very long", b"short"), True, report)


async def test_only_texts_of_policies_that_say_so_reach_the_log(tmp_path: Path) -> None:
    """As the client sent them and as they went out; keys and headers never do."""
    path = tmp_path / "requests.jsonl"
    statuses = iter(["200 OK", "200 OK", "400 Bad Request", "200 OK"])
    async with (
        RawUpstream(lambda _: always(answer(b"{}", f"HTTP/1.1 {next(statuses)}\r\n"))) as upstream,
        logged(path) as sink,
        proxy(upstream.url, Shortening(), sinks=[sink], texts=sink) as running,
    ):
        for target in ("/v1/texts", "/v1/figures", "/v1/texts"):
            headers = [("Authorization", "Bearer sk-secret"), ("Content-Type", "application/json")]
            sent = request_bytes("POST", target, headers, b'{"a": "very long"}')
            assert (await raw_exchange(running.port, sent)).status == 200
    shortened, untold, rejected = lines(path)
    assert shortened["texts"] == {"sent": {"a": "very long"}, "forwarded": {"a": "short"}}
    assert "texts" not in untold
    assert rejected["texts"] == {"sent": {"a": "very long"}, "forwarded": None}
    assert rejected["original_resent"] is True
    assert "secret" not in path.read_text()
