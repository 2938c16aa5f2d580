"""What a prefix is worth: the bill of a conversation, and what may be shortened without raising it.

Pure, exact arithmetic on whole numbers and fractions; it knows tokens and prices, neither texts nor
providers. Bills are counted in tokens at the full price of input: 150 tokens read at a tenth are 15.

Two questions are answered. The cliff: a prompt below the provider's minimum is not cached at all, so
that one made shorter than it may cost more as the conversation goes on. The step: texts that were
sent before may be shortened a second time at the price of one broken prefix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from itertools import islice
from math import ceil, lcm
from typing import NamedTuple

from elision.policies.allocation import Item, fraction, share_out
from elision.policies.model import PrefixTerms

ERROR = Fraction(1, 16)
"""How far from the provider's our count of a prompt's tokens may be."""
AIM = Fraction(1, 8)
"""So far above the minimum a prompt is aimed that shortening is to leave above it: the error, and as
much again for what a method takes away beyond its target."""

LONGER = 4
"""A prompt that is shortened below the minimum must not cost more in a conversation that goes on so many
times as long as is expected, either."""
GROWTHS = (50, 200)
"""Tokens of a turn that may follow, of a question and an answer for instance: below the minimum they are
paid for in full again and again, so that a prompt that would stay below must not cost more with these."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a conversation is expected to go on, and how it is billed.

    Attributes:
        terms: of the model that reads it.
        turns: further requests that begin with this one's prompt.
        growth: tokens by which each is longer than the one before it.
        doubt: tokens of every prompt that are counted, and may not be there: what is beside texts (tools,
            schemas) is guessed by its length.
    """

    terms: PrefixTerms
    turns: int
    growth: int = 0
    doubt: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What a provider has seen of a prompt before.

    Attributes:
        tokens: from the prompt's beginning on, as an earlier request sent them.
        head: so many of them come before the first message that a step changes.
        age_s: seconds since that request.
    """

    tokens: int
    head: int
    age_s: float = 0.0


