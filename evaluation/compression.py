"""The first half of a run: every different text, shortened by one method, to every target, timed.

This module owns batches and clocks. What was done before comes from the store. What a method found
of a text does not depend on the target, so it is not found again for the next one; such outcomes
say nothing about how fast the method is, and are not timed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from elision.compressors.base import Compressor, Outcome, Target, TokenCounter
from elision.compressors.extractive import Extractive
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
        timed: whether that is all the time it takes; else what was found for another target was used.
        left: why the text was left as it was; empty where it was shortened.
    """

    text: str
    before: int
    after: int
    seconds: float
    timed: bool
    left: str


class Bench:
    """A compressor with what it found of texts, for as long as one data set is shortened.

    Args:
        compressor: the method.
        counter: counts texts before and after.
    """

    def __init__(self, compressor: Compressor, counter: TokenCounter) -> None:
        self.compressor = compressor
        self.counter = counter
        self._known: dict[tuple[str, str], bytes] = {}
        found = compressor.identity if isinstance(compressor, Extractive) else None
        self._asks = found is None or found.reads_question

    def wanted(self, text: str, target: Target) -> Wanted:
        """Return what is asked; questions that the method does not look at make no difference."""
        return Wanted(text, target if self._asks else replace(target, question=""))

    def compress(self, batch: Sequence[Wanted]) -> tuple[list[Outcome], list[bool]]:
        """Shorten texts; return outcomes, and of which something was known before."""
        texts, targets = [one.text for one in batch], [one.target for one in batch]
        if not isinstance(self.compressor, Extractive):
            return self.compressor.compress(texts, targets), [False] * len(batch)
        keys = [(one.text, one.target.question) for one in batch]
        known = [self._known.get(key, b"") for key in keys]
        results = self.compressor.compress_known(texts, targets, known)
        self._known |= {
            key: result.scores for key, result in zip(keys, results, strict=True) if result.scores
        }
        return [result.outcome for result in results], [bool(one) for one in known]


def shorten(bench: Bench, wanted: Iterable[Wanted], store: Store, tick: Tick) -> dict[Wanted, Shortened]:
    """Shorten each different text, or take from the store what was done before.

    Raises: CompressionError.
    """
    compressor, counter = bench.compressor, bench.counter
    keys = {one: one.key(compressor.fingerprint, counter.name) for one in wanted}
    missing = [one for one, key in keys.items() if store.get(key) is None]
    tick(len(keys) - len(missing))
    if missing:
        # Weights that come in with the first text are not the first text's fault.
        compressor.compress([_WARM_UP], [missing[0].target])
    for batch in _batches(missing):
        for one, row in zip(batch, _timed(bench, batch), strict=True):
            store.put(keys[one], row)
        tick(len(batch))
    return {one: _read(store.get(key)) for one, key in keys.items()}


def _timed(bench: Bench, batch: Sequence[Wanted]) -> list[Row]:
    began = time.perf_counter()
    outcomes, known = bench.compress(batch)
    seconds = time.perf_counter() - began
    before = [bench.counter.count(one.text) for one in batch]
    each = seconds / max(sum(before), 1)
    # One that was known makes the whole batch faster than it is.
    timed = not any(known)
    return [
        {
            "text": outcome.text,
            "before": tokens,
            "after": bench.counter.count(outcome.text),
            "seconds": each * tokens,
            "timed": timed,
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
            "timed": bool(timed),
            "left": str(left),
        }:
            return Shortened(text, before, after, seconds, timed, left)
    raise ValueError("a row of outcomes.jsonl is no outcome; use another --out")


def _batches(missing: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    rest = iter(missing)
    while batch := list(islice(rest, _BATCH)):
        yield batch
