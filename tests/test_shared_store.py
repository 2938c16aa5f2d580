"""Workers, and the next start of the proxy, go on with a conversation as it was begun (promise 4)."""

import asyncio
import hashlib
import json
import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from elision.proxy.disk_file import DiskFile
from elision.proxy.store import Kind
from elision.proxy.stores import FILE_NAME
from fakes.raw_upstream import RawUpstream
from fakes.serving import Served, descendants, served
from fakes.tidy import BODY, POLICY, echo, next_turn, policies

pytestmark = pytest.mark.timeout(150)

CHAT = "/v1/chat/completions"
KEEPING = "name: keeping\nrules: []\n"


def kept(file: Path) -> Counter[bytes]:
    """Return how many values of each kind a file holds; none if there is no file."""
    found: Counter[bytes] = Counter()
    if file.is_file():
        looked = DiskFile(file, 1 << 30, 30)
        for one in looked.kept(None):
            found[one.kind] += one.entries
        looked.close()
    return found


async def until_written(file: Path) -> None:
    """Wait until what was sent for a first turn is on the disk: its message, and who decided."""
    async with asyncio.timeout(30):
        while not {Kind.MESSAGE.value, Kind.LINEAGE.value} <= set(kept(file)):
            await asyncio.sleep(0.05)


def first_messages(upstream: RawUpstream) -> set[str]:
    """Return the digests of what was forwarded as the first message of any request."""
    bodies = [json.loads(request.body) for request in upstream.received]
    return {hashlib.sha256(json.dumps(body["messages"][0]).encode()).hexdigest() for body in bodies}


async def test_all_workers_send_a_conversation_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though none but one has seen its beginning, and the policy has changed since. Without Redis."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "policies").mkdir()
    folder = Path(policies(tmp_path / "policies"))
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(folder), "--workers", "4") as running,
    ):
        await running.until_ready(workers=4)
        first = await running.post(CHAT, BODY)
        [file] = tmp_path.glob(f"elision-*/{FILE_NAME}")
        await until_written(file)
        (folder / "default.yaml").write_text(KEEPING)
        async with asyncio.timeout(30):
            while len([line for line in running.log if "Policies" in line]) < 5:
                await asyncio.sleep(0.05)
        answers = [await running.post(CHAT, next_turn(BODY)) for _ in range(24)]
        assert await running.stop() == 0
    assert {answer.status for answer in [first, *answers]} == {200}
    assert len(upstream.received[0].body) < len(BODY)
    assert len({request.body for request in upstream.received[1:]}) == 1
    assert len(first_messages(upstream)) == 1
    assert not list(tmp_path.glob("elision-*")), "the file goes with the proxy"


async def test_workers_that_take_the_place_of_killed_ones_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of those that began the conversation is left, and its policy is another by now."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "policies").mkdir()
    folder = Path(policies(tmp_path / "policies"))
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(folder), "--workers", "2") as running,
    ):
        await running.until_ready(workers=2)
        await running.post(CHAT, BODY)
        [file] = tmp_path.glob(f"elision-*/{FILE_NAME}")
        await until_written(file)
        (folder / "default.yaml").write_text(KEEPING)
        everyone = descendants(running.process.pid)
        for pid in [pid for pid, command in everyone.items() if "spawn_main" in command]:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            while not await running.answers():
                await asyncio.sleep(0.1)
        statuses = {(await running.post(CHAT, next_turn(BODY))).status for _ in range(6)}
        assert await running.stop() == 0
    assert statuses == {200}
    assert len(upstream.received[0].body) < len(BODY)
    assert len(first_messages(upstream)) == 1


