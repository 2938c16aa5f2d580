"""Where a plan meets the provider's prices: prompts are held above the minimum that it caches. Pure.

Weighs a request's prompt, raises targets before anything is compressed, takes outcomes back
afterwards where that is still needed, and gives back what earlier requests lost where a conversation
that was too small to be cached comes above the minimum. The arithmetic is `elision.policies.economy`'s;
what is to be sent for a message `elision.proxy.fates` makes of the decisions and fates that come out of here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from elision.policies.allocation import fraction, round_up
from elision.policies.budget import MESSAGE_TOKENS
from elision.policies.economy import (
    Outlook,
    Ruling,
    Verdict,
    aimed,
    at_cliff,
    is_cached,
    is_uncached,
    raised,
    restored,
)
from elision.policies.model import Decision, Mode, Use
from elision.proxy.ledger import Made, Recalled
from elision.proxy.ledger_entries import Entry, Figures
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned

CACHE_MINIMUM = "cache_minimum"
"""Why a segment stays as it was: without it the provider would cache nothing of the prompt."""
_BYTES_OF_A_TOKEN = 4
_STEP_TOKENS = 64
_FEW_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Held:
    """What is left of decisions once the minimum was looked at.

    Attributes:
        decisions: about the same segments, in their order.
        fates: of those that are settled.
        verdict: None where no minimum was near.
    """

    decisions: tuple[Decision, ...]
    fates: tuple[Fate, ...] = ()
    verdict: Verdict | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Return what `x-elision-prefix` says of it."""
        return () if self.verdict is None else (self.verdict.words,)


@dataclass(frozen=True, slots=True)
class PrefixGuard:
    """Holds one request's prompt above the minimum.

    Attributes:
        sent: tokens of the texts of messages that are not to be decided, as `sent_tokens` has them.
        is_off: whether everything is left as it is decided.
    """

    planned: Planned
    sent: Mapping[int, int]
    is_off: bool = False

    @classmethod
    def of(cls, planned: Planned, sent: Mapping[int, int]) -> "PrefixGuard":
        """Return the guard that a policy wants: none where no turn is expected, nor any cache.

        Nor is there one where what was sent before is above the minimum by itself. Where unknown
        history is compressed there is none, by its author's word; and there what is decided about a
        turn must not depend on the others, lest a lost ledger changes it. A prompt of which the provider
        keeps the beginning (`previous_response_id`) is larger than what is seen of it.
        """
        return cls(planned, sent, is_unwanted(planned) or is_cached(sum(sent.values()), planned.terms))

    def given_back(self, recalled: Recalled) -> dict[int, Made]:
        """Return the messages that go out as the client has them from now on, though they were shortened.

        Nothing is cached of a prompt below the minimum, so that nothing of it can be broken. With the
        request by which the conversation as the client has it comes above the minimum, while as it was
        sent it stays below, so many messages are given back as bring it above too, if that is cheaper:
        the client's whole prompt would be read for the first time in this very request. Later it would
        not, and giving back would cost what it is to save. A new conversation is one of nothing but
        such a request: what it shares with others (a system message) they shortened where more followed.
        """
        savings = {} if len(recalled.conversation) in recalled.ended else _savings(recalled)
        if self.is_off or not savings:
            return {}
        outlook = outlook_of(self.planned, self.sent)
        end = max(recalled.known, default=-1) + 1 if recalled.ended else 0
        seen = prefix_tokens(self.planned, {}, end)  # of the client's words, which are more
        before = prompt_tokens(self.planned, {})
        if not is_uncached(seen, outlook) or is_uncached(before, outlook):
            return {}
        found = restored(list(savings.values()), before, outlook)
        chosen = [list(savings)[number] for number in found.indices]
        return {index: _as_it_came(recalled.known[index].entry) for index in chosen}

    def aim(self, decisions: Sequence[Decision]) -> Held:
        """Return decisions as they are to be carried out, targets raised where that is needed."""
        billed_less = self.planned.terms.read < 1
        evened = tuple(_evened(decision) if billed_less else decision for decision in decisions)
        return Held(evened) if self.is_off else _aimed_higher(self.planned, evened, self.sent)

    def hold(self, aim: Held, fates: Sequence[Fate]) -> Held:
        """Take back what must be of what was carried out.

        Args:
            aim: as `aim` returned it.
            fates: of those of its decisions that compress.
        """
        return (
            Held(aim.decisions, tuple(fates)) if self.is_off else _held(self.planned, aim, fates, self.sent)
        )


def is_unwanted(planned: Planned) -> bool:
    """Whether a policy wants no prompt held, or a request's is not all that there is of it."""
    history = planned.policy.history
    return history.compress_unknown or not history.expected_turns or bool(planned.body.thread)


