"""Documents of a text in another order, or fewer of them, and where each stretch came from.

Pure. What stands between documents keeps its place while they change theirs, so that no two run into
one another; so what is arranged is made of slices of the original, and what is kept of it can be
told as slices of the original again, in the order in which they go.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from elision.compressors.base import Span
from elision.compressors.documents import Cut


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A text made of slices of another.

    Attributes:
        text: it.
        slices: of the original, in order, none of them empty.
        starts: where each begins in `text`.
        documents: where the documents stand in `text`, in order.
        order: their numbers in the original.
    """

    text: str
    slices: tuple[Span, ...]
    starts: tuple[int, ...]
    documents: tuple[Span, ...]
    order: tuple[int, ...]


def arranged(text: str, cut: Cut, order: Sequence[int]) -> Arrangement:
    """Return a text with these of its documents in this order; what frames them stays.

    Where none changes places each brings along what stands before it, so that slices ascend.
    """
    slices: list[Span] = []
    starts: list[int] = []
    documents: list[Span] = []
    at = 0

    def add(span: Span) -> Span:
        nonlocal at
        placed = Span(at, at + span.end - span.start)
        if placed.end > placed.start:
            slices.append(span)
            starts.append(at)
        at = placed.end
        return placed

    moves = any(left > right for left, right in pairwise(order))
    add(cut.head)
    for place, number in enumerate(order):
        if place:
            add(cut.gaps[(place if moves else number) - 1])
        documents.append(add(cut.documents[number]))
    add(cut.tail)
    whole = "".join([text[span.start : span.end] for span in slices])
    return Arrangement(whole, tuple(slices), tuple(starts), tuple(documents), tuple(order))


def sources(told: Arrangement, spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return stretches of an arranged text as slices of the original, neighbours joined."""
    found: list[Span] = []
    for span in spans:
        at = span.start
        while at < span.end:
            number = bisect_right(told.starts, at) - 1
            slice_, start = told.slices[number], told.starts[number]
            length = min(span.end, start + slice_.end - slice_.start) - at
            begin = slice_.start + at - start
            if found and found[-1].end == begin:
                found[-1] = Span(found[-1].start, begin + length)
            else:
                found.append(Span(begin, begin + length))
            at += length
    return tuple(found)


def placed(told: Arrangement, spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return where stretches of the original stand in an arranged text; what is not in it is left out.

    Args:
        spans: ascending and disjoint.
    """
    ends = [span.end for span in spans]
    found: list[Span] = []
    for slice_, start in zip(told.slices, told.starts, strict=True):
        for span in spans[bisect_right(ends, slice_.start) :]:
            if span.start >= slice_.end:
                break
            left, right = max(span.start, slice_.start), min(span.end, slice_.end)
            found.append(Span(start + left - slice_.start, start + right - slice_.start))
    return tuple(found)
