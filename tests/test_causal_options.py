"""Every option of the methods that read with a causal model can be said in a policy file."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from elision.compressors.registry import option_defaults
from elision.proxy.cli import run

METHODS = ("selective_context", "llmlingua", "longllmlingua")
SENTENCES = {"use_sentence_level_filter": True}
# A value that is not the default's where there is another; what it needs beside it.
VALUES: Mapping[str, Mapping[str, object]] = {
    "weights": {},
    "precision": {"precision": "full"},
    "profile": {"profile": "compat"},
    "level": {"level": "token"},
    "reduce_level": {"reduce_level": "phrase"},
    "agg": {"agg": "sum", "level": "word"},
    "phrases": {"phrases": "rules", "level": "phrase"},
    "kv": {"kv": "fast", "iterative_size": 40},
    "iterative_size": {"iterative_size": 20},
    "rank_method": {"rank_method": "bm25"},
    "condition_in_question": {"condition_in_question": "before"},
    "condition_compare": {"condition_compare": False},
    "reorder_context": {"reorder_context": "two_stage"},
    "dynamic_context_compression_ratio": {"dynamic_context_compression_ratio": 0},
    "context_budget": {"context_budget": "+0"},
    "use_context_level_filter": {"use_context_level_filter": False},
    "use_token_level_filter": {"use_token_level_filter": False, "context_budget": "+0"},
    "use_sentence_level_filter": SENTENCES,
    "keep_first_sentence": {**SENTENCES, "keep_first_sentence": 2},
    "keep_last_sentence": {**SENTENCES, "keep_last_sentence": 2},
    "keep_sentence_number": {**SENTENCES, "keep_sentence_number": 1},
    "high_priority_bonus": {**SENTENCES, "keep_first_sentence": 2, "high_priority_bonus": 0.5},
    "token_budget_ratio": {**SENTENCES, "token_budget_ratio": 1.1},
    "keep_split": {"keep_split": True},
    "force_tokens": {"force_tokens": ["late", "."]},
    "force_reserve_digit": {"force_reserve_digit": True},
    "drop_consecutive": {"drop_consecutive": True, "force_tokens": ["."]},
}
CASES = [(method, option) for method in METHODS for option in sorted(option_defaults(method))]


def team_of(method: str, option: str) -> str:
    return f"{method}-{option}".replace("_", "-")


def write_policy(folder: Path, team: str, method: str, options: Mapping[str, object]) -> None:
    use = {"method": method, "rate": 0.5, "min_tokens": 50, "options": options}
    rules = [{"name": "documents", "when": {"segment": "context"}, "use": use}]
    # JSON is YAML.
    (folder / f"{team}.yaml").write_text(json.dumps({"deadline_s": 60, "rules": rules}))


def test_every_option_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`elision check` finds nothing wrong or unwise with any of them."""
    for method, option in CASES:
        options = {**VALUES[option], "weights": "/weights"}
        write_policy(tmp_path, team_of(method, option), method, options)
    assert run(["check", str(tmp_path), "--strict"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CASES)


def test_a_misspelled_option_is_told_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By file and line, each of them."""
    for method, option in CASES:
        write_policy(tmp_path, team_of(method, option), method, {f"{option[:-1]}{option[-1] * 2}x": 1})
    assert run(["check", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    for method, option in CASES:
        told = f"{method} has no option '{option[:-1]}{option[-1] * 2}x'; did you mean '{option}'?"
        [line] = [line for line in errors.splitlines() if f"/{team_of(method, option)}.yaml:" in line]
        assert line.endswith(told)
