"""Sharing out tokens: exact, monotone, indifferent to order, the same as handing out one by one."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.allocation import (
    MILLION,
    Item,
    Parcel,
    fraction,
    in_turns,
    round_down,
    round_up,
    share_in_order,
    share_out,
    whole_within,
)


@st.composite
def some_items(draw: st.DrawFn, key: str = "") -> Item:
    tokens = draw(st.integers(0, 60))
    floor = draw(st.integers(0, tokens))
    cap = draw(st.integers(floor, tokens))
    lift = draw(st.sampled_from((0, 0, 0, 300_000, -300_000, 150_000, -7)))
    return Item(tokens, floor, cap, lift, key or draw(st.text("ab", max_size=2)))


ITEMS = st.lists(some_items(), max_size=7)
BUDGETS = st.integers(-5, 300)


def one_by_one(items: Sequence[Item], budget: int) -> tuple[int, ...]:
    """Hand out one token after another to whoever's next falls due first: slow and plain."""
    shares = [item.floor for item in items]

    def due(index: int) -> tuple[Fraction, tuple[str, int, int, int, int]]:
        item = items[index]
        middle = Fraction(2 * shares[index] + 1, 2 * item.tokens)
        name = (item.key, item.tokens, item.floor, item.cap, item.lift)
        return middle - Fraction(item.lift, MILLION), name

    while sum(shares) < budget:
        open_ = [index for index, item in enumerate(items) if shares[index] < item.cap]
        if not open_:
            break
        shares[min(open_, key=due)] += 1
    return tuple(shares)


@given(ITEMS, BUDGETS)
def test_shares_are_those_of_handing_out_one_by_one(items: list[Item], budget: int) -> None:
    """The fast way is the slow way."""
    assert share_out(items, budget) == one_by_one(items, budget)


@given(ITEMS, BUDGETS)
def test_every_token_is_accounted_for(items: list[Item], budget: int) -> None:
    """The sum is the budget, or that of the floors above it, or that of the caps below it."""
    shares = share_out(items, budget)
    floors, caps = sum(item.floor for item in items), sum(item.cap for item in items)
    assert sum(shares) == max(floors, min(budget, caps))
    assert all(item.floor <= share <= item.cap for item, share in zip(items, shares, strict=True))


@given(ITEMS, BUDGETS, st.integers(0, 50))
def test_a_larger_budget_takes_nothing_from_anyone(items: list[Item], budget: int, more: int) -> None:
    """Monotone for each item, not only for the sum."""
    before, after = share_out(items, budget), share_out(items, budget + more)
    assert all(a <= b for a, b in zip(before, after, strict=True))


@given(st.data(), BUDGETS)
def test_the_order_of_the_items_does_not_matter(data: st.DataObject, budget: int) -> None:
    """Each item's share goes with the item, equals being told apart by their keys."""
    items = [
        data.draw(some_items(key)) for key in data.draw(st.lists(st.text("abc"), unique=True, max_size=6))
    ]
    shuffled = data.draw(st.permutations(items))
    assert dict(zip(shuffled, share_out(shuffled, budget), strict=True)) == dict(
        zip(items, share_out(items, budget), strict=True)
    )


def test_the_odd_token_goes_to_the_first_key() -> None:
    """Two alike, three tokens: the key says who gets two, wherever it stands."""
    a, b = Item(4, 0, 4, key="a"), Item(4, 0, 4, key="b")
    assert share_out([a, b], 3) == (2, 1)
    assert share_out([b, a], 3) == (1, 2)


def test_one_rate_for_all_without_lifts() -> None:
    """Half the tokens: half of each."""
    assert share_out([Item(100, 0, 100), Item(300, 0, 300)], 200) == (50, 150)


def test_a_lift_raises_the_rate_by_itself() -> None:
    """LongLLMLingua's rates: .5 + .3, .5, .5 - .3."""
    items = [Item(100, 0, 100, lift) for lift in (300_000, 0, -300_000)]
    assert share_out(items, 150) == (80, 50, 20)


def test_what_clamping_takes_goes_to_the_others() -> None:
    """A rate of .9 + .3 is cut to 1; the sum is the budget nevertheless."""
    items = [Item(100, 0, 100, lift) for lift in (300_000, 0, -300_000)]
    assert share_out(items, 270) == (100, 100, 70)


