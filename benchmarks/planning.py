"""What planning a long conversation costs, and where the time goes.

`python -m benchmarks.planning` plans a conversation of 100 messages and 200 KB with one preset
after another, cold (no text of it was ever seen) and warm (all but the last message were, as when
a conversation goes on), and prints the share of each step. Figures are CPU time of one thread;
nothing else should run on the machine.
"""

import argparse
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from benchmarks.conversations import conversation
from benchmarks.machine import description
from elision.compressors.tokens import Counters
from elision.policies.engine import make_plan
from elision.policies.model import Endpoint, Facts, Policy, Senses
from elision.proxy.app import settle_garbage
from elision.proxy.bodies import parse
from elision.proxy.fates import made_of
from elision.proxy.headers import Headers
from elision.proxy.memo import Memo
from elision.proxy.planner import FACTS, Planned, Planner, Seen, packaged_knowledge
from elision.proxy.policy_source import load_preset, preset_names
from elision.proxy.reports import report_of
from elision.proxy.rewriter import Ask

T = TypeVar("T")

HEADERS: Headers = [("content-type", "application/json"), ("authorization", "Bearer k"), ("x-app", "bench")]
ASK = Ask("POST", "/v1/chat/completions", headers=HEADERS)
MODEL = "gpt-4o"
LIMIT_MS = 5.0
STEPS = (
    "parse",
    "cut",
    "count tokens",
    "kind of text",
    "language",
    "protected spans",
    "rules and budget",
    "headers",
)
BEFORE = -1
"""The turn before those that are measured: all of it but the last message comes again."""


@dataclass(frozen=True, slots=True)
class Always:
    """One policy, whoever asks."""

    policy: Policy

    def for_team(self, team: str) -> Policy | None:
        """Return the policy; no request of ours names a team."""
        return None if team else self.policy


@dataclass(slots=True)
class Clock:
    """Adds up the CPU time of steps, in ms; what a step spends in another is the other's."""

    spent: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))
    inner: list[float] = field(default_factory=lambda: [0.0])

    def timed(self, step: str, work: Callable[[], T]) -> T:
        """Return what `work` returns, timed as `step`."""
        self.inner.append(0.0)
        started = time.thread_time_ns()
        result = work()
        spent = (time.thread_time_ns() - started) / 1e6
        self.spent[step] += spent - self.inner.pop()
        self.inner[-1] += spent
        return result

    def senses(self, senses: Senses) -> Senses:
        """Return senses that are timed."""
        return replace(
            senses,
            count=lambda text: self.timed("count tokens", lambda: senses.count(text)),
            text_kind=lambda text: self.timed("kind of text", lambda: senses.text_kind(text)),
            language=lambda text: self.timed("language", lambda: senses.language(text)),
            protected=lambda text, classes: self.timed(
                "protected spans", lambda: senses.protected(text, classes)
            ),
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What planning cost, in ms of CPU.

    Attributes:
        total: median of all rounds, undivided; `least` and `most` of them.
        steps: median of each step, from rounds of their own, as timing them costs something too.
    """

    total: float
    least: float
    most: float
    steps: dict[str, float]


def measured(policy: Policy, counters: Counters, rounds: int, *, warm: bool) -> Cost:
    """Plan conversations with one policy."""
    knowledge = packaged_knowledge()
    totals: list[float] = []
    parts: list[dict[str, float]] = []
    for number in range(rounds):
        body = conversation(number)
        planner = Planner(Always(policy), counters.counter_for, knowledge)
        memo = Memo(FACTS)
        if warm:
            planner.plan(conversation(BEFORE), ASK)
            in_steps(conversation(BEFORE), policy, Seen(memo, counters.counter_for(MODEL), knowledge))
        gc.collect()
        started = time.thread_time_ns()
        planner.plan(body, ASK)
        totals.append((time.thread_time_ns() - started) / 1e6)
        parts.append(in_steps(body, policy, Seen(memo, counters.counter_for(MODEL), knowledge)))
    steps = {step: statistics.median(spent[step] for spent in parts) for step in STEPS}
    return Cost(statistics.median(totals), min(totals), max(totals), steps)


def in_steps(body: bytes, policy: Policy, seen: Seen) -> dict[str, float]:
    """Plan as the planner does, timing each step."""
    clock = Clock()
    seen.senses = clock.senses(seen.senses)
    found = clock.timed("parse", lambda: parse(body, Endpoint.CHAT))
    segments = clock.timed("cut", lambda: seen.segments(found.texts, policy))
    facts = Facts(model=found.model)
    plan = clock.timed("rules and budget", lambda: make_plan(policy, segments, facts, seen.senses))
    planned = Planned("", policy, found, plan, "", segments, facts, seen.senses)
    clock.timed(
        "headers", lambda: report_of(planned, made_of(plan, plan.decisions, ()).values(), ()).headers()
    )
    return clock.spent


def table(costs: dict[str, Cost]) -> str:
    """Return steps and totals in Markdown; a column for each run, shares in per cent."""
    rows = [f"| ms of CPU | {' | '.join(costs)} |", "|---" * (len(costs) + 1) + "|"]
    for step in STEPS:
        cells = []
        for cost in costs.values():
            whole = sum(cost.steps.values())
            cells.append(f"{cost.steps[step]:.2f} ({cost.steps[step] / whole:.0%})")
        rows.append(f"| {step} | {' | '.join(cells)} |")
    totals = (f"**{c.total:.2f}** [{c.least:.2f}..{c.most:.2f}]" for c in costs.values())
    return "\n".join([*rows, f"| all, undivided | {' | '.join(totals)} |"])


def report(presets: Sequence[str], rounds: int) -> tuple[str, bool]:
    """Measure, and return the report, and whether a conversation that goes on is planned in time."""
    counters = Counters()
    counters.counter_for(MODEL).count("warm")
    settle_garbage()  # as the proxy does
    body = conversation(0)
    texts = parse(body, Endpoint.CHAT).texts
    tokens = sum(counters.counter_for(MODEL).count(text.text) for text in texts)
    told = [f"- {name}: {value}" for name, value in description().items()]
    told.append(f"- conversation: {len(texts)} texts in 100 messages, {len(body):,} bytes, {tokens:,} tokens")
    told.append(f"- N = {rounds}; median, of totals with [least..most]; the parts are timed apart")
    slow: list[str] = []
    for name in presets:
        policy = load_preset(name)
        costs = {
            f"{name}, {state}": measured(policy, counters, rounds, warm=state == "warm")
            for state in ("cold", "warm")
        }
        told += ["", table(costs)]
        if costs[f"{name}, warm"].total > LIMIT_MS:
            slow.append(name)
    told.insert(
        0, f"- load average of the machine at the end: {os.getloadavg()[0]:.1f} (1.0 is this run alone)"
    )
    verdict = f"not met by {', '.join(slow)}" if slow else "met by all"
    told += ["", f"Expected: at most {LIMIT_MS:g} ms where a conversation goes on (warm): {verdict}."]
    return "\n".join(told), not slow


def main() -> int:
    """Run the benchmark; 1 where the limit was not met."""
    parser = argparse.ArgumentParser(description="What planning a long conversation costs.")
    parser.add_argument("--presets", default="balanced,agent", help="names with commas between, or all")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--markdown", type=Path, help="write the report to this file too")
    options = parser.parse_args()
    presets = preset_names() if options.presets == "all" else options.presets.split(",")
    told, is_met = report(presets, options.rounds)
    sys.stdout.write(told + "\n")
    if options.markdown:
        options.markdown.write_text(
            "# What planning costs (`python -m benchmarks.planning`)\n\n" + told + "\n"
        )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
