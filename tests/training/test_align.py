"""A target is asked each instruction once; its answers become outputs, and the rest is told."""

import json
from pathlib import Path

import pytest

from elision.compressors.tokens import Counters
from elision.config.errors import ConfigError
from elision.evaluation.errors import ReaderFailed
from elision.evaluation.reader import Endpoint
from elision.training.align import FIGURES, OUTPUTS, Output, collect
from elision.training.distil import Plan
from elision.training.pairs import Text
from fakes.evaluated import no_bar
from fakes.reader import reading

INSTRUCTIONS = [
    Text(f"t{at}", f"Name a town that begins with {letter}.") for at, letter in enumerate("abcdef")
]


def answer(prompt: str) -> str | None:
    return "" if "with e" in prompt else None if "with f" in prompt else prompt.upper()


def plan(url: str, *texts: Text, agreed: bool = False) -> Plan:
    target = Endpoint(url, "tiny", pause_s=0.01, timeout_s=10.0, tries=2, at_once=2)
    counter = Counters().counter_for("gpt-4o")
    return Plan(texts or INSTRUCTIONS, target, counter, temperature=0.0, agreed=agreed)


def test_answers_become_outputs_and_are_asked_for_once(tmp_path: Path) -> None:
    """Instructions go out as they are, equal ones once; a second run asks for what is missing only."""
    said: list[str] = []
    with reading(answer) as server:
        first, figures = collect(
            plan(server.url, *INSTRUCTIONS[:3], INSTRUCTIONS[0]), tmp_path, no_bar, said.append
        )
        assert sorted(server.prompts) == sorted(one.text for one in INSTRUCTIONS[:3])
        assert (figures.instructions, figures.asked, figures.kept) == (3, 3, 3)
        outputs, figures = collect(plan(server.url), tmp_path, no_bar, said.append)
    assert first == outputs[:3]
    assert outputs == [Output(one.text, one.text.upper()) for one in INSTRUCTIONS[:4]]
    assert figures.asked == 3
    assert figures.unusable == {"the answer is empty": 1}
    assert figures.unanswered == {"no chat completion": 1}
    rows = [json.loads(line) for line in (tmp_path / OUTPUTS).read_text().splitlines()]
    assert [Output(**row) for row in rows] == outputs
    assert json.loads((tmp_path / FIGURES).read_text())["kept"] == 4
    assert "6 instructions; asked 3; outputs: 4" in list(figures.lines())
    assert "requests" in said[0]


def test_a_target_elsewhere_needs_a_yes(tmp_path: Path) -> None:
    """Nothing leaves the machine before."""
    with pytest.raises(ConfigError, match="--yes"):
        collect(plan("http://198.51.100.7:1/v1"), tmp_path, no_bar, lambda _: None)
    assert not (tmp_path / OUTPUTS).exists()


def test_a_refusal_ends_the_run(tmp_path: Path) -> None:
    """A wrong key is wrong for every instruction."""
    with reading(answer, statuses=[401] * 6) as server, pytest.raises(ReaderFailed):
        collect(plan(server.url), tmp_path, no_bar, lambda _: None)
