"""The commands about prepared models: `elision models`, `elision models add ID|PATH`.

This module owns their flags, the table and the progress bar; what a model is and where it lies is
`elision.compressors.checkpoints`' to know. Nothing is fetched unless `add` is told to.
"""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from elision.proxy.commands import EXIT_WRONG, SettingsFile, fail, settings_of

if TYPE_CHECKING:
    from pathlib import Path

    from elision.compressors.checkpoints import Prepared, Store

_MEGABYTE = 1_000_000

app = typer.Typer(
    help="List prepared models, or prepare one ahead of time.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def models(
    context: typer.Context,
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every file with its SHA-256.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Show JSON.")] = False,
    settings: SettingsFile = None,
) -> int:
    """List the models that have been prepared on this machine."""
    if context.invoked_subcommand is not None:
        return 0
    store = _store(settings)
    found = store.prepared()
    problems = [problem for model in found for problem in store.verify(model)] if verify else []
    if as_json:
        typer.echo(json.dumps([_row(model) for model in found], ensure_ascii=False, indent=2))
    else:
        _print_models(found, store)
    return fail(EXIT_WRONG, *problems) if problems else 0


@app.command()
def add(
    source: Annotated[
        str, typer.Argument(metavar="ID|PATH", help="Hugging Face id, or a checkpoint's folder.")
    ],
    *,
    torch: Annotated[
        bool, typer.Option("--torch", help="Keep the original weights too, for PyTorch on a GPU.")
    ] = False,
    settings: SettingsFile = None,
) -> int:
    """Fetch a checkpoint if need be, check its sums, convert it for ONNX Runtime, in int8."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from elision.compressors.checkpoints import STEPS

    store = _store(settings)
    columns = (TextColumn("{task.description:9}"), BarColumn(), TimeElapsedColumn())
    # Fetching shows the hub's own bars; ours begins when there is nothing else on the screen.
    bar = Progress(*columns, console=Console(file=sys.stderr), disable=not sys.stderr.isatty())
    task = bar.add_task("", total=len(STEPS))

    def tell(step: str) -> None:
        if step != STEPS[0]:
            bar.start()
        bar.update(task, description=step, completed=STEPS.index(step))

    try:
        model, fresh = store.add(source, torch=torch, tell=tell)
        bar.update(task, description="done", completed=len(STEPS))
    finally:
        bar.stop()
    state = "prepared" if fresh else "already prepared"
    typer.echo(f"{model.name}: {state}, {model.size / _MEGABYTE:.0f} MB; in a policy: weights: {model.name}")
    return 0


def _store(settings: "Path | None") -> "Store":
    from elision.compressors.checkpoints import Store

    return Store(settings_of(settings, {}).compressor.cache_dir)


def _row(model: "Prepared") -> dict[str, object]:
    return {
        "name": model.name,
        "source": model.source,
        "revision": model.revision,
        "licence": model.licence,
        "family": model.family.value,
        "labels": model.labels,
        "max_tokens": model.max_tokens,
        "engines": list(model.engines),
        "bytes": model.size,
        "sha256": {name: file.sha256 for name, file in sorted(model.files.items())},
    }


def _print_models(found: "list[Prepared]", store: "Store") -> None:
    from elision.proxy import terminal

    if not found:
        typer.echo(f"no models in {store.root}; prepare one: elision models add ID|PATH")
        return
    rows = [
        (
            model.name,
            model.family.value,
            ", ".join(model.engines),
            str(model.max_tokens),
            f"{model.size / _MEGABYTE:.1f} MB",
            model.licence or "not stated",
            model.revision[:12] or model.source,
        )
        for model in found
    ]
    columns = ("name", "family", "engines", "reads tokens", "size", "licence", "from")
    terminal.print_table(columns, rows, sys.stdout)
