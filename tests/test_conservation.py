"""What is told of requests adds up the same everywhere: headers, log of requests, Prometheus, the store.

Mixed requests (streams, errors, clients that leave, bypasses, cache hits) go through four workers of a
served proxy, which is restarted half-way. Per team, to the token and the nano-dollar.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from elision.accounts.money import NANO
from fakes.exposed import Samples, samples_of
from fakes.mixed_traffic import Got, Upstream, policies, send, traffic
from fakes.raw_upstream import RawUpstream
from fakes.running import raw_exchange, request_bytes
from fakes.serving import PATIENCE_S, Served, served

AT_ONCE = 24
SETTINGS = """
workers: 4
accounts: {path: accounts.sqlite, flush_s: 0.2}
request_log: {path: requests.jsonl}
cache: {path: kept.sqlite}
"""
MEASURES = (
    "requests",
    "before",
    "after",
    "audited",
    "saved",
    "prompt",
    "cached",
    "completion",
    "cost",
    "money_saved",
)
Figures = dict[str, dict[str, int]]
"""Measures by team."""


def nothing() -> dict[str, int]:
    return dict.fromkeys(MEASURES, 0)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    """Return the whole lines of all workers' logs."""
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("requests*.jsonl*"))]
    return [json.loads(line) for text in texts for line in text.split("\n")[:-1]]


def logged(lines: list[dict[str, Any]]) -> Figures:
    """Return the sums of log lines."""
    sums: Figures = defaultdict(nothing)
    for line in lines:
        team, usage, enforced = sums[line["team"]], line["usage"] or {}, line["mode"] == "enforce"
        team["requests"] += 1
        team["before"] += line["tokens_before"] * enforced
        team["after"] += line["tokens_after"] * enforced
        team["audited"] += line["tokens_audited"]
        team["saved"] += line["tokens_saved"]
        team["prompt"] += usage.get("prompt_tokens", 0)
        team["cached"] += usage.get("cached_tokens", 0)
        team["completion"] += usage.get("completion_tokens", 0)
        team["cost"] += round((line["cost_usd"] or 0) * NANO)
        team["money_saved"] += round((line["cost_saved_usd"] or 0) * NANO)
    return dict(sums)


async def stored(running: Served) -> Figures:
    """Return what the store has, as the dashboard's API tells it."""
    now = int(time.time())
    query = f"since={now - 7200}&until={now + 120}&step=all&by=team"
    raw = request_bytes("GET", f"/elision/api/sums?{query}").replace(b"elision.test", b"localhost")
    answered = json.loads((await raw_exchange(running.port, raw)).body)
    names = {
        "requests": "requests",
        "before": "tokens_before",
        "after": "tokens_after",
        "audited": "tokens_audited",
        "saved": "tokens_saved",
        "prompt": "prompt_tokens",
        "cached": "cached_tokens",
        "completion": "completion_tokens",
        "cost": "cost",
        "money_saved": "saved",
    }
    return {
        row["labels"][0]: {name: row["sums"][told] for name, told in names.items()}
        for row in answered["rows"]
    }


async def counted(running: Served, teams: Iterator[str] | list[str]) -> Figures:
    """Return what Prometheus is told."""
    samples = samples_of((await running.get("/elision/metrics")).body)
    return {team: _counted(samples, team) for team in teams}


def _counted(samples: Samples, team: str) -> dict[str, int]:
    def total(name: str, **labels: str) -> int:
        return round(samples.total(f"elision_{name}_total", team=team, **labels))

    def nano(name: str) -> int:
        return round(samples.total(f"elision_{name}_dollars_total", team=team) * NANO)

    return {
        "requests": total("requests"),
        "before": total("prompt_tokens", when="before"),
        "after": total("prompt_tokens", when="after"),
        "audited": total("audited_tokens"),
        "saved": total("saved_tokens") - total("lost_tokens"),
        "prompt": total("billed_tokens", kind="prompt"),
        "cached": total("billed_tokens", kind="cached"),
        "completion": total("billed_tokens", kind="completion"),
        "cost": nano("cost"),
        "money_saved": nano("saved") - nano("lost"),
    }


def added(one: Figures, other: Figures) -> Figures:
    """Return the sums of two, team by team."""
    teams = one.keys() | other.keys()
    return {
        team: {m: one.get(team, nothing())[m] + other.get(team, nothing())[m] for m in MEASURES}
        for team in teams
    }


def requests_in(figures: Figures) -> int:
    return sum(sums["requests"] for sums in figures.values())


