"""LLMLingua as its reference code has it, faults included: profile `compat`.

For comparing with published figures, and for those who want what they had. It rewrites: what stays
is put together by the tokenizer's decoder, so nothing is protected and no slices are reported. Kept
on purpose:

- a token's loss decides about the token before it;
- a window's threshold is that of everything: what stayed so far and what is still to come;
- the first window begins at the second token; the last one, if it is not full, is left alone, and
  so are texts of less than a window;
- the first pass reads all of a text that fits; each later one reads its window and the one before
  it again;
- beyond the model's positions keys and values are dropped after the first ten, losses are not, and
  so they fall apart.

Where the reference crashes `CompressionError` says so. Written from its control flow, llmlingua
0.2.2 with transformers 4.46.3; conditions on a question are not here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import OptionValue, Outcome, Target
from elision.compressors.breaks import give_way
from elision.compressors.causal_lm import CausalLM
from elision.compressors.causal_states import States
from elision.compressors.document_ranking import context_budget, read_context_budget
from elision.compressors.errors import BadOption, CompressionError
from elision.compressors.llmlingua import NAME
from elision.compressors.tokens import Counters

_VERSION = "1"
_FIRST_CELLS = 10
_LEAST_TARGET = 100
_BETWEEN = "\n\n"
_NOT_HERE: Mapping[str, OptionValue] = MappingProxyType(
    {
        "kv": "exact",
        "level": "word",
        "use_sentence_level_filter": False,
        "keep_split": False,
        "force_tokens": (),
        "force_reserve_digit": False,
        "drop_consecutive": False,
    }
)
"""Options of the method that this profile has not, as they are where nobody gave them."""

Floats = NDArray[np.float64]
Window = list[tuple[int, float]]
"""Stretches of tokens, and the share of each to keep."""


@dataclass(frozen=True, slots=True)
class CompatOptions:
    """Arguments of the reference's `compress_prompt`, by its names and with its defaults."""

    iterative_size: int = 200
    use_context_level_filter: bool = True
    context_budget: str = "+100"
    use_token_level_filter: bool = True

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "CompatOptions":
        """Take these out of a method's options, whose types have been checked.

        Raises: BadOption also for what this profile does not do.
        """
        told = [name for name, idle in _NOT_HERE.items() if options[name] != idle]
        if told:
            raise BadOption(f"{NAME}: profile compat has no {told[0]}; leave it out, or take profile fixed")
        size = options["iterative_size"]
        return cls(
            size if isinstance(size, int) else 200,
            bool(options["use_context_level_filter"]),
            "".join(map(str, read_context_budget(str(options["context_budget"])))),
            bool(options["use_token_level_filter"]),
        )


