"""Long documents: every question is an item, every document a group."""

import json
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation import forms
from elision.evaluation.documents import l_eval, qmsum, squality


def write(folder: Path, *rows: object) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_a_meeting_is_its_turns(tmp_path: Path) -> None:
    """Speakers stand before what they said; general and specific queries are asked."""
    meeting = {
        "meeting_transcripts": [{"speaker": "A", "content": "hello"}, {"speaker": "B", "content": "yes"}],
        "general_query_list": [{"query": "Summarize", "answer": "They met."}],
        "specific_query_list": [{"query": "Who came?", "answer": "B", "relevant_text_span": [["0", "1"]]}],
    }
    first, second = qmsum(write(tmp_path, meeting), "val")
    assert first.text == "A: hello\nB: yes"
    assert (first.question, second.question, second.answers) == ("Summarize", "Who came?", ("B",))
    assert first.group == second.group
    assert first.id != second.id


def test_a_story_has_several_answers_to_each_question(tmp_path: Path) -> None:
    """All of them are references."""
    asked = {"question_text": "What?", "responses": [{"response_text": "one"}, {"response_text": "two"}]}
    [item] = squality(write(tmp_path, {"document": "story", "questions": [asked]}), "dev")
    assert (item.text, item.question, item.answers) == ("story", "What?", ("one", "two"))


def test_l_evals_documents_have_an_output_for_each_instruction(tmp_path: Path) -> None:
    """A row where they differ in number is refused rather than cut."""
    good = {"input": "text", "instructions": ["q1", "q2"], "outputs": ["A", "B"]}
    items = l_eval(forms.CHOICE)(write(tmp_path, good), "test")
    assert [(one.question, one.answers) for one in items] == [("q1", ("A",)), ("q2", ("B",))]
    assert all(one.form is forms.CHOICE for one in items)
    with pytest.raises(ConfigError, match=r":1: 2 `instructions`, 1 `outputs`"):
        l_eval(forms.CHOICE)(write(tmp_path, {**good, "outputs": ["A"]}), "test")
