"""LLMLingua's arguments are done, handed to the method, or refused with a word; none is passed over."""

import re
from pathlib import Path

import pytest

from elision.compressors.base import Method
from elision.compressors.errors import BadOption
from elision.compressors.registry import check_method, option_defaults
from elision.compressors.vocabulary import ELSEWHERE, Segment, Wishes, read_arguments

LANGCHAIN = {
    "instruction": "Given this documents, please answer the final question",
    "question": "Who?",
    "target_token": 300,
    "rank_method": "llmlingua",
    "concate_question": False,
    "add_instruction": True,
}

RECIPE = {
    "condition_in_question": "after_condition",
    "reorder_context": "sort",
    "dynamic_context_compression_ratio": 0.3,
    "condition_compare": True,
    "context_budget": "+100",
    "rank_method": "longllmlingua",
}
# The signature of `compress_prompt` of llmlingua 0.2.2, but for what LLMLingua-2 takes for its method.
REFERENCE: dict[str, object] = {
    "instruction": "",
    "question": "",
    "rate": 0.5,
    "target_token": -1,
    "iterative_size": 200,
    "force_context_ids": None,
    "force_context_number": None,
    "use_sentence_level_filter": False,
    "use_context_level_filter": True,
    "use_token_level_filter": True,
    "keep_split": False,
    "keep_first_sentence": 0,
    "keep_last_sentence": 0,
    "keep_sentence_number": 0,
    "high_priority_bonus": 100,
    "context_budget": "+100",
    "token_budget_ratio": 1.4,
    "condition_in_question": "none",
    "reorder_context": "original",
    "dynamic_context_compression_ratio": 0,
    "condition_compare": False,
    "add_instruction": False,
    "rank_method": "llmlingua",
    "concate_question": True,
    "context_segs": None,
    "context_segs_rate": None,
    "context_segs_compress": None,
    "target_context": -1,
    "context_level_rate": 1.0,
    "context_level_target_token": -1,
    "return_word_label": False,
    "word_sep": "\t\t|\t\t",
    "label_sep": " ",
    "token_to_word": "mean",
    "force_tokens": [],
    "force_reserve_digit": False,
    "drop_consecutive": False,
    "chunk_end_tokens": [".", "\n"],
    "strict_preserve_uncompressed": True,
}


METHODS = ("llmlingua", "longllmlingua", "llmlingua2", "selective_context")
OF_SELECTIVE_CONTEXT = ("model_type", "lang", "reduce_ratio", "reduce_level")
OF_A_COMPRESSOR = ("model_name", "device_map")


@pytest.mark.parametrize("name", ["context", "ratio", *REFERENCE, *OF_SELECTIVE_CONTEXT, *OF_A_COMPRESSOR])
def test_a_policy_takes_each_name_or_says_what_to_say_instead(name: str) -> None:
    """An option of one method at least, or refused by all with the way that it is said in a policy."""
    known = [method for method in METHODS if name in option_defaults(method)]
    assert bool(known) != (name in ELSEWHERE)
    for method in METHODS:
        if name in ELSEWHERE:
            with pytest.raises(BadOption, match=re.escape(ELSEWHERE[name])):
                check_method(Method(method, ((name, ""),)))


