"""What a causal language model writes: answers to conversations, token by token.

This module owns sampling, stop strings and the safe cutting of a growing text; the model is
`elision.compressors.causal_lm`'s. It shortens nothing.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elision.compressors.causal_lm import CausalLM
from elision.compressors.errors import PromptTooLong

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Sampling:
    """How text is generated.

    Attributes:
        max_tokens: at most so many new tokens.
        temperature: 0 takes the likeliest token each time.
        top_p: sample among the likeliest tokens that together have this probability.
        stop: generation ends before the first of these strings.
        seed: equal seeds give equal texts; None draws one.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


class Generation(Iterator[str]):
    """Text as it is generated, in pieces; `close()` stops before the next token.

    Attributes:
        ids: tokens generated so far, the end mark included.
        prompt_tokens: tokens of the prompt.
        completion_tokens: how many `ids` there are.
        finish_reason: "stop" (the model, or a stop string), "length", or "" while it runs and
            after `close()`.
    """

    def __init__(self, decoder: "_Decoder") -> None:
        self._decoder = decoder
        self._pieces = decoder.run()

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop; what has been given so far remains the whole answer."""
        self._pieces.close()

    @property
    def prompt_tokens(self) -> int:
        return len(self._decoder.prompt)

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._decoder.ids)

    @property
    def completion_tokens(self) -> int:
        return len(self._decoder.ids)

    @property
    def finish_reason(self) -> str:
        return self._decoder.finish_reason


class Writer:
    """Answers conversations with a causal model."""

    def __init__(self, lm: CausalLM) -> None:
        self._lm = lm

    @property
    def window(self) -> int:
        """Tokens that the model can read and write at once."""
        return self._lm.positions

    def count(self, text: str) -> int:
        """Return the number of tokens of a text; special-token literals count as plain text."""
        return self._lm.count(text)

    def count_prompt(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Return the tokens of a conversation in the model's chat format."""
        return len(self._lm.encode_prompt(messages))

    def generate(self, messages: Sequence[Mapping[str, str]], sampling: Sampling | None = None) -> Generation:
        """Answer a conversation, piece by piece; nothing is computed until the first piece.

        Args:
            messages: each with `role` and `content`.
            sampling: how; None takes the likeliest tokens, 256 at most.
        Raises: PromptTooLong if the prompt leaves no room for an answer.
        """
        prompt = self._lm.encode_prompt(messages)
        room = self.window - len(prompt)
        if room < 1:
            raise PromptTooLong(
                f"the prompt has {len(prompt)} tokens and the model reads {self.window}: shorten it"
            )
        chosen = sampling or Sampling()
        return Generation(_Decoder(self._lm, prompt, chosen, min(room, chosen.max_tokens)))


class _Decoder:
    """One answer in the making: tokens so far, and how much of their text has been given out."""

    def __init__(self, lm: CausalLM, prompt: list[int], sampling: Sampling, room: int) -> None:
        self.prompt = prompt
        self.ids: list[int] = []
        self.finish_reason = ""
        self._lm = lm
        self._sampling = sampling
        self._room = room

    def run(self) -> Generator[str, None, None]:
        given = 0
        for _ in self._tokens():
            text = self._lm.decode(self.ids)
            cut = _first(text, self._sampling.stop)
            if cut is not None:
                self.finish_reason = "stop"
                yield text[given:cut]
                return
            safe = _safe(text, self._sampling.stop)
            if safe > given:
                yield text[given:safe]
                given = safe
        rest = self._lm.decode(self.ids)[given:]
        if rest:
            yield rest

    def _tokens(self) -> Iterator[int]:
        import torch

        random = torch.Generator()
        if self._sampling.seed is None:
            random.seed()
        else:
            random.manual_seed(self._sampling.seed % 2**63)
        fresh, cache = self.prompt, None
        while len(self.ids) < self._room:
            logits, cache = self._lm.step(fresh, cache)
            token = _pick(logits, self._sampling, random)
            self.ids.append(token)
            if token in self._lm.ends:
                self.finish_reason = "stop"
                return
            yield token
            fresh = [token]
        self.finish_reason = "length"


def _pick(logits: "torch.Tensor", sampling: Sampling, random: "torch.Generator") -> int:
    """Choose a token from (V,) logits. Source of top-p: nucleus sampling, arXiv:1904.09751."""
    import torch

    if sampling.temperature <= 0:
        return int(logits.argmax())
    chances, order = torch.softmax(logits / sampling.temperature, -1).sort(descending=True)
    # The first token stays whatever top_p is: what counts is the mass before each token.
    before = chances.cumsum(0) - chances
    chances = torch.where((before < sampling.top_p) | (before == 0), chances, 0.0)
    return int(order[torch.multinomial(chances, 1, generator=random)])


def _first(text: str, stops: Sequence[str]) -> int | None:
    """Return where the first stop string begins, if there is one."""
    found = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    return min(found, default=None)


def _safe(text: str, stops: Sequence[str]) -> int:
    """Return how much of a growing text can be given out: what further tokens cannot change.

    Held back: the replacement characters of an unfinished UTF-8 sequence, and an end that may
    yet become a stop string.
    """
    end = len(text.rstrip("\ufffd"))
    held = 0
    for stop in stops:
        for size in range(min(len(stop) - 1, end), held, -1):
            if text.endswith(stop[:size], 0, end):
                held = size
                break
    return end - held
