"""Where figures go: `elision serve` with two workers tells everybody the same."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from fakes.collector import Collector, values_of
from fakes.exposed import samples_of
from fakes.raw_upstream import RawUpstream
from fakes.serving import PATIENCE_S, served
from fakes.tidy import BODY, echo, policies

SETTINGS = """
upstream: {upstream}
workers: 2
policies: {policies}
price_table: none
prices: [{{input: 2, output: 4}}]
request_log: {{path: requests.jsonl}}
telemetry: {{endpoint: "{collector}", metrics: false}}
"""


@pytest.mark.timeout(240)
async def test_log_spans_and_prometheus_agree(tmp_path: Path) -> None:
    """To the token, of every worker, with nothing lost at the end."""
    file, rules = tmp_path / "elision.yaml", tmp_path / "policies"
    rules.mkdir()
    async with Collector() as collector, RawUpstream(echo) as upstream:
        where = {"upstream": upstream.url, "policies": policies(rules), "collector": collector.url}
        file.write_text(SETTINGS.format(**where))
        async with served("--settings", str(file)) as running:
            async with asyncio.timeout(PATIENCE_S):
                while sum("Listening" in line for line in running.log) < 2:
                    assert running.process.returncode is None, running.log
                    await asyncio.sleep(0.05)
            await running.until_ready(workers=2)
            answers = [await running.post("/v1/chat/completions", BODY) for _ in range(20)]
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    told = samples_of((await running.get("/elision/metrics")).body)
                    if told.total("elision_requests_total") == 20:
                        break
                    await asyncio.sleep(0.1)
            assert await running.stop() == 0
        spans = [values_of(span.attributes) for span in collector.spans]
    logged = [path.read_text() for path in tmp_path.glob("requests-*.jsonl")]
    lines = [json.loads(line) for text in logged for line in text.splitlines()]
    ids = Counter(answer.value("x-elision-request-id") for answer in answers)
    assert Counter(line["request_id"] for line in lines) == ids
    assert Counter(span["elision.request_id"] for span in spans) == ids
    for when in ("before", "after"):
        total = told.total("elision_prompt_tokens_total", when=when)
        assert total == sum(line[f"tokens_{when}"] for line in lines) > 0
        assert total == sum(int(str(span[f"elision.tokens.{when}"])) for span in spans)
    saved = told.total("elision_saved_tokens_total") - told.total("elision_lost_tokens_total")
    assert saved == sum(line["tokens_saved"] for line in lines)
    assert told.total("elision_workers") == 2
    assert BODY.decode()[40:60] not in "".join(logged)
