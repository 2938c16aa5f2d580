"""The words of evaluation: items, forms, asked targets, scores. Frozen values; no I/O.

An *item* is one text with what is asked about it; a *form* says how a reader is asked and what is
measured; a *cell* is one data set, one method and one target, the mean over whose items is a line
of the table.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Measure = Callable[[str, "Item"], float | None]
"""From a shortened text or an answer, and its item, to 0..1; None where it does not apply."""


@dataclass(frozen=True, slots=True)
class Form:
    """How items of one kind are asked and measured.

    Attributes:
        template: the prompt, with `{text}` and `{question}`; empty where no reader is asked.
        on_text: measures of the shortened text, by the name of their column.
        on_answer: measures of the reader's answer, by the name of their column.
        answer_tokens: the longest answer that is waited for.
        tells_question: whether question-aware methods are told the question.
    """

    template: str = ""
    on_text: Mapping[str, Measure] | None = None
    on_answer: Mapping[str, Measure] | None = None
    answer_tokens: int = 32
    tells_question: bool = True


@dataclass(frozen=True, slots=True)
class Item:
    """One text and what is asked about it.

    Attributes:
        id: its name within the data set.
        group: what it shares with other items, a document for instance: items of one group are
            drawn together when intervals are made, because they are no independent evidence.
        text: what is shortened.
        form: how it is asked and measured.
        question: empty where there is none.
        answers: right answers, summaries, or people's own shortenings.
    """

    id: str
    group: str
    text: str
    form: Form
    question: str = ""
    answers: tuple[str, ...] = ()


def group_of(text: str) -> str:
    """Return a short name for the group of all items about one text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Asked:
    """How far a text is to be shortened: a share, a number of tokens, or as far as people did.

    All None or False: the method decides by itself, or there is nothing to decide.
    """

    rate: float | None = None
    tokens: int | None = None
    as_people: bool = False

    @property
    def label(self) -> str:
        if self.as_people:
            return "people"
        if self.tokens is not None:
            return f"{self.tokens} tokens"
        return "" if self.rate is None else f"{self.rate:g}"


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One data set, one method, one target."""

    dataset: str
    method: str
    target: str


@dataclass(frozen=True, slots=True)
class Score:
    """What became of one item in one cell. Holds no text.

    Attributes:
        cell: where it belongs.
        item: the item's id.
        group: the item's group.
        before: tokens of the text.
        after: tokens of what was made of it, counted anew.
        left: why the method left the text as it was; empty where it was shortened.
        values: measures by name; only those that apply to the item.
    """

    cell: Cell
    item: str
    group: str
    before: int
    after: int
    left: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Timing:
    """What shortening a cell's different texts took, without loading weights.

    Attributes:
        seconds: wall-clock time in the compressor.
        tokens: tokens of the texts that went in.
    """

    seconds: float
    tokens: int
