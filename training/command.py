"""What `elision train llmlingua2` does once its flags are read: label, filter, split, train, export, measure.

This module owns the order of things and the names of what lands in the run's folder: `taught.jsonl`
and `held-out.jsonl` (labelled texts), `filters.png`, `training/` (from where a stopped run goes on),
`model/` (what is used, with its card) and `figures.json`. Flags and exit codes are the command line's.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from elision.compressors.checkpoints import Prepared
from elision.compressors.token_classifier import read_vocabulary
from elision.compressors.torch_classifier import require_torch
from elision.config.errors import ConfigError
from elision.evaluation.errors import PackageMissing
from elision.evaluation.progress import bar
from elision.training import histograms, trainer
from elision.training.card import Origin, Told, card
from elision.training.examples import Example, Split, examples_of, examples_of_records, split
from elision.training.export import export
from elision.training.filters import PERCENTILE, Filtered
from elision.training.held_out import HeldOut, measure
from elision.training.pairs import read_pairs
from elision.training.records import LabelledText, read_records, write_records
from elision.training.state import STATE

TAUGHT, HELD_OUT, FILTERS, TRAINING, MODEL, FIGURES = (
    "taught.jsonl",
    "held-out.jsonl",
    "filters.png",
    "training",
    "model",
    "figures.json",
)
CARD = "README.md"
_NOTES = """\
## Limits

The figures say how well labels are met that were made as those above were. Whether shortened texts still
answer questions is another matter: `elision eval` measures it. Nothing was measured on texts of other kinds.
"""

# A teacher that removes invents a word here and there, not one in ten.
_REWRITES = 0.1

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is trained from, and how; `labels` or `pairs`, not both.

    Attributes:
        out: folder of the run; a stopped run goes on.
        options: of the training, whose folder lies in `out`.
        pairs: file of original and compressed texts.
        labels: file of labelled texts.
        validate: share of the texts that nothing is learned from.
        percentiles: of VR and of AG, from which pairs are left out; 100 for none.
        base: what the encoder is called; its folder is in the options.
        licence: of the weights, as an SPDX identifier.
        keep_weights: put the weights for PyTorch beside the int8 ones.
    """

    out: Path
    options: trainer.TrainOptions
    pairs: Path | None = None
    labels: Path | None = None
    validate: float = 0.2
    percentiles: tuple[float, float] = (PERCENTILE, PERCENTILE)
    base: str = ""
    licence: str = ""
    keep_weights: bool = False

    def __post_init__(self) -> None:
        wrong = [
            problem
            for holds, problem in (
                ((self.pairs is None) != (self.labels is None), "--pairs: give it or --labels, one of them"),
                (0 <= self.validate < 1, f"--validate: must be from 0 to below 1, not {self.validate:g}"),
                *(
                    (0 < one <= 100, f"--{name}-percentile: must be above 0 and at most 100, not {one:g}")
                    for name, one in zip(("vr", "ag"), self.percentiles, strict=True)
                ),
            )
            if not holds
        ]
        if wrong:
            raise ConfigError(wrong)


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it.

    Attributes:
        model: the manifest of `model/`.
        texts: taught and held out.
        filters: what the filters did; none where labels were given.
        held_out: None where nothing was held out.
    """

    model: Prepared
    texts: tuple[int, int]
    filters: tuple[Filtered, ...]
    held_out: HeldOut | None


def llmlingua2(wish: Wish, say: Say) -> Trained:
    """Do all of it, or what a stopped run left to do.

    Args:
        wish: what is trained.
        say: told, in a line each, what was found and done; no text.
    Raises: ConfigError naming file, line or flag; WeightsMissing if the base is not there, or packages.
    """
    require_torch()
    _check_window(wish)
    examples, filters = _examples(wish, say)
    parts = split(examples, wish.validate, wish.options.seed)
    say(f"{len(parts.taught):,} texts to learn from, {len(parts.held_out):,} held out, {_share(parts)} kept")
    _write(wish, parts, filters, say)
    checkpoint = _train(wish, parts.taught, say)
    model = _exported(wish, checkpoint, say)
    held_out = _measured(wish, parts.held_out)
    for line in held_out.lines() if held_out else ():
        say(line)
    trained = Trained(model, (len(parts.taught), len(parts.held_out)), filters, held_out)
    (wish.out / MODEL / CARD).write_text(_card(wish, trained, parts.taught), "utf-8")
    (wish.out / FIGURES).write_text(json.dumps(_figures(wish, trained), indent=1) + "\n", "utf-8")
    return trained


def _check_window(wish: Wish) -> None:
    reads = read_vocabulary(wish.options.base).max_tokens
    if wish.options.window > reads:
        raise ConfigError([f"--window: {wish.options.base} reads {reads} tokens at once, no more"])


def _examples(wish: Wish, say: Say) -> tuple[list[Example], tuple[Filtered, ...]]:
    if wish.labels is not None:
        examples = examples_of_records(read_records(wish.labels))
        if not examples:
            raise ConfigError([f"{wish.labels}: holds nothing; one labelled text on each line is wanted"])
        return examples, ()
    if wish.pairs is None:
        raise ConfigError(["--pairs: give it or --labels"])
    pairs = read_pairs(wish.pairs)
    with bar("labelling", len(pairs)) as tick:
        examples, filters = examples_of(pairs, wish.percentiles, tick)
    for one in filters:
        say(str(one))
    if filters[0].median > _REWRITES:
        say(
            "half of the compressions have many words of their own: this teacher rewrites, it does not remove"
        )
    return examples, filters


def _share(parts: Split) -> str:
    labels = [label for one in (*parts.taught, *parts.held_out) for label in one.labels]
    return f"{sum(labels) / len(labels):.2f} of {len(labels):,} words"


def _write(wish: Wish, parts: Split, filters: Sequence[Filtered], say: Say) -> None:
    try:
        wish.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"{wish.out}: cannot be made: {error.strerror}"]) from error
    write_records(wish.out / TAUGHT, parts.taught)
    write_records(wish.out / HELD_OUT, parts.held_out)
    if filters:
        try:
            histograms.draw(filters, wish.out / FILTERS)
        except PackageMissing as error:
            say(f"no picture of the filters: {error}")


def _train(wish: Wish, texts: Sequence[LabelledText], say: Say) -> Path:
    if (wish.options.out / STATE).is_file():
        say(f"going on with the training in {wish.options.out}")
    with _telling(wish.options.epochs, say) as tell, _without_reports():
        return trainer.train(texts, wish.options, tell)


@contextmanager
def _without_reports() -> Iterator[None]:
    """Keep transformers from reporting that an encoder comes without the head that is to be trained."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