def test_large_prompts_are_shared_out_exactly() -> None:
    """A million tokens and odd sizes: no token is lost."""
    items = [Item(size, size // 9, size, key=str(size)) for size in range(900, 1_900)]
    assert sum(share_out(items, 777_777)) == 777_777


@pytest.mark.parametrize("bounds", [(5, 6, 4), (5, 3, 6), (5, -1, 4)])
def test_bounds_that_cross_are_refused(bounds: tuple[int, int, int]) -> None:
    """0 <= floor <= cap <= tokens; the message says what was given."""
    with pytest.raises(ValueError, match=r"floor -?\d, cap \d, tokens \d"):
        Item(bounds[0], bounds[1], bounds[2])


@st.composite
def some_wanted(draw: st.DrawFn) -> tuple[Item, int]:
    item = draw(some_items())
    return item, draw(st.integers(item.floor, item.cap))


WANTED = st.lists(some_wanted(), max_size=4)


@given(WANTED, ITEMS, BUDGETS, st.integers(0, 50))
def test_serving_some_first_loses_nothing_and_is_monotone(
    wanted: list[tuple[Item, int]], rest: list[Item], budget: int, more: int
) -> None:
    """The sum is as that of one sharing out, and nobody loses by a larger budget."""
    first = [item for item, _ in wanted]
    shares = share_in_order(first, [want for _, want in wanted], rest, budget)
    everyone = (*first, *rest)
    floors, caps = sum(item.floor for item in everyone), sum(item.cap for item in everyone)
    together = (*shares[0], *shares[1])
    assert sum(together) == max(floors, min(budget, caps))
    assert all(item.floor <= share <= item.cap for item, share in zip(everyone, together, strict=True))
    later = share_in_order(first, [want for _, want in wanted], rest, budget + more)
    assert all(a <= b for a, b in zip(together, (*later[0], *later[1]), strict=True))


@given(WANTED, ITEMS, BUDGETS)
def test_the_first_get_what_is_wanted_unless_only_floors_are_left(
    wanted: list[tuple[Item, int]], rest: list[Item], budget: int
) -> None:
    """They give way only when the rest is at its floors, and gain only when it is at its caps."""
    first, others = share_in_order([item for item, _ in wanted], [want for _, want in wanted], rest, budget)
    if sum(first) < sum(want for _, want in wanted):
        assert list(others) == [item.floor for item in rest]
    if sum(first) > sum(want for _, want in wanted):
        assert list(others) == [item.cap for item in rest]


@pytest.mark.parametrize("rate", [0.1, 0.29, 0.3, 0.57, 0.7, 1.0, 1e-05])
def test_a_rate_is_what_is_written(rate: float) -> None:
    """Of so many tokens that the share is whole, rounding either way changes nothing."""
    tokens = fraction(rate).denominator * 30
    assert round_down(fraction(rate), tokens) == round_up(fraction(rate), tokens) == round(rate * tokens)


@given(st.floats(0.001, 1), st.integers(0, 10_000))
def test_a_share_is_rounded_to_its_neighbours(rate: float, tokens: int) -> None:
    """Down is never above the share, up never below it, and less than one token lies between."""
    down, up = round_down(fraction(rate), tokens), round_up(fraction(rate), tokens)
    assert down <= fraction(rate) * tokens <= up <= down + 1


PARCELS = st.lists(st.lists(st.integers(0, 40), max_size=6), max_size=4)


@given(PARCELS)
def test_parcels_of_a_lot_stay_in_their_order(sizes: list[list[int]]) -> None:
    """Nothing is taken before what is better than it in its own lot, and all are there."""
    lots = [
        [Parcel(lot, number, size, f"{number}") for number, size in enumerate(row)]
        for lot, row in enumerate(sizes)
    ]
    order = in_turns(lots)
    assert sorted((p.lot, p.number) for p in order) == [(p.lot, p.number) for row in lots for p in row]
    for lot in range(len(lots)):
        assert [p.number for p in order if p.lot == lot] == list(range(len(lots[lot])))


def test_parcels_are_taken_from_all_lots_alike() -> None:
    """A lot twice as large gives twice as much at any time."""
    small = [Parcel(0, n, 10, "a") for n in range(2)]
    large = [Parcel(1, n, 10, "b") for n in range(4)]
    assert [p.lot for p in in_turns([small, large])] == [1, 0, 1, 1, 0, 1]


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(-5, 150))
def test_whole_within_takes_the_longest_beginning_that_fits(sizes: list[int], room: int) -> None:
    """As many as fit, and not one more; what comes after one that does not fit is not looked at."""
    taken = whole_within(sizes, room)
    assert taken == 0 or sum(sizes[:taken]) <= room
    assert taken == len(sizes) or sum(sizes[: taken + 1]) > room
