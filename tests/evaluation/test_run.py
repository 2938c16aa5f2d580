"""A whole run, tiny: shorten, read over a socket, score; stop and go on."""

from dataclasses import replace
from pathlib import Path

import pytest

from elision.compressors.registry import Resources
from elision.compressors.tokens import Counters
from elision.config.errors import ConfigError
from elision.evaluation.errors import ReaderFailed
from elision.evaluation.methods import read_method
from elision.evaluation.model import Asked, Cell
from elision.evaluation.reader import Endpoint
from elision.evaluation.run import Plan, Result, run
from fakes.evaluated import dataset, no_bar
from fakes.reader import reading

METHODS = tuple(map(read_method, ("full", "none", "random", "lead")))
PLAN = Plan((dataset(),), METHODS, (Asked(0.33), Asked(0.5)), model="gpt-4o")


@pytest.fixture(scope="module")
def resources() -> Resources:
    return Resources(Counters())


def carry_out(plan: Plan, resources: Resources, out: Path) -> tuple[Result, list[str]]:
    said: list[str] = []
    return run(plan, resources, out, no_bar, said.append), said


def say_the_answer(prompt: str) -> str:
    """Answer rightly whatever the text still holds."""
    text, _, question = prompt.rpartition("Question:")
    known = {"Who built": "Ada Holm", "When was": "1874", "Who buys": "the bishop"}
    [right] = [answer for start, answer in known.items() if start in question]
    return right if right in text else "unknown"


def endpoint(url: str) -> Endpoint:
    return Endpoint(url, "tiny", pause_s=0.01, timeout_s=10.0, tries=2)


def test_each_cell_has_each_item(tmp_path: Path, resources: Resources) -> None:
    """Methods without a target have one cell, the others one for each."""
    result, said = carry_out(PLAN, resources, tmp_path)
    cells = list(dict.fromkeys(score.cell for score in result.scores))
    assert [(cell.method, cell.target) for cell in cells] == [
        ("full", ""),
        ("none", ""),
        ("random", "0.33"),
        ("random", "0.5"),
        ("lead", "0.33"),
        ("lead", "0.5"),
    ]
    assert len(result.scores) == 6 * 3
    by_cell = {cell: [score for score in result.scores if score.cell == cell] for cell in cells}
    assert [score.values for score in by_cell[cells[0]]] == [{"survival": 1.0}] * 3
    assert [score.values for score in by_cell[cells[1]]] == [{"survival": 0.0}] * 3
    for score in by_cell[Cell("tiny test", "random", "0.5")]:
        assert 0.3 * score.before < score.after <= 0.5 * score.before
        assert score.left == ""
    assert said == []


def test_a_reader_is_asked_and_judged(tmp_path: Path, resources: Resources) -> None:
    """With the text it knows, without it it does not; nobody is asked for what was answered."""
    with reading(say_the_answer) as reader:
        plan = replace(PLAN, endpoint=endpoint(reader.url))
        result, _ = carry_out(plan, resources, tmp_path)
        asked = len(reader.asked)
        assert asked == len(set(reader.prompts))
        again, _ = carry_out(plan, resources, tmp_path)
        assert len(reader.asked) == asked
    assert again == result
    by_method = {
        method: [score.values["em"] for score in result.scores if score.cell.method == method]
        for method in ("full", "none")
    }
    assert by_method == {"full": [1.0] * 3, "none": [0.0] * 3}
    # Without its article the answer survives, but this reader does not recognise it.
    assert all(score.values["em"] <= score.values["survival"] for score in result.scores)
    assert any(0 < score.after < score.before and score.values["em"] for score in result.scores)


def test_a_stopped_run_goes_on(tmp_path: Path, resources: Resources) -> None:
    """What was answered before the reader failed is not asked again."""
    with reading(say_the_answer, [200, 200, 400]) as reader:
        plan = replace(PLAN, endpoint=replace(endpoint(reader.url), at_once=1))
        with pytest.raises(ReaderFailed, match="status 400"):
            carry_out(plan, resources, tmp_path)
        carry_out(plan, resources, tmp_path)
        refused = reader.prompts[2]
        assert sorted(set(reader.prompts)) == sorted([*reader.prompts[:2], *reader.prompts[3:]])
        assert reader.prompts.count(refused) == 2


def test_a_reader_elsewhere_is_asked_only_if_agreed(tmp_path: Path, resources: Resources) -> None:
    """What it would cost is said first; nothing is sent."""
    plan = replace(PLAN, endpoint=Endpoint("https://reader.invalid/v1", "big"))
    said: list[str] = []
    with pytest.raises(ConfigError, match="--yes"):
        run(plan, resources, tmp_path, no_bar, said.append)
    assert len(said) == 1
    assert "requests, about" in said[0]
    assert (tmp_path / "answers.jsonl").read_text() == ""


def test_people_s_own_rate_is_for_people_s_shortenings(tmp_path: Path, resources: Resources) -> None:
    """Elsewhere there is none to follow."""
    plan = replace(PLAN, targets=(Asked(as_people=True),))
    with pytest.raises(ConfigError, match="--rate people"):
        carry_out(plan, resources, tmp_path)
