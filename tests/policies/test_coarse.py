"""Coarse selection: the best pieces stay whole, the least of each part is known."""

from dataclasses import replace

import pytest

from elision.policies.coarse import Choice, Lot, Terms, choose, cut_lot, floor_of, whole_lot
from elision.policies.model import Budget, Decision, Kind, Ranking
from fakes.budgets import SENSES, SQUEEZE, decide, documents

TENS = tuple(letter * 10 for letter in "abcde")


def lots(*decisions: Decision, budget: Budget | None = None, anchored: bool = False) -> list[Lot]:
    terms = Terms.of(budget or Budget(), SENSES)
    return [cut_lot(n, decision, terms, anchored=anchored) for n, decision in enumerate(decisions)]


def chosen(*decisions: Decision, fine: int, room: int = 1_000, budget: Budget | None = None) -> list[int]:
    terms = Terms.of(budget or Budget(), SENSES)
    choices = choose(lots(*decisions, budget=budget), fine, room, terms)
    return [choice.pieces for choice in choices]


@pytest.mark.parametrize(("fine", "stay"), [(-5, 1), (0, 1), (9, 1), (10, 2), (24, 4), (25, 5), (90, 5)])
def test_pieces_stay_within_twice_the_fine_share(fine: int, stay: int) -> None:
    """Granularity 2: pieces of 10 tokens stay while twice the share holds them, one at least."""
    assert chosen(documents(*TENS), fine=fine) == [stay]


def test_granularity_says_how_coarse() -> None:
    """With 1, what stays needs no compressing; with 4, much stays and is compressed more."""
    assert chosen(documents(*TENS), fine=20, budget=Budget(granularity=1)) == [2]
    assert chosen(documents(*TENS), fine=10, budget=Budget(granularity=4)) == [4]


def test_a_piece_that_does_not_fit_ends_the_choice() -> None:
    """A worse one never takes the place of a better one because it is shorter."""
    assert chosen(documents("a" * 10, "b" * 50, "c"), fine=10) == [1]


def test_two_lots_lose_alike() -> None:
    """Each keeps about the same share of its tokens."""
    assert chosen(documents(*TENS), documents(*TENS[:4]), fine=26) == [3, 2]


def test_material_that_is_not_cut_takes_its_part() -> None:
    """A segment without pieces leaves less for the documents beside it."""
    assert chosen(decide("x" * 30), documents(*TENS), fine=25) == [0, 2]


def test_fewer_stay_where_their_floors_do_not_fit() -> None:
    """Protected tokens are kept, so only so many pieces that hold them can be."""
    loud = documents(*(letter * 8 + "XY" for letter in "abcde"))
    assert chosen(loud, fine=25, room=10) == [5]
    assert chosen(loud, fine=25, room=9) == [4]
    assert chosen(loud, fine=25, room=0) == [1]


def test_what_coarse_selection_alone_would_keep_is_remembered() -> None:
    """So that a plan can say that it kept less."""
    loud = documents(*(letter * 8 + "XY" for letter in "abcde"))
    terms = Terms.of(Budget(), SENSES)
    (choice,) = choose(lots(loud), 15, 4, terms)
    assert (choice.pieces, choice.wanted) == (2, 3)


def test_protected_spans_are_asked_for_only_of_what_coarse_selection_keeps() -> None:
    """Finding them is dear: once per piece, and not at all for what goes anyway."""
    asked: list[str] = []

    def protected(text: str, classes: tuple[str, ...] | None) -> int:
        asked.append(text)
        return 0

    terms = Terms.of(Budget(), replace(SENSES, protected=protected))
    choose(lots(documents(*TENS)), 10, 1_000, terms)
    assert asked == list(TENS[:2])


@pytest.mark.parametrize(
    ("budget", "anchored", "must"),
    [
        (Budget(min_examples=2), True, 2),
        (Budget(min_examples=0), True, 0),
        (Budget(min_examples=0), False, 1),
        (Budget(min_examples=9), False, 5),
        (Budget(coarse=False, slope=0.3), True, 5),
    ],
)
def test_some_pieces_stay_whatever_the_budget(budget: Budget, anchored: bool, must: int) -> None:
    """As many as the policy says; one at least where the text would be empty; all where none may go."""
    (lot,) = lots(documents(*TENS), budget=budget, anchored=anchored)
    assert lot.must == must


def test_a_segment_is_left_whole_where_cutting_serves_nothing() -> None:
    """Without pieces, or where neither choosing nor rates of their own are wanted."""
    decision = documents(*TENS)
    assert lots(decide("plain")) == [whole_lot(0, decide("plain"))]
    assert lots(decision, budget=Budget(coarse=False)) == [whole_lot(0, decision)]


def test_pieces_are_ranked_by_the_question() -> None:
    """By BM25 where the policy says so and something is asked; in their order else."""
    decision = documents("on cats. ", "on dogs. ", "on cats and birds. ", question="Which birds?")
    assert lots(decision)[0].ranked == (2, 0, 1)
    assert lots(decision, budget=Budget(ranking=Ranking.ORDER))[0].ranked == (0, 1, 2)
    assert lots(replace(decision, question=" "))[0].ranked == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "least", "floor"),
    [("a" * 10, 0.0, 1), ("a" * 10, 0.25, 3), ("aaaaaaaXYZ", 0.25, 3), ("aaaaaXYZXY", 0.25, 5), ("", 0.5, 0)],
)
def test_a_floor_is_the_bound_or_what_is_protected(text: str, least: float, floor: int) -> None:
    """Whichever is more, the bound rounded up; and a token at least."""
    terms = Terms.of(Budget(min_rates=((Kind.CONTEXT, least),)), SENSES)
    lot = whole_lot(0, decide(text))
    assert floor_of(lot, lot.parts[0], terms) == floor


def test_a_rule_says_what_is_protected() -> None:
    """The rule's list of classes is what is asked for."""
    lot = whole_lot(0, decide("aaXY", replace(SQUEEZE, protect=())))
    assert floor_of(lot, lot.parts[0], Terms.of(Budget(), SENSES)) == 1


def test_a_short_frame_is_kept_whole() -> None:
    """A tag around documents is not worth compressing, and must not be torn."""
    text = "<docs>" + "a" * 9 + "b" * 9
    decision = decide(text, pieces=((6, 15), (15, 24)))
    (lot,) = lots(decision)
    assert floor_of(lot, lot.parts[0], Terms.of(Budget(), SENSES)) == len("<docs>")


def test_a_larger_share_keeps_what_a_smaller_one_keeps() -> None:
    """Growing by single tokens: no lot ever loses a piece."""
    decisions = documents(*TENS), documents("f" * 3, "g" * 40, "h" * 5), decide("i" * 7)
    before = [0, 0, 0]
    for fine in range(80):
        now = chosen(*decisions, fine=fine, room=fine // 2)
        assert all(a <= b for a, b in zip(before, now, strict=True))
        before = now
    assert before == [5, 3, 0]


def test_a_choice_names_the_floors_of_what_stays() -> None:
    """One per part, by where it begins."""
    (lot,) = lots(documents("aX", "bbYY"))
    assert choose([lot], 10, 10, Terms.of(Budget(), SENSES)) == (Choice(lot, 2, 2, {0: 1, 2: 2}),)