class Ruling(StrEnum):
    """What became of a prefix."""

    CLEAR = "clear"
    BELOW = "below_minimum"
    MINIMUM = "cache_minimum"
    STEP = "step"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A ruling with its arithmetic.

    Attributes:
        ruling: CLEAR: no minimum is near; BELOW: shortened below the minimum, which costs no more;
            MINIMUM: held above it; STEP: an old prefix is broken; WAIT: it does not pay yet.
        before: tokens of the prompt if nothing (of a step: nothing more) were shortened.
        after: tokens of the prompt if everything were.
        sent: tokens of the prompt that is to be sent.
        bill_before, bill_after, bill_sent: of the conversation, in tokens at full price.
        broken: tokens of warm prefix that a step has the provider read anew.
        needs: further turns from which on a step pays; None: it never does.
    """

    ruling: Ruling
    before: int
    after: int
    sent: int
    outlook: Outlook
    bill_before: Fraction
    bill_after: Fraction
    bill_sent: Fraction
    broken: int = 0
    needs: int | None = None

    @property
    def words(self) -> str:
        """Return what `x-elision-prefix` says of it, "" where there is nothing to say."""
        turns = self.outlook.turns
        bills = f"{round(self.bill_before)}>{round(self.bill_sent)}"
        if self.ruling is Ruling.MINIMUM:
            told = f"kept=cache_minimum,tokens={self.before}>{self.after}>{self.sent}"
            return f"{told},minimum={self.outlook.terms.minimum},turns={turns},bill={bills}"
        if self.ruling is Ruling.BELOW:
            told = f"below=cache_minimum,tokens={self.before}>{self.sent}"
            return f"{told},minimum={self.outlook.terms.minimum},turns={turns},bill={bills}"
        if self.ruling is Ruling.STEP:
            told = f"step=taken,tokens={self.before}>{self.sent},broken={self.broken}"
            return f"{told},turns={turns},bill={bills}"
        if self.ruling is Ruling.WAIT:
            needs = "never" if self.needs is None else str(self.needs)
            return f"step=waits,tokens={self.before}>{self.after},turns={turns},needs={needs}"
        return ""

    @property
    def sentence(self) -> str:
        """Return it for a person."""
        if self.ruling in (Ruling.STEP, Ruling.WAIT):
            return self._step_sentence()
        if self.ruling is Ruling.CLEAR:
            if self.before == self.after:
                return f"{self.before} tokens, none of which is taken away"
            return (
                f"{self.before} tokens become {self.after}; no minimum of the provider's cache lies between"
            )
        told = f"{self.before} tokens would become {self.after}, and the provider caches nothing under"
        bills = f"{_tokens(self.bill_after)} so, {_tokens(self.bill_before)} as they are"
        told = f"{told} {self.outlook.terms.minimum}: with {_turns(self.outlook.turns)} the bill is {bills}"
        if self.ruling is Ruling.BELOW:
            return f"{told}; they are shortened"
        if self.sent == self.before:
            return f"{told}; nothing is taken away"
        return f"{told}; {self.sent} are sent, for {_tokens(self.bill_sent)}"

    def sending(self, tokens: int) -> "Verdict":
        """Return the verdict of a prompt that came out otherwise than it was aimed at."""
        bill = self.bill_before
        if tokens != self.before:
            bill = conversation_bill(tokens, 0, _proven(self.outlook))
        return replace(self, sent=tokens, bill_sent=bill)

    def _step_sentence(self) -> str:
        told = (
            f"{self.before} tokens could become {self.after} if {self.broken} of a known prefix are sent anew"
        )
        bills = f"{_tokens(self.bill_after)} so, {_tokens(self.bill_before)} as they are"
        told = f"{told}: with {_turns(self.outlook.turns)} the bill is {bills}"
        if self.ruling is Ruling.STEP:
            return f"{told}; it is done"
        pays = "it never pays" if self.needs is None else f"it would pay from {self.needs} further turns on"
        return f"{told}; {pays}"


@dataclass(frozen=True, slots=True)
class Restored:
    """Which outcomes are taken back so that a prompt stays above the provider's minimum.

    Attributes:
        indices: of the savings that are forgone, ascending.
    """

    indices: tuple[int, ...]
    verdict: Verdict


def request_bill(tokens: int, warm: int, terms: PrefixTerms) -> Fraction:
    """Return what one request's prompt costs.

    Args:
        tokens: of the prompt.
        warm: so many from its beginning on are the same as in an earlier request that is still cached.
        terms: below `minimum` nothing is read or written; reads come in whole granules.
    Returns: tokens at the full price of input.
    Source: peers.md, section 4.
    """
    prices = _prices(terms)
    return Fraction(_request(tokens, warm, terms, prices), prices.full)


def running_bill(tokens: int, warm: int, outlook: Outlook) -> Iterator[Fraction]:
    """Yield what a conversation has cost after this request, and after each that is expected.

    Every request's prompt is a prefix of the next one's, which is longer by `growth`.

    Args:
        tokens: of this request's prompt.
        warm: tokens of it that are cached already.
    Returns: `outlook.turns + 1` sums, in tokens at full price; none is less than the one before it.
    """
    full = _prices(outlook.terms).full
    return (Fraction(total, full) for total in _running(tokens, warm, outlook))


def conversation_bill(tokens: int, warm: int, outlook: Outlook) -> Fraction:
    """Return what a conversation costs from this request on, the expected turns included."""
    (total,) = islice(_running(tokens, warm, outlook), outlook.turns, None)
    return Fraction(total, _prices(outlook.terms).full)


def at_cliff(before: int, after: int, outlook: Outlook) -> bool:
    """Whether shortening may lead from a prompt that is cached, or soon would be, to one that is not.

    Where it does not, `restored` and `aimed` change nothing; asking takes microseconds.
    """
    low, high = _low(outlook.terms), _high(outlook)
    return after < before and after < high and before + outlook.turns * outlook.growth >= low


def is_cached(tokens: int, terms: PrefixTerms) -> bool:
    """Whether a prompt of so many tokens, by our count, is surely not below the provider's minimum."""
    return tokens >= _high(Outlook(terms, 0))


def is_uncached(tokens: int, outlook: Outlook) -> bool:
    """Whether a prompt of so many tokens, by our count, is surely below the provider's minimum."""
    return tokens < _low(outlook.terms)


def restored(savings: Sequence[int], before: int, outlook: Outlook) -> Restored:
    """Decide which outcomes to take back, so that no minimum makes the bill larger than without them.

    The choices are: everything shortened; outcomes taken back until the prompt is just above the
    minimum, now or (where the conversation grows) in one of the expected turns; all of them taken
    back. Of those that at no point of a conversation, be it longer, cost more than the unshortened
    prompt, wherever within the error of our counting the minimum lies, the one with the least bill
    is chosen.

    Args:
        savings: tokens that each outcome saves, none negative.
        before: tokens of the whole prompt if none is used, tools and schemas included.
        outlook: with 0 turns nothing is ever taken back.
    Source: peers.md, section 4, of the cliff: shrinking 1,500 cached tokens to 900 where the minimum
        is 1,024 and reads cost a tenth costs 900 instead of 150 in each further turn.
    """
    after = before - sum(savings)
    if not at_cliff(before, after, outlook):
        return Restored((), _clear(before, after, outlook))
    choices = {after: (), before: tuple(index for index, saving in enumerate(savings) if saving)}
    for total in _crossings(_high(outlook), after, before, outlook):
        indices = _least_above(savings, total - after)
        choices.setdefault(after + sum(savings[index] for index in indices), indices)
    sent = _cheapest(list(choices), before, outlook)
    return Restored(choices[sent], _ruled(before, after, sent, outlook))


