"""Iterative token-level prompt compression: what stays of a segment, given what stayed before it.

A text is read in segments by a causal model. Each token is as surprising as it is after the
*compressed* text before its segment, and after its own segment as it was; the most surprising stay,
as many as the segment's quota says. Quotas add up to the whole to the token: what rounding leaves
over goes to the next segment, the last and the shortest have theirs, and what is held (protected,
forced) stays in any case and is paid for by all segments in proportion.

This module owns units, quotas and the choice, which are pure, and `Itpc`, which reads with a model.
It makes no text: it says how much each unit matters, in numbers by which the one selector, whatever
it is given to keep, keeps every segment near its quota.
Source: LLMLingua, arXiv:2310.05736, section 3.2; LongLLMLingua, arXiv:2310.06839, sections 4.2, 4.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import Span, Units
from elision.compressors.breaks import give_way
from elision.compressors.causal_lm import CausalLM, Tokens
from elision.compressors.causal_states import States
from elision.compressors.scores import rounded
from elision.compressors.select import touching
from elision.compressors.token_units import Cut, Grain, blank_tokens, cut_units

if TYPE_CHECKING:
    import torch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

CONTEXT = 4096
"""A segment is read after at most so many tokens, itself included; older ones are forgotten."""
# Units of pieces that are to go stand behind all others.
_LAST = 1e6


class Kv(StrEnum):
    """How the compressed text before a segment is remembered.

    EXACT: its tokens are read again, each in sight of what stayed only, without gaps.
    FAST: what their first reading left in memory is kept, positions and all; one pass instead of
    one and a share.
    """

    EXACT = "exact"
    FAST = "fast"


@dataclass(frozen=True, slots=True)
class Reading:
    """How texts are read.

    Attributes:
        level: what is kept or dropped whole: words, for of a name cut in two nothing is left; or the
            paper's `Grain.TOKEN`.
        iterative_size: tokens of a segment; a quarter of what the model reads at most.
        kv: how what stayed is remembered.
    """

    level: Grain = Grain.WORD
    iterative_size: int = 200
    kv: Kv = Kv.EXACT


class Parcel(NamedTuple):
    """Units `start` to `end` of one segment and one piece: what has a quota of its own."""

    segment: int
    start: int
    end: int
    rate: float


class Chosen(NamedTuple):
    """What stays of a parcel, (n,), and each unit's place in the queue, (n,), at most 1 where it stays."""

    keep: Flags
    place: Floats


def parcels(cut: Cut, size: int, pieces: Sequence[Span], rates: Sequence[float]) -> list[Parcel]:
    """Cut units into segments of at most `size` tokens (or one unit), and those where pieces end.

    Args:
        pieces: ascending; what stands between two belongs to the first, before all of them to the first.
        rates: of the pieces.
    """
    starts = np.asarray([piece.start for piece in pieces], np.int64)
    of_piece = np.maximum(np.searchsorted(starts, cut.bounds[:, 0], side="right") - 1, 0)
    found: list[Parcel] = []
    segment, at, count = 0, 0, len(cut.bounds)
    while at < count:
        end = int(np.searchsorted(cut.first, cut.first[at] + size, side="right")) - 1
        end = min(max(end, at + 1), count)
        turns = np.flatnonzero(np.diff(of_piece[at:end])) + at + 1
        borders = [at, *turns.tolist(), end]
        for left, right in pairwise(borders):
            found.append(Parcel(segment, left, right, float(rates[of_piece[left]])))
        segment, at = segment + 1, end
    return found


def quotas(sizes: Ints, rates: Floats, held: Ints) -> Floats:
    """Return (P,) how many tokens each parcel may keep, so that all together keep what they were asked to.

    Each gets its rate, or what is held in it where that is more; then all others get less, in proportion.

    Args:
        sizes: (P,) tokens.
        rates: (P,) 0 to 1.
        held: (P,) tokens that stay in any case.
    """
    asked = sizes * rates
    total = asked.sum()
    if (held <= asked).all():
        return np.asarray(asked, np.float64)
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(held, middle * asked).sum() < total else (low, middle)
    return np.asarray(np.maximum(held, high * asked), np.float64)


def choose(scores: Floats, costs: Ints, held: Flags, quota: int) -> Chosen:
    """Choose the units of a parcel: those that are held, then the best, ties earlier first.

    A unit's place is the share of the quota at which it would come in: kept are those up to 1. So by
    places alone a selector that keeps a little more or less in all takes it from all parcels alike.

    Args:
        scores: (n,) the larger the better.
        costs: (n,) tokens.
        held: (n,) stays in any case.
        quota: tokens to keep, what is held included.
    """
    open_ = np.flatnonzero(~held)
    order = open_[np.argsort(-scores[open_], kind="stable")]
    paid = int(costs[held].sum()) + np.cumsum(costs[order])
    keep = held.copy()
    # A unit of several tokens stays if most of it fits.
    keep[order[paid - costs[order] / 2 <= quota]] = True
    place = np.zeros(len(scores))
    # Half a token, so that 1 is never reached where nothing may stay.
    place[order] = np.where(keep[order], np.minimum(paid / max(quota, 0.5), 1.0), 1 + paid / max(quota, 0.5))
    return Chosen(keep, place)


