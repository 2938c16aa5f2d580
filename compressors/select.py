"""The one selector: importance, protected spans and a budget in, slices of the original out.

Every extractive method ends here, so that budgets are kept alike by all of them. Output is made of
slices of the original text only, nothing is inserted. This module knows no models and no classes
of protected text; it is given both as numbers. Work is a few vectorised passes, fit for 200,000
tokens; `select_plain` says the same in plain Python and is what tests compare with.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import Span, Target, Units
from elision.compressors.units import is_unspaced

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


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
    """Choose what stays.

    A unit costs the tokens that start after the unit before it, up to its own end; whitespace at
    the text's edges always stays and costs its own. Units that touch a protected span are forced.
    Of the others those that would fit by themselves are ranked by importance, ties earlier first,
    and taken until the next would exceed the budget: the cost of what stays is never above the
    budget unless the forced units' is, and at most one unit below.

    Between two kept units stands the whitespace between them; where units are dropped, one gap
    of the run: its strongest (paragraph break, line end, space, nothing), the first of equals.
    Where that would join two words of a script with spaces, the less important of the two goes
    too, or, both forced, the run stays.

    Args:
        text: the original.
        units: bounds (N, 2) and importance (N,).
        protected: ascending, disjoint spans.
        starts: (T,) ascending character offsets of the text's tokens.
        target: how much may stay.
    Returns: ascending, disjoint, non-adjacent spans; () if no unit stays.
    Raises: ValueError if the target's rate or tokens are out of range.
    """
    bounds = units.bounds
    if not len(bounds):
        return ()
    cost, edges = unit_costs(bounds, starts)
    forced = touching(bounds, protected)
    room = budget_tokens(target, len(starts)) - edges - int(cost[forced].sum())
    keep = forced | _ranked(units.importance, cost, forced, room)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    strength = _gap_strengths(codes, bounds)
    keep = _unglued(text, units, keep, forced, strength)
    return _slices(len(text), bounds, keep, strength)


def unit_costs(bounds: Ints, starts: Ints) -> tuple[Ints, int]:
    """Return the (N,) tokens that each unit costs, and those of whitespace at the edges."""
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


def _ranked(importance: NDArray[np.float64], cost: Ints, forced: Flags, room: float) -> Flags:
    chosen = np.zeros(len(cost), np.bool_)
    open_ = np.flatnonzero(~forced & (cost <= room))
    order = open_[np.argsort(-importance[open_], kind="stable")]
    chosen[order[np.cumsum(cost[order]) <= room]] = True
    return chosen


def _gap_strengths(codes: NDArray[np.uint32], bounds: Ints) -> Ints:
    """Return (N-1,) of each gap: 3 paragraph break, 2 line end, 1 space, 0 nothing."""
    lines = np.concatenate(([0], np.cumsum(codes == ord("\n"))))
    left, right = bounds[:-1, 1], bounds[1:, 0]
    breaks = lines[right] - lines[left]
    return np.where(breaks > 0, 1 + np.minimum(breaks, 2), (right > left).astype(np.int64))


def _unglued(text: str, units: Units, keep: Flags, forced: Flags, strength: Ints) -> Flags:
    """Mend every place where dropping a run would join two words of a script with spaces."""
    kept = np.flatnonzero(keep)
    gaps = np.concatenate(([0], np.cumsum(strength > 0)))
    left, right = kept[:-1], kept[1:]
    if not ((right - left > 1) & (gaps[right] == gaps[left])).any():
        return keep
    mended = np.zeros_like(keep)
    stack: list[int] = []
    for unit in kept.tolist():
        while stack and _glues(text, units.bounds, (stack[-1], unit), gaps):
            last = stack[-1]
            if forced[last] and forced[unit]:
                stack.extend(range(last + 1, unit))
            elif forced[unit] or (not forced[last] and units.importance[last] < units.importance[unit]):
                stack.pop()
            else:
                break
        else:
            stack.append(unit)
    mended[stack] = True
    return mended


def _glues(text: str, bounds: Ints, pair: tuple[int, int], gaps: Ints) -> bool:
    left, right = pair
    if right - left == 1 or gaps[right] > gaps[left]:
        return False
    return is_spaced_word(text[bounds[left, 1] - 1]) and is_spaced_word(text[bounds[right, 0]])


def is_spaced_word(character: str) -> bool:
    """Whether a character is part of words that spaces stand between."""
    return character.isalnum() and not is_unspaced(character)


def _slices(length: int, bounds: Ints, keep: Flags, strength: Ints) -> tuple[Span, ...]:
    kept = np.flatnonzero(keep)
    if not len(kept):
        return ()
    count = len(bounds)
    # Of each run of gaps the strongest, and of equals the first: larger is better in one number.
    value = strength * count + (count - 1 - np.arange(count - 1))
    best = (
        count - 1 - np.maximum.reduceat(value[: kept[-1]], kept[:-1]) % count if len(kept) > 1 else kept[:0]
    )
    pieces = np.concatenate(
        (
            [(0, bounds[0, 0])],
            bounds[kept],
            np.stack((bounds[best, 1], bounds[best + 1, 0]), 1),
            [(bounds[-1, 1], length)],
        )
    )
    pieces = pieces[pieces[:, 1] > pieces[:, 0]]
    pieces = pieces[np.argsort(pieces[:, 0])]
    opens = np.concatenate(([True], pieces[1:, 0] > pieces[:-1, 1]))
    closes = np.concatenate((opens[1:], [True]))
    return tuple(map(Span, pieces[opens, 0].tolist(), pieces[closes, 1].tolist()))


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
    for at, i in enumerate(kept):
        if at:
            run = [(bounds[k][1], bounds[k + 1][0]) for k in range(kept[at - 1], i)]
            pieces.append(max(run, key=lambda gap: _plain_strength(text[gap[0] : gap[1]])))
        pieces.append(bounds[i])
    pieces.append((bounds[-1][1], len(text)))
    result: list[Span] = []
    for start, end in pieces:
        if result and result[-1].end == start:
            result[-1] = Span(result[-1].start, end)
        elif end > start:
            result.append(Span(start, end))
    return tuple(result)


def _plain_strength(gap: str) -> int:
    return 1 + min(gap.count("\n"), 2) if "\n" in gap else int(bool(gap))
