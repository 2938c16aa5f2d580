"""The budget controller: so many tokens for a prompt, shared out over its segments.

Pure and total. Rules have decided which segments are compressed and by which method; where they
do not say how far, the budget does, here. Which documents stay is chosen in
`elision.policies.coarse`, the arithmetic is in `elision.policies.allocation`; `docs/budget.md`
explains all of it with an example.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from elision.policies.allocation import MILLION, Item, fraction, round_down, round_up, share_in_order
from elision.policies.coarse import Choice, Lot, Terms, choose, cut_lot, floor_of, whole_lot
from elision.policies.model import (
    DROP,
    Ability,
    Budget,
    Decision,
    Facts,
    Kind,
    Mode,
    Scope,
    Segment,
    Senses,
    Use,
)
from elision.policies.parts import Run, part_of, runs

REPLY_TOKENS = 4096
"""Left free for the reply where neither the budget nor the request says; a quarter of a small window."""
MESSAGE_TOKENS = 4
"""What a message costs beside its text, as OpenAI's models count; once more for the reply's beginning."""

# Turns that a note names before it counts the rest.
_NAMED_TURNS = 6
_SERVED_FIRST = frozenset((Kind.INSTRUCTION, Kind.QUESTION))
_NAMES = {Kind.CONTEXT: "documents", Kind.DEMONSTRATIONS: "demonstrations"}
_ANY = Ability()
_KEPT = Use()
_ROOM = "the budget leaves room for all of it"


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A plan's decisions with their targets, and what the budget could not keep to.

    Attributes:
        decisions: in the order of the texts; a segment of which something is left out is cut up,
            and what it is cut into concatenates to it.
        notes: numbers and kinds only, one for each step, in the order in which the budget gave way.
    """

    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()


class _Note(NamedTuple):
    """A step in which a budget gave way: words with a place for each number; of turns, numbers add up."""

    words: str
    numbers: tuple[int, ...] = ()


_LOWERED = "instruction and question get {} tokens less than their rates ask for"
_FEWER = "{} documents or demonstrations stay, where coarse selection would keep {}"
_AT_FLOORS = "what is compressed goes down to its bounds and protected spans"
_EXCEEDED = "the budget of {} tokens cannot be met: {} are kept or protected"
_AUDITED = "rules in audit: {} tokens counted as left out are sent"
_STEPS = (_LOWERED, _FEWER, _AT_FLOORS, _EXCEEDED, _AUDITED)


@dataclass(frozen=True, slots=True)
class _Scope:
    """What shares one budget: decisions by their numbers, and the tokens that they may keep.

    Attributes:
        turn: counted from 1; 0 for the whole request.
    """

    turn: int
    members: Mapping[int, Decision]
    tokens: int


@dataclass(frozen=True, slots=True)
class _Portion:
    """A run of characters that gets tokens of its own, as the arithmetic sees it."""

    choice: Choice
    run: Run
    item: Item


def apply_budget(decisions: Sequence[Decision], budget: Budget, facts: Facts, senses: Senses) -> Budgeted:
    """Say how far each segment is compressed that a rule compresses without saying how far.

    What rules keep, or compress to a rate of their own, costs what it keeps; the rest of the
    budget goes to the segments it governs. A rate with scope `turn` is kept to by each turn for itself,
    so that a later request decides earlier turns alike.

    Args:
        decisions: one per segment, in the order of the texts.
        budget: the policy's, or one with the rate that a request asks for.
    Returns: governed decisions get `use.tokens`, or are kept where there is room for all of a
        segment, or dropped. All others are as they were.
    """
    governed = frozenset(number for number, decision in enumerate(decisions) if _governs(decision, senses))
    if not governed:
        return Budgeted(tuple(decisions))
    terms = Terms.of(budget, senses)
    amount = _amount(decisions, budget, facts)
    if isinstance(amount, str):
        kept = (_kept(d, amount) if n in governed else d for n, d in enumerate(decisions))
        return Budgeted(tuple(kept), (f"no budget is applied: {amount}",))
    settled: dict[int, tuple[Decision, ...]] = {}
    notes: list[tuple[int, _Note]] = []
    for scope in _scopes(decisions, budget, amount):
        mine = governed & scope.members.keys()
        if not mine:
            continue
        done, said = _share(scope, mine, terms)
        settled |= done
        notes += [(scope.turn, note) for note in said]
    ordered = (settled.get(number, (decision,)) for number, decision in enumerate(decisions))
    return Budgeted(tuple(decision for row in ordered for decision in row), tuple(_told(notes)))


