"""A scorer and the one selector, put together into a compressor.

This module owns the order of things: protect, score, select, slice, check. What a scorer finds does
not depend on the rate, so that what was found of a text before need not be found again; a scorer of
which that is not true is told rates and what is held, and asked each time. This module owns the
reasons for which an extractive method gives the original back, and the search for the choice whose
text, counted anew, keeps the budget: where slices meet they tokenise otherwise than in the
original, in scripts without spaces by a third. It knows no models; a scorer does.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elision.compressors import scores
from elision.compressors.base import (
    Demand,
    Identity,
    Outcome,
    Result,
    Scorer,
    Span,
    Target,
    TargetedScorer,
    TokenCounter,
    Units,
)
from elision.compressors.forced import Forced, Parted, digit_spans, occurrences, part, repeated
from elision.compressors.protect import find_spans, merged
from elision.compressors.select import Choice, as_spans, budget_tokens, touching
from elision.compressors.tokens import Counters

# Below this a text has too little in it to choose from.
_MIN_TOKENS = 16
_MIN_UNITS = 3
# Each probe counts a whole text; secants need about five, and halving ends what they do not.
_SECANTS = 8
_PROBES = 32

Ints = NDArray[np.int64]


class Extractive:
    """A compressor that keeps a text's best units, whole and in order.

    Args:
        name: the method's name.
        scorer: says how much each unit matters.
        counters: count as the target's model does.
        forced: what is kept whatever its score, beside what is protected.
    """

    def __init__(self, name: str, scorer: Scorer, counters: Counters, forced: Forced | None = None) -> None:
        self._name = name
        self._scorer = scorer
        self._counters = counters
        self._forced = forced or Forced()

    @property
    def fingerprint(self) -> str:
        return self._scorer.fingerprint + self._forced.label

    @property
    def identity(self) -> Identity:
        """What outcomes depend on, and what scores do."""
        scorer = self._scorer
        kept = "" if isinstance(scorer, TargetedScorer) else scorer.fingerprint
        return Identity(self.fingerprint, kept, scorer.reads_question)

    @property
    def scorer(self) -> Scorer:
        """What says how much each unit matters."""
        return self._scorer

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Shorten each text to its target, as `compress_known` does without what is known."""
        return [result.outcome for result in self.compress_known(texts, targets, [b""] * len(texts))]

    def compress_known(
        self, texts: Sequence[str], targets: Sequence[Target], known: Sequence[bytes]
    ) -> list[Result]:
        """Shorten each text to its target; say what was found of texts of which nothing was known.

        What goes is the choice whose tokens, counted anew, are at most the target and at most one
        unit fewer; where what is protected or forced has more by itself, exactly that goes.
        Reasons for the original: "no_target", "too_short" (under 16 tokens or 3 units),
        "within_target" (it is short enough), "nothing_kept" (no unit fits), "protected_lost",
        "not_shorter".

        Args:
            known: (texts,) scores of each text by this scorer, packed; b"" or what cannot be read: none.
        Raises: BadOption for an unknown protected class, ValueError for an impossible target.
        """
        counters = [self._counters.counter_for(target.model) for target in targets]
        totals = [counter.count(text) for counter, text in zip(counters, texts, strict=True)]
        reasons = [self._reason(target, total) for target, total in zip(targets, totals, strict=True)]
        todo = [i for i, reason in enumerate(reasons) if not reason]
        results = [
            Result(self._original(text, total, reason))
            for text, total, reason in zip(texts, totals, reasons, strict=True)
        ]
        if todo and isinstance(self._scorer, TargetedScorer):
            asked = {i: (texts[i], targets[i], totals[i]) for i in todo}
            for i, ranked in self._demanded(self._scorer, asked).items():
                results[i] = Result(self.shorten(texts[i], ranked, targets[i]))
            return results
        found = {i: units for i in todo if (units := _known(known[i], texts[i])) is not None}
        new = self._scored({i: (texts[i], targets[i].question) for i in todo if i not in found})
        for i, units in (found | new).items():
            outcome = self.shorten(texts[i], units, targets[i])
            results[i] = Result(outcome, scores.pack(units, len(texts[i])) if i in new else b"")
        return results

    def _demanded(
        self, scorer: TargetedScorer, asked: Mapping[int, tuple[str, Target, int]]
    ) -> dict[int, Units]:
        """Score texts for their targets, equal ones once."""
        wanted: dict[int, tuple[str, str, Demand]] = {}
        for i, (text, target, total) in asked.items():
            spans = [(span.start, span.end) for span in self.protected(text, target)]
            held = merged((*spans, *occurrences(text, self._forced.tokens)))
            demand = Demand(budget_tokens(target, total) / total, held)
            wanted[i] = (text, target.question if scorer.reads_question else "", demand)
        different = list(dict.fromkeys(wanted.values()))
        found = scorer.score_for(
            [text for text, _, _ in different],
            [question for _, question, _ in different],
            [demand for _, _, demand in different],
        )
        units = dict(zip(different, map(scores.quantised, found), strict=True))
        return {i: units[one] for i, one in wanted.items()}

    def _scored(self, asked: Mapping[int, tuple[str, str]]) -> dict[int, Units]:
        """Score texts with their questions, equal ones once."""
        reads = self._scorer.reads_question
        wanted = {i: (text, question if reads else "") for i, (text, question) in asked.items()}
        different = list(dict.fromkeys(wanted.values()))
        if not different:
            return {}
        found = self._scorer.score([text for text, _ in different], [question for _, question in different])
        units = dict(zip(different, map(scores.quantised, found), strict=True))
        return {i: units[one] for i, one in wanted.items()}

    def _reason(self, target: Target, total: int) -> str:
        budget = budget_tokens(target, total)
        if budget == float("inf"):
            return "no_target"
        if total < _MIN_TOKENS:
            return "too_short"
        return "within_target" if budget >= total else ""

    def shorten(self, text: str, units: Units, target: Target, held: Sequence[Span] = ()) -> Outcome:
        """Choose among a text's units; what `compress_known` does once a text is scored.

        Args:
            held: what stays beside what is protected and forced; ascending and disjoint.
        """
        counter = self._counters.counter_for(target.model)
        starts = counter.starts(text)
        if len(units.bounds) < _MIN_UNITS:
            return self._original(text, len(starts), "too_short")
        protected = self.protected(text, target, held)
        parted = part(text, units, self._forced.tokens)
        forced = merged((span.start, span.end) for span in (*protected, *parted.spans))
        choice = Choice(text, parted.units, forced, starts)
        droppable = _droppable(parted, protected, self._forced.drop_consecutive)
        found = _Search(text, choice, counter, droppable).fit(budget_tokens(target, len(starts)))
        kept = as_spans(found.slices)
        reason = ""
        if not kept:
            reason = "nothing_kept"
        elif not _holds(kept, protected, text):
            reason = "protected_lost"
        elif found.tokens >= len(starts):
            reason = "not_shorter"
        if reason:
            return self._original(text, len(starts), reason)
        return Outcome(found.text, len(starts), found.tokens, kept, self._name, self.fingerprint)

    def protected(self, text: str, target: Target, held: Sequence[Span] = ()) -> tuple[Span, ...]:
        """Return what of a text must stay whole, ascending and disjoint."""
        spans = [(span.start, span.end) for span in (*find_spans(text, target.protect), *held)]
        return merged((*spans, *digit_spans(text)) if self._forced.digits else spans)

    def _original(self, text: str, tokens: int, reason: str) -> Outcome:
        return Outcome(text, tokens, tokens, (), self._name, self.fingerprint, reason)


