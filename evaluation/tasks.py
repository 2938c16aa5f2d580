"""Which data sets there are, where their files lie, and which items of a split are taken.

A data set is a row of the table below, named on the command line as `name`, which looks for its
file below the data folder, or `name=PATH`. This module owns the table; loaders know the formats.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from elision.compressors.errors import nearest
from elision.config.errors import ConfigError
from elision.evaluation import benchmark_sets, deletions, documents, forms, questions, worked
from elision.evaluation.model import Item

T = TypeVar("T")

_OF_MANY_FILES = frozenset(("longbench", "squad"))
"""Formats in which there are several sets, each called after its file."""


@dataclass(frozen=True, slots=True)
class Task:
    """A data set.

    Attributes:
        load: reads a file or folder.
        splits: the first is taken where none is named.
        file: where it lies below the data folder, with `{split}`; empty: only `name=PATH`.
        published: under which name papers' figures are kept; empty: none.
    """

    load: Callable[[Path, str], list[Item]]
    splits: tuple[str, ...] = ("test",)
    file: str = ""
    published: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that was read.

    Attributes:
        name: in the table, with its split.
        items: in their order.
        published: under which name papers' figures are kept; empty: none.
    """

    name: str
    items: tuple[Item, ...]
    published: str


def tasks() -> dict[str, Task]:
    """Return every data set by name."""
    long = "long_documents/{}.jsonl"
    return {
        "nq_open": Task(questions.nq_open, ("test", "dev", "train"), "nq_open/oracle_passages.jsonl"),
        "cmrc": Task(questions.cmrc, ("dev",), "chinese_qa/cmrc2018_dev.json"),
        "squad": Task(questions.squad, ("dev",)),
        "qmsum": Task(documents.qmsum, ("val",), "meetings/qmsum_{split}.jsonl"),
        "squality": Task(documents.squality, ("dev", "train"), "stories/squality_{split}.jsonl"),
        "coursera": Task(documents.l_eval(forms.CHOICE), file=long.format("coursera")),
        "tpo": Task(documents.l_eval(forms.CHOICE), file=long.format("tpo")),
        "topics": Task(documents.l_eval(forms.SHORT_ANSWER), file=long.format("topic_retrieval_longchat")),
        "financial_qa": Task(documents.l_eval(forms.FREE_ANSWER), file=long.format("financial_qa")),
        "legal_qa": Task(documents.l_eval(forms.FREE_ANSWER), file=long.format("legal_contract_qa")),
        "scientific_qa": Task(documents.l_eval(forms.FREE_ANSWER), file=long.format("scientific_qa")),
        "meeting_summ": Task(documents.l_eval(forms.SUMMARY), file=long.format("meeting_summ")),
        "gov_report": Task(documents.l_eval(forms.SUMMARY), file=long.format("gov_report_summ")),
        "broadcast": Task(deletions.shortened, file="sentence_compression/broadcast.jsonl"),
        "bnc": Task(deletions.shortened, file="sentence_compression/bnc.jsonl"),
        "gsm8k": Task(worked.gsm8k, ("test", "train"), "gsm8k", "gsm8k"),
        "bbh": Task(worked.bbh, file="bbh", published="bbh"),
        "longbench": Task(benchmark_sets.longbench, published="longbench"),
        "meetingbank": Task(benchmark_sets.meetingbank, published="meetingbank"),
        "zeroscrolls": Task(benchmark_sets.zeroscrolls, ("validation",), published="zeroscrolls"),
        "own": Task(questions.own),
    }


def read_dataset(written: str, data: Path, split: str | None, limit: int | None) -> Dataset:
    """Read a data set as the command line names it.

    Args:
        written: `name` or `name=PATH`.
        data: the folder below which files are looked for.
        split: None for each set's first.
        limit: at most so many items, evenly spread over the split.
    Raises: ConfigError if there is no such set, split or file, or a file is not what it should be.
    """
    name, _, path = written.partition("=")
    known = tasks()
    if name not in known:
        raise ConfigError([f"no data set {name!r}{nearest(name, known)}"])
    task = known[name]
    part = task.splits[0] if split is None else split
    if part not in task.splits:
        raise ConfigError([f"--split: {name} has no {part!r}; known: {', '.join(task.splits)}"])
    if not (path or task.file):
        raise ConfigError([f"{name}: say where its file lies: {name}=PATH"])
    file = Path(path) if path else data / task.file.format(split=part)
    items = task.load(file, part)
    if not items:
        raise ConfigError([f"{file}: no items of {name}, split {part}"])
    label = f"{name} {file.name.split('.')[0]}" if path and name in _OF_MANY_FILES else f"{name} {part}"
    return Dataset(label, tuple(spread(items, limit)), task.published)


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """Return at most `limit` items, evenly spread, in their order."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[at * len(items) // limit] for at in range(limit)]
