"""What the compressor process does under load, and what compressing adds to a request.

    python -m benchmarks.engine
    python -m benchmarks.engine --methods embedded,frequency --markdown benchmarks/results/engine.md

For each method a compressor process is started as the proxy starts it. Measured are: 64 prompts one
at a time and all at once (tokens of the prompts per second, every outcome compared byte for byte);
64 prompts at once under a policy's deadline of 2 s (how many are met, what the others are told, and
when the last of them hears it); and what a prompt of 2,000 tokens adds through planner, cache,
compressor and splice: never seen before, seen, and seen at another rate, each time with another
question, so that the ledger knows nothing of it. `minilm` is LLMLingua-2 in MiniLM's shape, int8.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

from benchmarks.machine import description
from benchmarks.planning import ASK, MODEL, Always
from benchmarks.reference import HOME
from elision.compressors.base import Job, Method, Outcome, Target
from elision.compressors.tokens import Counters
from elision.policies.languages import language
from elision.policies.model import Kind, Mode, Policy, Rule, TextKind, Use, When
from elision.policies.text_kinds import text_kind
from elision.proxy.app import settle_garbage
from elision.proxy.ledger import Ledger
from elision.proxy.patience import Patience
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planner
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.store import MemoryStore
from elision.proxy.worker import CompressorClient, CompressorKeeper, CompressorUnavailableError
from elision.proxy.worker_process import WorkerOptions

CROWD = 64
DEADLINE_S = 2.0
PROMPT_TOKENS = 2000
COLD_LIMIT_MS, CACHED_LIMIT_MS = 250.0, 3.0
PATIENT_S = 300.0


@dataclass(frozen=True, slots=True)
class Load:
    """Many prompts, and what became of them.

    Attributes:
        wall_s: until the last answer.
        answers_s: how long each waited for its answer, refusals included.
        outcomes: of each prompt, None where it was refused.
        reasons: why, and how often.
    """

    wall_s: float
    answers_s: list[float]
    outcomes: list[Outcome | None]
    reasons: Counter[str]


@dataclass(frozen=True, slots=True)
class Found:
    """What one method did."""

    method: str
    tokens: int
    alone: Load
    together: Load
    crowd: Load
    cold_ms: list[float]
    cached_ms: list[float]
    scored_ms: list[float]


def prompts(count: int, tokens: int, counters: Counters, seed: int) -> list[str]:
    """Return texts of so many tokens each, of paragraphs of Python's own reference in random order."""
    counter = counters.counter_for(MODEL)
    written = [part for name in sorted(topics) for part in topics[name].split("\n\n") if len(part) > 150]
    parts = [part for part in written if text_kind(part) is TextKind.PROSE and language(part) == "en"]
    sizes = {part: counter.count(part) for part in parts}
    draw = random.Random(seed)
    found: list[str] = []
    for _ in range(count):
        chosen: list[str] = []
        while sum(sizes[part] for part in chosen) < tokens:
            chosen.append(draw.choice(parts))
        found.append("\n\n".join(chosen))
    return found


def method_of(name: str) -> Method:
    """Return the method that a name on the command line means."""
    if name != "minilm":
        return Method(name)
    from benchmarks.llmlingua2 import minilm
    from elision.compressors.checkpoints import Store

    folder, store = minilm(), Store(HOME / "prepared")
    store.add(str(folder), torch=True)
    return Method("llmlingua2", (("engine", "onnx"), ("weights", str(store.locate(folder.name)))))


@asynccontextmanager
async def compressor(method: Method) -> AsyncIterator[CompressorClient]:
    """Keep a compressor process until the block ends, ready for a method.

    Raises: SystemExit if the method cannot be prepared.
    """
    with tempfile.TemporaryDirectory(prefix="elision-bench-") as folder:
        options = WorkerOptions(socket=f"{folder}/s", log_level="error")
        keeper, client = CompressorKeeper(options), CompressorClient(options.socket, (method,))
        async with asyncio.TaskGroup() as tasks:
            running = (tasks.create_task(keeper.run()), tasks.create_task(client.run()))
            while not client.ready:
                await asyncio.sleep(0.05)
            if client.errors:
                raise SystemExit(f"{method.name}: {client.errors}")
            yield client
            for task in running:
                task.cancel()


async def asked(client: CompressorClient, jobs: Sequence[Job], deadline_s: float, *, at_once: bool) -> Load:
    """Ask for jobs, one request each, one after the other or all at once."""
    answers_s: list[float] = [0.0] * len(jobs)
    reasons: Counter[str] = Counter()

    async def one(number: int) -> Outcome | None:
        started = time.perf_counter()
        try:
            outcome = (await client.compress(jobs[number], Patience.of(deadline_s))).outcome
        except CompressorUnavailableError as error:
            reasons[error.reason] += 1
            return None
        finally:
            answers_s[number] = time.perf_counter() - started
        return outcome

    started = time.perf_counter()
    if at_once:
        outcomes = list(await asyncio.gather(*map(one, range(len(jobs)))))
    else:
        outcomes = [await one(number) for number in range(len(jobs))]
    return Load(time.perf_counter() - started, answers_s, outcomes, reasons)


