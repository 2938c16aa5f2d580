"""Worked examples are what is shortened; the question is asked as it is."""

import gzip
import json
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation.forms import prompt_of
from elision.evaluation.worked import bbh, gsm8k


def test_gsm8k_is_asked_after_its_examples(tmp_path: Path) -> None:
    """Gold is what stands after ####."""
    (tmp_path / "cot_prompt_hardest.txt").write_text("Question: 1+1?\nThe answer is 2\n\n")
    row = {"question": "2+2?", "answer": "2+2=<<2+2=4>>4\n#### 4"}
    (tmp_path / "test.jsonl").write_text(json.dumps(row))
    [item] = gsm8k(tmp_path, "test")
    assert (item.question, item.answers, item.text) == ("2+2?", ("4",), "Question: 1+1?\nThe answer is 2")
    assert not item.form.tells_question
    assert prompt_of(item, "short") == "short\n\nQuestion: 2+2?\nLet's think step by step\n"


def test_a_row_without_a_result_is_refused(tmp_path: Path) -> None:
    """Nothing could be compared with."""
    (tmp_path / "cot_prompt_hardest.txt").write_text("x")
    (tmp_path / "test.jsonl").write_text(json.dumps({"question": "q", "answer": "4"}))
    with pytest.raises(ConfigError, match="ends without ####"):
        gsm8k(tmp_path, "test")


def test_each_task_of_bbh_has_its_own_examples(tmp_path: Path) -> None:
    """The note to gatherers of training data stays outside the prompt."""
    for task in ("a_task", "b_task"):
        content = json.dumps({"canary": "x", "examples": [{"input": f"in {task}", "target": "(A)"}]})
        (tmp_path / f"bbh_{task}.json.gz").write_bytes(gzip.compress(content.encode()))
        (tmp_path / f"cot-prompts_{task}.txt").write_text(f"a note\n-----\nexamples of {task}\n")
    found = bbh(tmp_path, "test")
    assert [(one.id, one.text, one.question) for one in found] == [
        ("a_task.1", "examples of a_task", "in a_task"),
        ("b_task.1", "examples of b_task", "in b_task"),
    ]
    with pytest.raises(ConfigError, match="no bbh_"):
        bbh(tmp_path / "none", "test")