@pytest.mark.parametrize("name", ["context", "ratio", *REFERENCE, *OF_SELECTIVE_CONTEXT, *OF_A_COMPRESSOR])
def test_the_page_names_each(name: str) -> None:
    """Where it belongs in Python and in policies: the table of names."""
    page = (Path(__file__).parents[2] / "docs/python.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert sum(f"`{name}`" in row.split("|")[1] for row in rows) == 1


def test_arguments_are_sorted() -> None:
    """Into what is said of the prompt and what methods do; lists become what options are made of."""
    told = read_arguments({"rate": 0.3, "force_tokens": ["\n", "?"], "force_reserve_digit": True})
    assert told.wishes == Wishes(rate=0.3)
    assert told.options == {"force_tokens": ("\n", "?"), "force_reserve_digit": True}
    assert (told.causal, told.asks_causal) == ({}, False)


def test_what_langchain_sends_is_understood() -> None:
    """With `additional_compress_kwargs={}`, and its `rank_method` set to ours."""
    told = read_arguments(LANGCHAIN)
    assert (told.wishes.target_token, told.wishes.concate_question, told.options) == (300, False, {})
    assert not told.asks_causal


def test_the_recipe_of_longllmlingua_is_understood() -> None:
    """Every argument of it asks for something that only that method does; whole numbers are fractions."""
    told = read_arguments({**RECIPE, "rate": 0.55})
    assert told.causal == {**RECIPE, "dynamic_context_compression_ratio": 0.3}
    assert told.asks_causal
    assert read_arguments({"dynamic_context_compression_ratio": 1}).causal == {
        "dynamic_context_compression_ratio": 1.0
    }


def test_every_argument_of_the_reference_is_known() -> None:
    """By its name, with its default."""
    assert read_arguments(REFERENCE).wishes == Wishes()
    assert not read_arguments(REFERENCE).asks_causal


def test_the_old_ratio_is_what_goes() -> None:
    """Integrations of before 0.2 give it."""
    assert read_arguments({"ratio": 0.25}).wishes.rate == 0.75


def test_segments_have_rates_or_stay() -> None:
    """Three lists of lists, of which two may be left out."""
    given = {
        "context_segs": [["a", "b"], ["c"]],
        "context_segs_rate": [[0.3, 1], [0]],
        "context_segs_compress": [[True, True], [False]],
    }
    assert read_arguments(given).wishes.segments == (
        (Segment("a", 0.3), Segment("b", 1.0)),
        (Segment("c", 1.0),),
    )
    assert read_arguments({"context_segs": [["a"]]}).wishes.segments == ((Segment("a"),),)


def test_what_a_method_does_not_do_is_refused_for_it() -> None:
    """With the method that does, or the value that asks for nothing."""
    with pytest.raises(
        BadOption, match=r"is not for embedded: make PromptCompressor\(method='longllmlingua'\)"
    ):
        read_arguments({"condition_compare": True}).check_others("embedded")
    with pytest.raises(BadOption, match="target_context belongs to LLMLingua-2"):
        read_arguments({"target_context": 2}).check_causal()
    told = read_arguments({"condition_compare": False, "target_context": -1})
    told.check_others("embedded")
    told.check_causal()
    assert told.wishes == Wishes()


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ({"rank_method": "bge"}, "rank_method cannot be 'bge' here; known: llmlingua, longllmlingua, bm25"),
        ({"condition_compare": 1}, "condition_compare must be bool"),
        ({"context_budget": 100}, "context_budget must be str"),
        ({"keep_first_sentence": 1.5}, "keep_first_sentence must be int"),
        ({"force_token": ["."]}, "did you mean 'force_tokens'"),
        ({"reorder_contexts": "sort"}, "did you mean 'reorder_context'"),
        ({"rate": 0}, r"rate must be in \(0, 1\]"),
        ({"rate": "0.5"}, "rate cannot be '0.5'"),
        ({"context_level_rate": 1.5}, "context_level_rate must be"),
        ({"concate_question": 1}, "concate_question cannot be 1"),
        ({"force_context_ids": ["a"]}, "force_context_ids cannot be"),
        ({"force_context_number": -1}, "force_context_number cannot be"),
        ({"force_tokens": [1]}, "force_tokens must be"),
        ({"context_segs": ["a"]}, "context_segs must be a list of lists"),
        ({"context_segs_rate": [[0.5]]}, "context_segs must be a list of lists"),
        ({"context_segs": [["a"]], "context_segs_rate": [[0.5, 1]]}, "context_segs_rate must be lists"),
        ({"context_segs": [["a"]], "context_segs_rate": [[2]]}, "context_segs_rate must be in"),
        ({"context_segs": [["a"]], "context_segs_compress": [["x"]]}, "context_segs_compress must be"),
        ({"context_segs": [["a"]], "target_token": 9}, "give one of them"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(argument: dict[str, object], told: str) -> None:
    """The message names the nearest argument, or what would be right."""
    with pytest.raises(BadOption, match=told):
        read_arguments(argument)
