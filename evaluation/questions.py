"""Data sets of short questions about one passage: Natural Questions, SQuAD's format, one's own.

Loaders only: a path and a split in, items out. Nothing of the data is in the repository.
"""

from pathlib import Path

from elision.config.errors import ConfigError
from elision.evaluation import forms
from elision.evaluation.files import Row, read_json, read_rows, row, rows, text_of, texts_of
from elision.evaluation.model import Form, Item, group_of

# Of the 2,000 rows; fixed before anything was trained, so that what evaluates never trains.
_NQ_SPLITS = {"train": slice(0, 1400), "dev": slice(1400, 1700), "test": slice(1700, 2000)}


def nq_open(file: Path, split: str) -> list[Item]:
    """Read Natural Questions with a gold passage each (rows of `question`, `answers`, `ctxs`).

    Raises: ConfigError.
    """
    items: list[Item] = []
    found = list(enumerate(read_rows(file)))[_NQ_SPLITS[split]]
    for at, one in found:
        where = f"{file}:{at + 1}"
        passages = rows(one.get("ctxs"), f"{where}: `ctxs`")
        if not passages:
            raise ConfigError([f"{where}: `ctxs` is empty"])
        text = text_of(passages[0], "text", where)
        question, answers = text_of(one, "question", where), texts_of(one, "answers", where)
        # Some passages are asked about twice.
        items.append(Item(str(at), group_of(text), text, forms.SHORT_ANSWER, question, answers))
    return items


def squad(file: Path, split: str) -> list[Item]:
    """Read a file in SQuAD's format, in English. Raises: ConfigError."""
    return _squad(file, forms.SHORT_ANSWER)


def cmrc(file: Path, split: str) -> list[Item]:
    """Read CMRC 2018, which has SQuAD's format, in Chinese. Raises: ConfigError."""
    return _squad(file, forms.CHINESE_ANSWER)


def own(file: Path, split: str) -> list[Item]:
    """Read one's own traffic: JSON lines of `text`, `question`, `answers`, and at will `id`, `group`.

    Without answers a text is shortened, counted and timed, and nothing is measured.
    Raises: ConfigError.
    """
    items: list[Item] = []
    for at, one in enumerate(read_rows(file), 1):
        where = f"{file}:{at}"
        text = text_of(one, "text", where)
        answers = texts_of(one, "answers", where) if "answers" in one else ()
        question = text_of(one, "question", where) if "question" in one else ""
        name, group = str(one.get("id", at)), str(one.get("group", group_of(text)))
        items.append(Item(name, group, text, forms.SHORT_ANSWER, question, answers))
    return items


def _squad(file: Path, form: Form) -> list[Item]:
    items: list[Item] = []
    articles = rows(row(read_json(file), str(file)).get("data"), f"{file}: `data`")
    for article in articles:
        for paragraph in rows(article.get("paragraphs"), f"{file}: `paragraphs`"):
            text = text_of(paragraph, "context", str(file))
            for asked in rows(paragraph.get("qas"), f"{file}: `qas`"):
                name = str(asked.get("id", len(items)))
                question = text_of(asked, "question", f"{file}: {name}")
                items.append(
                    Item(name, group_of(text), text, form, question, _golds(asked, f"{file}: {name}"))
                )
    return items


def _golds(asked: Row, where: str) -> tuple[str, ...]:
    golds = rows(asked.get("answers"), f"{where}: `answers`")
    return tuple(dict.fromkeys(text_of(gold, "text", where) for gold in golds))
