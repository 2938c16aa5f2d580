"""The whole product as a process: served, drained, and never in the way."""

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest

from fakes.raw_upstream import RawUpstream, Received, chunk
from fakes.running import request_bytes
from fakes.serving import PATIENCE_S, Served, descendants, served
from fakes.tidy import BODY, POLICY, ROWS, echo, policies


def compressor_pid(running: Served) -> int:
    [pid] = [p for p, command in descendants(running.process.pid).items() if "worker_process" in command]
    return pid


async def test_without_policies_everything_passes_untouched() -> None:
    """No compressor is started; SIGTERM is a clean end."""
    async with RawUpstream(echo) as upstream, served("--upstream", upstream.url + "/v1/") as running:
        got = await running.post("/v1/chat/completions", BODY)
        assert json.loads(got.body)["choices"][0]["message"]["content"] == hashlib.sha256(BODY).hexdigest()
        assert descendants(running.process.pid) == {}
        assert await running.stop() == 0
    assert upstream.received[0].body == BODY


async def test_the_official_client_gets_a_shorter_prompt_through_and_the_same_the_second_time(
    tmp_path: Path,
) -> None:
    """Only `base_url` differs; the two requests reach the upstream as the same bytes."""
    folder = policies(tmp_path)
    (Path(folder) / "search.yaml").write_text(POLICY)
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", folder) as running,
    ):
        await running.until_ready()
        url = f"http://127.0.0.1:{running.port}/t/search/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            caches = []
            for _ in range(2):
                raw = await client.chat.completions.with_raw_response.create(**json.loads(BODY))
                caches.append(raw.headers["x-elision-cache"])
                assert int(raw.headers["x-elision-tokens-saved"]) > 1000
                assert raw.headers["x-elision-team"] == "search"
    first, second = (request.body for request in upstream.received)
    assert caches == ["miss", "replay"]
    assert first == second
    content = json.loads(first)["messages"][0]["content"]
    rows, _, question = content.rpartition("\n\n")
    assert (json.loads(rows), question) == (json.loads(ROWS), "How many rows are there?")


async def test_a_killed_or_frozen_compressor_costs_the_saving_only(tmp_path: Path) -> None:
    """The call succeeds when the policy's deadline is over, or at once; soon texts are shortened again."""
    (tmp_path / "p").mkdir()
    folder = policies(tmp_path / "p")
    (tmp_path / "p" / "default.yaml").write_text(POLICY.replace("deadline_s: 5", "deadline_s: 3"))
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", folder) as running,
    ):
        await running.until_ready()
        os.kill(compressor_pid(running), signal.SIGSTOP)
        frozen = await running.post("/v1/chat/completions", BODY)
        os.kill(compressor_pid(running), signal.SIGKILL)
        killed = await running.post("/v1/chat/completions", BODY.replace(b"many", b"few"))
        async with asyncio.timeout(PATIENCE_S):
            recovered, number = killed, 0
            while recovered.value("x-elision-bypass"):
                number += 1  # what was sent once for a prompt is sent for it again
                recovered = await running.post("/v1/chat/completions", BODY.replace(b"many", b"%d" % number))
    assert [got.status for got in (frozen, killed, recovered)] == [200, 200, 200]
    assert frozen.value("x-elision-bypass") == "deadline"
    assert killed.value("x-elision-bypass") in ("compressor_crashed", "compressor_starting")
    shortened = [len(request.body) < len(BODY) - 1000 for request in upstream.received]
    assert [*shortened[:2], shortened[-1]] == [False, False, True]


async def test_a_stream_under_way_is_finished_before_the_end() -> None:
    """SIGTERM stops accepting; who is being answered is answered."""
    told_to_stop = asyncio.Event()

    async def script(request: Received) -> AsyncIterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"first")
        await told_to_stop.wait()
        await asyncio.sleep(0.3)
        yield chunk(b"last") + b"0\r\n\r\n"

    async with RawUpstream(script) as upstream, served("--upstream", upstream.url) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request_bytes("POST", "/v1/chat/completions", body=b"{}"))
        await reader.readuntil(b"first")
        running.process.send_signal(signal.SIGTERM)
        told_to_stop.set()
        async with asyncio.timeout(PATIENCE_S):
            assert b"last\r\n0\r\n\r\n" in await reader.read()
            assert await running.process.wait() == 0
        writer.close()


