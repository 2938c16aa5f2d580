"""LongLLMLingua's options have the reference's names and defaults of the paper; what is wrong is refused."""

import pytest

from elision.compressors.base import Method, OptionValue
from elision.compressors.document_ranking import Condition, Reorder
from elision.compressors.errors import BadOption
from elision.compressors.itpc import Kv, Reading
from elision.compressors.longllmlingua_options import Options, forced_options
from elision.compressors.registry import check_method, option_defaults
from elision.compressors.sentence_filter import SentenceFilter
from elision.compressors.token_units import Grain

DEFAULTS = option_defaults("longllmlingua")


def test_without_options_it_is_the_papers() -> None:
    """Documents by the question's likelihood, words by contrast, the best document at .3 above the mean."""
    options = Options.read(DEFAULTS)
    assert options == Options()
    assert (options.condition, options.is_conditioned, options.ranks) == (Condition.AFTER, True, True)


@pytest.mark.parametrize(
    ("told", "condition", "is_conditioned"),
    [
        ({"rank_method": "llmlingua", "condition_in_question": "none"}, Condition.NONE, False),
        ({"rank_method": "longllmlingua", "condition_in_question": "none"}, Condition.AFTER, False),
        ({"rank_method": "llmlingua", "condition_in_question": "none_condition"}, Condition.NONE, True),
        ({"condition_in_question": "before_condition"}, Condition.BEFORE, True),
        ({"condition_in_question": "before"}, Condition.BEFORE, False),
    ],
)
def test_conditions_are_read_as_the_reference_reads_them(
    told: dict[str, OptionValue], condition: Condition, is_conditioned: bool
) -> None:
    """Before, after or without the question, for documents; `_condition` is of words."""
    options = Options.read({**DEFAULTS, **told})
    assert (options.condition, options.is_conditioned) == (condition, is_conditioned)


def test_every_option_has_its_effect() -> None:
    """Each leads to a value of its own."""
    told: dict[str, OptionValue] = {
        "reorder_context": "two_stage",
        "dynamic_context_compression_ratio": -0.4,
        "context_budget": "*1.2",
        "use_context_level_filter": False,
        "use_sentence_level_filter": True,
        "keep_sentence_number": 2,
        "use_token_level_filter": False,
        "level": "token",
        "iterative_size": 50,
        "kv": "fast",
    }
    options = Options.read({**DEFAULTS, **told})
    assert options == Options(
        reorder_context=Reorder.TWO_STAGE,
        dynamic_context_compression_ratio=-0.4,
        context_budget="*1.2",
        use_context_level_filter=False,
        use_token_level_filter=False,
        sentences=SentenceFilter(keep_sentence_number=2),
        reading=Reading(Grain.TOKEN, 50, Kv.FAST),
    )
    still = Options(use_context_level_filter=False, dynamic_context_compression_ratio=0.0)
    assert not still.ranks


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"dynamic_context_compression_ratio": 1.5}, "must be in"),
        ({"context_budget": "100"}, "context_budget must be"),
        ({"iterative_size": 0}, "iterative_size must be"),
        ({"use_sentence_level_filter": True, "keep_first_sentence": -1}, "keep_first_sentence"),
    ],
)
def test_values_that_mean_nothing_are_refused(told: dict[str, OptionValue], message: str) -> None:
    """Before any weights are loaded, by `elision check` too."""
    with pytest.raises(BadOption, match=message):
        Options.read({**DEFAULTS, **told})


def test_an_unknown_option_names_the_nearest() -> None:
    """As with every method; a whole number stands for a fraction."""
    with pytest.raises(BadOption, match="did you mean 'reorder_context'"):
        check_method(Method("longllmlingua", (("reorder_contexts", "sort"),)))
    check_method(Method("longllmlingua", (("dynamic_context_compression_ratio", 0),)))


def test_kept_splits_are_forced_tokens() -> None:
    """Beside those that are given."""
    told = forced_options({**DEFAULTS, "keep_split": True, "force_tokens": (".",)})
    assert told["force_tokens"] == (".", "\n\n")
    assert forced_options(DEFAULTS)["force_tokens"] == ()
