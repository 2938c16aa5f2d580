"""Labels from what people ask about: words within answers are kept, all others dropped.

A prompt is shortened well if what somebody will ask about is still there, whole. So a word's label is
whether it stands in a right answer to a question about the text. Articles and signs without letters
have label 0: no measure of answers counts them, and a reader does without. This module owns the rule
and reads the data sets that it is made for; which sets, and how much of each, a recipe says
(`elision.training.embedded`).
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elision.compressors.units import Bounds, words
from elision.config.errors import ConfigError
from elision.evaluation import questions
from elision.evaluation.answers import words as answer_words
from elision.evaluation.files import read_json, read_rows, row, rows, text_of, texts_of
from elision.training.records import LabelledText

_NQ_TAUGHT = 1400
_LONGEST = 3000
_PIECE = 1800
_FAIRY_TALES = "data-by-train-split"
_FAIRY_ANSWERS = tuple(f"answer{number}" for number in range(1, 7))

Flags = NDArray[np.bool_]
Range = tuple[int, int]


def answered(text: str, answers: Sequence[str], source: str) -> LabelledText | None:
    """Label a text's words by whether they stand in an occurrence of an answer.

    An answer occurs where its normalised words follow one another, as `elision.evaluation.survival`
    has it, so that it is the same answer that is taught and that is counted.

    Returns: None if no answer occurs.
    """
    bounds = words(text)
    flags = _occurrences(text, bounds, answers)
    return _record(text, bounds, flags, source) if flags.any() else None


def spanned(text: str, spans: Sequence[Range], source: str) -> LabelledText | None:
    """Label a text's words by whether they share a character with a range; None if none does."""
    bounds = words(text)
    flags = np.zeros(len(bounds), np.bool_)
    for start, end in spans:
        flags |= (bounds[:, 0] < end) & (bounds[:, 1] > start)
    return _record(text, bounds, flags, source) if flags.any() else None


def natural_questions(file: Path) -> list[LabelledText]:
    """Read the questions that may teach: a passage each, and the paragraph it was taken from.

    Raises: ConfigError.
    """
    found: list[LabelledText | None] = []
    taught = questions.nq_open(file, "train")
    for item, one in zip(taught, read_rows(file)[:_NQ_TAUGHT], strict=True):
        found.append(answered(item.text, item.answers, "nq_open"))
        gold = one.get("nq_annotated_gold")
        long = row(gold, f"{file}: `nq_annotated_gold`").get("long_answer") if gold else None
        if isinstance(long, str) and long:
            found.append(answered(long[:_LONGEST], item.answers, "nq_open"))
    return [one for one in found if one is not None]


def fairy_tales(folder: Path) -> list[LabelledText]:
    """Read FairytaleQA's training split (Xu et al., arXiv:2203.13947): sections of stories.

    Args:
        folder: the repository's.
    Raises: ConfigError if it holds no such stories.
    """
    asked = sorted((folder / _FAIRY_TALES / "questions" / "train").glob("*-questions.csv"))
    if not asked:
        raise ConfigError([f"{folder}: no FairytaleQA: {_FAIRY_TALES}/questions/train is not there"])
    return [one for file in asked for one in _fairy_tale(file)]


def squad_pieces(file: Path, documents: slice, source: str) -> list[LabelledText]:
    """Read long documents in SQuAD's format, cut into pieces; those with an answer teach.

    Args:
        file: COVID-QA's, for instance.
        documents: which ones, in the file's order.
        source: the labels' name.
    Raises: ConfigError.
    """
    articles = rows(row(read_json(file), str(file)).get("data"), f"{file}: `data`")
    paragraphs = [
        one for article in articles for one in rows(article.get("paragraphs"), f"{file}: `paragraphs`")
    ]
    found: list[LabelledText | None] = []
    for paragraph in paragraphs[documents]:
        text = text_of(paragraph, "context", str(file))
        spans = sorted(set(_spans(paragraph.get("qas"), str(file))))
        for start, end in pieces(text):
            inside = [(a - start, b - start) for a, b in spans if a < end and b > start]
            found.append(spanned(text[start:end], inside, source))
    return [one for one in found if one is not None]


def pieces(text: str) -> Iterator[Range]:
    """Cut a text after sentences into ranges of some 900 to 1,800 characters."""
    start = 0
    while start < len(text):
        end = start + _PIECE
        if end < len(text):
            end = text.rfind(". ", start + _PIECE // 2, end) + 1 or end
        yield start, min(end, len(text))
        start = end


def _fairy_tale(asked: Path) -> Iterator[LabelledText]:
    story = asked.parents[2] / "section-stories" / "train" / asked.name.replace("-questions", "-story")
    answers: dict[str, list[str]] = {}
    for question in _table(asked):
        # Those about several sections are answered in none.
        if question.get("local-or-sum") == "local":
            given = [question.get(name) or "" for name in _FAIRY_ANSWERS]
            answers.setdefault(question.get("cor_section") or "", []).extend(filter(None, given))
    for section in _table(story):
        one = answered(
            section.get("text") or "", answers.get(section.get("section") or "", ()), "fairytaleqa"
        )
        if one is not None:
            yield one


def _table(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError([f"{file}: cannot be read: {error}"]) from error


def _spans(asked: object, where: str) -> Iterator[Range]:
    for question in rows(asked, f"{where}: `qas`"):
        for answer in rows(question.get("answers"), f"{where}: `answers`"):
            (text,), start = texts_of(answer, "text", where), answer.get("answer_start")
            if not isinstance(start, int):
                raise ConfigError([f"{where}: `answer_start` must be a whole number"])
            yield start, start + len(text)


def _occurrences(text: str, bounds: Bounds, answers: Sequence[str]) -> Flags:
    """Return (N,) which words stand in an occurrence of any of the answers."""
    read = [
        (at, word)
        for at, (start, end) in enumerate(bounds.tolist())
        for word in answer_words(text[start:end])
    ]
    flags = np.zeros(len(bounds), np.bool_)
    for wanted in {tuple(answer_words(answer)) for answer in answers} - {()}:
        for first in range(len(read) - len(wanted) + 1):
            if tuple(word for _, word in read[first : first + len(wanted)]) == wanted:
                flags[read[first][0] : read[first + len(wanted) - 1][0] + 1] = True
    return flags


def _record(text: str, bounds: Bounds, flags: Flags, source: str) -> LabelledText:
    ranges = [(int(start), int(end)) for start, end in bounds]
    labels = [
        float(flag and bool(answer_words(text[a:b]))) for flag, (a, b) in zip(flags, ranges, strict=True)
    ]
    return LabelledText(text, tuple(ranges), tuple(labels), source)
