"""LLMLingua's arguments are done, handed to the method, or refused with a word; none is passed over."""

import pytest

from elision.compressors.errors import BadOption
from elision.compressors.vocabulary import Wishes, read_arguments

LANGCHAIN = {
    "instruction": "Given this documents, please answer the final question",
    "question": "Who?",
    "target_token": 300,
    "rank_method": "llmlingua",
    "concate_question": False,
    "add_instruction": True,
}


def test_arguments_are_sorted() -> None:
    """Into what is done here and what the method does; lists become what options are made of."""
    wishes, options = read_arguments({"rate": 0.3, "force_tokens": ["\n", "?"], "force_reserve_digit": True})
    assert wishes == Wishes(rate=0.3)
    assert options == {"force_tokens": ("\n", "?"), "force_reserve_digit": True}


def test_what_langchain_sends_is_understood() -> None:
    """With `additional_compress_kwargs={}`, and its `rank_method` set to ours."""
    wishes, options = read_arguments(LANGCHAIN)
    assert (wishes.target_token, wishes.concate_question, options) == (300, False, {})


def test_the_old_ratio_is_what_goes() -> None:
    """Integrations of before 0.2 give it."""
    assert read_arguments({"ratio": 0.25})[0].rate == 0.75


def test_arguments_that_ask_for_nothing_are_taken() -> None:
    """Callers give defaults too, and None where the reference takes it."""
    given = {"iterative_size": 200, "condition_in_question": "none", "force_context_ids": None}
    assert read_arguments(given) == (Wishes(), {})


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        (
            {"rank_method": "longllmlingua"},
            "does not have yet; leave it out, or give rank_method='llmlingua'",
        ),
        ({"condition_compare": True}, "belongs to LLMLingua or LongLLMLingua"),
        ({"force_token": ["."]}, "did you mean 'force_tokens'"),
        ({"rate": 0}, r"rate must be in \(0, 1\]"),
        ({"rate": "0.5"}, "rate cannot be '0.5'"),
        ({"context_level_rate": 1.5}, "context_level_rate must be"),
        ({"concate_question": 1}, "concate_question cannot be 1"),
        ({"force_context_ids": ["a"]}, "force_context_ids cannot be"),
        ({"force_context_number": -1}, "force_context_number cannot be"),
        ({"force_tokens": [1]}, "force_tokens must be"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_to_do(argument: dict[str, object], told: str) -> None:
    """The message names the nearest argument, or the value that asks for nothing."""
    with pytest.raises(BadOption, match=told):
        read_arguments(argument)
