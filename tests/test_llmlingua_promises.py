"""What is promised of every outcome of LLMLingua: any text, any options, tiny random weights.

A few dozen texts in every run; ten thousand with `make test ARGS="-m fuzz -k llmlingua_promises"`.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Span, Target
from elision.compressors.itpc import Itpc, Kv, Reading, parcels
from elision.compressors.token_units import Grain, cut_units
from fakes import promised
from fakes.promised import FEW, MANY, Told, Workshop, hold_in_order, shortened

OPTIONS = promised.options(**promised.READING, **promised.SENTENCES)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.in_folder("llmlingua", tmp_path_factory.mktemp("lm"))


@FEW
@given(promised.texts, promised.targets(), OPTIONS)
def test_every_promise_holds(workshop: Workshop, text: str, target: Target, told: Told) -> None:
    """Slices in order, what must stay whole, characters whole, counted exactly, within the budget."""
    outcome = hold_in_order(workshop, text, target, told)
    assert outcome.method == "llmlingua"


@pytest.mark.parametrize("kv", ["exact", "fast"])
def test_company_and_past_change_nothing(workshop: Workshop, kv: str) -> None:
    """A batch, its order, and what was compressed before."""
    promised.check_company(workshop, {"kv": kv})
    assert len(workshop.made) == 1


@pytest.mark.parametrize("kv", ["exact", "fast"])
def test_ten_thousand_equal_words(workshop: Workshop, kv: str) -> None:
    """More than the model reads at once; what it thinks of them decides, never how many stay."""
    promised.check_ten_thousand_words(workshop, {"kv": kv})
    assert workshop.count("fox " * 10_000) > 9_999


@FEW
@given(promised.texts, st.floats(0.05, 0.95), st.sampled_from(list(Kv)), st.sampled_from((7, 16, 50)))
def test_every_window_is_at_its_quota(workshop: Workshop, text: str, rate: float, kv: Kv, size: int) -> None:
    """After each segment, all of them together have kept what they may, to half of the last unit."""
    lm = workshop.resources.causal_lm(workshop.weights)
    [units] = Itpc(lm, Reading(iterative_size=size, kv=kv)).weigh([text], [""], [[rate]])
    [tokens] = lm.tokenise([text])
    cut = cut_units(text, tokens.offsets, Grain.WORD)
    costs, stays = np.diff(cut.first), units.importance >= -1
    for parcel in parcels(cut, size, [Span(0, len(text))], [rate]):
        kept = int(costs[: parcel.end][stays[: parcel.end]].sum())
        wanted = rate * int(cut.first[parcel.end])
        largest = int(costs[: parcel.end].max())
        assert abs(kept - wanted) <= largest / 2 + 1, (kept, wanted, parcel)
    assert np.array_equal(units.bounds, cut.bounds)


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
