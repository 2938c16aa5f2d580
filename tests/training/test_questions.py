"""Words within answers are labelled, wherever they occur, as survival counts them; nothing else is."""

import json
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation.survival import survives
from elision.training.questions import answered, fairy_tales, natural_questions, pieces, spanned, squad_pieces
from elision.training.records import LabelledText

TEXT = "The Bank of the North opened in 1884, and the Bank of the North closed."


def kept(one: LabelledText | None) -> list[str]:
    assert one is not None
    return [one.text[a:b] for (a, b), label in zip(one.words, one.labels, strict=True) if label]


def test_every_occurrence_of_an_answer_is_kept() -> None:
    """Case and punctuation do not matter; articles have label 0, within an answer too."""
    one = answered(TEXT, ["bank of the north", "1884"], "handmade")
    assert kept(one) == ["Bank", "of", "North", "1884,", "Bank", "of", "North"]


def test_what_is_taught_is_what_survives() -> None:
    """The words of label 1 alone, put together, still hold the answer."""
    one = answered(TEXT, ["Bank of the North"], "handmade")
    assert survives(" ".join(kept(one)), TEXT, ["Bank of the North"]) == 1


def test_a_text_without_the_answer_teaches_nothing() -> None:
    """Its words would all be taught to be dropped, which nobody said."""
    assert answered(TEXT, ["Bank of the South", "", "the"], "handmade") is None
    assert spanned(TEXT, [], "handmade") is None


def test_ranges_label_the_words_they_touch() -> None:
    """A range within a word is that word's."""
    assert kept(spanned(TEXT, [(6, 10), (32, 33)], "handmade")) == ["Bank", "of", "1884,"]


def test_natural_questions_teach_by_passage_and_paragraph(tmp_path: Path) -> None:
    """Only the rows that may teach are read; a paragraph without the answer is left out."""
    row = {"question": "when", "answers": ["1884"], "ctxs": [{"title": "Bank", "text": TEXT}]}
    rows = [
        row | {"nq_annotated_gold": {"long_answer": "It opened in 1884."}},
        row | {"nq_annotated_gold": {"long_answer": "It opened."}},
        *[row] * 1398,
        row | {"answers": ["1884"], "ctxs": [{"title": "Bank", "text": "Never read: 1884."}]},
    ]
    file = tmp_path / "nq.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in rows))
    texts = [one.text for one in natural_questions(file)]
    assert len(texts) == 1401
    assert texts[:3] == [TEXT, "It opened in 1884.", TEXT]
    assert not any("Never" in text for text in texts)


def test_fairy_tales_teach_by_section(tmp_path: Path) -> None:
    """Answers belong to the section that they were asked about; those of several sections to none."""
    root = tmp_path / "data-by-train-split"
    for folder in ("questions/train", "section-stories/train"):
        (root / folder).mkdir(parents=True)
    (root / "section-stories/train/fox-story.csv").write_text(
        'section,text\n1,"A fox, red, ran."\n2,A red hen sat.\n'
    )
    (root / "questions/train/fox-questions.csv").write_text(
        "question_id,local-or-sum,cor_section,question,answer1,answer2\n"
        "1,local,1,Who?,a fox,\n2,local,2,What?,sat,hen\n3,summary,2,Colour?,red,\n"
    )
    first, second = fairy_tales(tmp_path)
    assert kept(first) == ["fox,"]
    assert kept(second) == ["hen", "sat."]
    with pytest.raises(ConfigError, match="no FairytaleQA"):
        fairy_tales(root)


def test_long_documents_teach_by_piece(tmp_path: Path) -> None:
    """Pieces without an answer are left out, and so are documents that are to measure."""
    sentence = "Nothing is said here at all about it. "
    text = sentence * 60 + "The fever lasted nine days. " + sentence * 60
    answer = {"text": "nine days", "answer_start": text.index("nine days")}
    paragraph = {"context": text, "qas": [{"id": 1, "question": "How long?", "answers": [answer]}]}
    file = tmp_path / "covid.json"
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": "", "qas": []}, paragraph]}]}))
    (one,) = squad_pieces(file, slice(1, None), "covid_qa")
    assert kept(one) == ["nine", "days."]
    assert len(one.text) <= 1800
    assert squad_pieces(file, slice(0, 1), "covid_qa") == []


def test_pieces_are_the_whole_text() -> None:
    """Nothing is lost between them, and none is longer than it may be."""
    text = "word " * 1000 + "End. " * 500
    ranges = list(pieces(text))
    assert "".join(text[a:b] for a, b in ranges) == text
    assert all(0 < b - a <= 1800 for a, b in ranges)
