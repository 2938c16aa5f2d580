"""Worked examples through the proxy: how often a reader is right before and after they are shortened.

    python -m benchmarks.batch_reader --port 8099 --batch 40 &
    python -m benchmarks.few_shot --data DIR --reader http://127.0.0.1:8099 --questions 60

GSM8K's questions with the prompt of eight worked examples go to a reader as they are, without
examples, and through `elision serve` with policies that extend `few-shot`: to a fifth and a tenth of
the prompt's tokens, in the preset's own way and by `llmlingua`. Forty questions are asked in all ways
before the next forty are, in an order drawn by a seed, so that a run that was stopped is a fair
sample; the same command goes on where it stopped. Answers lie in `--out`, which is no part of the
repository; the table has none of them.
"""

import argparse
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import description
from elision.evaluation import bootstrap
from elision.evaluation.final_answers import final_number
from elision.evaluation.forms import prompt_of
from elision.evaluation.model import Item
from elision.evaluation.reader import Ask, Endpoint, answer_of, read, unanswered
from elision.evaluation.store import Store
from elision.evaluation.tasks import read_dataset

PORT = 8492
_AT_ONCE = 40
_MODEL = "qwen2.5-coder-0.5b"
_WHOLE, _NONE = "as it is", "no examples"
# A prompt of 482 tokens would be held above the minimum that providers cache; this one caches nothing.
_BASE = "extends: few-shot\ndeadline_s: 300\nhistory: {expected_turns: 0}\nrequests: {min_rate: 0.02}\n"
_PRESET = "budget: {{rate: {rate}, min_examples: 1, min_rate: {{demonstrations: 0.02}}}}\n"
# By a rate of its own, so that all questions have the same examples before them, shortened once. What is
# protected by default, all numbers among it, is a third of these examples.
_BY_LM = """budget: null
rules:
  - name: examples
    when: {{segment: demonstrations}}
    use: {{method: llmlingua, rate: {rate}, protect: [], options: {{kv: fast}}}}
"""
POLICIES: Mapping[str, tuple[str, str]] = {
    # 2,341 tokens of examples, and some 80 of a question that stays.
    "few-shot by llmlingua, 5x": ("lm5", _BY_LM.format(rate=0.17)),
    "few-shot by llmlingua, 10x": ("lm10", _BY_LM.format(rate=0.068)),
    "few-shot, 5x": ("preset5", _PRESET.format(rate=0.2)),
    "few-shot, 10x": ("preset10", _PRESET.format(rate=0.1)),
}


@dataclass(frozen=True, slots=True)
class Way:
    """One way that a question goes to the reader."""

    name: str
    endpoint: Endpoint
    store: Store

    def ask(self, item: Item) -> Ask:
        """Return what is asked about an item."""
        return Ask(prompt_of(item, "" if self.name == _NONE else item.text), item.form.answer_tokens)


@contextmanager
def proxy(reader: str, out: Path) -> Iterator[None]:
    """Serve the policies in front of a reader until the block ends."""
    policies = out / "policies"
    policies.mkdir(parents=True, exist_ok=True)
    for team, told in POLICIES.values():
        (policies / f"{team}.yaml").write_text(_BASE + told, "utf-8")
    command = ["-m", "elision.proxy", "serve", "--upstream", reader, "--port", str(PORT)]
    with (out / "proxy.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  ours
            [sys.executable, *command, "--policies", str(policies)],
            stdout=log,
            stderr=log,
            # A reader that answers forty at once keeps each of them waiting.
            env={**os.environ, "ELISION_TIMEOUTS__FIRST_BYTE_S": "3600"},
        )
        try:
            _wait_until_it_listens()
            yield
        finally:
            process.terminate()
            process.wait(60)


def _wait_until_it_listens() -> None:
    """Return when the proxy answers. Raises: RuntimeError if it does not within a minute."""
    until = time.time() + 60
    while time.time() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the proxy does not answer at port {PORT}: see proxy.log")