def aimed(before: int, after: int, outlook: Outlook) -> Verdict:
    """Return where a prompt is to be brought whose shortening has not begun.

    As `restored`, but any total between the two can be asked for: `sent` of the verdict is one of
    `after`, a little above the minimum (now, or in one of the expected turns), and `before`.
    """
    if not at_cliff(before, after, outlook):
        return _clear(before, after, outlook)
    totals = [after, *_crossings(aim_of(outlook), after, before, outlook)]
    return _ruled(before, after, _cheapest(totals, before, outlook), outlook)


def aim_of(outlook: Outlook) -> int:
    """Return the tokens, by our count, to which a prompt is brought that is to stay above the minimum."""
    return ceil(outlook.terms.minimum * (1 + AIM)) + outlook.doubt


def raised(targets: Sequence[int], sizes: Sequence[int], extra: int) -> tuple[int, ...]:
    """Share `extra` tokens out over targets that were to be smaller, none above its size.

    Args:
        targets: tokens that each text was to keep.
        sizes: tokens that it has.
    """
    items = [Item(size, target, size) for target, size in zip(targets, sizes, strict=True)]
    return share_out(items, sum(targets) + extra)


def judge_step(before: int, saving: int, known: Known, outlook: Outlook) -> Verdict:
    """Decide whether texts that were sent before are to be shortened a second time, now.

    With S tokens of warm prefix from the first changed message on, of which d go away, this request
    costs w(S - d) in place of rS, and each later one r d less. So it pays after

        N > (w(S - d) - rS) / (r d)

    further turns, if minimum and granules are left out; the decision counts them in. A prefix that
    is surely gone, because it is older than `ttl_s`, is paid for in full in either case, and then
    breaking it pays at once.

    Args:
        before: tokens of this request's prompt as it would be sent without the step.
        saving: tokens by which the step makes it shorter.
    Source: peers.md, section 4: with w = 1.25 and r = 0.1, half of everything pays after 10.5 turns.
    """
    is_cold = known.age_s > outlook.terms.ttl_s
    warm = 0 if is_cold else known.tokens
    head = min(known.head, warm)
    after = before - saving
    bill_before = conversation_bill(before, warm, outlook)
    bill_after = conversation_bill(after, head, outlook)
    pays = saving > 0 and all(
        conversation_bill(after, head, assumed) < conversation_bill(before, warm, assumed)
        for assumed in _assumed((before, after, warm, head), outlook)
    )
    return Verdict(
        Ruling.STEP if pays else Ruling.WAIT,
        before,
        after,
        after if pays else before,
        outlook,
        bill_before,
        bill_after,
        bill_after if pays else bill_before,
        warm - head,
        None if pays else turns_needed(warm - head, saving, outlook.terms),
    )