def given_back_words(back: Mapping[int, Made]) -> tuple[str, ...]:
    """Return what `x-elision-prefix` says of messages that were given back."""
    return (f"returned=cache_minimum,messages={len(back)}",) if back else ()


def _savings(recalled: Recalled) -> dict[int, int]:
    """Return the tokens by which messages were shortened, of each that was."""
    found: dict[int, int] = {}
    for index, known in recalled.known.items():
        saving = sum(before - after for _, before, after in known.entry.figures.tokens)
        if known.texts and saving > 0:
            found[index] = saving
    return found


def _as_it_came(entry: Entry) -> Made:
    tokens = tuple((kind, before, before) for kind, before, _ in entry.figures.tokens)
    return Made({}, Figures(tokens, (), (CACHE_MINIMUM,)))


def sent_tokens(recalled: Recalled) -> dict[int, int]:
    """Return the tokens of the texts of every message of which it is known how it was sent."""
    counted = ((index, known.entry.figures.tokens) for index, known in recalled.known.items())
    return {index: sum(after for _, _, after in tokens) for index, tokens in counted if tokens}


def prompt_tokens(planned: Planned, sent: Mapping[int, int]) -> int:
    """Return the tokens of a request's whole prompt, as far as they can be told.

    Texts are counted, tools and schemas estimated by their bytes, and each message has a frame.

    Args:
        sent: tokens of the texts of messages that do not go out as they came.
    """
    return prefix_tokens(planned, sent, len(planned.body.messages)) + MESSAGE_TOKENS


def prefix_tokens(planned: Planned, sent: Mapping[int, int], number: int) -> int:
    """Return the tokens of a prompt's first so many messages, tools and schemas before them included."""
    texts = sum(
        segment.tokens
        for segment in planned.segments
        if segment.message < number and not segment.tag and segment.message not in sent
    )
    texts += sum(tokens for message, tokens in sent.items() if message < number)
    return texts + _beside(planned) + MESSAGE_TOKENS * number


def _beside(planned: Planned) -> int:
    """Return about how many tokens of a prompt are no texts: of tools and schemas, and what calls tools."""
    others = planned.body.others
    return planned.facts.other_tokens or sum(end - start for start, end in others) // _BYTES_OF_A_TOKEN


