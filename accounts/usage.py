"""What an upstream says of one answer: the tokens that it bills, and how the answer ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the upstream counted them.

    Attributes:
        prompt_tokens: all of the prompt's, those read from and written to a cache among them.
        completion_tokens: all of the answer's, reasoning among them.
        cached_tokens: of the prompt's, those that were read from the provider's cache.
        cache_write_tokens: of the prompt's, those that were written to it for a fee.
        reasoning_tokens: of the answer's, those that nobody is shown.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Answered:
    """What was seen of an answer in passing.

    Attributes:
        usage: None where the upstream stated none.
        model: the model that answered, as the upstream calls it; "" where it does not say.
        finish_reasons: why the answer's choices ended, in order of appearance.
        streamed: whether it came as a stream of events.
    """

    usage: Usage | None = None
    model: str = ""
    finish_reasons: tuple[str, ...] = ()
    streamed: bool = False


NOTHING_SEEN = Answered()
"""Of a request that was not answered, or by something that nobody reads."""