@contextmanager
def _telling(epochs: int, say: Say) -> Iterator[trainer.Tell]:
    """Show a bar on a terminal; say in a line what each epoch gave, for logs too."""
    last = 0

    def told(now: trainer.Progress) -> None:
        nonlocal last
        tick(round(1000 * now.done) - last)
        last = round(1000 * now.done)
        if now.done * epochs >= now.epoch:
            held = "" if now.held_out is None else f", {now.held_out:.4f} on what chooses the best epoch"
            say(f"epoch {now.epoch} of {epochs}: loss {now.loss:.4f}{held}")

    with bar("training", 1000) as tick:
        yield told


def _exported(wish: Wish, checkpoint: Path, say: Say) -> Prepared:
    """Return the manifest of `model/`, which is made anew: the checkpoint may be a better one now."""
    folder = wish.out / MODEL
    shutil.rmtree(folder, ignore_errors=True)
    with bar("exporting", 1) as tick:
        model = export(checkpoint, folder, licence=wish.licence, keep_weights=wish.keep_weights)
        tick(1)
    say(f"{folder}: {model.size / 1e6:.1f} MB")
    return model


def _measured(wish: Wish, records: Sequence[LabelledText]) -> HeldOut | None:
    if not records:
        return None
    with bar("measuring", len(records)) as tick:
        return measure(wish.out / MODEL, records, tick, wish.options.threads)


def _card(wish: Wish, trained: Trained, taught: Sequence[LabelledText]) -> str:
    files = (("--pairs", wish.pairs), ("--labels", wish.labels))
    [(flag, file)] = [(flag, file) for flag, file in files if file is not None]
    made = "labels of words" if wish.labels else "words that were kept of original texts"
    told = Told(
        title="A classifier for llmlingua2",
        summary="Says of each token how likely it is worth keeping; for `method: llmlingua2` of Elision.",
        base=wish.base,
        origins={one.source: Origin(made, "as its texts") for one in taught},
        command=f"elision train llmlingua2 {flag} {file.name} --seed {wish.options.seed} ...",
        notes=_NOTES,
    )
    manifest = trained.model if wish.licence else replace(trained.model, licence="not stated")
    figures = [f"- {line}" for line in trained.held_out.lines()] if trained.held_out else []
    return card(manifest, told, taught, wish.options, figures)


def _figures(wish: Wish, trained: Trained) -> dict[str, object]:
    held_out = trained.held_out
    return {
        "texts": dict(zip(("taught", "held_out"), trained.texts, strict=True)),
        "filters": [
            {"name": one.name, "limit": one.limit if one.dropped else None, "dropped": one.dropped}
            for one in trained.filters
        ],
        "options": {name: str(value) for name, value in asdict(wish.options).items()},
        "held_out": {**asdict(held_out), "f1": held_out.f1, "keep_all": held_out.keep_all}
        if held_out
        else None,
        "model": {name: file.sha256 for name, file in trained.model.files.items()},
    }
