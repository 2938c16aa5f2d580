"""Methods are named as on the command line, and wrong names are refused before anything loads."""

import re
from pathlib import Path

import pytest

from elision.compressors.base import Method, Target
from elision.compressors.errors import BadOption, UnknownMethod, WeightsMissing
from elision.compressors.registry import Resources
from elision.compressors.tokens import Counters
from elision.evaluation.methods import opened, read_method


def test_a_name_may_carry_options() -> None:
    """Values are read as YAML reads them; the label is what was written."""
    written = "selective_context:level=word,force_reserve_digit=true"
    chosen = read_method(written)
    assert chosen.label == written
    assert chosen.method == Method("selective_context", (("force_reserve_digit", True), ("level", "word")))
    assert chosen.needs_target
    assert chosen.limit is None
    assert read_method("embedded:level=sentence").method == Method("embedded", (("level", "sentence"),))


def test_a_slow_method_may_take_a_part_of_each_set() -> None:
    """The table says so: it is part of the label."""
    chosen = read_method("selective_context:level=word@60")
    assert chosen.label == "selective_context:level=word@60"
    assert chosen.method == Method("selective_context", (("level", "word"),))
    assert chosen.limit == 60
    with pytest.raises(BadOption, match="@ is followed by how many"):
        read_method("lead@0")


@pytest.mark.parametrize(
    ("name", "needs"),
    [("full", False), ("none", False), ("lossless", False), ("lead", True), ("llmlingua_reference", True)],
)
def test_methods_without_a_target_are_known(name: str, needs: bool) -> None:
    """They have one line in the table, not one for each rate."""
    assert read_method(name).needs_target is needs


def test_wrong_names_and_options_are_refused() -> None:
    """The message names what was meant."""
    with pytest.raises(UnknownMethod, match="did you mean 'random'"):
        read_method("randm")
    with pytest.raises(BadOption, match="takes no options"):
        read_method("random:seed=3")
    with pytest.raises(BadOption, match="no option"):
        read_method("selective_context:levl=word")
    with pytest.raises(BadOption, match="NAME=VALUE"):
        read_method("selective_context:word")
    with pytest.raises(BadOption, match=r"cannot be 'sentense'.*did you mean 'sentence'"):
        read_method("embedded:level=sentense")
    with pytest.raises(BadOption, match="takes python=PATH and weights=MODEL"):
        read_method("llmlingua_reference:level=word")


@pytest.mark.parametrize("name", ["random", "lossless"])
def test_baselines_and_methods_are_made_alike(name: str) -> None:
    """Whoever compares them need not know which is which."""
    with opened(read_method(name), Resources(Counters()), 0, ["a corpus"]) as compressor:
        [outcome] = compressor.compress(["{ }"], [Target(protect=())])
        assert outcome.method == name
        assert compressor.fingerprint


def test_the_reference_says_what_to_install(tmp_path: Path) -> None:
    """Where it is not there, and before anything is shortened."""
    chosen = read_method(f"llmlingua_reference:python={tmp_path}/bin/python")
    told = f"python3 -m venv {tmp_path} && {tmp_path}/bin/pip install llmlingua==0.2.2"
    with pytest.raises(WeightsMissing, match=re.escape(told)):
        opened(chosen, Resources(Counters()), 0, []).__enter__()