@dataclass(slots=True)
class _Row:
    """One text being read: what stands before the segment, and where the model is."""

    head: list[int]
    kept: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    place: int = 0
    last: "torch.Tensor | None" = None

    def __post_init__(self) -> None:
        self.pending = list(self.head)

    def begin_anew(self, room: int) -> None:
        """Read the head and the end of what stayed, as if that were all."""
        self.pending = self.head + self.kept[-room:]
        self.place, self.last = 0, None


class _Text:
    """One text being compressed: its units, their quotas, what stays so far."""

    def __init__(  # noqa: PLR0913  what is known of a text
        self, cut: Cut, tokens: Tokens, blank: Flags, held: Flags, todo: Sequence[Parcel], *, most: int
    ) -> None:
        self.cut, self.held, self._most = cut, held, most
        self.keep = np.zeros(len(cut.bounds), np.bool_)
        self.place = np.zeros(len(cut.bounds))
        self._ids = np.asarray(tokens.ids, np.int64)
        self._weight = 1.0 - blank
        self._costs = np.diff(cut.first)
        self._parcels = todo
        paid = np.concatenate(([0], np.cumsum(self._costs * held)))
        spent = np.asarray([paid[p.end] - paid[p.start] for p in todo], np.int64)
        sizes = np.asarray([cut.first[p.end] - cut.first[p.start] for p in todo], np.int64)
        self._held, self._sizes = spent, sizes
        self._wanted = np.cumsum(quotas(sizes, np.asarray([p.rate for p in todo]), spent))
        self._done, self._kept = 0, 0
        ends = {p.segment: p.end for p in todo}
        self.borders = [0, *ends.values()]

    def segment(self, number: int) -> list[int]:
        """Return the ids of a segment's tokens that are read; [] after the last.

        All of them, but of a unit that is longer by itself (a thousand marks on one letter, blank lines
        without end) the last.
        """
        if number + 1 >= len(self.borders):
            return []
        left, right = self.cut.first[[self.borders[number], self.borders[number + 1]]]
        return list(self._ids[max(left, right - self._most) : right].tolist())

    def choose(self, number: int, scores: Floats) -> Ints:
        """Choose what stays of a segment; return which of its tokens that are read, from 0.

        Args:
            scores: (tokens of the segment that are read,).
        """
        start, end = self.borders[number], self.borders[number + 1]
        offset = int(self.cut.first[start])
        unread = int(self.cut.first[end]) - offset - len(scores)
        if unread:
            scores = np.concatenate((np.full(unread, scores.mean()), scores))
        while self._done < len(self._parcels) and self._parcels[self._done].segment == number:
            self._choose_parcel(self._parcels[self._done], scores, offset)
        tokens = np.repeat(self.keep[start:end], self._costs[start:end])
        return np.flatnonzero(tokens[unread:])

    def _choose_parcel(self, parcel: Parcel, scores: Floats, offset: int) -> None:
        units = slice(parcel.start, parcel.end)
        first = self.cut.first[parcel.start : parcel.end]
        end = int(self.cut.first[parcel.end])
        weight = self._weight[first[0] : end]
        at = first - first[0]
        sums = np.add.reduceat(scores[first[0] - offset : end - offset] * weight, at)
        means = rounded(sums / np.maximum(np.add.reduceat(weight, at), 1.0))
        due = self._wanted[self._done] - self._kept
        # Half a token counts as one, whatever binary fractions make of it.
        # What is to go gets nothing of what rounding left over either.
        most = self._sizes[self._done] if parcel.rate else self._held[self._done]
        quota = int(np.clip(np.floor(due + 0.5 + 1e-9), self._held[self._done], most))
        found = choose(means, self._costs[units], self.held[units], quota)
        self.keep[units] = found.keep
        self.place[units] = found.place + np.where(found.keep, 0.0, _LAST if parcel.rate == 0 else 0.0)
        self._kept += int(self._costs[units][found.keep].sum())
        self._done += 1

    @property
    def units(self) -> Units:
        return Units(self.cut.bounds, -self.place)