async def sent_through(
    running: Served, upstream: Upstream, random: Random, first: int, count: int
) -> list[Got]:
    """Send so many requests, some at once, and wait for all of them."""
    wanted = traffic(random, first, count)
    got: list[Got] = []

    async def work() -> None:
        for one in wanted:
            answered = await send(running.port, one, upstream)
            got.append(answered)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work())
    return got


async def until_told(running: Served, folder: Path, before: int, so_far: int) -> tuple[Figures, Figures]:
    """Wait until log, store and Prometheus each have all requests; return the latter two.

    Args:
        before: requests before the last start, which this Prometheus knows nothing of.
        so_far: requests since the first start.
    """
    async with asyncio.timeout(PATIENCE_S):
        while len(lines := lines_of(folder)) < so_far:
            await asyncio.sleep(0.1)
        while requests_in(store := await stored(running)) < so_far:
            await asyncio.sleep(0.1)
        teams = list(logged(lines))
        while requests_in(told := await counted(running, teams)) < so_far - before:
            await asyncio.sleep(0.1)
    return store, told


def check_headers(got: list[Got], lines: list[dict[str, Any]]) -> None:
    """Hold what clients were told against the log, answer by answer; so what they were billed."""
    by_id: Mapping[str, dict[str, Any]] = {line["request_id"]: line for line in lines}
    assert len(by_id) == len(lines) == len(got)
    told = [one for one in got if one.headers]
    assert len({one.headers["x-elision-request-id"] for one in told}) == len(told)
    in_headers: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    in_log: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in told:
        line = by_id[one.headers["x-elision-request-id"]]
        team = one.headers["x-elision-team"]
        assert team == line["team"] == ("default" if one.team == "nobody" else one.team)
        before, after = (int(one.headers.get(f"x-elision-tokens-{when}", 0)) for when in ("before", "after"))
        assert (before, after) == (line["tokens_before"], line["tokens_after"]), one.kind
        audited = int(one.headers.get("x-elision-tokens-audited", 0))
        saved = int(one.headers.get("x-elision-tokens-saved", 0))
        claimed = (before - after) if line["mode"] == "enforce" else 0
        assert (saved, audited) == (claimed, line["tokens_audited"])
        if one.billed is not None:
            assert line["usage"]["prompt_tokens"] == one.billed
        in_headers[team] = [
            a + b for a, b in zip(in_headers[team], (before, after, one.billed or 0), strict=True)
        ]
        stated = line["usage"]["prompt_tokens"] if line["usage"] else 0
        told_of = (line["tokens_before"], line["tokens_after"], stated)
        in_log[team] = [a + b for a, b in zip(in_log[team], told_of, strict=True)]
    assert in_headers == in_log


def check_mixed(got: list[Got], lines: list[dict[str, Any]]) -> None:
    """See to it that what is to be told apart really happened."""
    words = {line["cache"] for line in lines}
    assert {"", "hit", "miss", "replay"} <= words
    reasons = {reason for line in lines for reason in line["bypass"]}
    assert {"upstream_400", "encoded_body", "malformed_body", "deadline"} <= reasons
    assert {line["mode"] for line in lines} == {"enforce", "audit", "off"}
    errors = {line["error"] for line in lines}
    assert "client_disconnected" in errors
    assert {line["streamed"] for line in lines} == {True, False}
    assert any(line["basis"] == "billed" for line in lines)
    assert any(line["original_resent"] for line in lines)
    assert {one.kind for one in got if not one.headers} == {"vanish"}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.fuzz)])
async def test_headers_log_prometheus_and_store_agree(tmp_path: Path, count: int) -> None:
    """By team, whatever became of requests, with four workers, before and after a restart."""
    (tmp_path / "policies").mkdir()
    for team, policy in policies().items():
        (tmp_path / "policies" / f"{team}.yaml").write_text(policy)
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    arguments = ("--policies", str(tmp_path / "policies"), "--settings", str(tmp_path / "settings.yaml"))
    random, script = Random(8), Upstream()
    got: list[Got] = []
    prometheus: Figures = {}
    store: Figures = {}
    async with RawUpstream(script) as upstream:
        for half in (count // 2, count - count // 2):
            async with served("--upstream", upstream.url, *arguments) as running:
                await running.until_ready()
                before = len(got)
                got += await sent_through(running, script, random, before, half)
                store, told = await until_told(running, tmp_path, before, len(got))
                prometheus = added(prometheus, told)
                assert await running.stop() == 0
    lines = lines_of(tmp_path)
    log = logged(lines)
    assert requests_in(log) == len(got) == count
    check_mixed(got, lines)
    check_headers(got, lines)
    assert store == log
    assert prometheus == log
