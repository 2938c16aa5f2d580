"""One run: data sets x methods x targets, shortened, read, scored. Goes on where it stopped.

This module owns the order of things and what a run was asked. `OUT/outcomes.jsonl` and
`OUT/answers.jsonl` hold what was done; scores are computed from them each time, so that a better
measure costs no new answers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from elision.compressors.base import Target, TokenCounter
from elision.compressors.registry import Resources
from elision.config.errors import ConfigError
from elision.evaluation import reader
from elision.evaluation.compression import Bench, Shortened, Tick, shorten
from elision.evaluation.cost import Price, bill_of
from elision.evaluation.forms import prompt_of
from elision.evaluation.methods import Chosen, opened
from elision.evaluation.model import Asked, Cell, Item, Measure, Score, Timing
from elision.evaluation.reader import Ask, Endpoint
from elision.evaluation.store import Store
from elision.evaluation.tasks import Dataset, spread
from elision.evaluation.unit_overlap import people_rate

OUTCOMES, ANSWERS = "outcomes.jsonl", "answers.jsonl"

Bar = Callable[[str, int], AbstractContextManager[Tick]]
"""From what is done and how many of it there are to a progress bar."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared, and how.

    Attributes:
        datasets: read already.
        methods: by the command line's words.
        targets: how far each method goes that can be told.
        model: whose tokenizer counts; empty for OpenAI's newest.
        protect: protected classes, for every method alike; () none, None the product's own.
        blind: tell no method the question.
        seed: of random words and of intervals.
        endpoint: the reader; None for none.
        price: of the reader's tokens; None where it is not known.
        agreed: whether a reader elsewhere may be asked.
    """

    datasets: tuple[Dataset, ...]
    methods: tuple[Chosen, ...]
    targets: tuple[Asked, ...]
    model: str = ""
    protect: tuple[str, ...] | None = ()
    blind: bool = False
    seed: int = 0
    endpoint: Endpoint | None = None
    price: Price | None = None
    agreed: bool = False

    def targets_of(self, chosen: Chosen) -> tuple[Asked, ...]:
        """Return how far a method is asked to go; one that decides by itself is asked once."""
        return self.targets if chosen.needs_target else (Asked(),)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found."""

    scores: tuple[Score, ...]
    timings: dict[Cell, Timing]


def run(plan: Plan, resources: Resources, out: Path, bar: Bar, tell: Callable[[str], None]) -> Result:
    """Do what of a plan is not yet done, and score all of it.

    Args:
        plan: what is compared.
        resources: what methods are made from.
        out: folder of the run; made if it does not exist.
        bar: shows progress.
        tell: says what asking will cost before it is asked.
    Raises: ConfigError if a reader elsewhere was not agreed to, or `out` cannot be used;
        CompressionError; PackageMissing; ReaderFailed.
    """
    counter = resources.counters.counter_for(plan.model)
    with Store(out / OUTCOMES) as outcomes, Store(out / ANSWERS) as answers:
        desk = _Desk(outcomes, answers, counter, bar, tell)
        cells = [
            found
            for dataset in plan.datasets
            for chosen in plan.methods
            for found in _shortened(plan, dataset, chosen, resources, desk)
        ]
        if plan.endpoint is not None:
            _read(plan, plan.endpoint, [ask for cell in cells for ask in cell.asks()], desk)
        scores = tuple(score for cell in cells for score in cell.scores(plan.endpoint, answers))
    return Result(scores, {cell.cell: cell.timing for cell in cells})


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where work is kept, what counts tokens, and how a run speaks."""

    outcomes: Store
    answers: Store
    counter: TokenCounter
    bar: Bar
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Filled:
    """A cell whose texts have been shortened: each item with what became of its text."""

    cell: Cell
    items: tuple[tuple[Item, Shortened], ...]
    timing: Timing

    def asks(self) -> Iterator[Ask]:
        for item, done in self.items:
            if item.form.template:
                yield Ask(prompt_of(item, done.text), item.form.answer_tokens)

    def scores(self, endpoint: Endpoint | None, answers: Store) -> Iterator[Score]:
        for item, done in self.items:
            values = _measured(item.form.on_text, done.text, item) if item.answers else {}
            if endpoint is not None and item.form.template and item.answers:
                ask = Ask(prompt_of(item, done.text), item.form.answer_tokens)
                said = reader.answer_of(ask, endpoint, answers)
                values |= _measured(item.form.on_answer, said, item)
            yield Score(self.cell, item.id, item.group, done.before, done.after, done.left, values)


def _measured(measures: Mapping[str, Measure] | None, text: str, item: Item) -> dict[str, float]:
    found = {name: measure(text, item) for name, measure in (measures or {}).items()}
    return {name: value for name, value in found.items() if value is not None}


def _shortened(
    plan: Plan, dataset: Dataset, chosen: Chosen, resources: Resources, desk: _Desk
) -> list[_Filled]:
    # The corpus is the whole data set's, also where a method shortens a part of it.
    corpus = [item.text for item in dataset.items]
    taken = spread(dataset.items, chosen.limit)
    with opened(chosen, resources, plan.seed, corpus) as compressor:
        bench = Bench(compressor, desk.counter)
        return [
            _to(
                Cell(dataset.name, chosen.label, asked.label),
                taken,
                bench,
                desk,
                _targets(plan, asked, taken),
            )
            for asked in plan.targets_of(chosen)
        ]


def _to(cell: Cell, items: Sequence[Item], bench: Bench, desk: _Desk, targets: Sequence[Target]) -> _Filled:
    wanted = [bench.wanted(item.text, target) for item, target in zip(items, targets, strict=True)]
    title = f"{cell.dataset}, {cell.method} {cell.target}".rstrip()
    with desk.bar(title, len(set(wanted))) as tick:
        done = shorten(bench, wanted, desk.outcomes, tick)
    timed = [one for one in done.values() if one.timed]
    timing = Timing(sum(one.seconds for one in timed), sum(one.before for one in timed))
    return _Filled(cell, tuple((item, done[one]) for item, one in zip(items, wanted, strict=True)), timing)


def _targets(plan: Plan, asked: Asked, items: Sequence[Item]) -> list[Target]:
    return [_target(plan, asked, item) for item in items]


def _target(plan: Plan, asked: Asked, item: Item) -> Target:
    rate = asked.rate
    if asked.as_people:
        rate = people_rate(item.text, item.answers)
        if rate is None or not item.form.on_text or "unit_f1" not in item.form.on_text:
            raise ConfigError(["--rate people: only for sets of sentences that people shortened"])
    tells = item.form.tells_question and not plan.blind
    return Target(rate, asked.tokens, plan.model, item.question if tells else "", plan.protect)


def _read(plan: Plan, endpoint: Endpoint, asks: Sequence[Ask], desk: _Desk) -> None:
    missing = reader.unanswered(asks, endpoint, desk.answers)
    if not missing:
        return
    if not endpoint.is_here:
        bill = bill_of(missing, desk.counter, plan.price)
        desk.tell(f"{endpoint.url}, {endpoint.model}: {bill}")
        if not plan.agreed:
            raise ConfigError(["--yes: say it to have this asked; nothing was asked yet"])
    with desk.bar(f"reading with {endpoint.model}", len(missing)) as tick:
        reader.read(missing, endpoint, desk.answers, tick)
