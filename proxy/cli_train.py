"""The commands that make compressors: `elision train distil`, `llmlingua2` and `align`.

This module owns their flags; the work is `elision.training`'s, which only these commands import, and
only when they run. A teacher's key comes from the environment variable that is named, never from a
flag: those are kept in the shell's history and seen by everybody who lists processes.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    from elision.training.align_trainer import AlignOptions
    from elision.training.command import Wish
    from elision.training.distil import Plan

app = typer.Typer(help="Make compressors from your own texts.", rich_markup_mode=None)

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; a stopped run goes on.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the split, the order and the head.")]
Epochs = Annotated[int, typer.Option(help="Passes over the texts.")]
Rate = Annotated[float, typer.Option(help="Learning rate at its highest.")]
Window = Annotated[int, typer.Option(help="Tokens that the model reads at once while it learns.")]
Validate = Annotated[float, typer.Option(metavar="SHARE", help="Share of the texts to measure with.")]
Percentile = Annotated[float, typer.Option(metavar="P", help="Leave out pairs from it on; 100: none.")]


@app.command()
def distil(
    *,
    teacher: Annotated[str, typer.Option(metavar="URL", help="Base URL of an OpenAI-compatible teacher.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="The teacher's model.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines of `text` and, if any, `id`.")],
    out: Out,
    key: Annotated[
        str, typer.Option(metavar="VARIABLE", help="Environment variable that holds the teacher's key.")
    ] = "",
    price: Annotated[
        str, typer.Option(metavar="PROMPT,COMPLETION", help="Of a million of the teacher's tokens.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Ask a teacher elsewhere, whatever it costs.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to the teacher at once.")] = 4,
    piece_tokens: Annotated[int, typer.Option(min=16, help="Longer texts are asked about in pieces.")] = 512,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one answer.")] = 300.0,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="At which the teacher answers.")] = 0.3,
    settings: SettingsFile = None,
) -> int:
    """Ask a teacher to shorten texts by removing words; keep pairs of original and compressed text."""
    from elision.evaluation.reader import Endpoint
    from elision.training.distil import Plan
    from elision.training.pairs import read_texts

    endpoint = Endpoint(teacher, model, key_of("--key", key), concurrency, timeout)
    endpoint.check(("--teacher", "--model"))
    plan = Plan(
        texts=read_texts(data),
        teacher=endpoint,
        counter=counters_of(settings_of(settings, {})).counter_for(model),
        piece_tokens=piece_tokens,
        temperature=temperature,
        price=price_of(price),
        agreed=yes,
    )
    return _distil(plan, out)


def _distil(plan: "Plan", out: Path) -> int:
    from elision.evaluation.errors import PackageMissing, ReaderFailed
    from elision.evaluation.progress import bar
    from elision.training.distil import ANSWERS, PAIRS, distil

    try:
        figures = distil(plan, out, bar, lambda line: tell("note", line))
    except PackageMissing as error:
        return fail(EXIT_CANNOT_START, str(error))
    except ReaderFailed as error:
        return fail(EXIT_WRONG, str(error))
    except KeyboardInterrupt:
        return fail(EXIT_WRONG, f"stopped; the same command goes on, {out / ANSWERS} has what was answered")
    for line in figures.lines():
        typer.echo(line)
    if figures.kept:
        tell("note", f"pairs are in {out / PAIRS}; it and {ANSWERS} hold texts")
    return EXIT_WRONG if figures.unanswered or not figures.kept else 0


@app.command()
def llmlingua2(
    *,
    out: Out,
    pairs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON lines of `original` and `compressed`.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON lines of labelled words, in place of pairs.")
    ] = None,
    base: Annotated[
        str, typer.Option(metavar="DIR|packaged", help="Encoder to begin with; packaged: MiniLM's.")
    ] = "packaged",
    epochs: Epochs = 3,
    learning_rate: Rate = 1e-4,
    window: Window = 256,
    seed: Seed = 0,
    validate: Validate = 0.2,
    vr_percentile: Percentile = 90.0,
    ag_percentile: Percentile = 90.0,
    licence: Annotated[str, typer.Option(metavar="SPDX", help="Of the weights, for the manifest.")] = "",
    torch: Annotated[bool, typer.Option("--torch", help="Keep PyTorch's weights too, for a GPU.")] = False,
    settings: SettingsFile = None,
) -> int:
    """Train the classifier of `llmlingua2`: label, filter, split, train, export, measure."""
    from elision.training.base import named, resolve_base
    from elision.training.command import TRAINING, Wish
    from elision.training.trainer import TrainOptions

    threads = settings_of(settings, {}).compressor.threads or None
    options = TrainOptions(
        resolve_base(base),
        out / TRAINING,
        epochs=epochs,
        learning_rate=learning_rate,
        window=window,
        seed=seed,
        threads=threads,
    )
    percentiles = (vr_percentile, ag_percentile)
    return _train(Wish(out, options, pairs, labels, validate, percentiles, named(base), licence, torch))


def _train(wish: "Wish") -> int:
    from elision.training.command import MODEL, llmlingua2

    try:
        llmlingua2(wish, lambda line: tell("note", line))
    except KeyboardInterrupt:
        return fail(EXIT_WRONG, "stopped; the same command goes on from the last state that was saved")
    folder = wish.out / MODEL
    typer.echo(f"elision compress FILE --method llmlingua2 --option weights={folder}")
    tell("note", f"in a policy: use: {{method: llmlingua2, rate: 0.5, options: {{weights: {folder}}}}}")
    return 0


@app.command()
def align(
    *,
    target: Annotated[str, typer.Option(metavar="URL", help="Base URL of the model that prompts are for.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="The target's model.")],
    data: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines: instructions, as `text`.")],
    out: Out,
    base: Annotated[str, typer.Option(metavar="DIR|ID", help="Causal model to begin with.")] = "smollm2",
    key: Annotated[
        str, typer.Option(metavar="VARIABLE", help="Environment variable that holds the target's key.")
    ] = "",
    price: Annotated[
        str, typer.Option(metavar="PROMPT,COMPLETION", help="Of a million of the target's tokens.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Ask a target elsewhere, whatever it costs.")] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to the target at once.")] = 4,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one answer.")] = 300.0,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="At which the target answers.")] = 0.0,
    output_tokens: Annotated[int, typer.Option(min=1, help="Of an answer; longer ones are of no use.")] = 512,
    epochs: Epochs = 3,
    learning_rate: Rate = 2e-5,
    window: Window = 512,
    seed: Seed = 0,
    settings: SettingsFile = None,
) -> int:
    """Teach a small causal model to speak as the target does, for `llmlingua`'s methods."""
    from elision.evaluation.reader import Endpoint
    from elision.training.align import TRAINING
    from elision.training.align_trainer import AlignOptions
    from elision.training.distil import Plan
    from elision.training.pairs import read_texts

    endpoint = Endpoint(target, model, key_of("--key", key), concurrency, timeout)
    endpoint.check(("--target", "--model"))
    told = settings_of(settings, {})
    counter = counters_of(told).counter_for(model)
    plan = Plan(read_texts(data), endpoint, counter, 0, temperature, price_of(price), yes)
    options = AlignOptions(
        out / TRAINING,
        epochs=epochs,
        learning_rate=learning_rate,
        window=window,
        batch_tokens=max(2048, window),
        seed=seed,
        threads=told.compressor.threads or None,
    )
    return _align(plan, out, options, (data, base, output_tokens))


