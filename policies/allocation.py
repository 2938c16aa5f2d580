"""Sharing out tokens: whole numbers in, whole numbers out.

Pure arithmetic over frozen items; it knows no segments and no policies (`elision.policies.budget`
does). Integers and exact fractions decide, never floats, so that every platform shares out alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

MILLION = 1_000_000
"""Rates and lifts are counted in millionths."""


@dataclass(frozen=True, slots=True)
class Item:
    """What wants a part of a budget.

    Attributes:
        tokens: its size.
        floor, cap: the least and the most that it may get; 0 <= floor <= cap <= tokens.
        lift: how far its rate stands above the common one, in millionths; may be negative.
        key: settles who gets the odd token of equals, so that their order does not; items that
            agree in all fields cannot be told apart.
    """

    tokens: int
    floor: int
    cap: int
    lift: int = 0
    key: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= self.cap <= self.tokens:
            bounds = f"floor {self.floor}, cap {self.cap}, tokens {self.tokens}"
            raise ValueError(f"an item needs 0 <= floor <= cap <= tokens, got {bounds}")


@dataclass(frozen=True, slots=True)
class Parcel:
    """Something that is kept whole or not at all: a document, a demonstration.

    Attributes:
        lot: which collection it belongs to.
        number: its place in that collection.
    """

    lot: int
    number: int
    tokens: int
    key: str = ""


def fraction(rate: float) -> Fraction:
    """Return a rate as it is written: 0.3 is three tenths, whatever binary fractions make of it."""
    return Fraction(str(rate))


def round_down(rate: Fraction, tokens: int) -> int:
    """Return a share of some tokens, rounded down."""
    return rate.numerator * tokens // rate.denominator


def round_up(rate: Fraction, tokens: int) -> int:
    """Return a share of some tokens, rounded up."""
    return -(-rate.numerator * tokens // rate.denominator)


def share_out(items: Sequence[Item], budget: int) -> tuple[int, ...]:
    """Give each item a number of tokens, so that all together get the budget exactly.

    There is one common rate; an item's share is `tokens * (rate + lift)`, within its bounds, rounded
    to the nearest integer (halves up). The rate is raised until the budget is spent: the unit
    number `a` of an item falls due at the rate `(a - 1/2) / tokens - lift`, and units are given
    in that order, ties by key. That is Webster's method of apportionment, within bounds. Largest remainder
    was rejected: with it an item may lose a token when the budget grows (the Alabama paradox).

    Returns: one number per item: all floors if the budget is no more than their sum, all caps if it
        is no less than theirs, else numbers whose sum is the budget. A larger budget takes nothing
        from any item; the order of the items does not matter.
    Source: the rate with lifts is LongLLMLingua's dynamic compression ratio (arXiv:2310.06839,
        section 4.3), its common part solved for, so that clamping loses no token.
    """
    if budget <= sum(item.floor for item in items):
        return tuple(item.floor for item in items)
    if budget >= sum(item.cap for item in items):
        return tuple(item.cap for item in items)
    if len(items) == 1:
        return (budget,)  # most turns have one document; the search would end here too
    rate = _last_affordable(items, budget)
    shares = [_share(item, rate) for item in items]
    due = sorted(
        (_rate_due(item, unit), _identity(item), index)
        for index, item in enumerate(items)
        for unit in range(shares[index] + 1, _share(item, rate + 1) + 1)
    )
    for _, _, index in due[: budget - sum(shares)]:
        shares[index] += 1
    return tuple(shares)


def share_in_order(
    first: Sequence[Item], wanted: Sequence[int], rest: Sequence[Item], budget: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Share out between those served first and the rest (LLMLingua, arXiv:2310.05736, section 3.1).

    The first get what is wanted for them, the rest what remains. Where that is less than the
    rest's floors, the first give way, down to their own floors; where the rest's caps leave something
    over, it goes to the first, up to their caps.

    Args:
        wanted: one number per item of `first`, within its bounds.
    Returns: the shares of `first`, and of `rest`. Their sum is the budget, or that of all floors
        where it is larger, or that of all caps where it is smaller.
    """
    least = sum(item.floor for item in rest)
    if budget - sum(wanted) < least:
        lowered = [replace(item, cap=want) for item, want in zip(first, wanted, strict=True)]
        return share_out(lowered, budget - least), tuple(item.floor for item in rest)
    shares = share_out(rest, budget - sum(wanted))
    raised = [replace(item, floor=want) for item, want in zip(first, wanted, strict=True)]
    return share_out(raised, budget - sum(shares)), shares


def in_turns(lots: Sequence[Sequence[Parcel]]) -> tuple[Parcel, ...]:
    """Put the parcels of several lots, each best first, into one order in which they are taken.

    After any number of parcels about the same share of each lot's tokens has been taken, and a
    better one of a lot comes before a worse one.
    """
    ordered: list[tuple[int, str, int, int, Parcel]] = []
    for lot in lots:
        total = max(1, sum(parcel.tokens for parcel in lot))
        taken = 0
        for place, parcel in enumerate(lot):
            taken += parcel.tokens
            # The lot's best key stands for the lot: a tie must not part better from worse.
            ordered.append((taken * MILLION * MILLION // total, lot[0].key, place, parcel.lot, parcel))
    return tuple(row[-1] for row in sorted(ordered, key=lambda row: row[:-1]))


def whole_within(sizes: Sequence[int], room: int) -> int:
    """Return how many of the sizes, from the first on, fit into the room together."""
    for number, size in enumerate(sizes):
        room -= size
        if room < 0:
            return number
    return len(sizes)


def _share(item: Item, rate: int) -> int:
    """Return an item's share at a common rate in millionths."""
    nearest = (2 * item.tokens * (rate + item.lift) + MILLION) // (2 * MILLION)
    return min(item.cap, max(item.floor, nearest))


def _rate_due(item: Item, unit: int) -> Fraction:
    """Return the common rate, in millionths, at which an item gets its `unit`th token."""
    return Fraction((2 * unit - 1) * MILLION, 2 * item.tokens) - item.lift


def _identity(item: Item) -> tuple[str, int, int, int, int]:
    return item.key, item.tokens, item.floor, item.cap, item.lift


def _last_affordable(items: Sequence[Item], budget: int) -> int:
    """Return the highest rate in millionths at which the shares are within the budget.

    Asked only where the floors are below the budget and the caps above it.
    """
    low = -MILLION - max(item.lift for item in items)
    high = MILLION - min(item.lift for item in items)
    while high - low > 1:
        middle = (low + high) // 2
        if sum(_share(item, middle) for item in items) <= budget:
            low = middle
        else:
            high = middle
    return low
