"""Progress on standard error, where a person looks at it; nothing where it is a file or a pipe."""

from collections.abc import Iterator
from contextlib import contextmanager

from elision.evaluation.compression import Tick


@contextmanager
def bar(title: str, total: int) -> Iterator[Tick]:
    """Show how much of `total` is done; yield what is told of more."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda more: progress.advance(task, more)
