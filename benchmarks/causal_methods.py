"""The methods that read with a causal model against their references: one run, the same weights.

    python -m benchmarks.causal_methods speed --shape smollm2 --sizes 200 2000 --run a-name
    python -m benchmarks.causal_methods quality --data DIR --items 40
    python -m benchmarks.causal_methods read --data DIR --reader http://127.0.0.1:8099/v1
    python -m benchmarks.causal_methods report --markdown FILE --json FILE

Contestants of a family (`benchmarks.causal_contest`) take turns at each text, so that whatever else
runs on the machine disturbs all alike; `speed` starts a process for each of them and each size, and has
it do something small first, so that its largest memory is its own. Every turn is a line of a file below
`--out`, and is done once: the same command goes on where it stopped, another `--run` begins anew, and
`report` says what there is. `quality` gives ours, for each text, exactly as many tokens as the
reference kept of it. Texts lie below `--out` only.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.causal_contest import Contestant, Workers, contestants, shape
from benchmarks.causal_report import quality_lines, quality_table, rate_table, speed_lines, speed_table
from benchmarks.causal_worker import MODEL
from benchmarks.llmlingua2 import text_of
from benchmarks.machine import description
from elision.compressors.tokens import Counters
from elision.evaluation.forms import SHORT_ANSWER, prompt_of
from elision.evaluation.model import Item
from elision.evaluation.reader import Ask, Endpoint, read, unanswered
from elision.evaluation.store import Store, key_of
from elision.evaluation.survival import survives
from elision.evaluation.tasks import read_dataset

_QUESTION = "What does the proxy do with a prompt that it has seen before?"
_DOCUMENTS = 5
# Characters; some 400 tokens.
_DOCUMENT = 1600


@dataclass(frozen=True, slots=True)
class Turn:
    """One contestant, one text, one rate."""

    contestant: Contestant
    contexts: tuple[str, ...]
    rate: float
    question: str = ""
    tokens: int | None = None

    def request(self) -> dict[str, Any]:
        """Return what its process is asked."""
        told: dict[str, Any] = {**self.contestant.told, "contexts": self.contexts, "question": self.question}
        return told | ({"rate": self.rate} if self.tokens is None else {"tokens": self.tokens})


class Bench:
    """Takes turns, and keeps what came of them."""

    def __init__(self, workers: Workers, store: Store) -> None:
        self._workers, self._store = workers, store
        self._counter = Counters().counter_for(MODEL)
        self._commit = description()["commit"]

    def take(self, turn: Turn, about: dict[str, Any], first: Turn | None = None) -> dict[str, Any]:
        """Return the row of a turn; take it if that has not been done.

        Args:
            first: the turn before it of a process that has just been started.
        """
        key = key_of(turn.request(), about, turn.contestant.name, turn.contestant.family)
        row = self._store.get(key)
        if row is None:
            answer = self._workers.ask(turn.contestant.by, turn.request(), first.request() if first else None)
            text = "\n\n".join(turn.contexts)
            counts = [self._counter.count(text), self._counter.count(answer.get("text", ""))]
            named = {"family": turn.contestant.family, "name": turn.contestant.name, "rate": turn.rate}
            named |= {"tokens": counts, "load": os.getloadavg()[0], "commit": self._commit}
            self._store.put(key, {**about, **named, **answer})
            took = answer.get("seconds", 0.0)
            sys.stderr.write(f"{about} {named} {took:.1f} s {answer.get('crash', '')}\n")
            row = self._store.get(key)
        return dict(row or {})


def speed(told: argparse.Namespace) -> None:
    """Time all contestants on texts of our own documents."""
    weights = shape(told.shape)
    run = {"run": told.run} if told.run else {}
    with Store(told.out / "speed.jsonl") as store:
        for size in told.sizes:
            text = _pinned(told.out / f"text-{size}.txt", size)
            for one in _chosen(told):
                with Workers(weights, told.threads, told.out) as workers:
                    bench = Bench(workers, store)
                    first = _timed(one, text_of(60, Counters()), 0.5)
                    for at in range(told.rounds):
                        about = {"what": "speed", "shape": told.shape, "size": size, "round": at}
                        about |= {"threads": told.threads, **run}
                        for rate in told.rates:
                            bench.take(_timed(one, text, rate), about, first)


def _timed(one: Contestant, text: str, rate: float) -> Turn:
    if one.family == "longllmlingua":
        return Turn(one, several(text), rate, _QUESTION)
    return Turn(one, (text,), rate)


def several(text: str) -> tuple[str, ...]:
    """Return a text's paragraphs as documents of some hundred tokens, each of one line; five at least
    where there are so many paragraphs.
    """
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    most = min(_DOCUMENT, len(text) // _DOCUMENTS)
    found: list[str] = []
    for part in paragraphs:
        if found and len(found[-1]) + len(part) <= most:
            found[-1] += f" {part}"
        else:
            found.append(part)
    return tuple(found)


def _pinned(file: Path, size: int) -> str:
    """Return a text of so many tokens; the same in every run, though our documents change."""
    if not file.is_file():
        file.write_text(text_of(size, Counters()), "utf-8")
    return file.read_text("utf-8")


def quality(told: argparse.Namespace) -> None:
    """Have all contestants shorten passages with answers; ours to what the reference kept."""
    with (
        Store(told.out / "quality.jsonl") as store,
        Workers(shape(told.shape), told.threads, told.out) as workers,
    ):
        bench = Bench(workers, store)
        items = {False: passages(told.data, told.items), True: documents(told.data, told.items)}
        until = time.time() + 60 * told.minutes
        families = list(dict.fromkeys(one.family for one in _chosen(told)))
        for rate in told.rates:
            for number in range(told.items):
                for family in families:
                    if time.time() > until:
                        return
                    chosen = [one for one in _chosen(told) if one.family == family]
                    _contest(bench, chosen, items[family == "longllmlingua"][number], rate)


def _contest(bench: Bench, chosen: Sequence[Contestant], item: Item, rate: float) -> None:
    """Have some of a family, the reference first, shorten one text."""
    is_long = chosen[0].family == "longllmlingua"
    contexts = tuple(item.text.split("\n\n")) if is_long else (item.text,)
    question = item.question if is_long else ""
    tokens: int | None = None
    size = 200
    for one in chosen:
        turn = Turn(one, contexts, rate, question, tokens)
        if one.name.startswith("compat"):
            options = {**one.told["options"], "iterative_size": size}
            turn = replace(turn, contestant=replace(one, told={**one.told, "options": options}), tokens=None)
        about = {"what": "quality", "item": item.id, "set": "documents" if is_long else "passages"}
        row = bench.take(turn, about)
        if one.is_reference:
            if "crash" in row:
                return
            tokens = max(1, int(row["tokens"][1]))
            size = min(200, int(row["own"][0]))


def _chosen(told: argparse.Namespace) -> list[Contestant]:
    return [
        one
        for one in contestants()
        if (not told.families or one.family in told.families) and (not told.names or one.name in told.names)
    ]


def passages(data: Path, count: int) -> list[Item]:
    """Return Natural Questions with their passage, those whose answer stands in it, in a drawn order."""
    items = [
        item
        for item in read_dataset("nq_open", data, None, None).items
        if survives(item.text, item.text, item.answers)
    ]
    random.Random(0).shuffle(items)
    return [_with_text(item, (item.text,), 0) for item in items[:count]]


def documents(data: Path, count: int) -> list[Item]:
    """Return the same questions, each with four passages of other questions around its own."""
    every = passages(data, 10_000)
    draw = random.Random(1)
    found = []
    for at, item in enumerate(every[:count]):
        others = [one.text for i, one in enumerate(every) if i != at]
        found.append(_with_text(item, draw.sample(others, _DOCUMENTS - 1), draw.randrange(_DOCUMENTS)))
    return found


def _with_text(item: Item, others: Sequence[str], place: int) -> Item:
    texts = [" ".join(text.split()) for text in others]
    if len(texts) > 1:
        texts.insert(place, " ".join(item.text.split()))
    return Item(item.id, item.id, "\n\n".join(texts), SHORT_ANSWER, item.question, item.answers)


def asks(rows: Sequence[dict[str, Any]], data: Path) -> Iterator[tuple[dict[str, Any], Item, Ask]]:
    """Yield what a reader is asked about each row of `quality`, and about each whole text."""
    known = {"passages": passages(data, 10_000), "documents": documents(data, 10_000)}
    by_id = {(name, item.id): item for name, items in known.items() for item in items}
    whole: set[tuple[str, str]] = set()
    for row in rows:
        if row.get("crash"):
            continue
        item = by_id[row["set"], row["item"]]
        yield row, item, Ask(prompt_of(item, row["text"]), SHORT_ANSWER.answer_tokens)
        if (row["set"], row["item"]) not in whole:
            whole.add((row["set"], row["item"]))
            full = {**row, "name": "as it is", "family": f"whole {row['set']}", "text": item.text}
            yield full, item, Ask(prompt_of(item, item.text), SHORT_ANSWER.answer_tokens)


def ask_reader(told: argparse.Namespace) -> None:
    """Ask a reader about everything that `quality` shortened, until it is late."""
    endpoint = Endpoint(told.reader, told.reader_model, at_once=told.at_once, timeout_s=900)
    rows = rows_of(told.out / "quality.jsonl")
    # Item by item, so that whenever it stops all contestants were read on the same ones.
    rows.sort(key=lambda row: (row["rate"], row["set"]))
    with Store(told.out / "answers.jsonl") as store:
        every = [ask for _, _, ask in asks(rows, told.data)]
        until = time.time() + 60 * told.minutes
        missing = unanswered(every, endpoint, store)
        for at in range(0, len(missing), told.at_once):
            if time.time() > until:
                return
            read(missing[at : at + told.at_once], endpoint, store, lambda _: None)


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a store that nobody is writing to, or of a snapshot of one."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []


def report(told: argparse.Namespace) -> None:
    """Write the tables of what there is."""
    rows = rows_of(told.out / "quality.jsonl")
    answers = {row["key"]: str(row["text"]) for row in rows_of(told.out / "answers.jsonl")}
    endpoint = Endpoint(told.reader, told.reader_model)
    items: dict[tuple[str, str], Item] = {}
    if rows:
        items = {("passages", item.id): item for item in passages(told.data, 10_000)}
        items |= {("documents", item.id): item for item in documents(told.data, 10_000)}

    def answer(row: dict[str, Any]) -> str | None:
        ask = Ask(prompt_of(items[row["set"], row["item"]], row["text"]), SHORT_ANSWER.answer_tokens)
        return answers.get(ask.key(endpoint))

    fast = speed_lines(rows_of(told.out / "speed.jsonl"))
    good = quality_lines(rows, items, answer)
    head = "\n".join(f"- {k}: {v}" for k, v in description().items())
    text = f"{head}\n\n{speed_table(fast)}\n\n{rate_table(fast)}\n\n{quality_table(good)}\n"
    sys.stdout.write(text)
    if told.markdown:
        told.markdown.write_text(text, "utf-8")
    if told.json:
        told.json.write_text(json.dumps({"speed": fast, "quality": good}, indent=1) + "\n", "utf-8")


def main() -> None:
    """Do one part, or report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.causal_methods", description=__doc__)
    parser.add_argument("part", choices=("speed", "quality", "read", "report"))
    parser.add_argument("--shape", choices=("smollm2", "gpt2"), default="smollm2")
    parser.add_argument("--families", nargs="*", default=[])
    parser.add_argument("--names", nargs="*", default=[], help="contestants; all if none is named")
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 2000, 20_000])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 0.33, 0.2])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--run", default="", help="name of a run; what another run measured is measured anew")
    parser.add_argument("--threads", type=int, default=1, help="of each process alike")
    parser.add_argument("--data", type=Path, help="folder of the shared data sets")
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--reader", default="http://127.0.0.1:8099/v1")
    parser.add_argument("--reader-model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path(".cache/bench/causal"))
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    told = parser.parse_args()
    told.out = told.out.resolve()
    told.out.mkdir(parents=True, exist_ok=True)
    if told.part == "report":
        report(told)
        return
    {"speed": speed, "quality": quality, "read": ask_reader}[told.part](told)


if __name__ == "__main__":
    main()