def _align(plan: "Plan", out: Path, options: "AlignOptions", asked: tuple[Path, str, int]) -> int:
    from elision.compressors.weights import resolve
    from elision.evaluation.errors import PackageMissing, ReaderFailed
    from elision.evaluation.progress import bar
    from elision.training.align import collect
    from elision.training.align_trainer import align as trained
    from elision.training.align_trainer import ticking

    source, told_base, output_tokens = asked
    base = resolve(told_base)
    try:
        outputs, figures = collect(
            plan, out, bar, lambda line: tell("note", line), output_tokens=output_tokens
        )
        for line in figures.lines():
            typer.echo(line)
        if figures.unanswered:
            told = "nothing was trained: a training is on all answers; run the same command again"
            return fail(EXIT_WRONG, f"{told}, or take out of {source} what is never answered")
        with bar("training", 1000) as tick:
            folder = trained(outputs, base, options, ticking(tick, 1000))
    except PackageMissing as error:
        return fail(EXIT_CANNOT_START, str(error))
    except ReaderFailed as error:
        return fail(EXIT_WRONG, str(error))
    except KeyboardInterrupt:
        return fail(EXIT_WRONG, "stopped; the same command goes on where it stopped")
    typer.echo(f"elision compress FILE --method llmlingua --option weights={folder}")
    tell("note", f"in a policy: use: {{method: llmlingua, rate: 0.5, options: {{weights: {folder}}}}}")
    return 0