async def test_a_restart_changes_nothing_where_the_file_has_a_name(tmp_path: Path) -> None:
    """A killed proxy included."""
    file, settings = tmp_path / "kept" / "kept.db", tmp_path / "settings.yaml"
    settings.write_text(f"cache: {{path: {file}}}\n")
    (tmp_path / "policies").mkdir()
    arguments = ("--policies", policies(tmp_path / "policies"), "--settings", str(settings))
    async with RawUpstream(echo) as upstream:
        async with served("--upstream", upstream.url, *arguments) as running:
            await running.until_ready()
            await running.post(CHAT, BODY)
            await until_written(file)
            processes = [running.process.pid, *descendants(running.process.pid)]
            for pid in processes:
                os.kill(pid, signal.SIGKILL)
            await running.process.wait()
        (tmp_path / "policies" / "default.yaml").write_text(KEEPING)
        async with served("--upstream", upstream.url, *arguments) as running:
            await running.until_ready()
            answer = await running.post(CHAT, next_turn(BODY))
            metrics = (await running.get("/elision/metrics")).body.decode()
            assert await running.stop() == 0
    assert answer.status == 200
    assert len(upstream.received[0].body) < len(BODY)
    assert len(first_messages(upstream)) == 1
    assert 'elision_cache_hits_total{kind="message",level="disk"}' in metrics
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_sealed_file_serves_and_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is in the environment, for every worker."""
    file, settings = tmp_path / "kept.db", tmp_path / "settings.yaml"
    settings.write_text(f"cache: {{path: {file}, key_env: KEPT_KEY}}\n")
    monkeypatch.setenv("KEPT_KEY", bytes(range(32)).hex())
    (tmp_path / "policies").mkdir()
    folder = policies(tmp_path / "policies")
    arguments = ("--policies", folder, "--settings", str(settings), "--workers", "2")
    async with RawUpstream(echo) as upstream, served("--upstream", upstream.url, *arguments) as running:
        await running.until_ready(workers=2)
        await running.post(CHAT, BODY)
        await until_written(file)
        (Path(folder) / "default.yaml").write_text(KEEPING)
        for _ in range(12):
            await running.post(CHAT, next_turn(BODY))
        assert await running.stop() == 0
    assert len(first_messages(upstream)) == 1
    assert len(upstream.received[-1].body) < len(BODY)
    assert bytes(range(32)).hex() not in "".join(running.log)


@pytest.mark.parametrize(("scope", "told"), [("team", "miss"), ("shared", "hit")])
async def test_teams_use_one_anothers_outcomes_only_where_the_operator_says_so(
    tmp_path: Path, scope: str, told: str
) -> None:
    """By default a hit would tell one team what another has sent."""
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"cache: {{scope: {scope}}}\n")
    (tmp_path / "policies").mkdir()
    folder = Path(policies(tmp_path / "policies"))
    for team in ("one", "other"):
        (folder / f"{team}.yaml").write_text(POLICY)
    arguments = ("--policies", str(folder), "--settings", str(settings))
    async with RawUpstream(echo) as upstream, served("--upstream", upstream.url, *arguments) as running:
        await running.until_ready()
        first = await running.post(f"/t/one{CHAT}", BODY)
        second = await running.post(f"/t/other{CHAT}", BODY)
        assert await running.stop() == 0
    assert [first.value("x-elision-cache"), second.value("x-elision-cache")] == ["miss", told]
    assert len({request.body for request in upstream.received}) == 1


async def troubled(running: Served) -> str:
    told = json.loads((await running.get("/elision/ready")).body)
    return str(told["shared_store"]["disk"])


async def test_a_shared_store_in_trouble_is_told_and_stops_nothing(tmp_path: Path) -> None:
    """Requests are served and shortened, the proxy is ready, and says what is wrong."""
    (tmp_path / "in-the-way").write_text("a file where a folder should be")
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"cache: {{path: {tmp_path}/in-the-way/kept.db}}\n")
    (tmp_path / "policies").mkdir()
    arguments = ("--policies", policies(tmp_path / "policies"), "--settings", str(settings))
    async with RawUpstream(echo) as upstream, served("--upstream", upstream.url, *arguments) as running:
        await running.until_ready()
        bodies = [BODY, next_turn(BODY)]
        answers = [await running.post(CHAT, body) for body in bodies]
        assert await troubled(running) == "cannot_open"
        assert (await running.get("/elision/ready")).status == 200
        metrics = (await running.get("/elision/metrics")).body.decode()
        assert await running.stop() == 0
    assert {answer.status for answer in answers} == {200}
    assert len(upstream.received[0].body) < len(BODY)
    assert len(first_messages(upstream)) == 1
    assert 'elision_cache_failures_total{level="disk",reason="cannot_open"}' in metrics
    assert 'elision_cache_troubled{level="disk"} 1.0' in metrics
