"""Where the words of a compression stand in the text that it was made from. Pure.

Three ways, from strict to lenient: all of them in order (`in_order`), as many as can be had in order
(`most_in_order`), the nearest one that is free (`searched`, the paper's). This module compares
strings; what makes two words equal is its caller's to say.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_EQUAL, _SAME, _NEIGHBOUR = 10, 1, 3
_NEVER = -(10**9)

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def in_order(original: Sequence[str], wanted: Sequence[str]) -> list[int] | None:
    """Return where each wanted word stands, ascending; None if they are not all there in this order.

    Of several places, the one nearest to the word before or after is taken: of all "the", that
    of the noun which was kept. Linear.
    """
    places: list[int] = []
    at = 0
    for word in wanted:
        while at < len(original) and original[at] != word:
            at += 1
        if at == len(original):
            return None
        places.append(at)
        at += 1
    every: dict[str, list[int]] = {word: [] for word in wanted}
    for at, word in enumerate(original):
        if word in every:
            every[word].append(at)
    for k in range(len(places) - 2, -1, -1):
        before, after = places[k - 1] if k else -1, places[k + 1]
        own = every[wanted[k]]
        latest = own[bisect_left(own, after) - 1]
        if after - latest <= places[k] - before:
            places[k] = latest
    return places


def most_in_order(original: Sequence[tuple[str, str]], wanted: Sequence[tuple[str, str]]) -> list[int | None]:
    """Return where wanted words stand, ascending, None for those that are left out.

    Of all ways to match words in order, one with the highest sum: 10 for each match, 1 more where
    the words are the same, 3 where the word before is matched to the word before.

    Args:
        original: of each word a strict and a lenient form; words with the same lenient form match,
            those with the same strict form are the same.
        wanted: likewise.
    Time and memory grow with the product of both lengths.
    """
    if not original or not wanted:
        return [None] * len(wanted)
    strict, lenient = (_numbers([pair[which] for pair in (*original, *wanted)]) for which in (0, 1))
    size = len(original)
    none = np.full(size + 1, _NEVER)
    total, matched = np.zeros(size + 1, np.int64), none
    rows: list[tuple[Flags, Flags, Flags]] = []
    for k in range(len(wanted)):
        worth = np.where(lenient[:size] == lenient[size + k], _EQUAL, _NEVER)
        worth += _SAME * (strict[:size] == strict[size + k])
        after_neighbour = matched[:-1] + _NEIGHBOUR > total[:-1]
        now = none.copy()
        now[1:] = worth + np.where(after_neighbour, matched[:-1] + _NEIGHBOUR, total[:-1])
        best = np.maximum.accumulate(np.maximum(total, now))
        rows.append((now == best, total == best, after_neighbour))
        total, matched = best, now
    return _traced(rows, size)


def searched(
    original: Sequence[tuple[str, str]],
    wanted: Sequence[tuple[str, str]],
    window: int,
    known: Sequence[int | None] = (),
) -> list[int]:
    """Return the places of the wanted words that were found, by the paper's algorithm 1.

    For each word the nearest equal one that is not taken, ahead before behind, less than `window`
    words from the place before; which then moves there, but ahead by half a window at most, so
    that one false match far ahead does not lose what follows. The same word is looked for first,
    an equal one after it. Linear in the words, for a given window.

    Args:
        original: of each word a strict and a lenient form.
        wanted: likewise.
        window: words to either side.
        known: places of wanted words that are settled; () for none.
    """
    places = [at for at in known if at is not None]
    free = [True] * len(original)
    for at in places:
        free[at] = False
    forms = [[word[which] for word in original] for which in (0, 1)]
    previous = 0
    for k, word in enumerate(wanted):
        hit = known[k] if known else None
        if hit is not None:
            previous = hit
            continue
        for which in (0, 1):
            hit = _nearest(forms[which], free, word[which], (previous, window))
            if hit is not None:
                free[hit] = False
                places.append(hit)
                previous = min(hit, previous + window // 2)
                break
    return places


def _numbers(words: Sequence[str]) -> Ints:
    known: dict[str, int] = {}
    return np.asarray([known.setdefault(word, len(known)) for word in words], np.int64)


def _traced(rows: Sequence[tuple[Flags, Flags, Flags]], at: int) -> list[int | None]:
    """Follow the best sum back from the end: match, leave the wanted word out, or pass a place by."""
    places: list[int | None] = [None] * len(rows)
    k, bound = len(rows) - 1, False
    while k >= 0 and at > 0:
        matches, leaves_out, after_neighbour = rows[k]
        if bound or matches[at]:
            places[k] = at - 1
            bound = bool(after_neighbour[at - 1])
            k, at = k - 1, at - 1
        elif leaves_out[at]:
            k -= 1
        else:
            at -= 1
    return places


def _nearest(original: Sequence[str], free: Sequence[bool], word: str, around: tuple[int, int]) -> int | None:
    previous, window = around
    for distance in range(window):
        for at in (previous + distance, previous - distance):
            if 0 <= at < len(original) and free[at] and original[at] == word:
                return at
    return None
