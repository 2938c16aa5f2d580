"""What is promised of every outcome of Selective Context: any text, any options, tiny random weights.

A few dozen texts in every run; ten thousand with `make test ARGS="-m fuzz -k selective_context_promises"`.
"""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from elision.compressors.base import Outcome, Target
from fakes import promised
from fakes.promised import MODEL, Told, Workshop, shortened

OPTIONS = promised.options(
    level=st.sampled_from(("sentence", "phrase", "word", "token")),
    agg=st.sampled_from(("mean", "sum")),
)
FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,)
)
MANY = settings(FEW, max_examples=10_000, phases=(Phase.generate, Phase.shrink))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.in_folder("selective_context", tmp_path_factory.mktemp("lm"))


def hold(workshop: Workshop, text: str, target: Target, told: Told) -> Outcome:
    """Compress a text and hold what comes of it against every promise."""
    compressor = workshop(told)
    outcome = shortened(compressor, text, target)
    promised.check(workshop, text, target, outcome)
    promised.check_order(outcome)
    promised.check_characters(text, target, told, outcome)
    promised.check_held(text, target, told, outcome)
    if not outcome.reason and outcome.tokens_after > promised.budget_of(target, outcome.tokens_before):
        least = shortened(compressor, text, Target(tokens=1, model=MODEL, protect=target.protect))
        assert outcome.text == least.text
    return outcome


@FEW
@given(promised.texts, promised.targets(), OPTIONS)
def test_every_promise_holds(workshop: Workshop, text: str, target: Target, told: Told) -> None:
    """Slices in order, what must stay whole, characters whole, counted exactly, within the budget."""
    outcome = hold(workshop, text, target, told)
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
    outcome = hold(workshop, text, target, told)
    assert shortened(workshop(told), text, target) == outcome
