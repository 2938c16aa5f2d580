"""What `elision eval` does: from a plan to tables and curves, in one folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from elision.compressors.registry import Resources
from elision.compressors.tokens import Counters
from elision.config.errors import ConfigError
from elision.evaluation.command import Wish, evaluate, targets_of
from elision.evaluation.methods import read_method
from elision.evaluation.model import Asked
from elision.evaluation.run import Plan
from fakes.evaluated import TEXTS, dataset

PLAN = Plan(
    (dataset(),),
    (read_method("full"), read_method("random")),
    (Asked(0.33), Asked(0.5)),
    model="gpt-4o",
    seed=3,
)


def test_a_run_leaves_tables_scores_and_curves(tmp_path: Path) -> None:
    """No text of the data is in what is meant to be shown."""
    wish = Wish(tmp_path / "out", "full", curves=True)
    told = evaluate(PLAN, Resources(Counters()), wish, lambda line: None)
    names = {file.name for file in wish.out.iterdir()}
    assert names == {
        "answers.jsonl",
        "outcomes.jsonl",
        "scores.jsonl",
        "table.json",
        "table.md",
        "tiny-test-survival.png",
    }
    assert "- seed: 3" in told
    assert "- tokens counted by: o200k_base" in told
    assert "Difference to `full`" in told
    shown = "".join((wish.out / name).read_text() for name in ("scores.jsonl", "table.json", "table.md"))
    assert not any(word in shown for text in TEXTS for word in text.split() if len(word) > 7)


def test_the_same_run_tells_the_same(tmp_path: Path) -> None:
    """But for seconds, which are those of the first time."""
    resources = Resources(Counters())
    first = evaluate(PLAN, resources, Wish(tmp_path, "full", curves=False), lambda line: None)
    assert evaluate(PLAN, resources, Wish(tmp_path, "full", curves=False), lambda line: None) == first


@pytest.mark.parametrize(
    ("plan", "baseline", "message"),
    [
        (PLAN, "lead", "--baseline: 'lead' is none of the methods: full, random"),
        (replace(PLAN, targets=()), "", "--rate: say how far"),
        (replace(PLAN, methods=(read_method("lead"),) * 2), "", "method 'lead' is named twice"),
        (replace(PLAN, datasets=(dataset(),) * 2), "", "data set 'tiny test' is named twice"),
    ],
)
def test_what_cannot_be_compared_is_refused_first(
    plan: Plan, baseline: str, message: str, tmp_path: Path
) -> None:
    """Before anything is shortened."""
    with pytest.raises(ConfigError, match=message):
        evaluate(
            plan, Resources(Counters()), Wish(tmp_path / "out", baseline, curves=False), lambda line: None
        )
    assert not (tmp_path / "out").exists()


def test_targets_are_read() -> None:
    """Shares, people's own, tokens."""
    assert targets_of(["0.5", "people"], [200]) == (Asked(0.5), Asked(as_people=True), Asked(tokens=200))
    for wrong in ("0", "1.5", "half", "nan"):
        with pytest.raises(ConfigError, match="--rate: must be above 0"):
            targets_of([wrong], [])
