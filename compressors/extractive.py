"""A scorer and the one selector, put together into a compressor.

This module owns the order of things: protect, score, select, slice, check. It owns the reasons for
which an extractive method gives the original back. It knows no models; a scorer does.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import Outcome, Scorer, Span, Target, TokenCounter, Units
from elision.compressors.protect import find_spans
from elision.compressors.select import budget_tokens, select
from elision.compressors.tokens import Counters

# Below this a text has too little in it to choose from.
_MIN_TOKENS = 16
_MIN_UNITS = 3
# Slices tokenise anew where they meet; so often the budget is tightened by what that added.
_TIGHTENINGS = 3


class Extractive:
    """A compressor that keeps a text's best units, whole and in order.

    Args:
        name: the method's name.
        scorer: says how much each unit matters.
        counters: count as the target's model does.
    """

    def __init__(self, name: str, scorer: Scorer, counters: Counters) -> None:
        self._name = name
        self._scorer = scorer
        self._counters = counters

    @property
    def fingerprint(self) -> str:
        return self._scorer.fingerprint

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Shorten each text to its target.

        Reasons for the original: "no_target", "too_short" (under 16 tokens or 3 units),
        "within_target" (it is short enough), "nothing_kept" (no unit fits), "protected_lost",
        "not_shorter".
        Raises: BadOption for an unknown protected class, ValueError for an impossible target.
        """
        counters = [self._counters.counter_for(target.model) for target in targets]
        totals = [counter.count(text) for counter, text in zip(counters, texts, strict=True)]
        reasons = [self._reason(target, total) for target, total in zip(targets, totals, strict=True)]
        todo = [i for i, reason in enumerate(reasons) if not reason]
        scored = self._scorer.score([texts[i] for i in todo], [targets[i].question for i in todo])
        outcomes = [
            self._original(text, total, reason)
            for text, total, reason in zip(texts, totals, reasons, strict=True)
        ]
        for i, units in zip(todo, scored, strict=True):
            outcomes[i] = self._shorten(texts[i], units, targets[i], counters[i])
        return outcomes

    def _reason(self, target: Target, total: int) -> str:
        budget = budget_tokens(target, total)
        if budget == float("inf"):
            return "no_target"
        if total < _MIN_TOKENS:
            return "too_short"
        return "within_target" if budget >= total else ""

    def _shorten(self, text: str, units: Units, target: Target, counter: TokenCounter) -> Outcome:
        starts = counter.starts(text)
        if len(units.bounds) < _MIN_UNITS:
            return self._original(text, len(starts), "too_short")
        protected = find_spans(text, target.protect)
        kept, count = _fit(text, units, protected, (starts, target), counter)
        reason = ""
        if not kept:
            reason = "nothing_kept"
        elif not _holds(kept, protected, text):
            reason = "protected_lost"
        elif count >= len(starts):
            reason = "not_shorter"
        if reason:
            return self._original(text, len(starts), reason)
        return Outcome(_cut(text, kept), len(starts), count, kept, self._name, self.fingerprint)

    def _original(self, text: str, tokens: int, reason: str) -> Outcome:
        return Outcome(text, tokens, tokens, (), self._name, self.fingerprint, reason)


def _fit(
    text: str,
    units: Units,
    protected: Sequence[Span],
    wanted: tuple[NDArray[np.int64], Target],
    counter: TokenCounter,
) -> tuple[tuple[Span, ...], int]:
    """Select until the text that is sent, counted anew, keeps the budget, or no more can go."""
    starts, target = wanted
    budget = budget_tokens(target, len(starts))
    kept = select(text, units, protected, starts, target)
    count = counter.count(_cut(text, kept))
    room = budget
    for _ in range(_TIGHTENINGS):
        room -= count - budget
        if count <= budget or room < 1:
            break
        fewer = select(text, units, protected, starts, Target(tokens=int(room)))
        if not fewer or fewer == kept:
            break
        kept, count = fewer, counter.count(_cut(text, fewer))
    return kept, count


def _cut(text: str, kept: Sequence[Span]) -> str:
    return "".join(text[span.start : span.end] for span in kept)


def _holds(kept: Sequence[Span], protected: Sequence[Span], text: str) -> bool:
    """Whether each protected span lies within one slice; whitespace at its ends need not."""
    slices = iter(kept)
    current = next(slices, None)
    for span in protected:
        inner = text[span.start : span.end]
        start = span.start + len(inner) - len(inner.lstrip())
        end = span.start + len(inner.rstrip())
        while current is not None and current.end < end:
            current = next(slices, None)
        if start < end and (current is None or current.start > start):
            return False
    return True
