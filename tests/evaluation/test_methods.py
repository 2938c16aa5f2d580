"""Methods are named as on the command line, and wrong names are refused before anything loads."""

import pytest

from elision.compressors.base import Method, Target
from elision.compressors.errors import BadOption, UnknownMethod
from elision.compressors.registry import Resources
from elision.compressors.tokens import Counters
from elision.evaluation.methods import make, read_method


def test_a_name_may_carry_options() -> None:
    """Values are read as YAML reads them; the label is what was written."""
    written = "selective_context:level=word,force_reserve_digit=true"
    chosen = read_method(written)
    assert chosen.label == written
    assert chosen.method == Method("selective_context", (("force_reserve_digit", True), ("level", "word")))
    assert chosen.needs_target
    assert not chosen.is_baseline


@pytest.mark.parametrize(
    ("name", "needs"), [("full", False), ("none", False), ("lossless", False), ("lead", True)]
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


@pytest.mark.parametrize("name", ["random", "lossless"])
def test_baselines_and_methods_are_made_alike(name: str) -> None:
    """Whoever compares them need not know which is which."""
    compressor = make(read_method(name), Resources(Counters()), 0, ["a corpus"])
    [outcome] = compressor.compress(["{ }"], [Target(protect=())])
    assert outcome.method == name
    assert compressor.fingerprint
