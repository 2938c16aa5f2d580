"""What is promised of every outcome of LongLLMLingua: any text, question and options, tiny random weights.

A few dozen texts in every run; ten thousand with `make test ARGS="-m fuzz -k longllmlingua_promises"`.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Outcome, Target
from fakes import promised
from fakes.promised import FEW, MANY, MODEL, Told, Workshop, shortened

OPTIONS = promised.options(
    **promised.READING,
    **promised.SENTENCES,
    rank_method=st.sampled_from(("longllmlingua", "llmlingua", "bm25")),
    condition_in_question=st.sampled_from(
        ("none", "before", "after", "none_condition", "before_condition", "after_condition")
    ),
    condition_compare=st.booleans(),
    reorder_context=st.sampled_from(("original", "sort", "two_stage")),
    dynamic_context_compression_ratio=st.sampled_from((0.0, 0.3, -0.3, 1.0, -1.0)),
    use_token_level_filter=st.booleans(),
)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.in_folder("longllmlingua", tmp_path_factory.mktemp("lm"))


def hold(workshop: Workshop, text: str, target: Target, told: Told) -> Outcome:
    """Compress a text and hold what comes of it against every promise."""
    compressor = workshop(told)
    outcome = shortened(compressor, text, target)
    promised.check(workshop, text, target, outcome)
    moves = told.get("reorder_context", "original") != "original" and target.question.strip()
    if not moves:
        promised.check_order(outcome)
    promised.check_characters(text, target, told, outcome)
    leaves_out = bool(told.get("use_context_level_filter", True))
    promised.check_held(text, target, told, outcome, documents=leaves_out)
    exceeds = outcome.tokens_after > promised.budget_of(target, outcome.tokens_before)
    if exceeds and not outcome.reason and told.get("use_token_level_filter", True):
        check_least(workshop, text, target, told, outcome)
    return outcome


def check_least(workshop: Workshop, text: str, target: Target, told: Told, outcome: Outcome) -> None:
    """Exactly what must stay goes out where that alone has more than was asked for."""
    whole = {**told, "use_context_level_filter": False}
    least = shortened(
        workshop(whole), text, Target(tokens=1, model=MODEL, question=target.question, protect=target.protect)
    )
    if not told.get("use_context_level_filter", True):
        assert outcome.text == least.text
    stays = {at for span in least.kept for at in range(span.start, span.end)}
    words = [at for span in outcome.kept for at in range(span.start, span.end) if not text[at].isspace()]
    assert stays.issuperset(words)


@FEW
@given(promised.texts, promised.targets(), OPTIONS)
def test_every_promise_holds(workshop: Workshop, text: str, target: Target, told: Told) -> None:
    """Slices, in order but where documents move, what must stay whole, counted exactly, within the budget."""
    outcome = hold(workshop, text, target, told)
    assert outcome.method == "longllmlingua"


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