class Itpc:
    """Reads texts in segments, each after what stays of those before it.

    Args:
        lm: the model.
        reading: how.
        batch_rows: texts that are read together; None: what suits the device.
    """

    def __init__(self, lm: CausalLM, reading: Reading | None = None, batch_rows: int | None = None) -> None:
        self._lm = lm
        self._reading = reading or Reading()
        self._limit = min(CONTEXT, lm.positions)
        self._size = max(1, min(self._reading.iterative_size, self._limit // 4))
        self._batch = batch_rows or lm.batch_rows

    def weigh(  # noqa: PLR0913  what is said of each text
        self,
        texts: Sequence[str],
        prefixes: Sequence[str],
        rates: Sequence[Sequence[float]],
        *,
        pieces: Sequence[Sequence[Span]] | None = None,
        held: Sequence[Sequence[Span]] | None = None,
        contrast: bool = False,
    ) -> list[Units]:
        """Return the units of each text, the more important the earlier they come in.

        Importance is minus a unit's place (`choose`): at -1 and above stands what stays when all
        quotas are met to the token; 0 is what is held.

        Args:
            texts: to be compressed.
            prefixes: a question, say, that each is read after; "" for none. Never compressed.
            rates: (pieces of the text,) the share of each to keep, 0 to 1.
            pieces: ascending, disjoint; None: each text is one.
            held: ascending spans that stay in any case; None: none.
            contrast: a token counts by how much the prefix makes it likelier, nll without less nll
                with it, instead of by nll; texts without a prefix by nll.
        """
        tokens = self._lm.tokenise(texts)
        work: list[tuple[_Text, list[_Row]]] = []
        for i, (text, token) in enumerate(zip(texts, tokens, strict=True)):
            cut = cut_units(text, token.offsets, self._reading.level)
            spans = pieces[i] if pieces is not None else (Span(0, len(text)),)
            todo = parcels(cut, self._size, spans, rates[i])
            flags = touching(cut.bounds, held[i]) if held is not None else np.zeros(len(cut.bounds), np.bool_)
            heads = [self._lm.head(prefixes[i])]
            if contrast and len(heads[0]) > 1:
                heads.append(self._lm.head(""))
            blank = blank_tokens(text, token.offsets)
            state = _Text(cut, token, blank, flags, todo, most=self._limit // 4)
            work.append((state, [_Row(head) for head in heads]))
        full = [i for i, (text, _) in enumerate(work) if len(text.keep)]
        order = sorted(full, key=lambda i: -len(tokens[i].ids))
        for at in range(0, len(order), self._batch):
            self._read([work[i] for i in order[at : at + self._batch]])
        return [text.units for text, _ in work]

    def _read(self, work: list[tuple[_Text, list[_Row]]]) -> None:
        """Read texts together, segment by segment; those that end leave the batch."""
        states = States(self._lm, sum(len(rows) for _, rows in work))
        number = 0
        while work:
            give_way()
            segments = [text.segment(number) for text, rows in work for _ in rows]
            rows = [row for _, rows in work for row in rows]
            nlls, found = self._step(states, rows, segments)
            at, kept = 0, []
            for text, of_text in work:
                mine = nlls[at : at + len(of_text)]
                score = mine[1] - mine[0] if len(mine) > 1 else mine[0]
                kept += [text.choose(number, score)] * len(of_text)
                at += len(of_text)
            number += 1
            staying = [bool(text.segment(number)) for text, rows in work for _ in rows]
            self._remember(states, rows, (segments, kept, found), staying)
            work = [one for one in work if one[0].segment(number)]

    def _step(
        self, states: States, rows: Sequence[_Row], segments: Sequence[list[int]]
    ) -> tuple[list[Floats], list["torch.Tensor"]]:
        """Read the next segment of each row; return its tokens' nll, and all hidden states up to its end."""
        import torch

        anew = []
        for row, segment in zip(rows, segments, strict=True):
            full = row.place + len(row.pending) + len(segment) > self._limit and row.place > 0
            anew.append(full)
            if full:
                row.begin_anew(max(1, (self._limit - len(row.head) - self._size) // 2))
        if any(anew):
            cells = [np.arange(0 if new else count) for new, count in zip(anew, states.cells, strict=True)]
            states.keep(range(len(rows)), cells)
        feeds = [row.pending + segment for row, segment in zip(rows, segments, strict=True)]
        hidden = states.read(feeds, [row.place for row in rows])
        seen = [
            one if row.last is None else torch.cat((row.last, one))
            for row, one in zip(rows, hidden, strict=True)
        ]
        states_before = [one[len(one) - len(ids) - 1 : -1] for one, ids in zip(seen, segments, strict=True)]
        targets = np.concatenate([np.asarray(ids, np.int64) for ids in segments])
        nll = self._lm.nll(torch.cat(states_before), targets)
        return np.split(nll, np.cumsum([len(ids) for ids in segments])[:-1]), seen

    def _remember(
        self,
        states: States,
        rows: Sequence[_Row],
        read: tuple[Sequence[list[int]], Sequence[Ints], Sequence["torch.Tensor"]],
        staying: Sequence[bool],
    ) -> None:
        """Have each row remember what stayed of the segment that it has just read."""
        cells = []
        fast = self._reading.kv is Kv.FAST
        for row, segment, kept, seen, count in zip(rows, *read, states.cells, strict=True):
            ids = [segment[i] for i in kept.tolist()]
            before = count - len(segment)
            row.kept += ids
            # In `seen` the segment's tokens are the last ones, and one before them there is always.
            foretelling = len(seen) - len(segment) - 1
            if fast:
                foretelling += int(kept[-1]) + 1 if len(kept) else 0
            row.last = seen[foretelling : foretelling + 1]
            row.place += len(row.pending) + (len(segment) if fast else 0)
            row.pending = [] if fast else ids
            cells.append(np.concatenate((np.arange(before), before + kept)) if fast else np.arange(before))
        rest = [i for i, stays in enumerate(staying) if stays]
        if rest:
            states.keep(rest, [cells[i] for i in rest])
