"""How much of each piece of an arranged text stays, so that all together keep the budget.

Pure arithmetic on spans: documents have rates by their rank, stretches that somebody gave a rate have
that, what frames documents has the common one. No text is read, and no word chosen.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from elision.compressors.arrangement import Arrangement
from elision.compressors.base import Span
from elision.compressors.document_ranking import dynamic_rates

# What frames documents stays whole if it is no longer.
_FRAME_TOKENS = 16

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a text, and the share of its tokens to keep, 0 to 1."""

    span: Span
    rate: float


def shared(
    told: Arrangement, starts: Ints, budget: float, above: Mapping[int, float], fixed: Sequence[Part]
) -> list[Part]:
    """Cut a text where rates change; return all of it in pieces, each with its rate.

    A stretch whose rate is fixed has it, and its document's share above the mean (0 and 1 stay what
    they are); a short frame stays whole; the rest of the budget is shared out among the rest by
    `dynamic_rates`.

    Args:
        starts: (T,) where the text's tokens start.
        budget: tokens for all of it.
        above: how far above the common rate each document is, by its number.
        fixed: stretches of the arranged text; of two that overlap the first counts.
    """
    spans = list(_cut(told, fixed))
    sizes = [tokens_in(starts, span) for span in spans]
    edges = [document.start for document in told.documents]
    last = told.documents[-1].end if edges else 0
    whole = set(frames(told, starts))
    ups: list[float] = []
    rates: list[float | None] = []
    painted = _painted(spans, fixed)
    for span, told_rate in zip(spans, painted, strict=True):
        at = int(np.searchsorted(edges, span.start, side="right")) - 1
        is_frame = at < 0 or span.start >= last
        ups.append(0.0 if is_frame else above.get(told.order[at], 0.0))
        rate = told_rate
        if rate is not None and 0 < rate < 1:
            rate = min(max(rate + ups[-1], 0.0), 1.0)
        rates.append(1.0 if span in whole else rate)
    spent = sum(size * rate for size, rate in zip(sizes, rates, strict=True) if rate is not None)
    free = [i for i, rate in enumerate(rates) if rate is None]
    found = dynamic_rates([sizes[i] for i in free], budget - spent, [ups[i] for i in free])
    given = dict(zip(free, found, strict=True))
    return [
        Part(span, given[i] if rate is None else rate)
        for i, (span, rate) in enumerate(zip(spans, rates, strict=True))
    ]


def frames(told: Arrangement, starts: Ints) -> list[Span]:
    """Return what stands before and after all documents, where it is short enough to stay whole."""
    if not told.documents:
        return []
    edges = (Span(0, told.documents[0].start), Span(told.documents[-1].end, len(told.text)))
    return [edge for edge in edges if edge.start < edge.end and tokens_in(starts, edge) <= _FRAME_TOKENS]


def tokens_in(starts: Ints, span: Span) -> int:
    """Return how many tokens start within a span."""
    return int(np.searchsorted(starts, span.end) - np.searchsorted(starts, span.start))


def _cut(told: Arrangement, fixed: Sequence[Part]) -> Iterator[Span]:
    """Yield the text in pieces; a document's goes on to where the next one begins."""
    ends = {0, len(told.text), *(document.start for document in told.documents)}
    if told.documents:
        ends.add(told.documents[-1].end)
    ends.update(at for part in fixed for at in (part.span.start, part.span.end))
    yield from (Span(a, b) for a, b in pairwise(sorted(ends)))


def _painted(spans: Sequence[Span], fixed: Sequence[Part]) -> list[float | None]:
    """Return the rate that is fixed for each piece, None where none is."""
    starts = [span.start for span in spans]
    rates: list[float | None] = [None] * len(spans)
    for part in reversed(fixed):
        first, last = bisect_left(starts, part.span.start), bisect_left(starts, part.span.end)
        rates[first:last] = [part.rate] * (last - first)
    return rates