def outlook_of(planned: Planned, sent: Mapping[int, int], turns: int | None = None) -> Outlook:
    """Return how a request's conversation is expected to go on: by its policy, and as it has grown so far.

    Args:
        sent: as `prompt_tokens` gets it.
        turns: in place of the policy's.
    """
    last = max((segment.turn for segment in planned.segments), default=0)
    later = {segment.message for segment in planned.segments if segment.turn}
    fresh = sum(s.tokens for s in planned.segments if s.turn and not s.tag and s.message not in sent)
    said = fresh + sum(tokens for message, tokens in sent.items() if message in later)
    expected = planned.policy.history.expected_turns if turns is None else turns
    growth = (said + MESSAGE_TOKENS * len(later)) // last if last else 0
    # Providers may write tools in half as many tokens as their JSON has.
    return Outlook(planned.terms, expected, growth, _beside(planned) // 2)


def foreseen(planned: Planned, turns: int | None = None) -> Verdict:
    """Return where a request's prompt would be brought, taken as a conversation's first one.

    Nothing is compressed: targets stand for what methods would leave, and a method that has none
    counts as leaving all. Where no prompt is held, no further turn counts.
    """
    before = prompt_tokens(planned, {})
    if turns is None and is_unwanted(planned):
        turns = 0
    is_enforced = planned.plan.mode is Mode.ENFORCE
    done = [d for d in planned.plan.decisions if not is_enforced or _enforced(planned, d)]
    saved = sum(planned_saving(decision) for decision in done)
    return aimed(before, before - saved, replace(outlook_of(planned, {}, turns), growth=0))


def _aimed_higher(planned: Planned, decisions: Sequence[Decision], sent: Mapping[int, int]) -> Held:
    """Raise the targets of decisions, so that the prompt stays above the provider's minimum.

    Args:
        decisions: that are to be carried out.
        sent: tokens of the texts of all other messages that do not go out as they came.
    """
    sizes = {n: planned_saving(d) for n, d in enumerate(decisions) if _enforced(planned, d)}
    before, outlook = prompt_tokens(planned, sent), outlook_of(planned, sent)
    after = before - sum(sizes.values())
    verdict = aimed(before, after, outlook) if at_cliff(before, after, outlook) else None
    if verdict is None or verdict.ruling is not Ruling.MINIMUM:
        return Held(tuple(decisions))
    if verdict.sent == before:
        return _taken_back(decisions, (), [n for n in sizes if _acts(decisions[n])], verdict)
    raisable = [n for n in sizes if decisions[n].compresses and sizes[n]]
    extra = verdict.sent - verdict.after
    if not raisable or extra > sum(sizes[n] for n in raisable):
        return Held(tuple(decisions), (), verdict)
    # Without what follows them, the question mostly: what is aimed at must not depend on its length.
    extra += sum(decision.segment.tokens for decision in decisions[raisable[-1] + 1 :])
    extra = min(extra, sum(sizes[n] for n in raisable))
    tokens = [decisions[n].segment.tokens for n in raisable]
    targets = [size - sizes[n] for n, size in zip(raisable, tokens, strict=True)]
    new = dict(zip(raisable, map(_rounded, raised(targets, tokens, extra), tokens), strict=True))
    higher = tuple(_raised(d, new[n]) if n in new else d for n, d in enumerate(decisions))
    whole = [n for n in raisable if new[n] == decisions[n].segment.tokens]
    return _taken_back(higher, (), whole, verdict)


def _held(planned: Planned, aim: Held, fates: Sequence[Fate], sent: Mapping[int, int]) -> Held:
    """Take outcomes back until the prompt is above the provider's minimum, where it must be.

    Args:
        aim: what was carried out.
        fates: of those of its decisions that compress.
        sent: as `_aimed_higher` got it.
    """
    by_decision = {id(fate.decision): fate for fate in fates}
    savings = [
        _saving(decision, by_decision.get(id(decision))) if _enforced(planned, decision) else 0
        for decision in aim.decisions
    ]
    before, outlook = prompt_tokens(planned, sent), outlook_of(planned, sent)
    if aim.verdict is None and not at_cliff(before, before - sum(savings), outlook):
        return Held(aim.decisions, tuple(fates))
    found = restored(savings, before, outlook)
    total = before - sum(saving for n, saving in enumerate(savings) if n not in found.indices)
    verdict = found.verdict if aim.verdict is None else aim.verdict.sending(total)
    return _taken_back(aim.decisions, (*fates, *aim.fates), found.indices, verdict)


def _taken_back(
    decisions: Sequence[Decision], fates: Sequence[Fate], indices: Sequence[int], verdict: Verdict
) -> Held:
    """Return decisions of which some keep their segments, with that reason as their fate."""
    kept = {index: replace(decisions[index], use=Use()) for index in indices}
    gone = {id(decisions[index]) for index in indices}
    others = [fate for fate in fates if id(fate.decision) not in gone]
    settled = [Fate(decision, None, CACHE_MINIMUM) for decision in kept.values()]
    left = tuple(kept.get(index, decision) for index, decision in enumerate(decisions))
    return Held(left, (*others, *settled), verdict)


def _enforced(planned: Planned, decision: Decision) -> bool:
    return planned.plan.mode is Mode.ENFORCE and decision.mode is Mode.ENFORCE


def _acts(decision: Decision) -> bool:
    return decision.compresses or (decision.drops and not decision.segment.tag)


def planned_saving(decision: Decision) -> int:
    """Return the tokens that a decision is to take away; none where a method has no target."""
    tokens, use = decision.segment.tokens, decision.use
    if not _acts(decision):
        return 0
    if decision.drops:
        return tokens
    if use.tokens is not None:
        return max(0, tokens - use.tokens)
    return tokens - round_up(fraction(use.rate), tokens) if use.rate is not None else 0


def _saving(decision: Decision, fate: Fate | None) -> int:
    """Return the tokens that a decision took away."""
    if decision.drops:
        return 0 if decision.segment.tag else decision.segment.tokens
    if fate is None or fate.outcome is None or not fate.shortened:
        return 0
    return max(0, fate.outcome.tokens_before - fate.outcome.tokens_after)


def _rounded(target: int, tokens: int) -> int:
    """Return a raised target, rounded up, so that it is the same before questions of other lengths.

    What several requests begin with, a document for instance, is then shortened alike in most of
    them, and a provider finds it again.
    """
    return min(-(-target // _STEP_TOKENS) * _STEP_TOKENS, tokens)


def _evened(decision: Decision) -> Decision:
    """Return a decision whose target, if a budget set it, is rounded up by a thirty-second at most.

    A budget's share depends on the length of the question beside a document. So rounded, most
    questions leave the same, and what their prompts begin with is found by the provider again.
    """
    use, tokens = decision.use, decision.segment.tokens
    if not decision.compresses or use.tokens is None or use.tokens < _FEW_TOKENS:
        return decision
    step = 1 << (use.tokens // _FEW_TOKENS).bit_length() - 1
    target = min(-(-use.tokens // step) * step, tokens)
    return replace(decision, use=replace(use, tokens=target)) if target != use.tokens else decision


def _raised(decision: Decision, tokens: int) -> Decision:
    why = f"{decision.why}, held above the {CACHE_MINIMUM.replace('_', ' ')}"
    return replace(decision, use=replace(decision.use, rate=None, tokens=tokens), why=why)
