"""What is promised of every outcome of Selective Context: any text, any options, tiny random weights.

A few dozen texts in every run; ten thousand with `make test ARGS="-m fuzz -k selective_context_promises"`.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Target
from fakes import promised
from fakes.promised import FEW, MANY, Told, Workshop, hold_in_order, shortened

OPTIONS = promised.options(
    level=st.sampled_from(("sentence", "phrase", "word", "token")),
    agg=st.sampled_from(("mean", "sum")),
)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.in_folder("selective_context", tmp_path_factory.mktemp("lm"))


@FEW
@given(promised.texts, promised.targets(), OPTIONS)
def test_every_promise_holds(workshop: Workshop, text: str, target: Target, told: Told) -> None:
    """Slices in order, what must stay whole, characters whole, counted exactly, within the budget."""
    outcome = hold_in_order(workshop, text, target, told)
    assert outcome.method == "selective_context"


@pytest.mark.parametrize("level", ["sentence", "word"])
def test_company_and_past_change_nothing(workshop: Workshop, level: str) -> None:
    """A batch, its order, and what was compressed before."""
    promised.check_company(workshop, {"level": level})
    assert len(workshop.made) == 1


def test_ten_thousand_equal_words(workshop: Workshop) -> None:
    """One sentence that is longer than what the model reads at once."""
    promised.check_ten_thousand_words(workshop, {"level": "word"})
    assert workshop.count("fox " * 10_000) > 9_999


@pytest.mark.fuzz
@pytest.mark.timeout(7200)
@MANY
@given(promised.texts, promised.targets(), OPTIONS)
def test_every_promise_holds_ten_thousand_times(
    workshop: Workshop, text: str, target: Target, told: Told
) -> None:
    """The same, for as long as it takes; twice is as once."""
    outcome = hold_in_order(workshop, text, target, told)
    assert shortened(workshop(told), text, target) == outcome