def _told(notes: Sequence[tuple[int, _Note]]) -> Iterator[str]:
    """Yield one line for each step, of all the turns that took it together."""
    for words in _STEPS:
        took = [(turn, note.numbers) for turn, note in notes if note.words == words]
        if took:
            sums = (sum(column) for column in zip(*(numbers for _, numbers in took), strict=True))
            yield _label([turn for turn, _ in took]) + words.format(*sums)


def _label(turns: Sequence[int]) -> str:
    """Return what turns are called: `turn 2: `, `turns 2, 5 and 7 together: `; "" for a whole request."""
    if turns[0] == 0:
        return ""
    if len(turns) == 1:
        return f"turn {turns[0]}: "
    named = turns[: _NAMED_TURNS if len(turns) > _NAMED_TURNS + 1 else len(turns) - 1]
    rest = len(turns) - len(named)
    last = f"{rest} more" if rest > 1 else str(turns[-1])
    return f"turns {', '.join(map(str, named))} and {last} together: "


def _governs(decision: Decision, senses: Senses) -> bool:
    use = decision.use
    free = decision.compresses and decision.mode is not Mode.OFF and use.rate is None and use.tokens is None
    return free and senses.abilities.get(use.method, _ANY).needs_target


def _cost(decision: Decision) -> int:
    """Return what a decision that the budget does not govern, or has settled, keeps at most."""
    tokens, use = decision.segment.tokens, decision.use
    if decision.drops:
        return 0
    if not decision.compresses or decision.mode is Mode.OFF:
        return tokens
    if use.tokens is not None:
        return min(use.tokens, tokens)
    return tokens if use.rate is None else min(tokens, round_up(fraction(use.rate), tokens))


