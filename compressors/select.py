"""The one selector: importance, protected spans and a budget in, slices of the original out.

Every extractive method ends here, so that budgets are kept alike by all of them. Output is made of
slices of the original text only, nothing is inserted. This module knows no models and no classes
of protected text; it is given both as numbers. Work is a few vectorised passes, fit for 200,000
tokens; `select_plain` says the same in plain Python and is what tests compare with.

How what stays is joined:

1. Between two kept units stands one gap of the original: where nothing was dropped between them,
   their own; else the strongest of those of the dropped run (paragraph break, line end, space,
   nothing), the first of equals. So two paragraphs stay two where anything of both stays, a
   dropped word leaves one space, not two, and no line runs into the next.
2. A mark that closes (a full stop that is a unit of its own) hangs on what is kept before it,
   and beside a unit of nothing but whitespace (a forced line end) stands no other space.
3. Where a run between two words without any space between them is dropped ("fox漢dog"), the less
   important of the two goes too, so that they do not become one word; both forced, the run stays.
4. Whitespace at the text's edges stays.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import Span, Target, Units
from elision.compressors.units import is_spaced_word

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_CLOSING = frozenset(".,;:!?…)]}»”’。、，．！？；：）」』】》〉｡､؟،؛।")


def budget_tokens(target: Target, total: int) -> float:
    """Return how many of `total` tokens may stay; infinity where the target does not say.

    Raises: ValueError if a rate is not in (0, 1] or tokens are below 1.
    """
    if target.tokens is not None:
        if target.tokens < 1:
            raise ValueError(f"tokens to keep must be at least 1, got {target.tokens}")
        return float(target.tokens)
    if target.rate is None:
        return float("inf")
    if not 0 < target.rate <= 1:
        raise ValueError(f"rate must be in (0, 1], got {target.rate}")
    # A rate such as 0.3 of 10 tokens is 3 tokens, whatever binary fractions make of it.
    return target.rate * total + 1e-9


def select(
    text: str, units: Units, protected: Sequence[Span], starts: Ints, target: Target
) -> tuple[Span, ...]:
    """Choose what stays, by what units cost in the original.

    A unit costs the tokens that start after the unit before it, up to its own end; whitespace at
    the text's edges always stays and costs its own. Units that touch a protected span are forced.
    Of the others those that would fit by themselves are ranked by importance, ties earlier first,
    and taken until the next would exceed the budget: the cost of what stays is never above the
    budget unless the forced units' is, and at most one unit below.

    Args:
        text: the original.
        units: bounds (N, 2) and importance (N,).
        protected: ascending, disjoint spans.
        starts: (T,) ascending character offsets of the text's tokens.
        target: how much may stay.
    Returns: ascending, disjoint, non-adjacent spans; () if no unit stays.
    Raises: ValueError if the target's rate or tokens are out of range.
    """
    choice = Choice(text, units, protected, starts)
    room = budget_tokens(target, len(starts)) - choice.least
    order = choice.ranked(room)
    taken = int(np.searchsorted(np.cumsum(choice.cost[order]), room, side="right"))
    return as_spans(choice.slices(choice.keep(order[:taken])))


class Choice:
    """A text's units made ready for choosing among them, more than once.

    Attributes:
        cost: (N,) tokens of the original that each unit costs, the gap before it included.
        forced: (N,) the units that touch a protected span.
        least: tokens of what stays in any case: forced units, whitespace at the edges.
    """

    def __init__(self, text: str, units: Units, protected: Sequence[Span], starts: Ints) -> None:
        """Take a text, its units, ascending protected spans, and (T,) where its tokens start."""
        self._length, self._units = len(text), units
        bounds = units.bounds
        self.cost, edges = unit_costs(bounds, starts)
        self.forced = touching(bounds, protected)
        self.least = edges + int(self.cost[self.forced].sum())
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        self._strength = _gap_strengths(codes, bounds)
        self._heads = _Letters(codes, bounds[:, 0])
        self._tails = _Letters(codes, bounds[:, 1] - 1)
        # Gaps before each unit that hold something: two units between which it is equal would touch.
        self._spaces = np.concatenate(([0], np.cumsum(self._strength > 0)))[: len(bounds)]

    def ranked(self, room: float) -> Ints:
        """Return the units that are not forced and cost at most `room`, the most important first."""
        open_ = np.flatnonzero(~self.forced & (self.cost <= room))
        return np.asarray(open_[np.argsort(-self._units.importance[open_], kind="stable")], np.int64)

    def keep(self, chosen: Ints) -> Flags:
        """Return (N,) what stays if these are chosen: they, the forced, no two words made one."""
        flags = self.forced.copy()
        flags[chosen] = True
        kept = np.flatnonzero(flags)
        return self._unglued(kept.tolist()) if self._glued(kept).any() else flags

    def slices(self, keep: Flags) -> Ints:
        """Return the ranges of characters (M, 2) that stay, apart from each other; (0, 2) if no unit does."""
        bounds, kept = self._units.bounds, np.flatnonzero(keep)
        if not len(kept):
            return np.zeros((0, 2), np.int64)
        gaps = self._gaps(kept)
        between = np.stack((bounds[gaps, 1], bounds[gaps + 1, 0]), 1)
        edges = [(0, bounds[0, 0]), (bounds[-1, 1], self._length)]
        pieces = np.concatenate((bounds[kept], between, edges))
        pieces = pieces[pieces[:, 1] > pieces[:, 0]]
        pieces = pieces[np.argsort(pieces[:, 0])]
        opens = np.concatenate(([True], pieces[1:, 0] > pieces[:-1, 1]))
        closes = np.concatenate((opens[1:], [True]))
        return np.stack((pieces[opens, 0], pieces[closes, 1]), 1)

    def _gaps(self, kept: Ints) -> Ints:
        """Return the gaps that stay between kept units: gap i stands between units i and i + 1."""
        if len(kept) < 2:
            return kept[:0]
        count, (left, right) = len(self.cost), (kept[:-1], kept[1:])
        # Of each run of gaps the strongest, and of equals the first: larger is better in one number.
        value = self._strength * count + (count - 1 - np.arange(count - 1))
        best = count - 1 - np.maximum.reduceat(value[: kept[-1]], left) % count
        blank = self._heads.blank[left] | self._heads.blank[right]
        hangs = self._heads.closing[right] & (self._strength[right - 1] == 0)
        dropped = right - left > 1
        return np.asarray(best[~dropped | (self._strength[best] > 1) | ~(blank | hangs)], np.int64)

    def _glued(self, kept: Ints) -> Flags:
        left, right = kept[:-1], kept[1:]
        touch = (right - left > 1) & (self._spaces[left] == self._spaces[right])
        return np.asarray(touch & self._tails.spaced[left] & self._heads.spaced[right], np.bool_)

    def _unglued(self, kept: list[int]) -> Flags:
        """Mend every place where dropping a run would join two words of a script with spaces."""
        tails, heads, spaces = self._tails.spaced.tolist(), self._heads.spaced.tolist(), self._spaces.tolist()
        forced, importance = self.forced.tolist(), self._units.importance.tolist()
        stack: list[int] = []
        for unit in kept:
            stays = True
            while stays and stack:
                last = stack[-1]
                if unit - last == 1 or spaces[last] != spaces[unit] or not (tails[last] and heads[unit]):
                    break
                if forced[last] and forced[unit]:
                    stack.extend(range(last + 1, unit))
                elif forced[unit] or (not forced[last] and importance[last] < importance[unit]):
                    stack.pop()
                else:
                    stays = False
            if stays:
                stack.append(unit)
        mended = np.zeros(len(forced), np.bool_)
        mended[stack] = True
        return mended


class _Letters:
    """What the characters at some places are, each different one asked about once.

    Attributes:
        spaced: (N,) part of words that spaces stand between.
        closing: (N,) a mark that closes what stands before it.
        blank: (N,) whitespace.
    """

    def __init__(self, codes: NDArray[np.uint32], places: Ints) -> None:
        different, at = np.unique(codes[places], return_inverse=True)
        letters = [chr(code) for code in different.tolist()]
        self.spaced: Flags = np.asarray([is_spaced_word(one) for one in letters], np.bool_)[at]
        self.closing: Flags = np.asarray([one in _CLOSING for one in letters], np.bool_)[at]
        self.blank: Flags = np.asarray([one.isspace() for one in letters], np.bool_)[at]


def as_spans(slices: Ints) -> tuple[Span, ...]:
    """Return (M, 2) ranges as values."""
    return tuple(map(Span, slices[:, 0].tolist(), slices[:, 1].tolist()))


def unit_costs(bounds: Ints, starts: Ints) -> tuple[Ints, int]:
    """Return the (N,) tokens that each unit costs, and those of whitespace at the edges."""
    if not len(bounds):
        return np.zeros(0, np.int64), len(starts)
    cuts = np.concatenate(([bounds[0, 0]], bounds[:, 1]))
    at = np.searchsorted(starts, cuts, side="left")
    edges = int(at[0]) + len(starts) - int(at[-1])
    return np.asarray(np.diff(at), np.int64), edges


def touching(bounds: Ints, protected: Sequence[Span]) -> Flags:
    """Return (N,) which units share a character with a protected span."""
    spans = np.asarray([(span.start, span.end) for span in protected], np.int64).reshape(-1, 2)
    before_end = np.searchsorted(spans[:, 0], bounds[:, 1], side="left")
    before_start = np.searchsorted(spans[:, 1], bounds[:, 0], side="right")
    return np.asarray(before_end > before_start, np.bool_)


def _gap_strengths(codes: NDArray[np.uint32], bounds: Ints) -> Ints:
    """Return (N-1,) of each gap: 3 paragraph break, 2 line end, 1 space, 0 nothing."""
    lines = np.concatenate(([0], np.cumsum(codes == ord("\n"))))
    left, right = bounds[:-1, 1], bounds[1:, 0]
    breaks = lines[right] - lines[left]
    return np.where(breaks > 0, 1 + np.minimum(breaks, 2), (right > left).astype(np.int64))


def select_plain(
    text: str, units: Units, protected: Sequence[Span], starts: Ints, target: Target
) -> tuple[Span, ...]:
    """Say what `select` says, unit by unit. The reference for tests."""
    bounds = [(int(start), int(end)) for start, end in units.bounds]
    if not bounds:
        return ()
    cuts = [bounds[0][0], *(end for _, end in bounds)]
    cost = [sum(a <= s < b for s in starts) for a, b in pairwise(cuts)]
    forced = {i for i, (a, b) in enumerate(bounds) if any(a < p.end and p.start < b for p in protected)}
    room = budget_tokens(target, len(starts)) - (len(starts) - sum(cost)) - sum(cost[i] for i in forced)
    kept = set(forced)
    for i in sorted(range(len(bounds)), key=lambda i: (-units.importance[i], i)):
        if i in forced or cost[i] > room:
            continue
        spent = sum(cost[k] for k in kept - forced)
        if spent + cost[i] > room:
            break
        kept.add(i)
    return _plain_slices(text, bounds, _plain_unglued(text, units, kept, forced))


def _plain_unglued(text: str, units: Units, kept: set[int], forced: set[int]) -> list[int]:
    bounds = units.bounds.tolist()
    result: list[int] = []
    for i in sorted(kept):
        while True:
            last = result[-1] if result else i - 1
            between = text[bounds[last][1] : bounds[i][0]] if result else " "
            whole = "".join(text[bounds[k][1] : bounds[k + 1][0]] for k in range(last, i)) if result else " "
            joins = i - last > 1 and not whole and bool(between)
            if not (
                joins and is_spaced_word(text[bounds[last][1] - 1]) and is_spaced_word(text[bounds[i][0]])
            ):
                result.append(i)
                break
            if last in forced and i in forced:
                result.extend(range(last + 1, i + 1))
                break
            if i in forced or (last not in forced and units.importance[last] < units.importance[i]):
                result.pop()
                continue
            break
    return result


def _plain_slices(text: str, bounds: list[tuple[int, int]], kept: list[int]) -> tuple[Span, ...]:
    if not kept:
        return ()
    pieces = [(0, bounds[0][0])]
    for last, i in pairwise([None, *kept]):
        if last is not None and i is not None:
            pieces.append(_plain_gap(text, bounds, last, i))
        if i is not None:
            pieces.append(bounds[i])
    pieces.append((bounds[-1][1], len(text)))
    result: list[Span] = []
    for start, end in pieces:
        if result and result[-1].end == start:
            result[-1] = Span(result[-1].start, end)
        elif end > start:
            result.append(Span(start, end))
    return tuple(result)


def _plain_gap(text: str, bounds: list[tuple[int, int]], left: int, right: int) -> tuple[int, int]:
    run = [(bounds[k][1], bounds[k + 1][0]) for k in range(left, right)]
    best = max(run, key=lambda gap: _plain_strength(text[gap[0] : gap[1]]))
    first = text[bounds[right][0]]
    blank = first.isspace() or text[bounds[left][0]].isspace()
    hangs = first in _CLOSING and run[-1][0] == run[-1][1]
    weak = _plain_strength(text[best[0] : best[1]]) < 2
    return (best[0], best[0]) if right - left > 1 and weak and (blank or hangs) else best


def _plain_strength(gap: str) -> int:
    return 1 + min(gap.count("\n"), 2) if "\n" in gap else int(bool(gap))
