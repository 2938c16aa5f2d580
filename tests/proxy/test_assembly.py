"""A served proxy follows its policies: teams, reloads, refusals, the compressor that they need."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path

from elision.proxy.teams import fingerprint
from fakes.raw_upstream import RawUpstream
from fakes.running import Answer, raw_exchange, request_bytes
from fakes.serving import PATIENCE_S, Served, descendants, served
from fakes.tidy import BODY, POLICY, echo

KEEPING = "name: keeping\nrules: []\n"


async def ask(
    running: Served, path: str = "/v1/chat/completions", *headers: tuple[str, str], body: bytes = BODY
) -> Answer:
    """Send the prompt that POLICY shortens."""
    pairs = [("Content-Type", "application/json"), ("Connection", "close"), *headers]
    return await raw_exchange(running.port, request_bytes("POST", path, pairs, body))


def compressors(running: Served) -> list[int]:
    """Return the ids of the compressor processes below the proxy."""
    return [pid for pid, command in descendants(running.process.pid).items() if "worker_process" in command]


async def readiness(running: Served) -> dict[str, object]:
    told: dict[str, object] = json.loads((await running.get("/elision/ready")).body)["policies"]
    return told


async def until_policy(running: Served, name: str) -> Answer:
    """Ask until the answer says that a policy of this name was applied and shortened the prompt.

    Each time in other words: what was sent for a prompt is sent for it again, whatever has changed.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            other = BODY.replace(b"How many rows", b"At %d: how many rows" % time.monotonic_ns())
            got = await ask(running, body=other)
            if got.value("x-elision-policy").startswith(name) and not got.value("x-elision-bypass"):
                return got
            await asyncio.sleep(0.05)


async def test_two_teams_with_the_same_body_send_different_bodies(tmp_path: Path) -> None:
    """Told apart by path, by key, or by a gateway's header."""
    (tmp_path / "default.yaml").write_text(KEEPING)
    (tmp_path / "tidy.yaml").write_text(f'keys: ["{fingerprint("sk-tidy")}"]\n{POLICY}')
    settings = tmp_path / "settings.txt"
    settings.write_text("teams: {header: X-Team, networks: [127.0.0.0/8]}\n")
    async with (
        RawUpstream(echo) as upstream,
        served(
            *("--upstream", upstream.url, "--policies", str(tmp_path)), *("--settings", str(settings))
        ) as running,
    ):
        await running.until_ready()
        told = [
            await ask(running),
            await ask(running, "/t/nobody/v1/chat/completions"),
            await ask(running, "/t/tidy/v1/chat/completions"),
            await ask(running, "/v1/chat/completions", ("Authorization", "Bearer sk-tidy")),
            await ask(running, "/v1/chat/completions", ("X-Team", "tidy")),
        ]
    teams = [got.value("x-elision-team") for got in told]
    assert teams == ["default", "default", "tidy", "tidy", "tidy"]
    shortened = [len(request.body) < len(BODY) for request in upstream.received]
    assert shortened == [False, False, True, True, True]
    assert len({request.body for request in upstream.received}) == 2
    assert "sk-tidy" not in "".join(running.log)


async def test_a_changed_policy_applies_without_a_restart(tmp_path: Path) -> None:
    """A compressor is started when the first policy needs one; a wrong version is refused, loudly."""
    file = tmp_path / "default.yaml"
    file.write_text(KEEPING)
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(tmp_path)) as running,
    ):
        await running.until_ready()
        assert (await ask(running)).value("x-elision-policy").startswith("keeping@")
        assert not compressors(running)
        file.write_text(POLICY)
        await until_policy(running, "tidy@")
        file.write_text(POLICY + "modus: enforce\n")
        async with asyncio.timeout(PATIENCE_S):
            while not (told := await readiness(running))["refused"]:
                await asyncio.sleep(0.05)
        assert (await ask(running)).value("x-elision-policy").startswith("tidy@")
        metrics = (await running.get("/elision/metrics")).body
        status = (await running.get("/elision/ready")).status
    assert "modus" in str(told["refused"])
    assert any("modus" in line and "default.yaml" in line for line in running.log)
    assert (told["loads"], told["refusals"], status) == (2, 1, 200)
    assert b"elision_policy_refused 1.0" in metrics


