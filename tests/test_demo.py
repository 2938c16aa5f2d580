"""The demo does what the README says it does, with everything real: two servers, a model, a client."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from elision.compressors.registry import DEFAULT_METHOD, method_names
from elision.proxy.policy_source import load_policies

DEMO = Path(__file__).parent.parent / "docs/examples/demo/demo.py"


def test_the_demo_shortens_by_the_default_method() -> None:
    """Its policy names none, though it gives options."""
    policy = load_policies(DEMO.parent / "policies", method_names()).for_team("")
    assert policy is not None
    [rule] = policy.rules
    assert (rule.use.method, dict(rule.use.options)) == (DEFAULT_METHOD, {"level": "sentence"})
    assert "method:" not in (DEMO.parent / "policies/default.yaml").read_text(encoding="utf-8")


@pytest.mark.real_model
def test_the_demo_answers_rightly_on_fewer_tokens_and_again_from_the_cache(tmp_path: Path) -> None:
    """Both answers are right, the compressed prompt is shorter, the repeated one is the same bytes."""
    # Folders that the demo makes end with it; the converted weights are the user's own.
    environ = {**os.environ, "TMPDIR": str(tmp_path), "COLUMNS": "120", "NO_COLOR": "1"}
    command = [sys.executable, str(DEMO), "--once", "--port", "0"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=290)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = re.findall(r"^ *(directly|through Elision|the same again)  (.*)$", done.stdout, re.MULTILINE)
    assert [how for how, answer in answers if "167" in answer] == [
        "directly",
        "through Elision",
        "the same again",
    ]
    figures = re.search(r"prompt tokens +([\d,]+) +([\d,]+) +([\d,]+)", done.stdout)
    assert figures is not None
    direct, through, again = (int(figure.replace(",", "")) for figure in figures.groups())
    assert again == through < 0.7 * direct
    assert "x-elision-cache: replay" in done.stdout
    assert "same bytes both times: yes" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("elision")] == []
