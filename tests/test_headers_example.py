"""The example that collects headers does what docs/headers.md says of it, with the official client."""

import asyncio
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from fakes.raw_upstream import RawUpstream
from fakes.serving import served
from fakes.tidy import POLICY, ROWS, echo

EXAMPLE = Path(__file__).parent.parent / "docs/examples/headers/collect.py"
PNG = b"\x89PNG\r\n\x1a\n"


async def test_headers_become_a_table_and_a_picture(tmp_path: Path) -> None:
    """A line for each answer, with what the proxy said of it; the plot is a picture."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "search.yaml").write_text(POLICY)
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{ROWS}\n\nHow many?"}]
    lines = [json.dumps(said) for said in (f"{ROWS}\n\nHow many rows are there?", chat, "Hello?")]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines) + "\n\n")
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, "--policies", str(tmp_path / "policies")) as running,
    ):
        await running.until_ready()
        url = f"http://127.0.0.1:{running.port}/t/search/v1"
        command = [sys.executable, str(EXAMPLE), "prompts.jsonl", "--base-url", url, "--model", "gpt-4o"]
        environ = {**os.environ, "OPENAI_API_KEY": "none", "MPLCONFIGDIR": str(tmp_path), "NO_PROXY": "*"}
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=200
        )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "savings.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["team"] for row in rows] == ["search"] * 3
    assert [row["method"] for row in rows] == ["lossless", "lossless", ""]
    assert int(rows[0]["tokens-saved"]) == int(rows[0]["tokens-before"]) - int(rows[0]["tokens-after"]) > 1000
    assert len({row["request-id"] for row in rows}) == 3
    assert (tmp_path / "savings.png").read_bytes().startswith(PNG)
    assert f"3 answers, {sum(int(row['tokens-saved']) for row in rows)} tokens saved" in done.stdout