def ways(reader: str, out: Path, stack: ExitStack) -> list[Way]:
    """Return all ways, their stores open."""
    urls = {_WHOLE: reader, _NONE: reader}
    urls |= {name: f"http://127.0.0.1:{PORT}/t/{team}" for name, (team, _) in POLICIES.items()}
    found = []
    for name, url in urls.items():
        store = stack.enter_context(Store(out / f"{name.replace(' ', '_').replace(',', '')}.jsonl"))
        found.append(Way(name, Endpoint(f"{url}/v1", _MODEL, at_once=_AT_ONCE, timeout_s=3600), store))
    return found


def ask_all(items: Sequence[Item], asked: Sequence[Way], until: float) -> None:
    """Ask some questions in all ways, one way after the other, then the next, until it is late."""
    for at in range(0, len(items), _AT_ONCE):
        some = items[at : at + _AT_ONCE]
        for way in asked:
            missing = unanswered([way.ask(item) for item in some], way.endpoint, way.store)
            if time.time() > until:
                return
            if missing:
                sys.stderr.write(f"{len(missing)} {way.name}\n")
                read(missing, way.endpoint, way.store, lambda _: None)


def table(items: Sequence[Item], asked: Sequence[Way]) -> str:
    """Return how often each way was right, and differences to the whole prompt, paired by questions."""
    whole = asked[0]
    lines = [
        "| prompt | questions | reader's tokens of it | right | against the whole prompt, points |",
        "|---|---|---|---|---|",
    ]
    for way in asked:
        both = [item for item in items if _answered(way, item) and _answered(whole, item)]
        if not both:
            continue
        groups = [item.id for item in both]
        size = sum(_tokens(way, item) for item in both) / len(both)
        told = bootstrap.mean([_right(way, item) for item in both], groups, 0)
        gain = bootstrap.mean([100 * (_right(way, item) - _right(whole, item)) for item in both], groups, 0)
        against = "" if way is whole else _with_interval(gain, "{:+.1f}")
        lines.append(
            f"| {way.name} | {len(both)} | {size:,.0f} | {_with_interval(told, '{:.3f}')} | {against} |"
        )
    return "\n".join(lines)


def _answered(way: Way, item: Item) -> bool:
    return not unanswered([way.ask(item)], way.endpoint, way.store)


def _right(way: Way, item: Item) -> float:
    return final_number(answer_of(way.ask(item), way.endpoint, way.store), item.answers) or 0.0


def _with_interval(told: bootstrap.Estimate, form: str) -> str:
    if told.low is None or told.high is None:
        return form.format(told.value)
    return f"{form.format(told.value)} ({form.format(told.low)} to {form.format(told.high)})"


def _tokens(way: Way, item: Item) -> int:
    row = way.store.get(way.ask(item).key(way.endpoint)) or {}
    found = row.get("prompt_tokens")
    return found if isinstance(found, int) else 0


def main() -> None:
    """Ask, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.few_shot", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that has gsm8k/")
    parser.add_argument("--reader", default="http://127.0.0.1:8099")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path(".cache/bench/few_shot"))
    parser.add_argument("--markdown", type=Path, help="write the report to this file, too")
    told = parser.parse_args()
    items = list(read_dataset("gsm8k", told.data, None, told.questions).items)
    random.Random(0).shuffle(items)
    with ExitStack() as stack:
        asked = ways(told.reader, told.out, stack)
        if told.minutes:
            with proxy(told.reader, told.out):
                ask_all(items, asked, time.time() + 60 * told.minutes)
        head = "\n".join(f"- {k}: {v}" for k, v in description().items())
        report = f"# Worked examples\n\n{head}\n\n{table(items, asked)}\n"
    sys.stdout.write(report)
    if told.markdown:
        told.markdown.write_text(report, "utf-8")


if __name__ == "__main__":
    main()
