"""What was seen of an answer, in the words of many providers."""

import json
from typing import Any

import pytest

from elision.accounts.usage import NOTHING_SEEN, Answered, Gathering, Usage


def said(*parts: Any) -> Answered:
    """Return what is understood of an answer's parts."""
    gathering = Gathering()
    for part in parts:
        gathering.take(json.dumps(part).encode())
    return gathering.answered(streamed=False)


def test_of_what_nobody_read_nothing_is_known() -> None:
    """Not even that it used nothing."""
    assert Answered() == NOTHING_SEEN
    assert NOTHING_SEEN.usage is None


def test_a_cache_that_is_not_spoken_of_was_not_used() -> None:
    """Neither read nor written."""
    usage = Usage(5, 2)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (0, 0, 0)


DIALECTS: dict[str, tuple[dict[str, Any], Usage]] = {
    "OpenAI, chat": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 30,
            "total_tokens": 130,
            "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 20},
        },
        Usage(100, 30, 64, 0, 20),
    ),
    "OpenAI, embeddings": ({"prompt_tokens": 8, "total_tokens": 8}, Usage(8, 0)),
    "OpenAI, Responses": (
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 36},
            "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 130,
        },
        Usage(100, 30, 64, 36, 20),
    ),
    "Anthropic": (
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 200,
            "cache_read_input_tokens": 3000,
            "cache_creation": {"ephemeral_5m_input_tokens": 150, "ephemeral_1h_input_tokens": 50},
            "output_tokens": 30,
        },
        Usage(3210, 30, 3000, 200, 0, 50),
    ),
    "Anthropic, nothing cached": (
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 3,
        },
        Usage(10, 3),
    ),
    "OpenRouter": (
        {
            "prompt_tokens": 300,
            "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 50},
        },
        Usage(300, 3, 100, 50),
    ),
    "LiteLLM before Anthropic": (
        {
            "prompt_tokens": 3210,
            "completion_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 3000, "cache_creation_tokens": 200},
            "cache_creation_input_tokens": 200,
            "cache_read_input_tokens": 3000,
        },
        Usage(3210, 30, 3000, 200),
    ),
    "a gateway that leaves out what is cached": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 30,
            "cache_read_input_tokens": 3000,
            "cache_creation_input_tokens": 200,
        },
        Usage(3210, 30, 3000, 200),
    ),
    "DeepSeek": (
        {
            "prompt_tokens": 300,
            "completion_tokens": 3,
            "prompt_cache_hit_tokens": 256,
            "prompt_cache_miss_tokens": 44,
        },
        Usage(300, 3, 256),
    ),
    "Moonshot": ({"prompt_tokens": 300, "completion_tokens": 3, "cached_tokens": 256}, Usage(300, 3, 256)),
    "xAI, whose answers' tokens leave reasoning out": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 160,
            "completion_tokens_details": {"reasoning_tokens": 50},
        },
        Usage(100, 60, 0, 0, 50),
    ),
    "Gemini, whose thoughts are in the sum alone": (
        {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 160},
        Usage(100, 60),
    ),
    "Voyage": ({"total_tokens": 17}, Usage(17, 0)),
}


@pytest.mark.parametrize("provider", list(DIALECTS))
def test_usage_is_understood_in_the_words_of(provider: str) -> None:
    """A prompt's tokens are all of them, whatever a provider counts apart."""
    told, usage = DIALECTS[provider]
    assert said({"usage": told}).usage == usage


def test_what_is_told_later_counts_and_what_is_not_told_again_stays() -> None:
    """Anthropic tells of the prompt at a stream's beginning, of the answer at its end."""
    begun = {"input_tokens": 5, "cache_read_input_tokens": 90, "output_tokens": 1}
    answered = said(
        {"type": "message_start", "message": {"model": "claude-x", "usage": begun}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 41}},
    )
    assert answered == Answered(Usage(95, 41, 90), "claude-x", ("max_tokens",))


def test_every_choice_ends_once() -> None:
    """In order of appearance; repeated by the event that states usage, it is the same end."""
    choices = [{"index": 1, "finish_reason": "length"}, {"index": 0, "finish_reason": None}]
    last = [{"index": 0, "finish_reason": "stop"}, {"index": 1, "finish_reason": "length"}]
    assert said({"choices": choices}, {"choices": last}).finish_reasons == ("length", "stop")


@pytest.mark.parametrize(
    ("told", "reasons"),
    [
        ({"object": "response", "status": "completed", "incomplete_details": None}, ("completed",)),
        ({"object": "response", "status": "in_progress"}, ()),
        ({"object": "batch", "status": "completed"}, ()),
        ({"response": {"status": "failed", "usage": None}}, ("failed",)),
        ({"type": "message", "stop_reason": "tool_use"}, ("tool_use",)),
        ({"choices": [{"finish_reason": "no short word but a text of somebody's"}]}, ()),
    ],
)
def test_an_end_is_a_short_word(told: dict[str, Any], reasons: tuple[str, ...]) -> None:
    """Of things that have an end."""
    assert said(told).finish_reasons == reasons


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": None},
        {"prompt_tokens": -3},
        {"prompt_tokens": "7"},
        {"prompt_tokens": 10**30},
        {"prompt_tokens": 2 * 10**9},
    ],
)
def test_what_cannot_be_counted_is_not_said(usage: dict[str, Any]) -> None:
    """No usage, no error."""
    assert said({"usage": usage, "model": "m"}).usage is None


def test_what_is_strange_beside_usage_does_not_hide_it() -> None:
    """As from a server that says something else by the same name."""
    assert said({"choices": {"a": 1}, "usage": {"prompt_tokens": 7}}).usage == Usage(7, 0)


@pytest.mark.parametrize("data", [b"", b"[DONE]", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_what_is_no_answer_says_nothing(data: bytes) -> None:
    """Such as the word that ends a stream."""
    gathering = Gathering()
    gathering.take(data)
    assert gathering.answered(streamed=True) == Answered(streamed=True)