async def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    """A request takes two; 1,024, which a shell often gives, would be few hundred streams."""
    async with RawUpstream(echo) as upstream:
        command = (
            f"ulimit -Sn 256; exec {sys.executable} -m elision.proxy serve --port 0 --upstream {upstream.url}"
        )
        process = await asyncio.create_subprocess_shell(command, stderr=asyncio.subprocess.PIPE)
        assert process.stderr is not None
        await process.stderr.readline()
        told = Path(f"/proc/{process.pid}/limits").read_text()
        process.terminate()
        assert await process.wait() == 0
    soft, hard = next(line for line in told.splitlines() if line.startswith("Max open files")).split()[3:5]
    assert soft == hard


async def test_a_taken_port_is_one_line_and_exit_code_3() -> None:
    """With the fix."""
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", "http://127.0.0.1:1", "--port", str(upstream.port)) as running,
    ):
        assert await running.process.wait() == 3
    [line] = running.log
    assert f"cannot listen on 127.0.0.1:{upstream.port}" in line
    assert "--port" in line


async def test_a_tokenizer_that_cannot_be_read_keeps_the_proxy_from_being_ready(tmp_path: Path) -> None:
    """And requests still pass."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("tokenizers: {'mine-*': nowhere/tokenizer.json}\n")
    (tmp_path / "p").mkdir()
    async with (
        RawUpstream(echo) as upstream,
        served(
            *("--upstream", upstream.url, "--policies", policies(tmp_path / "p")),
            *("--settings", str(settings)),
        ) as running,
    ):
        async with asyncio.timeout(PATIENCE_S):
            while not (said := json.loads((await running.get("/elision/ready")).body))["tokenizers"]:
                await asyncio.sleep(0.05)
        got = await running.post("/v1/chat/completions", BODY)
    assert "tokenizer.json" in said["tokenizers"]["mine-*"]
    assert (said["ready"], got.status) == (False, 200)


async def test_several_upstreams_are_served_with_their_own_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a settings file and the environment, in every worker; the log names them and no key."""
    monkeypatch.setenv("TEST_AZURE_KEY", "azure-secret")
    async with RawUpstream(echo) as azure, RawUpstream(echo) as other:
        settings = tmp_path / "settings.yaml"
        entry = f"{{url: {azure.url}/openai/v1, prefix: /azure, key_env: TEST_AZURE_KEY}}"
        settings.write_text(f"workers: 2\nupstream: {other.url}\nupstreams:\n  azure: {entry}\n")
        async with served("--settings", str(settings)) as running:
            paths = ("/azure/v1/chat/completions", "/t/search/azure/v1/x", "/v1/chat/completions")
            answers = [await running.post(path, BODY) for path in paths]
            assert await running.stop() == 0
    assert [got.status for got in answers] == [200, 200, 200]
    assert [request.target for request in azure.received] == ["/openai/v1/chat/completions", "/openai/v1/x"]
    assert {tuple(request.values("authorization")) for request in azure.received} == {
        ("Bearer azure-secret",)
    }
    assert [request.values("authorization") for request in other.received] == [[]]
    log = "".join(running.log)
    assert f"azure {azure.url}/openai" in log
    assert ("upstream=azure" in log, "upstream=default" in log, "azure-secret" in log) == (True, True, False)


async def test_a_key_that_is_missing_is_told_before_the_start(tmp_path: Path) -> None:
    """One line with the variable's name; nothing listens."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("upstreams: {azure: {url: http://127.0.0.1:1, key_env: TEST_NO_SUCH_KEY}}\n")
    async with served("--settings", str(settings)) as running:
        assert await running.process.wait() == 2
    [line] = running.log
    assert line.startswith("error: upstreams.azure.key_env: the variable TEST_NO_SUCH_KEY is not set")


async def test_a_key_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """In one line: what is kept must not be written in the clear instead."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("upstream: http://127.0.0.1:1\ncache: {path: kept.db, key_env: NO_SUCH_KEY}\n")
    async with served("--settings", str(settings)) as running:
        assert await running.process.wait() == 2
    [line] = running.log
    assert line.startswith("error: cache.key_env: the variable NO_SUCH_KEY is not set, or empty; ")
    assert not (tmp_path / "kept.db").exists()


async def test_a_file_beside_redis_is_said_to_be_unused(tmp_path: Path) -> None:
    """Rather than left to be wondered at."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("upstream: http://127.0.0.1:1\nredis: redis://127.0.0.1:1\ncache: {path: kept.db}\n")
    async with served("--settings", str(settings)) as running:
        assert (await running.get("/elision/live")).status == 200
        assert await running.stop() == 0
    assert any("cache.path is not used" in line for line in running.log)
