"""What is kept is shown and cleared, with names of teams, without a running proxy."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from elision.config.redis import RedisEntry
from elision.proxy.cli import run
from elision.proxy.disk_file import DiskFile, Item
from elision.proxy.store import SHARED_SCOPE, Kind, MemoryStore, make_key, scope_of
from elision.proxy.store_redis import RedisStore
from elision.proxy.store_tiers import Tiers, cleared_key
from elision.proxy.values import pack
from fakes.commands import POLICY, failed
from fakes.redis_server import needs_redis, redis_server
from fakes.shared_level import SharedLevel

TTL_S = 1000


def keys_of(team: str, count: int, kind: Kind = Kind.MESSAGE) -> list[bytes]:
    return [make_key(scope_of(team), kind, number.to_bytes(16, "big")) for number in range(count)]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Settings with a file in which three teams' values lie, one of them without a policy."""
    (tmp_path / "policies").mkdir()
    for team in ("default", "search"):
        (tmp_path / "policies" / f"{team}.yaml").write_text(POLICY)
    file = tmp_path / "settings.yaml"
    file.write_text(f"policies: policies\ncache: {{path: kept/kept.db, ttl_s: {TTL_S}}}\n")
    keys = keys_of("", 3) + keys_of("default", 1) + keys_of("gone", 2)
    kept = DiskFile(tmp_path / "kept" / "kept.db", 64 << 20, 30)
    now = time.time()
    kept.write([Item(key, bytes(100), now + TTL_S, False) for key in keys])
    kept.write([Item(key, bytes(975), now + TTL_S - 130, False) for key in keys_of("search", 2500)])
    kept.close()
    return file


def left(settings: Path) -> list[bytes]:
    """Return the marks and keys that are still there."""
    file = DiskFile(settings.parent / "kept" / "kept.db", 64 << 20, 30)
    teams = ("", "default", "gone", "search")
    keys = [key for team in teams for key in (*keys_of(team, 1), cleared_key(scope_of(team)))]
    found = file.read(keys)
    file.close()
    return [key for key in keys if key in found]


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert run(["cache", "stats", "--json", *arguments]) == 0
    told: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return told


