"""The driver speaks lines of JSON with whoever started it, and asks the package as it must be asked."""

import json
import subprocess
import sys
from pathlib import Path

import elision.evaluation
from fakes.llmlingua import package

DRIVER = Path(elision.evaluation.__file__).with_name("llmlingua_driver.py")


def answers(folder: Path, *requests: dict[str, object]) -> list[str]:
    lines = "".join(json.dumps(one) + "\n" for one in requests)
    done = subprocess.run(
        [sys.executable, "-P", DRIVER, "a-model"],
        input=lines,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(package(folder))},
        check=True,
        timeout=60,
    )
    return [json.loads(line)["text"] for line in done.stdout.splitlines()]


def test_each_request_has_its_answer(tmp_path: Path) -> None:
    """In order; what the package prints is not taken for one."""
    told = answers(tmp_path, {"text": "one two three", "rate": 0.5}, {"text": "four", "rate": 0.2})
    assert told == ["a-model cpu 0.5 3: one two three", "a-model cpu 0.2 1: four"]


def test_short_texts_are_one_step(tmp_path: Path) -> None:
    """The package leaves texts alone that are shorter than a step; longer ones have its default."""
    long, empty = "word " * 300, ""
    told = answers(tmp_path, {"text": long, "rate": 0.5}, {"text": empty, "rate": 0.5})
    assert [one.split(":")[0].split()[-1] for one in told] == ["200", "1"]
