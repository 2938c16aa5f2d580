"""What conversations cost with Elision and without, at providers that bill a repeated prefix for less.

    python -m benchmarks.prefix_bill --data ../shared/data
    python -m benchmarks.prefix_bill --data ../shared/data --quick

Conversations of a dozen sorts, made of real texts (`benchmarks.real_texts`), go through the real
rewriter in this process; a simulated provider (`tests/fakes/prefix_cache.py`) bills them by the
rules of each. Documents are shortened by `frequency` in place of the default method. Bills are of
input, in tokens at the full price. The picture shows one chat turn by turn, and what it costs where
its history is shortened anew in every turn.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from elision.compressors.base import Job, Method, Target
from elision.proxy.policy_source import load_preset

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.machine import description  # noqa: E402
from benchmarks.real_texts import RealTexts, Sets, real_chat  # noqa: E402
from fakes.billed import (  # noqa: E402
    Bodies,
    Machinery,
    World,
    bills_of,
    bodies_with,
    bodies_without,
    cached_share,
    total,
)
from fakes.prefix_cache import Bill, provider_rules  # noqa: E402
from fakes.shared_talks import (  # noqa: E402
    all_differ,
    dated,
    lengthening,
    long_questions,
    marked,
    one_document,
    passages,
    pool,
    question_first,
    rare,
)
from fakes.talks import (  # noqa: E402
    Talk,
    agent,
    at_minimum,
    chat,
    edited,
    few_shot,
    growing,
    long_system,
    pauses,
    rag,
    same_document,
    window,
)

QUICK = ("gpt-5", "gpt-5.6", "deepseek-v4-flash", "gemini-2.5-flash")
SHOWN = "gpt-5.6"
"""Whose bill the picture shows."""
RANKED = "the same, ranked by the question"
ALIKE = "alike: "
"""Requests that begin alike, whose beginnings may be written twice (docs/prefix-cache.md)."""
_OLDER = 0.12
"""By so much less of a message is kept in the picture's contrast for each turn that it is older."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A sort of conversation, and the preset that its team would take."""

    name: str
    preset: str
    hold: Callable[[RealTexts], Talk]


@dataclass(frozen=True, slots=True)
class Line:
    """One sort of conversation at one provider: bills and cached shares, without and with Elision."""

    scenario: str
    model: str
    preset: str
    without: float
    with_: float
    share_without: float
    share_with: float

    @property
    def saving(self) -> float:
        """Share of the bill that is not paid."""
        return 1 - self.with_ / self.without


def scenarios(seed: int) -> list[Scenario]:
    """Return all sorts."""
    return [
        Scenario("chats as they were held", "balanced", lambda texts: real_chat(texts, seed)),
        Scenario("chat with pasted minutes, 30 turns", "balanced", chat),
        Scenario("agent, 24 calls of tools", "agent", agent),
        Scenario("RAG chat, 12 turns", "rag", rag),
        Scenario("knowledge in the system message", "balanced", long_system),
        Scenario("worked examples, other questions", "few-shot", few_shot),
        Scenario("one document, other questions", "balanced", same_document),
        Scenario(RANKED, "rag", same_document),
        Scenario("edits, retries, other answers", "balanced", edited),
        Scenario("pauses of minutes and hours", "balanced", pauses),
        Scenario("the last six messages only", "balanced", window),
        Scenario("begins small, grows", "aggressive", growing),
        Scenario("begins at 1,024 tokens", "balanced", lambda texts: at_minimum(texts, 1024)),
        Scenario("begins at 4,096 tokens", "balanced", lambda texts: at_minimum(texts, 4096)),
        *alike("rag"),
        *alike("balanced"),
    ]


def alike(preset: str) -> list[Scenario]:
    """Return all sorts of requests that are no conversation and begin alike, or might."""
    held: list[tuple[str, Callable[[RealTexts], Talk]]] = [
        ("one long text, other questions", one_document),
        ("the same documents, questions of all lengths", long_questions),
        ("the same documents after the question", question_first),
        ("one of four handbooks", pool),
        ("four of six passages, in any order", passages),
        ("documents that all differ", all_differ),
        ("the same documents in a marked part", marked),
        ("a handbook and the date in the system message", dated),
        ("five hours between the questions", rare),
        ("minutes that go on, in one message", lengthening),
    ]
    return [Scenario(f"{ALIKE}{name} ({preset})", preset, hold) for name, hold in held]


def through(machinery: Machinery, talk: Talk, model: str, preset: str) -> Bodies:
    """Return what the provider gets of a conversation through Elision."""
    machinery.apply(load_preset(preset))

    async def held() -> Bodies:
        world = World(machinery, Random(0))
        world.start()
        return await bodies_with(world, talk, model)

    return asyncio.run(held())


