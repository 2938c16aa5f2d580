"""The first half of a run: every different text, shortened by one method, to every target, timed.

This module owns batches and clocks. What was done before comes from the store.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from elision.compressors.base import Compressor, Target, TokenCounter
from elision.evaluation.store import Row, Store, key_of

# As many texts as a busy proxy puts together; timings are of batches, shared out by tokens.
_BATCH = 8
_WARM_UP = "The quick brown fox jumps over the lazy dog. It was late. Nobody saw it happen there."

Tick = Callable[[int], None]
"""Told how many more are done, for a progress bar."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One text and its target; equal ones are shortened once."""

    text: str
    target: Target

    def key(self, fingerprint: str, encoding: str) -> str:
        """Return the key of its outcome by a compressor, counted by an encoding."""
        target = self.target
        told = (target.rate, target.tokens, target.model, target.question, target.protect)
        return key_of("text", fingerprint, encoding, self.text, *told)


@dataclass(frozen=True, slots=True)
class Shortened:
    """What became of one text.

    Attributes:
        text: what a reader is given.
        before: tokens of the original.
        after: tokens of `text`, counted anew.
        seconds: its share of its batch's time.
        left: why the text was left as it was; empty where it was shortened.
    """

    text: str
    before: int
    after: int
    seconds: float
    left: str


def shorten(
    compressor: Compressor, counter: TokenCounter, wanted: Iterable[Wanted], store: Store, tick: Tick
) -> dict[Wanted, Shortened]:
    """Shorten each different text, or take from the store what was done before.

    Raises: CompressionError.
    """
    keys = {one: one.key(compressor.fingerprint, counter.name) for one in wanted}
    missing = [one for one, key in keys.items() if store.get(key) is None]
    tick(len(keys) - len(missing))
    if missing:
        # Weights that come in with the first text are not the first text's fault.
        compressor.compress([_WARM_UP], [missing[0].target])
    for batch in _batches(missing):
        for one, row in zip(batch, _timed(compressor, counter, batch), strict=True):
            store.put(keys[one], row)
        tick(len(batch))
    return {one: _read(store.get(key)) for one, key in keys.items()}


def _timed(compressor: Compressor, counter: TokenCounter, batch: Sequence[Wanted]) -> list[Row]:
    began = time.perf_counter()
    outcomes = compressor.compress([one.text for one in batch], [one.target for one in batch])
    seconds = time.perf_counter() - began
    before = [counter.count(one.text) for one in batch]
    each = seconds / max(sum(before), 1)
    return [
        {
            "text": outcome.text,
            "before": tokens,
            "after": counter.count(outcome.text),
            "seconds": each * tokens,
            "left": outcome.reason,
            "fingerprint": outcome.fingerprint,
        }
        for outcome, tokens in zip(outcomes, before, strict=True)
    ]


def _read(row: Row | None) -> Shortened:
    match row:
        case {
            "text": str(text),
            "before": int(before),
            "after": int(after),
            "seconds": float(seconds),
            "left": str(left),
        }:
            return Shortened(text, before, after, seconds, left)
    raise ValueError("a row of outcomes.jsonl is no outcome; use another --out")


def _batches(missing: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    rest = iter(missing)
    while batch := list(islice(rest, _BATCH)):
        yield batch
