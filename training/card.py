"""Model cards: what weights were made from, under which licences, how, and what was measured.

Pure but for reading the tables of evaluation runs. Everything in a card that can be known is taken from
where it is known (manifest, options, labelled texts, tables); what only people know is given as notes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from elision.compressors.checkpoints import Prepared
from elision.config.errors import ConfigError
from elision.evaluation.report import DATA
from elision.training.records import LabelledText
from elision.training.trainer import TrainOptions

# Places on the machine that trained: of no use to a reader.
_PRIVATE = ("base", "out", "threads", "save_every")


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of labels beyond the labels.

    Attributes:
        what: where they come from, in a few words.
        licence: of the texts and questions.
    """

    what: str
    licence: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a card says that files do not.

    Attributes:
        title: of the card.
        summary: a paragraph: what the weights are for.
        base: which encoder training began with, and its licence.
        origins: by `LabelledText.source`.
        command: that makes the weights again.
        notes: Markdown to end with: limits, what did not help.
    """

    title: str
    summary: str
    base: str
    origins: Mapping[str, Origin]
    command: str
    notes: str


def card(
    manifest: Prepared,
    told: Told,
    texts: Iterable[LabelledText],
    options: TrainOptions,
    figures: Sequence[str],
) -> str:
    """Return a model card in Markdown.

    Args:
        manifest: of the exported weights.
        told: what files do not say.
        texts: what taught.
        options: of the training.
        figures: lines of tables, as `read_figures` returns them.
    """
    shown = {name: value for name, value in asdict(options).items() if name not in _PRIVATE}
    model = manifest.files["model.onnx"]
    lines = [
        "---", f"license: {manifest.licence.lower()}", "---", "",
        f"# {told.title}", "", told.summary, "",
        f"- begun with: {told.base}",
        f"- licence: {manifest.licence}",
        f"- `model.onnx`: int8, one scale per channel; {model.size:,} bytes, SHA-256 `{model.sha256}`",
        f"- all files: {manifest.size:,} bytes; the sum of each is in `manifest.json`", "",
        "## What it was taught", "", *_taught(texts, told.origins), "",
        "## How", "", "```sh", told.command, "```", "",
        ", ".join(f"{name} {value}" for name, value in shown.items()) + ".",
    ]  # fmt: skip
    if figures:
        lines += ["", "## What was measured", "", *figures]
    return "\n".join([*lines, "", told.notes.strip(), ""])


def read_figures(run: Path, measure: str) -> list[str]:
    """Return the table of one measure from the folder of an `elision eval` run, as lines of Markdown.

    Returns: nothing if the run has no such measure.
    Raises: ConfigError if the folder holds no finished run.
    """
    file = run / DATA
    try:
        lines = json.loads(file.read_text("utf-8"))["lines"]
        rows = [
            (one["cell"], one["kept"], one["measures"][measure], one["differences"].get(measure))
            for one in lines
            if measure in one["measures"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError([f"{file}: no table of `elision eval`: {error}"]) from error
    if not rows:
        return []
    found = ["| data | method | asked | kept | " + measure + " | difference |", "|---|---|---|---|---|---|"]
    for cell, kept, value, difference in rows:
        parts = (cell["dataset"], f"`{cell['method']}`", cell["target"], f"{kept:.3f}")
        found.append(f"| {' | '.join(parts)} | {_estimate(value)} | {_estimate(difference, '+')} |")
    return found


def _taught(texts: Iterable[LabelledText], origins: Mapping[str, Origin]) -> Iterator[str]:
    counts: dict[str, list[float]] = {}
    for one in texts:
        row = counts.setdefault(one.source, [0, 0, 0.0])
        row[0] += 1
        row[1] += len(one.words)
        row[2] += sum(one.labels)
    yield "| labels | from | licence | texts | words | kept |"
    yield "|---|---|---|---|---|---|"
    for source, (number, words, kept) in counts.items():
        origin = origins.get(source, Origin("", "unknown"))
        yield (
            f"| {source} | {origin.what} | {origin.licence} | {number:,} | {words:,} | {kept / words:.3f} |"
        )


def _estimate(value: Mapping[str, float] | None, sign: str = "") -> str:
    if value is None:
        return ""
    if value["low"] is None:
        return f"{value['value']:{sign}.3f}"
    between = f"{value['low']:{sign}.3f} to {value['high']:{sign}.3f}"
    return f"{value['value']:{sign}.3f} ({between}; n {value['items']})"