def test_what_is_kept_is_told_by_team_and_kind(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes are those of keys and values; a scope without a policy is told by its number."""
    told = rows(capsys, "--settings", str(settings))
    sizes = [(row["team"], row["kind"], row["values"], row["bytes"]) for row in told]
    assert sorted(sizes, key=str) == sorted(
        [
            ("default", "message", 4, 500),
            ("search", "message", 2500, 2_500_000),
            (scope_of("gone").hex(), "message", 2, 250),
        ],
        key=str,
    )
    [oldest] = [row["oldest_s"] for row in told if row["team"] == "search"]
    assert isinstance(oldest, int)
    assert 130 <= oldest <= 200


def test_a_table_says_it_for_people(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one team where one is named."""
    assert run(["cache", "stats", "--team", "search", "--settings", str(settings)]) == 0
    out = capsys.readouterr().out
    assert out.split()[:5] == ["team", "kind", "values", "size", "oldest"]
    assert "search message 2,500 2.5 MB 2 min" in " ".join(out.split())
    assert "default" not in out
    assert {row["team"] for row in rows(capsys, "--team", "gone", "--settings", str(settings))} == {"gone"}
    assert run(["cache", "stats", "--team", "nobody", "--settings", str(settings)]) == 0
    assert capsys.readouterr().out == "nothing is kept\n"


def test_one_team_is_cleared_and_workers_are_told(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others' values stay."""
    assert run(["cache", "clear", "--team", "search", "--settings", str(settings)]) == 0
    assert capsys.readouterr().out == "cleared 2,500 values of team search\n"
    kept = [key for team in ("", "default", "gone") for key in keys_of(team, 1)]
    assert left(settings) == [*kept, cleared_key(scope_of("search"))]


def test_the_default_team_has_no_name_or_its_own(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Requests that name no team are its."""
    assert run(["cache", "clear", "--team", "default", "--settings", str(settings)]) == 0
    assert capsys.readouterr().out == "cleared 4 values of team default\n"
    assert left(settings)[:2] == [cleared_key(scope_of("")), cleared_key(scope_of("default"))]


def test_all_is_cleared_where_no_team_is_named(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Teams without a policy too; every one of them is marked."""
    assert run(["cache", "clear", "--settings", str(settings)]) == 0
    assert capsys.readouterr().out.endswith("values of all teams\n")
    marks = [cleared_key(scope_of(team)) for team in ("", "default", "gone", "search")]
    assert left(settings) == marks
    assert rows(capsys, "--settings", str(settings)) == []


def test_where_teams_share_that_is_said(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their common values are nobody's own."""
    settings.write_text(settings.read_text().replace("{", "{scope: shared, "))
    file = DiskFile(settings.parent / "kept" / "kept.db", 64 << 20, 30)
    file.write([Item(make_key(SHARED_SCOPE, Kind.OUTCOME, bytes(16)), b"1", time.time() + 50, False)])
    file.close()
    assert "all teams" in {row["team"] for row in rows(capsys, "--settings", str(settings))}
    assert run(["cache", "stats", "--team", "search", "--settings", str(settings)]) == 0
    streams = capsys.readouterr()
    assert streams.err.startswith("note: outcomes and scores are kept for all teams together")
    assert "all teams" not in streams.out


def test_a_wrong_policy_is_no_reason_to_show_nothing(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Teams are then told by numbers."""
    (settings.parent / "policies" / "search.yaml").write_text("broken: [")
    told = rows(capsys, "--settings", str(settings))
    assert {row["team"] for row in told} == {"default", scope_of("search").hex(), scope_of("gone").hex()}


def test_where_nothing_is_shared_there_is_nothing_to_reach(capsys: pytest.CaptureFixture[str]) -> None:
    """Said plainly, with what to do."""
    for command in ("stats", "clear"):
        code, lines = failed(capsys, "cache", command)
        assert (code, len(lines)) == (2, 1)
        assert "the proxy remembers by itself" in lines[0]
        assert "--settings" in lines[0]


def test_a_file_that_is_not_there_is_not_made(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong path must not look like an empty store."""
    settings.write_text("cache: {path: elsewhere.db}\n")
    code, lines = failed(capsys, "cache", "stats", "--settings", settings)
    assert code == 2
    assert "there is no file" in lines[0]
    assert not (settings.parent / "elsewhere.db").exists()


def test_a_file_that_cannot_be_used_is_told(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another program's database."""
    import sqlite3

    theirs = settings.parent / "theirs.db"
    connection = sqlite3.connect(theirs)
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    settings.write_text("cache: {path: theirs.db}\n")
    code, lines = failed(capsys, "cache", "stats", "--settings", settings)
    assert code == 3
    assert "database of another program" in lines[0]


@needs_redis
async def test_redis_is_shown_and_cleared_and_a_running_worker_forgets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it holds in memory too, and it does not give that back."""
    async with redis_server(tmp_path) as server:
        file = tmp_path / "settings.yaml"
        file.write_text(f"redis: {server.url}\n")
        redis = RedisStore.start(RedisEntry(url=server.url))
        worker = Tiers(MemoryStore(1 << 20), redis, current_s=-1)
        mine, other = keys_of("search", 20), keys_of("other", 1)
        await worker.put_many(dict.fromkeys([*mine, *other], pack(b"1")), 1000)
        async with asyncio.timeout(20):
            while (await redis.get_many(other)) == [None]:
                await asyncio.sleep(0.02)
        assert await asyncio.to_thread(run, ["cache", "stats", "--json", "--settings", str(file)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert sorted(row["values"] for row in told) == [1, 20]
        command = ["cache", "clear", "--team", "search", "--settings", str(file)]
        assert await asyncio.to_thread(run, command) == 0
        assert capsys.readouterr().out == "cleared 20 values of team search\n"
        assert await worker.get_many([*mine, *other]) == [None] * 20 + [pack(b"1")]
        await worker.close()
        assert await asyncio.to_thread(run, ["cache", "stats", "--json", "--settings", str(file)]) == 0
        assert [row["values"] for row in json.loads(capsys.readouterr().out)] == [1]


def test_a_store_that_takes_no_writes_is_not_cleared(
    settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running workers could not be told, and would give back what is cleared."""
    shared = SharedLevel()
    shared.trouble = "oom"
    shared.values[keys_of("search", 1)[0]] = b"1"
    monkeypatch.setattr("elision.proxy.stores.shared_level", lambda _settings: shared)
    monkeypatch.setattr("elision.proxy.cli_cache.MARK_PATIENCE_S", 0.1)
    code, lines = failed(capsys, "cache", "clear", "--team", "search", "--settings", settings)
    assert (code, lines) == (3, ["error: cannot write to the store (oom); nothing was cleared"])
    assert (len(shared.values), shared.closed) == (1, True)


def test_what_a_worker_reads_while_it_is_cleared_does_not_come_back(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen the mark already, and holds a copy of what is gone a moment later."""
    key = keys_of("search", 1)[0]

    class ReadMeanwhile(SharedLevel):
        """A worker asks just before the values go."""

        async def clear(self, scope: bytes | None, tell: Callable[[int], None]) -> int:
            assert await worker.get_many([key]) == [pack(b"1")]
            return await super().clear(scope, tell)

    shared = ReadMeanwhile()
    worker = Tiers(MemoryStore(1 << 20), shared, current_s=-1)
    shared.values[key] = pack(b"1")
    shared.lives_s[key] = TTL_S
    monkeypatch.setattr("elision.proxy.stores.shared_level", lambda _settings: shared)
    assert run(["cache", "clear", "--team", "search", "--settings", str(settings)]) == 0
    assert asyncio.run(worker.get_many([key])) == [None]
    assert key not in shared.values