class Compat:
    """The compressor of profile `compat`; also the reference's `compress_prompt`."""

    def __init__(self, lm: CausalLM, counters: Counters, options: CompatOptions | None = None) -> None:
        self._lm = lm
        self._counters = counters
        self._options = options or CompatOptions()

    @property
    def fingerprint(self) -> str:
        told = self._options
        label = f"size={told.iterative_size} filter={told.use_context_level_filter:d}{told.context_budget}"
        label += "" if told.use_token_level_filter else " words=all"
        return f"{NAME}-compat/{_VERSION} {label} weights={self._lm.fingerprint}"

    @property
    def reads_question(self) -> bool:
        return False

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Shorten each text by itself, as one context.

        Reasons for the original: "no_target", "not_shorter".
        Raises: CompressionError where the reference crashes.
        """
        return [self._shorten(text, target) for text, target in zip(texts, targets, strict=True)]

    def compress_prompt(  # noqa: PLR0913  the reference's arguments, by name
        self,
        contexts: Sequence[str],
        *,
        instruction: str = "",
        question: str = "",
        rate: float = 0.5,
        target_token: float = -1,
        concate_question: bool = True,
    ) -> str:
        """Shorten contexts between an instruction and a question, neither of which is shortened.

        Raises: CompressionError where the reference crashes.
        """
        lengths = [self._lm.count(context, marks=True) for context in contexts]
        around = [self._lm.count(text, marks=True) for text in (instruction, question)]
        target = target_token
        if target == -1:
            asked = around[1] if concate_question else 0
            target = (sum(around) + sum(lengths)) * rate - around[0] - asked
        staying = list(contexts)
        if len(contexts) > 1 and self._options.use_context_level_filter:
            staying = [contexts[i] for i in self._filtered(contexts, lengths, target)]
        shortened = _BETWEEN.join(staying)
        if self._options.use_token_level_filter:
            ids = self._iterated(staying, target)
            shortened = self._lm.decode(ids, marks=True).replace("<s> ", "").replace("<s>", "")
        parts = [instruction, shortened if shortened.strip() else "", question if concate_question else ""]
        return _BETWEEN.join(part for part in parts if part)

    def _shorten(self, text: str, target: Target) -> Outcome:
        counter = self._counters.counter_for(target.model)
        before = counter.count(text)
        if target.rate is None and target.tokens is None:
            return Outcome(text, before, before, (), NAME, self.fingerprint, "no_target")
        found = self.compress_prompt([text], rate=target.rate or 0.5, target_token=target.tokens or -1)
        after = counter.count(found)
        if after >= before:
            return Outcome(text, before, before, (), NAME, self.fingerprint, "not_shorter")
        return Outcome(found, before, after, (), NAME, self.fingerprint)

    def _filtered(self, contexts: Sequence[str], lengths: Sequence[int], target: float) -> list[int]:
        """Return the most perplexing contexts, until the budget is overdrawn, in their order."""
        nlls = [one.nll for one in self._plain(contexts)]
        if any(not len(nll) for nll in nlls):
            raise CompressionError(
                f"{NAME} compat: the reference finds no perplexity for a context of one token"
            )
        budget = context_budget(self._options.context_budget, _LEAST_TARGET if target < 0 else target)
        used = []
        for i in sorted(range(len(contexts)), key=lambda i: -float(nlls[i].mean())):
            used.append(i)
            budget -= lengths[i]
            if budget < 0:
                break
        return sorted(used)

    def _plain(self, contexts: Sequence[str]) -> "Iterator[_Reader]":
        """Read each context by itself, as the tokenizer gives it: the first token is not scored."""
        for context in contexts:
            give_way()
            reader = _Reader(self._lm, self._lm.encode(context, marks=True))
            reader.nll = reader.read(len(reader.ids), whole=True)
            yield reader

    def _iterated(self, contexts: Sequence[str], target: float) -> list[int]:
        """Return the tokens that stay."""
        size = self._options.iterative_size
        windows = windows_of([self._lm.count(context) + 2 for context in contexts], target, size)
        reader = _Reader(self._lm, self._lm.encode(_BETWEEN.join(contexts)))
        end, number = min(size, len(reader.ids)), 0
        popped: list[int] = []
        while end <= len(reader.ids):
            give_way()
            if number >= len(windows):
                raise CompressionError(f"{NAME} compat: the reference runs out of windows on this text")
            over = end - self._lm.positions
            if over > 0 and number > 1:
                popped += reader.evict(over)
                end -= over
            if not reader.advance(end, size, first=number == 0):
                break
            for length, share in windows[number]:
                end = reader.compress(end - size + length, length, share) + size
            number += 1
        return popped + reader.ids


def windows_of(lengths: Sequence[int], target: float, size: int) -> list[Window]:
    """Cut contexts into windows of `size` tokens, the first of them one shorter.

    Args:
        lengths: tokens of the contexts, two more each for what stands between them.
        target: tokens to keep in all.
    """
    share = max(min(1.0, target / (sum(lengths) + 1)), 0.0)
    found: list[Window] = []
    at, window = 1, []
    for length in lengths:
        if at + length < size:
            at += length
            window.append((length, share))
            continue
        found.append([*window, (size - at, share)])
        at += length - size
        if at > size:
            found += [[(size, share)]] * (at // size)
            at %= size
        window = [(at, share)] if at else []
    return [*found, window] if window else found


class _Reader:
    """A text as the reference reads it: what is left of it, losses, what the model remembers."""

    def __init__(self, lm: CausalLM, ids: list[int]) -> None:
        self.ids = ids
        self.nll: Floats = np.zeros(0)
        self._lm = lm
        self._states = States(lm, 1)
        self._ready = 0

    def read(self, end: int, *, whole: bool = False) -> Floats:
        """Read on to `end`; return the losses of what was read, its first token's left out."""
        [past] = self._states.cells
        ids = np.asarray(self.ids[past : min(end, past + self._lm.positions)], np.int64)
        if not len(ids):
            return np.zeros(0)
        if whole:
            # Nothing of the first pass is remembered.
            hidden = self._lm.run(ids[None], np.arange(len(ids))[None], None, None)[0]
        else:
            [hidden] = self._states.read([ids.tolist()], [past])
        return self._lm.nll(hidden[:-1], ids[1:])

    def advance(self, end: int, size: int, *, first: bool) -> bool:
        """Read the next window; return whether there was anything to read."""
        nll = self.read(len(self.ids) if first else end, whole=first)
        if not len(nll):
            return False
        if first:
            self.nll = nll
        else:
            if end - 1 > len(self.nll):
                more = np.zeros(min(len(nll), end - 1 - len(self.nll)))
                self.nll = np.concatenate((self.nll, more))
            place = self.nll[self._ready : end - 1]
            if len(place) != len(nll):
                raise CompressionError(f"{NAME} compat: the reference mixes up losses of unlike length here")
            self.nll[self._ready : end - 1] = nll
            self._states.keep([0], [np.arange(min(self._states.cells[0], end - size))])
        self._ready = end - size
        return True

    def compress(self, end: int, size: int, share: float) -> int:
        """Drop tokens of a window by the losses of those after them; return where it ends now."""
        threshold = _threshold(self.nll, share)
        need = np.append(self.nll > threshold, self.nll[:1] > 0)
        need[end:] = True
        need[: end - size] = True
        self.nll = self.nll[need[:-1]]
        flags = np.ones(len(self.ids), np.bool_)
        flags[: len(need)] = need[: len(flags)]
        self.ids = [one for one, stays in zip(self.ids, flags.tolist(), strict=True) if stays]
        return end - int((~flags[:end]).sum())

    def evict(self, over: int) -> list[int]:
        """Forget cells after the first ten, and as many tokens from the front; return these."""
        gone, self.ids = self.ids[:over], self.ids[over:]
        [cells] = self._states.cells
        first = min(_FIRST_CELLS, self._lm.positions)
        left = np.concatenate((np.arange(min(first, cells)), np.arange(min(first + over, cells), cells)))
        self._states.keep([0], [left])
        self._ready -= over
        return gone


def _threshold(nll: Floats, share: float) -> float:
    """Return the loss above which a share of all losses lies."""
    if share == 1.0:
        return float("-inf")
    known = nll[nll != 10000]
    if not len(known):
        raise CompressionError(f"{NAME} compat: the reference finds no losses in this text")
    at = max(0, min(len(known) - 1, int(len(known) * share) - 1))
    return float(np.sort(known)[::-1][at])