async def added_ms(
    client: CompressorClient, method: Method, texts: Sequence[str], counters: Counters
) -> list[list[float]]:
    """Return what each prompt adds through the whole rewriter: first, again, and again at another rate."""
    memory = MemoryStore(1 << 28)
    pipeline, ledger = Pipeline(memory, client), Ledger(memory, memory)
    asks = itertools.count()

    async def one(text: str, rate: float, cache: str) -> float:
        use = Use(method.name, rate=rate, options=method.options)
        rule = Rule("context", When(segment=(Kind.CONTEXT,)), use)
        policy = Policy("bench", "1", Mode.ENFORCE, PATIENT_S, (rule,))
        planner = Planner(Always(policy), counters.counter_for)
        said = [{"role": "user", "content": f"{text}\n\nWhat does this say of class {next(asks)}?"}]
        body = json.dumps({"model": MODEL, "messages": said}).encode()
        started = time.perf_counter()
        rewrite = await PolicyRewriter(planner, pipeline, ledger).rewrite(body, ASK)
        took_ms = (time.perf_counter() - started) * 1000
        if rewrite.report.cache != cache or not rewrite.changed:
            raise SystemExit(f"{method.name}: not compressed as planned: {rewrite.report}")
        await pipeline.close()
        return took_ms

    times = ((0.6, "miss"), (0.6, "hit"), (0.8, "miss"))
    return [[await one(text, rate, cache) for text in texts] for rate, cache in times]


async def measured(name: str, counters: Counters, tokens: int, rounds: int) -> Found:
    """Measure one method."""
    method = method_of(name)

    def jobs(seed: int) -> list[Job]:
        texts = prompts(CROWD, tokens, counters, seed)
        return [Job(text, method, Target(rate=0.5, model=MODEL)) for text in texts]

    first, second = jobs(1), jobs(2)
    async with compressor(method) as client:
        await asked(client, jobs(0)[:8], PATIENT_S, at_once=False)
        alone = await asked(client, first, PATIENT_S, at_once=False)
        together = await asked(client, first, PATIENT_S, at_once=True)
        crowd = await asked(client, second, DEADLINE_S, at_once=True)
        texts = prompts(rounds, PROMPT_TOKENS, counters, 3)
        cold_ms, cached_ms, scored_ms = await added_ms(client, method, texts, counters)
    total = sum(counters.counter_for(MODEL).count(job.text) for job in first)
    return Found(name, total, alone, together, crowd, cold_ms, cached_ms, scored_ms)


def p99(values: Sequence[float]) -> float:
    """Return the 99th of 100, the largest of fewer."""
    return sorted(values)[min(int(len(values) * 0.99), len(values) - 1)]


def row(found: Found) -> str:
    """Return one method's figures as a row of the table."""
    met = sum(outcome is not None for outcome in found.crowd.outcomes)
    reasons = ", ".join(f"{count} `{reason}`" for reason, count in sorted(found.crowd.reasons.items()))
    pairs = list(zip(found.alone.outcomes, found.together.outcomes, strict=True))
    alike = sum(one is not None and one == other for one, other in pairs)
    cells = (
        f"`{found.method}`",
        f"{found.tokens / found.alone.wall_s:,.0f}",
        f"{found.tokens / found.together.wall_s:,.0f}",
        f"{found.alone.wall_s / found.together.wall_s:.2f}",
        f"{alike} of {len(pairs)}",
        f"{met} met" + (f"; {reasons}" if reasons else ""),
        f"{p99(found.crowd.answers_s):.2f}",
        f"{statistics.median(found.cold_ms):.0f} [{min(found.cold_ms):.0f}..{max(found.cold_ms):.0f}]",
        f"{statistics.median(found.cached_ms):.2f} [{min(found.cached_ms):.2f}..{max(found.cached_ms):.2f}]",
        f"{statistics.median(found.scored_ms):.1f} [{min(found.scored_ms):.1f}..{max(found.scored_ms):.1f}]",
    )
    return f"| {' | '.join(cells)} |"


def report(all_found: Sequence[Found], tokens: int, rounds: int) -> str:
    """Return the table with what it was measured on."""
    heads = (
        "method",
        "alone, tokens/s",
        "64 at once, tokens/s",
        "times",
        "byte-equal",
        f"64 under {DEADLINE_S:g} s",
        "p99 of answers, s",
        "adds cold, ms",
        "adds cached, ms",
        "adds at another rate, ms",
    )
    told = [f"- {name}: {value}" for name, value in description().items()]
    told.append(
        f"- {CROWD} prompts of {tokens:,} tokens; added: N = {rounds} prompts of {PROMPT_TOKENS:,} tokens"
    )
    told.append(
        "- medians with [least..most]; prose of Python's reference, rate 0.5; what is added: 0.6, then 0.8"
    )
    told += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *map(row, all_found)]
    slow = [f.method for f in all_found if statistics.median(f.cold_ms) > COLD_LIMIT_MS]
    stale = [f.method for f in all_found if statistics.median(f.cached_ms) > CACHED_LIMIT_MS]
    cold = f"under {COLD_LIMIT_MS:g} ms cold: {_verdict(slow)}"
    cached = f"under {CACHED_LIMIT_MS:g} ms cached: {_verdict(stale)}"
    return "\n".join([*told, "", f"Expected: {cold}; {cached}."])


def _verdict(missed: Sequence[str]) -> str:
    return f"not met by {', '.join(missed)}" if missed else "met by all"


async def _run(options: argparse.Namespace) -> str:
    counters = Counters()
    counters.counter_for(MODEL).count("warm")
    settle_garbage()  # as the proxy does
    found = [
        await measured(name, counters, options.tokens, options.rounds) for name in options.methods.split(",")
    ]
    return report(found, options.tokens, options.rounds)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="The compressor under load, and what it adds to a request.")
    parser.add_argument(
        "--methods", default="embedded,frequency,minilm,selective_context", help="with commas between"
    )
    parser.add_argument("--tokens", type=int, default=1000, help="of each of the 64 prompts")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--markdown", type=Path, help="write the report to this file too")
    options = parser.parse_args()
    told = asyncio.run(_run(options))
    sys.stdout.write(told + "\n")
    if options.markdown:
        title = "# The compressor under load (`python -m benchmarks.engine`)"
        options.markdown.write_text(f"{title}\n\n{told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