def recompressed(machinery: Machinery, talk: Talk, model: str) -> Bodies:
    """Return what the provider gets where every request shortens the history anew, the older the more."""
    bodies = bodies_without(talk, model)
    for body in bodies:
        messages = body["messages"]
        for at, message in enumerate(messages[1:-1], 1):
            rate = max(0.25, 0.85 - _OLDER * ((len(messages) - at) // 2))
            if len(message.get("content") or "") > 200:
                job = Job(message["content"], Method("frequency"), Target(rate=rate, model=model))
                message["content"] = machinery.compressor.shortened(job)
    return bodies


def measured(
    machinery: Machinery, sets: Sets, seeds: int, models: Sequence[str], only: str = ""
) -> Iterator[Line]:
    """Yield a line for each sort of conversation and provider; sums over the seeds.

    Args:
        only: a part of the sorts' names.
    """
    for at, scenario in enumerate(scenarios(0)):
        if only not in scenario.name:
            continue
        held = [scenarios(seed)[at].hold(RealTexts(sets, seed)) for seed in range(seeds)]
        for model in models:
            without: list[list[Bill]] = []
            with_: list[list[Bill]] = []
            for talk in held:
                without.append(bills_of(machinery.tokens, talk, bodies_without(talk, model)))
                sent = through(machinery, talk, model, scenario.preset)
                with_.append(bills_of(machinery.tokens, talk, sent))
            sides = [[bill for bills in side for bill in bills] for side in (without, with_)]
            bills, shares = [float(total(side)) for side in sides], [cached_share(side) for side in sides]
            yield Line(scenario.name, model, scenario.preset, bills[0], bills[1], shares[0], shares[1])


def savings_table(lines: Sequence[Line]) -> str:
    """Return what is saved of each bill: a row for each sort, a column for each provider's model."""
    models = list(dict.fromkeys(line.model for line in lines))
    found = {(line.scenario, line.model): line for line in lines}
    rows = [f"| conversation | preset | {' | '.join(models)} |", "|---" * (len(models) + 2) + "|"]
    for name in dict.fromkeys(line.scenario for line in lines):
        own = [found[name, model] for model in models]
        cells = [f"{line.saving:.0%}" if line.saving >= 0 else f"**{line.saving:.1%}**" for line in own]
        rows.append(f"| {name} | {own[0].preset} | {' | '.join(cells)} |")
    return "\n".join(rows)


def bills_table(lines: Sequence[Line]) -> str:
    """Return bills and cached shares: a row for each sort and provider."""
    heads = "| conversation | model | bill without | with | saved | cached share without | with |"
    rows = [heads, "|---" * 7 + "|"]
    for line in lines:
        bills = f"{line.without:,.0f} | {line.with_:,.0f} | {line.saving:.1%}"
        shares = f"{line.share_without:.1%} | {line.share_with:.1%}"
        rows.append(f"| {line.scenario} | {line.model} | {bills} | {shares} |")
    return "\n".join(rows)


def draw(machinery: Machinery, sets: Sets, file: Path) -> dict[str, float]:
    """Draw the bill of one chat turn by turn, and return the three sums."""
    talk = chat(RealTexts(sets, 0))
    ways = {
        "without Elision": bodies_without(talk, SHOWN),
        "with Elision (balanced)": through(machinery, talk, SHOWN, "balanced"),
        "history shortened anew in every turn": recompressed(machinery, talk, SHOWN),
    }
    figure = Figure(figsize=(8.4, 4.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    sums: dict[str, float] = {}
    for name, bodies in ways.items():
        bills = bills_of(machinery.tokens, talk, bodies)
        sums[name] = float(total(bills))
        label = f"{name}: {sums[name]:,.0f}"
        axes.plot(range(1, len(bills) + 1), [float(bill.cost) for bill in bills], marker=".", label=label)
    axes.set(xlabel="turn", ylabel="bill of the turn, tokens at full price", ylim=(0, None))
    axes.set_title(f"a chat of {len(talk.requests)} turns with pasted minutes, billed as {SHOWN}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    # No date, no version: equal figures are equal files.
    figure.savefig(file, metadata={"Software": None})
    return sums


def report(lines: Sequence[Line], sums: dict[str, float], seeds: int) -> str:
    """Return everything as Markdown."""
    told = [f"- {name}: {value}" for name, value in description().items()]
    told.append(f"- N = {seeds} conversations of each sort; sums; texts from the shared data sets")
    above = [line for line in lines if line.with_ > line.without]
    verdict = ", ".join(f"{line.scenario} at {line.model}" for line in above) or "none"
    told += [f"- bills above those without Elision: {verdict}", "", "## Saved of the bill", ""]
    told += [savings_table(lines), "", f"## A chat turn by turn, as {SHOWN} bills it", ""]
    told += [f"- {name}: {value:,.0f}" for name, value in sums.items()]
    told += ["", "![bill per turn](turns.png)", "", "## Bills and cached shares", "", bills_table(lines)]
    return "\n".join(told) + "\n"


def main() -> int:
    """Run the benchmark; 1 where a bill was above the one without, against the promise."""
    parser = argparse.ArgumentParser(description="What conversations cost with Elision and without.")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the shared data sets")
    parser.add_argument("--quick", action="store_true", help="one conversation of each sort, four models")
    parser.add_argument("--seeds", type=int, default=4, help="conversations of each sort")
    parser.add_argument("--only", default="", help="sorts whose names hold this")
    parser.add_argument("--out", type=Path, help="folder for report.md, bills.json and turns.png")
    options = parser.parse_args()
    out = options.out or ROOT / ".cache/bench/prefix-bill"
    out.mkdir(parents=True, exist_ok=True)
    machinery, sets = Machinery(), Sets(options.data)
    seeds = 1 if options.quick else options.seeds
    models = QUICK if options.quick else tuple(provider_rules())
    lines = list(measured(machinery, sets, seeds, models, options.only))
    told = report(lines, draw(machinery, sets, out / "turns.png"), seeds)
    (out / "report.md").write_text("# What a prefix costs (`python -m benchmarks.prefix_bill`)\n\n" + told)
    rows = [{name: getattr(line, name) for name in Line.__slots__} for line in lines]
    (out / "bills.json").write_text(json.dumps(rows, indent=1) + "\n")
    sys.stdout.write(told)
    above = (line for line in lines if line.with_ > line.without)
    return 1 if any(line.scenario != RANKED and not line.scenario.startswith(ALIKE) for line in above) else 0


if __name__ == "__main__":
    sys.exit(main())