def _known(packed: bytes, text: str) -> Units | None:
    return scores.unpack(packed, len(text)) if packed else None


class _Found(NamedTuple):
    """A choice: the (M, 2) slices that stay, the text that they make, its tokens."""

    slices: Ints
    text: str
    tokens: int


class _Search:
    """Looks for how many of a text's ranked units fit.

    Args:
        text: the original.
        choice: its units, made ready.
        counter: counts what would be sent.
        droppable: (N,) numbers of forced tokens of which one in a row is enough; -1: none.
    """

    def __init__(self, text: str, choice: Choice, counter: TokenCounter, droppable: Ints) -> None:
        self._text, self._choice, self._counter, self._droppable = text, choice, counter, droppable

    def fit(self, budget: float) -> _Found:
        """Return the choice of most units within `budget` tokens; that of none if even it has more."""
        none = np.zeros(0, np.int64)
        least = self._take(none) if self._choice.forced.any() else _Found(none.reshape(0, 2), "", 0)
        order = self._choice.ranked(budget - (least.tokens or self._choice.least))
        return self._between(order, least, budget) if len(order) else least

    def _between(self, order: Ints, least: _Found, budget: float) -> _Found:
        """Narrow down how many of the ranked units fit: by the slope between two counts, then by halves."""
        cost = np.concatenate(([0.0], np.cumsum(self._choice.cost[order], dtype=np.float64)))
        few, many, best = 0, len(order) + 1, least
        at, tokens, slope = 0.0, least.tokens, 1.0
        for step in range(_PROBES):
            unit = cost[few + 1] - cost[few] if few < len(order) else 0.0
            if many - few < 2 or (few and budget - best.tokens < max(unit, 1.0)):
                break
            aim = int(np.searchsorted(cost, at + (budget - unit / 2 - tokens) / slope))
            probe = min(max(aim if step < _SECANTS else (few + many) // 2, few + 1), many - 1)
            found = self._take(order[:probe])
            if (found.tokens - tokens) * (cost[probe] - at) > 0:
                slope = (found.tokens - tokens) / (cost[probe] - at)
            at, tokens = cost[probe], found.tokens
            if tokens <= budget:
                few, best = probe, found
            else:
                many = probe
        return best

    def _take(self, chosen: Ints) -> _Found:
        keep = self._choice.keep(chosen)
        keep[repeated(np.flatnonzero(keep), self._droppable)] = False
        slices = self._choice.slices(keep)
        text = "".join([self._text[start:end] for start, end in slices.tolist()])
        return _Found(slices, text, self._counter.count(text))


def _droppable(parted: Parted, protected: Sequence[Span], drop: bool) -> Ints:
    """Return the tokens' numbers where one in a row is enough: not within protected spans."""
    if not drop:
        return np.full(len(parted.token), -1, np.int64)
    return np.where(touching(parted.units.bounds, protected), -1, parted.token)


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
