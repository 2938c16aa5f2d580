"""Coarse selection: which whole documents and demonstrations stay, before any is compressed.

Pure. It owns how segments with pieces are ranked, and the least that each part must keep. What
is left to what stays is for `elision.policies.budget` to share out.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from elision.policies.allocation import Parcel, fraction, in_turns, round_down, round_up, whole_within
from elision.policies.model import Budget, Decision, Kind, Ranking, Senses
from elision.policies.parts import Part, cut, whole
from elision.policies.ranking import best_first

FRAME_TOKENS = 16
"""A heading or tag around documents of no more tokens stays as it is."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A budget with its numbers made exact, and what can be asked about a text."""

    budget: Budget
    senses: Senses
    least: Mapping[Kind, Fraction]
    most: Mapping[Kind, Fraction]
    slope: Fraction
    granularity: Fraction

    @classmethod
    def of(cls, budget: Budget, senses: Senses) -> "Terms":
        least = {kind: fraction(rate) for kind, rate in budget.min_rates}
        most = {kind: fraction(rate) for kind, rate in budget.max_rates}
        return cls(budget, senses, least, most, fraction(budget.slope), fraction(budget.granularity))


@dataclass(frozen=True, slots=True)
class Lot:
    """A segment that a budget governs.

    Attributes:
        number: of its decision.
        ranked: numbers of its pieces, best first; () where it is not cut.
        must: so many pieces stay whatever the budget.
    """

    number: int
    decision: Decision
    parts: tuple[Part, ...]
    ranked: tuple[int, ...] = ()
    must: int = 0

    def text(self, part: Part) -> str:
        return self.decision.segment.text[part.start : part.end]

    def kept(self, pieces: int) -> tuple[Part, ...]:
        """Return the parts that stay when so many of the best pieces do."""
        staying = frozenset(self.ranked[:pieces])
        return tuple(part for part in self.parts if part.piece is None or part.piece in staying)


@dataclass(frozen=True, slots=True)
class Choice:
    """What stays of a lot.

    Attributes:
        pieces: how many, from the best on.
        wanted: how many coarse selection alone would have left.
        floors: the least of each part that stays, by its start.
    """

    lot: Lot
    pieces: int
    wanted: int
    floors: Mapping[int, int]


def whole_lot(number: int, decision: Decision) -> Lot:
    """Return a segment that is not cut."""
    return Lot(number, decision, (whole(decision.segment),))


def cut_lot(number: int, decision: Decision, terms: Terms, *, anchored: bool) -> Lot:
    """Cut a segment at its pieces and rank them; return it whole where that serves nothing.

    Args:
        anchored: whether something else stays of its text, so that all pieces may go.
    """
    budget, segment = terms.budget, decision.segment
    if len(segment.pieces) < 2 or not (budget.coarse or budget.slope):
        return whole_lot(number, decision)
    parts = cut(segment, terms.senses.count)
    pieces = [segment.text[part.start : part.end] for part in parts if part.piece is not None]
    asked = budget.ranking is Ranking.BM25 and decision.question.strip()
    ranked = best_first(decision.question, pieces) if asked else tuple(range(len(pieces)))
    must = max(budget.min_examples, 0 if anchored else 1) if budget.coarse else len(pieces)
    return Lot(number, decision, parts, ranked, min(must, len(pieces)))


def floor_of(lot: Lot, part: Part, terms: Terms) -> int:
    """Return the least that a part keeps: what is protected in it, its kind's bound, one token.

    A short frame is kept whole, and so is not searched for protected spans.
    """
    if lot.ranked and part.piece is None and part.tokens <= FRAME_TOKENS:
        return part.tokens
    decision = lot.decision
    bound = round_up(terms.least.get(decision.segment.kind, Fraction(0)), part.tokens)
    protected = terms.senses.protected(lot.text(part), decision.use.protect)
    return min(part.tokens, max(1, bound, protected))


def choose(lots: Sequence[Lot], fine: int, room: int, terms: Terms) -> tuple[Choice, ...]:
    """Choose which pieces stay.

    The pieces of all lots are taken in one order, about the same share of each lot; so those that
    a smaller budget keeps are among those that a larger one does. They stay while all that stays is within
    `granularity` times the fine share (LLMLingua, arXiv:2310.05736, section 3.1, but the last
    one may not exceed it), and while the least of it is within the room.

    Args:
        fine: tokens for all lots once their neighbours have what is wanted for them.
        room: tokens for all lots once their neighbours are at their floors.
    """
    queue = tuple(_queue(lots))
    stay = [lot.kept(lot.must) for lot in lots]
    base = sum(part.tokens for parts in stay for part in parts)
    allowance = round_down(terms.granularity, max(0, fine)) - base
    wanted = queue[: whole_within([parcel.tokens for parcel in queue], allowance)]
    sizes = _sizes(lots, wanted)
    floors = [
        {part.start: floor_of(lot, part, terms) for part in lot.kept(size)}
        for lot, size in zip(lots, sizes, strict=True)
    ]
    least = sum(floors[place][part.start] for place, parts in enumerate(stay) for part in parts)
    starts = [{part.piece: part.start for part in lot.parts} for lot in lots]
    costs = [floors[parcel.lot][starts[parcel.lot][parcel.number]] for parcel in wanted]
    taken = _sizes(lots, wanted[: whole_within(costs, room - least)])
    return tuple(map(Choice, lots, taken, sizes, floors))


def _sizes(lots: Sequence[Lot], taken: Sequence[Parcel]) -> list[int]:
    """Return how many pieces of each lot stay when these are taken beside those that must."""
    counts = Counter(parcel.lot for parcel in taken)
    return [lot.must + counts[place] for place, lot in enumerate(lots)]


def _queue(lots: Sequence[Lot]) -> Iterator[Parcel]:
    """Yield the pieces that may go, in the order in which they are taken."""
    shelves: list[list[Parcel]] = []
    for place, lot in enumerate(lots):
        parts = {part.piece: part for part in lot.parts}
        shelves.append(
            [Parcel(place, piece, parts[piece].tokens, lot.text(parts[piece])) for piece in lot.ranked]
        )
    free = [frozenset(lot.ranked[lot.must :]) for lot in lots]
    yield from (parcel for parcel in in_turns([s for s in shelves if s]) if parcel.number in free[parcel.lot])
