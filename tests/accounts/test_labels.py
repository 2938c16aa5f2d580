"""What requests are told apart by."""

from dataclasses import replace

import pytest

from elision.accounts.archive import LABELS, Recent
from elision.accounts.labels import NAME_LETTERS, cleaned, labels_of, model_of, recent_of
from elision.accounts.records import NOTHING_TOLD, Report
from elision.accounts.usage import NOTHING_SEEN, Answered
from fakes.recorded import AT, RECORD


def test_a_request_has_a_value_for_every_label() -> None:
    """In the order of `LABELS`; several methods are joined."""
    record = replace(RECORD, upstream="vllm")
    assert dict(zip(LABELS, labels_of(record), strict=True)) == {
        "team": "search",
        "policy": "rag@1a2b3c4d",
        "method": "lossless+selective_context",
        "model": "gpt-4o",
        "upstream": "vllm",
    }


def test_a_request_that_nobody_looked_into_has_words_in_place_of_names() -> None:
    """None of them is empty but the upstream, where there is but one."""
    record = replace(RECORD, report=NOTHING_TOLD, answered=NOTHING_SEEN)
    assert labels_of(record) == ("default", "none", "none", "unknown", "")


@pytest.mark.parametrize(
    ("asked", "answered", "model"), [("a", "b", "a"), ("", "b", "b"), ("", "", "unknown"), ("a", "", "a")]
)
def test_the_model_is_the_one_asked_for_or_else_the_one_that_answered(
    asked: str, answered: str, model: str
) -> None:
    """An alias is what a team knows it by."""
    record = replace(RECORD, report=Report(model=asked), answered=Answered(model=answered))
    assert model_of(record) == model


@pytest.mark.parametrize(
    ("made_up", "told"),
    [
        ("gpt-4o", "gpt-4o"),
        ("a\nb\x00", "a?b?"),
        ("\ud800x", "?x"),
        ("模型", "模型"),
        ("x" * 500, "x" * NAME_LETTERS),
    ],
)
def test_names_that_others_made_up_are_cut_and_can_be_shown(made_up: str, told: str) -> None:
    """Neither control characters nor halves of characters reach a file or a page."""
    assert cleaned(made_up, NAME_LETTERS) == told
    cleaned(made_up, NAME_LETTERS).encode()


def test_a_request_is_told_by_itself_in_numbers_and_short_words() -> None:
    """All that the dashboard shows of it."""
    assert recent_of(RECORD) == Recent(
        request_id="5f3e",
        at=AT,
        team="search",
        policy="rag@1a2b3c4d",
        method="lossless+selective_context",
        model="gpt-4o",
        upstream="",
        path="/v1/chat/completions",
        status=200,
        tokens_before=1000,
        tokens_after=400,
        tokens_saved=590,
        prompt_tokens=420,
        cached_tokens=128,
        completion_tokens=12,
        cost=1_170_000,
        saved=1_475_000,
        basis="billed",
        cache="partial",
        bypass="deadline",
        overhead_ms=12.5,
        total_ms=843.0,
        error="",
    )


def test_what_nobody_knows_is_told_so() -> None:
    """No price is no price, not a price of nothing; no usage is no tokens."""
    recent = recent_of(replace(RECORD, money=None, answered=NOTHING_SEEN))
    assert (recent.cost, recent.saved, recent.prompt_tokens) == (None, None, 0)
