"""Data sets of long documents: meetings (QMSum), stories (SQuALITY), L-Eval.

Loaders only: a path and a split in, items out. A document's questions form one group.
"""

from collections.abc import Callable
from pathlib import Path

from elision.config.errors import ConfigError
from elision.evaluation import forms
from elision.evaluation.files import read_rows, rows, text_of, texts_of
from elision.evaluation.model import Form, Item

Loader = Callable[[Path, str], list[Item]]


def qmsum(file: Path, split: str) -> list[Item]:
    """Read QMSum's meetings and what was asked about them (Zhong et al., arXiv:2104.05938).

    Raises: ConfigError.
    """
    items: list[Item] = []
    for at, meeting in enumerate(read_rows(file), 1):
        where = f"{file}:{at}"
        turns = rows(meeting.get("meeting_transcripts"), f"{where}: `meeting_transcripts`")
        said = [f"{text_of(turn, 'speaker', where)}: {text_of(turn, 'content', where)}" for turn in turns]
        text = "\n".join(said)
        for kind in ("general_query_list", "specific_query_list"):
            for asked in rows(meeting.get(kind), f"{where}: `{kind}`"):
                question, answer = text_of(asked, "query", where), text_of(asked, "answer", where)
                name = f"{at}.{len(items)}"
                items.append(Item(name, str(at), text, forms.SUMMARY, question, (answer,)))
    return items


def squality(file: Path, split: str) -> list[Item]:
    """Read SQuALITY's stories and questions, each with several answers (arXiv:2205.11465).

    Raises: ConfigError.
    """
    items: list[Item] = []
    for at, story in enumerate(read_rows(file), 1):
        where = f"{file}:{at}"
        text = text_of(story, "document", where)
        for number, asked in enumerate(rows(story.get("questions"), f"{where}: `questions`"), 1):
            told = rows(asked.get("responses"), f"{where}: `responses`")
            answers = tuple(text_of(one, "response_text", where) for one in told)
            question = text_of(asked, "question_text", where)
            items.append(Item(f"{at}.{number}", str(at), text, forms.SUMMARY, question, answers))
    return items


def l_eval(form: Form) -> Loader:
    """Return a loader of one of L-Eval's sets (An et al., arXiv:2307.11088): documents, each with
    `instructions` and as many `outputs`.
    """

    def load(file: Path, split: str) -> list[Item]:
        items: list[Item] = []
        for at, document in enumerate(read_rows(file), 1):
            where = f"{file}:{at}"
            text = text_of(document, "input", where)
            asked, outputs = texts_of(document, "instructions", where), texts_of(document, "outputs", where)
            if len(asked) != len(outputs):
                raise ConfigError([f"{where}: {len(asked)} `instructions`, {len(outputs)} `outputs`"])
            for number, (question, answer) in enumerate(zip(asked, outputs, strict=True), 1):
                items.append(Item(f"{at}.{number}", str(at), text, form, question, (answer,)))
        return items

    return load