def _amount(decisions: Sequence[Decision], budget: Budget, facts: Facts) -> int | Fraction | str:
    """Return how many tokens, or which share of them, or why there is no budget."""
    if budget.rate is not None:
        return fraction(budget.rate)
    if budget.tokens is not None:
        return budget.tokens
    if not budget.fit:
        return "it says neither rate, nor tokens, nor fit"
    window = facts.window if budget.window is None else budget.window
    if window is None:
        return "the model's context window is not known"
    asked = facts.reply_tokens if budget.reply is None else budget.reply
    reply = min(REPLY_TOKENS, window // 4) if asked is None else asked
    messages = len({decision.segment.message for decision in decisions})
    return max(0, window - reply - facts.other_tokens - MESSAGE_TOKENS * (messages + 1))


def _scopes(decisions: Sequence[Decision], budget: Budget, amount: int | Fraction) -> Iterator[_Scope]:
    """Yield what shares one budget: turns, or the whole request.

    A rate is of all tokens in scope but our own tags', rounded down: never more than was asked.
    """
    numbered = dict(enumerate(decisions))
    if isinstance(amount, int):
        yield _Scope(0, numbered, amount)
        return
    turns: dict[int, dict[int, Decision]] = {}
    for number, decision in numbered.items():
        turn = decision.segment.turn if budget.scope is Scope.TURN else 0
        turns.setdefault(turn, {})[number] = decision
    for turn, members in sorted(turns.items()):
        everything = sum(d.segment.tokens for d in members.values() if not d.segment.tag)
        yield _Scope(turn + 1 if budget.scope is Scope.TURN else 0, members, round_down(amount, everything))


def _share(
    scope: _Scope, governed: frozenset[int], terms: Terms
) -> tuple[dict[int, tuple[Decision, ...]], list[_Note]]:
    """Share out one scope's tokens; return the governed decisions anew, by number, and notes."""
    spent = sum(_cost(decision) for number, decision in scope.members.items() if number not in governed)
    room = max(0, scope.tokens - spent)
    wanting = {number: scope.members[number] for number in sorted(governed)}
    tokens = sum(decision.segment.tokens for decision in wanting.values())
    if tokens <= room and not any(d.segment.kind in terms.most for d in wanting.values()):
        return {number: (_roomy(decision),) for number, decision in wanting.items()}, []
    first = [whole_lot(n, d) for n, d in wanting.items() if d.segment.kind in _SERVED_FIRST]
    settled, notes = _settle(first, _material(scope, wanting, terms, short=tokens > room), room, terms)
    kept = sum(_cost(decision) for row in settled.values() for decision in row)
    if spent + kept > scope.tokens:
        notes.append(_Note(_EXCEEDED, (scope.tokens, spent + kept)))
    return settled, notes + _audited(scope, settled)


def _material(scope: _Scope, wanting: Mapping[int, Decision], terms: Terms, *, short: bool) -> list[Lot]:
    """Return what is no instruction and no question, cut at its pieces where it is to lose tokens."""
    material = {n: d for n, d in wanting.items() if d.segment.kind not in _SERVED_FIRST}
    # A text must not become empty, so something of it that cannot be left out is looked for.
    anchors = {
        decision.segment.source
        for number, decision in scope.members.items()
        if not decision.drops
        and decision.segment.text.strip()
        and not (number in material and decision.segment.pieces)
    }
    return [
        cut_lot(n, d, terms, anchored=d.segment.source in anchors)
        if short or d.segment.kind in terms.most
        else whole_lot(n, d)
        for n, d in material.items()
    ]


def _settle(
    first: Sequence[Lot], rest: Sequence[Lot], room: int, terms: Terms
) -> tuple[dict[int, tuple[Decision, ...]], list[_Note]]:
    """Choose what stays, share out the room, and say where that gave way."""
    served = [portion for lot in first for portion in _portions(_all_of(lot, terms), terms)]
    wanted = [_wanted(portion, terms.budget) for portion in served]
    floors = sum(portion.item.floor for portion in served)
    choices = choose(rest, room - sum(wanted), room - floors, terms)
    material = [portion for choice in choices for portion in _portions(choice, terms)]
    shares = share_in_order(
        [portion.item for portion in served], wanted, [portion.item for portion in material], room
    )
    given = (*zip(served, shares[0], strict=True), *zip(material, shares[1], strict=True))
    mine: dict[int, list[tuple[_Portion, int]]] = {}
    for portion, share in given:
        mine.setdefault(portion.choice.lot.number, []).append((portion, share))
    settled = {lot.number: _decided(lot, mine.get(lot.number, ())) for lot in (*first, *rest)}
    notes = _gave_way(sum(wanted) - sum(shares[0]), choices)
    least = floors + sum(portion.item.floor for portion in material)
    return settled, [*notes, *_at_floors(room, least)]


def _all_of(lot: Lot, terms: Terms) -> Choice:
    return Choice(lot, 0, 0, {part.start: floor_of(lot, part, terms) for part in lot.parts})


def _portions(choice: Choice, terms: Terms) -> Iterator[_Portion]:
    """Yield the runs of what stays of a lot, with their sizes and bounds.

    A run's floor is the sum of its parts', so that bounds hold for each of them.
    """
    lot = choice.lot
    staying = {piece: rank for rank, piece in enumerate(lot.ranked[: choice.pieces])}
    slope = terms.slope
    most = terms.most.get(lot.decision.segment.kind, Fraction(1))
    for run in runs(lot.parts, staying, apart=slope > 0 and len(staying) > 1):
        tokens = sum(part.tokens for part in run)
        floor = sum(choice.floors[part.start] for part in run)
        cap = min(tokens, max(floor, round_down(most, tokens)))
        ranks = [staying[part.piece] for part in run if part.piece is not None]
        lift = _lift(slope, ranks[0], len(staying)) if slope and ranks else 0
        yield _Portion(choice, run, Item(tokens, floor, cap, lift, _text(lot, run)))


def _lift(slope: Fraction, rank: int, pieces: int) -> int:
    """Return LongLLMLingua's addition to the rate by rank, in millionths (section 4.3)."""
    return round_down(slope * MILLION * (pieces - 1 - 2 * rank) / (pieces - 1), 1) if pieces > 1 else 0


def _wanted(portion: _Portion, budget: Budget) -> int:
    """Return what an instruction or a question gets before the material, within its bounds."""
    kind, item = portion.choice.lot.decision.segment.kind, portion.item
    rate = budget.instruction_rate if kind is Kind.INSTRUCTION else budget.question_rate
    return min(item.cap, max(item.floor, round_down(fraction(rate), item.tokens)))


def _text(lot: Lot, run: Run) -> str:
    return lot.decision.segment.text[run[0].start : run[-1].end]


def _decided(lot: Lot, given: Sequence[tuple[_Portion, int]]) -> tuple[Decision, ...]:
    """Return the decisions about a lot's runs and about the pieces left out, in their order."""
    decision, pieces = lot.decision, len(lot.ranked)
    name = _NAMES.get(decision.segment.kind, "parts")
    stay = given[0][0].choice.pieces if given else 0
    why = f"{decision.why}; {stay} of {pieces} {name} stay" if stay < pieces else decision.why
    parts = {part.piece: part for part in lot.parts}
    placed: list[tuple[int, Decision]] = []
    for portion, share in given:
        start, end = portion.run[0].start, portion.run[-1].end
        segment = part_of(decision.segment, start, end, portion.item.tokens)
        placed.append((start, _allotted(decision, segment, share, why)))
    for rank, piece in enumerate(lot.ranked[stay:], stay + 1):
        part = parts[piece]
        segment = part_of(decision.segment, part.start, part.end, part.tokens)
        left_out = f"{why}; the budget leaves this one out, ranked {rank}"
        placed.append((part.start, _anew(decision, segment, Use(DROP), left_out)))
    return tuple(row for _, row in sorted(placed, key=lambda pair: pair[0]))


def _allotted(decision: Decision, segment: Segment, share: int, why: str) -> Decision:
    if share >= segment.tokens:
        return _anew(decision, segment, _KEPT, f"{why}; {_ROOM}")
    use = decision.use
    told = Use(use.method, None, share, use.options, use.protect, use.min_tokens, use.deadline_s, use.mode)
    return _anew(decision, segment, told, f"{why}; the budget leaves {share} of {segment.tokens} tokens")


def _roomy(decision: Decision) -> Decision:
    return _kept(decision, _ROOM)


def _kept(decision: Decision, why: str) -> Decision:
    return _anew(decision, decision.segment, _KEPT, f"{decision.why}; {why}")


def _anew(decision: Decision, segment: Segment, use: Use, why: str) -> Decision:
    """Return a decision changed; written out, since `replace` costs five times as much."""
    return Decision(segment, use, decision.rule, why, decision.question, decision.mode)


def _gave_way(lowered: int, choices: Sequence[Choice]) -> Iterator[_Note]:
    """Yield the first two steps in which a budget gives way."""
    if lowered > 0:
        yield _Note(_LOWERED, (lowered,))
    stay, wanted = sum(choice.pieces for choice in choices), sum(choice.wanted for choice in choices)
    if stay < wanted:
        yield _Note(_FEWER, (stay, wanted))


def _at_floors(room: int, least: int) -> Iterator[_Note]:
    if least >= room:
        yield _Note(_AT_FLOORS)


def _audited(scope: _Scope, settled: Mapping[int, tuple[Decision, ...]]) -> list[_Note]:
    """Say what a budget counts as left out that rules in audit send all the same."""
    saved = 0
    for number, decision in scope.members.items():
        if decision.mode is Mode.AUDIT:
            saved += decision.segment.tokens - sum(map(_cost, settled.get(number, (decision,))))
    mixed = any(decision.mode is Mode.ENFORCE and decision.compresses for decision in scope.members.values())
    return [_Note(_AUDITED, (saved,))] if saved > 0 and mixed else []
