"""The command `elision eval`: methods compared on data sets, with or without a reader.

This module owns its flags; the work is `elision.evaluation`'s, which only this command imports, and
only when it runs. A reader's key comes from the environment variable that is named, never from a
flag: those are kept in the shell's history and seen by everybody who lists processes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elision.config.errors import ConfigError
from elision.proxy.commands import (
    EXIT_CANNOT_START,
    EXIT_WRONG,
    SettingsFile,
    counters_of,
    fail,
    key_of,
    price_of,
    settings_of,
    tell,
)

if TYPE_CHECKING:
    from elision.config.settings import Settings
    from elision.evaluation.command import Wish
    from elision.evaluation.reader import Endpoint
    from elision.evaluation.run import Plan

_DATA = Path("../shared/data")
_OUT = Path("elision-eval")
# Counted exactly, by a tokenizer that is in the package.
_COUNTS = "gpt-4o"


Datasets = Annotated[
    list[str], typer.Argument(metavar="DATASET...", help="Data sets: NAME, below --data, or NAME=PATH.")
]
Methods = Annotated[
    list[str],
    typer.Option(
        metavar="M",
        help="Method, NAME or NAME:OPTION=VALUE,...; @N behind it: of N items of each set; repeatable.",
    ),
]
Rates = Annotated[
    list[str] | None, typer.Option(metavar="R", help="Share of tokens to keep, or `people`; repeatable.")
]
Tokens = Annotated[list[int] | None, typer.Option(min=1, metavar="N", help="Tokens to keep; repeatable.")]
Baseline = Annotated[str, typer.Option(metavar="M", help="Method to show differences to.")]
ReaderUrl = Annotated[str, typer.Option(metavar="URL", help="Base URL of an OpenAI-compatible reader.")]
ReaderModel = Annotated[str, typer.Option(metavar="NAME", help="The reader's model.")]
ReaderKey = Annotated[
    str, typer.Option(metavar="VARIABLE", help="Environment variable that holds the reader's key.")
]
AtOnce = Annotated[int, typer.Option(min=1, help="Requests to the reader at once.")]
PriceOf = Annotated[
    str, typer.Option(metavar="PROMPT,COMPLETION", help="Of a million of the reader's tokens.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Ask a reader elsewhere, whatever it costs.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder of data sets.")]
Split = Annotated[str | None, typer.Option(help="Split; each set's first by default.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many items of each set, evenly spread.")]
Protect = Annotated[
    str, typer.Option(help="Protected classes for all methods: none, product, or names by commas.")
]
Blind = Annotated[bool, typer.Option("--blind", help="Tell no method the question.")]
Model = Annotated[str, typer.Option(help="Model whose tokenizer counts.")]
Seed = Annotated[int, typer.Option(min=0, help="Of random words and intervals.")]
Curves = Annotated[bool, typer.Option(help="Draw rate-quality curves (PNG).")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; a stopped run goes on.")]


def evaluate(
    *,
    datasets: Datasets,
    method: Methods,
    rate: Rates = None,
    tokens: Tokens = None,
    baseline: Baseline = "",
    reader: ReaderUrl = "",
    reader_model: ReaderModel = "",
    reader_key: ReaderKey = "",
    at_once: AtOnce = 4,
    price: PriceOf = "",
    yes: Yes = False,
    data: Data = _DATA,
    split: Split = None,
    limit: Limit = None,
    protect: Protect = "none",
    blind: Blind = False,
    model: Model = _COUNTS,
    seed: Seed = 0,
    curves: Curves = True,
    out: Out = _OUT,
    settings: SettingsFile = None,
) -> int:
    """Compare methods on data sets: kept tokens, answers that survive, a reader's answers, time."""
    from elision.evaluation.command import Wish, targets_of
    from elision.evaluation.methods import read_method
    from elision.evaluation.run import Plan
    from elision.evaluation.tasks import read_dataset

    plan = Plan(
        datasets=tuple(read_dataset(one, data, split, limit) for one in datasets),
        methods=tuple(read_method(one) for one in method),
        targets=targets_of(rate or [], tokens or []),
        model=model,
        protect=_protected(protect),
        blind=blind,
        seed=seed,
        endpoint=_endpoint(reader, reader_model, reader_key, at_once),
        price=price_of(price),
        agreed=yes,
    )
    return _carry_out(plan, Wish(out, baseline, curves), settings_of(settings, {}))


def _carry_out(plan: "Plan", wish: "Wish", settings: "Settings") -> int:
    from elision.compressors.registry import Resources
    from elision.evaluation.command import evaluate as tables
    from elision.evaluation.errors import PackageMissing, ReaderFailed

    told_of = settings.compressor
    resources = Resources(counters_of(settings), told_of.cache_dir, told_of.threads or None)
    try:
        told = tables(plan, resources, wish, lambda line: tell("note", line))
    except PackageMissing as error:
        return fail(EXIT_CANNOT_START, str(error))
    except ReaderFailed as error:
        return fail(EXIT_WRONG, str(error))
    typer.echo(told, nl=False)
    tell("note", f"tables, scores and curves are in {wish.out}; outcomes.jsonl and answers.jsonl hold texts")
    return 0


def _protected(written: str) -> tuple[str, ...] | None:
    from elision.compressors.protect import check_classes

    if written == "product":
        return None
    classes = () if written == "none" else tuple(written.split(","))
    check_classes(classes)
    return classes


def _endpoint(url: str, model: str, variable: str, at_once: int) -> "Endpoint | None":
    from elision.evaluation.reader import Endpoint

    if not url:
        if model or variable:
            raise ConfigError(["--reader: say the URL of the reader too"])
        return None
    return Endpoint(url, model, key_of("--reader-key", variable), at_once)