def parent(pid: int) -> int:
    """Return the id of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def test_the_compressor_is_born_where_the_token_table_is_and_born_again(tmp_path: Path) -> None:
    """What one process has loaded is shared by all; none of them outlives a proxy that was killed."""
    (tmp_path / "default.yaml").write_text(POLICY)
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(tmp_path)) as running,
        asyncio.timeout(2 * PATIENCE_S),
    ):
        await running.until_ready()
        [first] = compressors(running)
        nursery = parent(first)
        assert parent(nursery) == running.process.pid
        os.kill(first, signal.SIGKILL)
        while not (others := [pid for pid in compressors(running) if pid != first]):
            await asyncio.sleep(0.02)
        assert [parent(pid) for pid in others] == [nursery]
        await running.until_ready()
        running.process.kill()
        await running.process.wait()
        while left := [pid for pid in (nursery, *others) if Path(f"/proc/{pid}").exists()]:
            await asyncio.sleep(0.02)
    assert not left


async def test_a_hangup_reads_the_policies_again(tmp_path: Path) -> None:
    """At once, changed or not; requests go on."""
    (tmp_path / "default.yaml").write_text(POLICY)
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(tmp_path)) as running,
    ):
        await running.until_ready()
        running.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE_S):
            while (await readiness(running))["loads"] != 2:
                await asyncio.sleep(0.02)
        assert (await ask(running)).status == 200
        assert await running.stop() == 0


async def test_workers_follow_too_and_a_new_one_begins_with_the_last_good_policies(tmp_path: Path) -> None:
    """Though the files are wrong when it starts."""
    file = tmp_path / "default.yaml"
    file.write_text(KEEPING)
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(tmp_path), "--workers", "2") as running,
    ):
        await running.until_ready()
        file.write_text(POLICY)
        for _ in range(6):
            await until_policy(running, "tidy@")
        file.write_text("broken: [")
        async with asyncio.timeout(PATIENCE_S):
            while len([line for line in running.log if "Policies stay as they were" in line]) < 3:
                await asyncio.sleep(0.05)
        workers = {
            pid for pid, command in descendants(running.process.pid).items() if "spawn_main" in command
        }
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while not await running.answers():
                await asyncio.sleep(0.1)
        assert (await until_policy(running, "tidy@")).status == 200


async def test_a_hangup_without_policies_is_told_and_ends_nothing() -> None:
    """There is nothing to read again."""
    async with RawUpstream(echo) as upstream, served("--upstream", upstream.url) as running:
        running.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE_S):
            while not any("SIGHUP" in line for line in running.log):
                await asyncio.sleep(0.02)
        assert (await ask(running)).status == 200


WISHING = """
name: tidy
requests: {allow: [off, audit, explain, marks]}
rules:
  - when: {segment: context}
    use: lossless
"""


async def test_a_request_says_how_it_wants_to_be_treated(tmp_path: Path) -> None:
    """Off, audited, explained or marked; such headers and tags never reach the upstream."""
    (tmp_path / "default.yaml").write_text(WISHING)
    question = 'Sort <elision method="lossless">{"a":    [1,   2]}</elision> by value, <elision>please.'
    marked = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": question}]}).encode()
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(tmp_path)) as running,
    ):
        await running.until_ready()
        path = "/v1/chat/completions"
        off = await ask(running, path, ("x-elision", "off"))
        audited = await ask(running, path, ("X-Elision", "audit"))
        explained = await ask(running, path, ("x-elision", "explain"))
        refused = await ask(running, path, ("x-elision-rate", "0.2"))
        tagged = await running.post(path, marked)
    assert (off.value("x-elision-mode"), off.value("x-elision-tokens-before")) == ("off", "")
    assert (audited.value("x-elision-mode"), int(audited.value("x-elision-tokens-audited")) > 1000) == (
        "audit",
        True,
    )
    assert [part["segment"] for part in json.loads(explained.body)["segments"]] == ["context", "question"]
    assert refused.value("x-elision-bypass") == "wish_refused"
    sent = [request.body for request in upstream.received]
    assert [body == BODY for body in sent] == [True, True, False, False]
    content = json.loads(sent[-1])["messages"][0]["content"]
    assert content == 'Sort {"a":[1,2]} by value, <elision>please.'
    assert not [name for got in upstream.received for name, _ in got.headers if "elision" in name.lower()]
    assert tagged.value("x-elision-method") == "lossless"