def turns_needed(broken: int, saving: int, terms: PrefixTerms) -> int | None:
    """Return after how many further turns a step pays by the formula of `judge_step`; None: never."""
    read, write = fraction(terms.read), fraction(terms.write)
    if saving <= 0 or not read:
        return None
    least = (write * (broken - saving) - read * broken) / (read * saving)
    return max(0, least.numerator // least.denominator + 1)


class _Prices(NamedTuple):
    """What a token costs that is read, written, or neither, in the same whole numbers."""

    read: int
    write: int
    full: int


def _prices(terms: PrefixTerms) -> _Prices:
    read, write = fraction(terms.read), fraction(terms.write)
    full = lcm(read.denominator, write.denominator)
    return _Prices(int(read * full), int(write * full), full)


def _request(tokens: int, warm: int, terms: PrefixTerms, prices: _Prices) -> int:
    if tokens < terms.minimum:
        return prices.full * tokens
    warm = min(warm, tokens)
    hit = warm - warm % terms.granule if warm >= terms.minimum else 0
    return prices.read * hit + prices.write * (tokens - hit)


def _running(tokens: int, warm: int, outlook: Outlook) -> Iterator[int]:
    """Yield the sums of `running_bill`, in whole numbers."""
    terms, total = outlook.terms, 0
    prices = _prices(terms)
    for _ in range(outlook.turns + 1):
        total += _request(tokens, warm, terms, prices)
        yield total
        warm, tokens = tokens, tokens + outlook.growth


def _crossings(wanted: int, after: int, before: int, outlook: Outlook) -> list[int]:
    """Return the least totals with which a prompt has the tokens that are wanted, now or in a later turn."""
    turns = range(outlook.turns + 1 if outlook.growth else 1)
    totals = (wanted - turn * outlook.growth for turn in turns)
    return [total for total in totals if after < total < before]


def _cheapest(totals: Sequence[int], before: int, outlook: Outlook) -> int:
    """Return the total with the least bill among those that never cost more than the prompt as it was."""
    bills = {total: conversation_bill(total, 0, _proven(outlook)) for total in totals if total < before}
    # Whether a total is safe takes far longer to find out than what it costs.
    cheapest_first = sorted(bills, key=lambda total: (bills[total], total))
    return next((total for total in cheapest_first if _is_safe(total, before, outlook)), before)


def _is_safe(total: int, before: int, outlook: Outlook) -> bool:
    """Whether a shortened prompt costs no more than the whole one after any number of turns, few or many.

    Nor may it if the conversation stops growing, for who relies on its growth would stay below the
    minimum; nor, where the whole prompt is cached, if it only begins to grow.
    """
    longer = replace(outlook, turns=outlook.turns * LONGER)
    looks = [longer, replace(longer, growth=0)]
    if before >= _low(outlook.terms):
        looks += [replace(outlook, growth=growth) for growth in GROWTHS]
    for assumed in (one for look in looks for one in _assumed((total, before), look)):
        bills = zip(_running(total, 0, assumed), _running(before, 0, assumed), strict=True)
        if any(mine > others for mine, others in bills):
            return False
    return True


def _assumed(prompts: Sequence[int], outlook: Outlook) -> Iterator[Outlook]:
    """Yield the outlook with each minimum that may be the true one, by our count.

    Our count errs alike for all prompts of a conversation, in what is doubted of it too, so the minimum
    is one number for all, and it may lie anywhere between `_low` and `_high`. Bills change only where it
    passes one of the prompts.
    """
    terms = outlook.terms
    low, high = _low(terms), _high(outlook)
    grown = (turn * outlook.growth for turn in range(outlook.turns + 1))
    passed = {tokens + more + 1 for more in grown for tokens in prompts}
    for minimum in {low, terms.minimum, high, *(place for place in passed if low < place < high)}:
        yield replace(outlook, terms=replace(terms, minimum=minimum))


def _least_above(savings: Sequence[int], need: int) -> tuple[int, ...]:
    """Return the indices of the savings whose sum is the least that is at least `need`; all if none is.

    Sums are the bits of one whole number: bit n is set where some of the savings make n.
    """
    most = need + max(savings, default=0)
    reached = [1]
    for saving in savings:
        reached.append((reached[-1] | reached[-1] << saving) & ((1 << most + 1) - 1))
    above = reached[-1] >> need
    if not above:
        return tuple(range(len(savings)))
    rest, chosen = need + (above & -above).bit_length() - 1, list[int]()
    for index in reversed(range(len(savings))):
        if not reached[index] >> rest & 1:
            chosen.append(index)
            rest -= savings[index]
    return tuple(reversed(chosen))


def _clear(before: int, after: int, outlook: Outlook) -> Verdict:
    return _verdict(Ruling.CLEAR, before, after, after, outlook)


def _ruled(before: int, after: int, sent: int, outlook: Outlook) -> Verdict:
    ruling = Ruling.BELOW if sent == after else Ruling.MINIMUM
    return _verdict(ruling, before, after, sent, outlook)


def _verdict(ruling: Ruling, before: int, after: int, sent: int, outlook: Outlook) -> Verdict:
    bill_before = conversation_bill(before, 0, _feared(outlook))
    bills = {total: conversation_bill(total, 0, _proven(outlook)) for total in {after, sent}}
    bills[before] = bill_before
    return Verdict(ruling, before, after, sent, outlook, bill_before, bills[after], bills[sent])


def _low(terms: PrefixTerms) -> int:
    """Return from how many tokens by our count a prompt may be cached."""
    return ceil(terms.minimum * (1 - ERROR))


def _high(outlook: Outlook) -> int:
    """Return from how many tokens by our count a prompt surely is cached."""
    minimum = outlook.terms.minimum
    return ceil(minimum * (1 + ERROR)) + outlook.doubt if minimum else 0


def _feared(outlook: Outlook) -> Outlook:
    """Return the terms by which what we replace costs least."""
    return replace(outlook, terms=replace(outlook.terms, minimum=_low(outlook.terms)))


def _proven(outlook: Outlook) -> Outlook:
    """Return the terms by which what we send costs most."""
    return replace(outlook, terms=replace(outlook.terms, minimum=_high(outlook)))


def _tokens(bill: Fraction) -> str:
    return f"{round(bill)} tokens"


def _turns(turns: int) -> str:
    return "no further turn" if not turns else f"{turns} further turn{'s' * (turns != 1)}"
