"""The papers' own sets are read from where a user has them, in their own formats."""

import json
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation import forms
from elision.evaluation.benchmark_sets import longbench, meetingbank, zeroscrolls


def test_a_longbench_row_says_how_it_is_asked(tmp_path: Path) -> None:
    """By the name of its set; sets without a form are refused by name."""
    row = {"dataset": "hotpotqa", "context": "text", "input": "q", "answers": ["a"], "length": 3}
    file = tmp_path / "hotpotqa.jsonl"
    file.write_text(json.dumps(row))
    [item] = longbench(file, "test")
    assert (item.form, item.question, item.answers) == (forms.SHORT_ANSWER, "q", ("a",))
    file.write_text(json.dumps({**row, "dataset": "gov_report", "input": ""}))
    [summary] = longbench(file, "test")
    assert (summary.form, summary.question) == (forms.SUMMARY, "Summarize the text.")
    file.write_text(json.dumps({**row, "dataset": "lcc"}))
    with pytest.raises(ConfigError, match="no form for 'lcc'"):
        longbench(file, "test")


def test_a_zeroscrolls_input_is_cut_at_its_own_indices(tmp_path: Path) -> None:
    """Instruction, document and query are one string there."""
    whole = "Do it.\nthe story\nWhat?\n"
    row = {
        "input": whole,
        "output": "this",
        "document_start_index": 7,
        "document_end_index": 16,
        "query_start_index": 17,
        "query_end_index": len(whole),
    }
    file = tmp_path / "qasper" / "validation.jsonl"
    file.parent.mkdir()
    file.write_text(json.dumps(row))
    [item] = zeroscrolls(file, "validation")
    assert (item.text, item.question, item.answers) == ("the story", "What?", ("this",))
    assert item.form is forms.SHORT_ANSWER
    file.write_text(json.dumps({**row, "query_end_index": None}))
    with pytest.raises(ConfigError, match="must be numbers"):
        zeroscrolls(file, "validation")


@pytest.mark.parametrize("keyed", [False, True])
def test_meetingbanks_questions_share_their_transcript(tmp_path: Path, keyed: bool) -> None:
    """A list of meetings, or an object of them by number."""
    meeting = {"idx": 0, "prompt": "said", "QA_pairs": [{"question": "q", "answer": "a"}] * 2}
    file = tmp_path / "test.json"
    file.write_text(json.dumps({"0": meeting} if keyed else [meeting]))
    first, second = meetingbank(file, "test")
    assert (first.text, first.question, first.answers) == ("said", "q", ("a",))
    assert first.group == second.group
