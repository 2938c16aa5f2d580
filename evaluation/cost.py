"""What asking a reader will cost, said before it is asked. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from elision.compressors.base import TokenCounter
from elision.evaluation.reader import Ask

_MILLION = 1_000_000
# What a chat's frame adds to each prompt, about.
_FRAME = 8


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in whatever currency the user thinks in."""

    prompt: float
    completion: float


@dataclass(frozen=True, slots=True)
class Bill:
    """What is about to be asked.

    Attributes:
        requests: how many.
        prompt_tokens: of all prompts, by our counter.
        most_completion_tokens: if every answer is as long as it may be.
        price: None where it is not known.
    """

    requests: int
    prompt_tokens: int
    most_completion_tokens: int
    price: Price | None

    def __str__(self) -> str:
        told = (
            f"{self.requests:,} requests, about {self.prompt_tokens:,} prompt tokens and at most "
            f"{self.most_completion_tokens:,} completion tokens"
        )
        if self.price is None:
            return f"{told}; what they cost is not known, say --price PROMPT,COMPLETION per million tokens"
        prompts = self.prompt_tokens * self.price.prompt / _MILLION
        most = prompts + self.most_completion_tokens * self.price.completion / _MILLION
        return f"{told}: between {prompts:.2f} and {most:.2f} at the price given"


def bill_of(asks: Sequence[Ask], counter: TokenCounter, price: Price | None) -> Bill:
    """Return what asking all of these amounts to."""
    prompts = sum(counter.count(ask.prompt) + _FRAME for ask in asks)
    return Bill(len(asks), prompts, sum(ask.answer_tokens for ask in asks), price)
