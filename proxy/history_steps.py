"""Old turns shortened a second time, in steps: which, when, and whether it pays. Pure.

Breaking the prefix that a provider has cached costs once what the whole of it costs anew, so it is
done for several turns together, once for all, and only where the bill of the expected turns is lower
with it. The arithmetic is `elision.policies.economy`'s; the ledger keeps what was taken.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from elision.policies.economy import Known, Ruling, Verdict, judge_step
from elision.policies.engine import make_plan
from elision.policies.model import Decision, Kind, Mode, Rule, Segment, When, Wish
from elision.proxy.fates import made_of
from elision.proxy.ledger import Made, Recalled
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned
from elision.proxy.prefix_guard import outlook_of, planned_saving, prefix_tokens, prompt_tokens, sent_tokens

_OLD = When(
    role=("user", "assistant", "tool", "function"),
    segment=(Kind.CONTEXT, Kind.TOOL_RESULT, Kind.HISTORY),
)
"""What is shortened of old turns. System messages begin other conversations too, and stay."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a step.

    Attributes:
        turns: so many of the conversation's first turns count as shortened a second time.
        made: what is sent from now on for earlier messages; empty where the step is not taken.
        verdict: None where there was nothing to judge.
    """

    turns: int = 0
    made: Mapping[int, Made] = field(default_factory=dict)
    verdict: Verdict | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Return what `x-elision-prefix` says of it."""
        return () if self.verdict is None else (self.verdict.words,)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that may be taken with one request.

    Attributes:
        turns: as `Taken` has it.
        decisions: about all segments of the messages that may be sent otherwise.
        waits: why it is not worth trying; None where it is, or where there is nothing to try.
    """

    planned: Planned
    recalled: Recalled
    turns: int = 0
    decisions: tuple[Decision, ...] = ()
    waits: Verdict | None = None

    def judge(self, tail: Mapping[int, Made], fates: Sequence[Fate]) -> Taken:
        """Return whether the step is taken, now that its outcomes are known.

        Args:
            tail: what is sent for the messages that are new.
            fates: of those of the decisions that compress, among others.
        """
        if not self.decisions:
            return Taken(verdict=self.waits)
        sent = sent_tokens(self.recalled)
        made = made_of(self.planned.plan, self.decisions, fates)
        smaller = {index: told for index, told in made.items() if told.sent and _tokens(told) < sent[index]}
        new = {index: _tokens(told) for index, told in smaller.items()}
        verdict = _verdict(self.planned, self.recalled, new, {i: _tokens(told) for i, told in tail.items()})
        return Taken(self.turns, smaller if verdict.ruling is Ruling.STEP else {}, verdict)


def step_of(planned: Planned, recalled: Recalled) -> Step:
    """Return the step that a request may take: one without decisions where it is not due.

    A step is due with the request whose turn makes a multiple of `step` turns old enough that no
    step has covered: others neither try nor judge, so that what waits is looked at again only when
    more has come together. A conversation that runs under another policy than today's takes none.
    """
    none = Step(planned, recalled)
    history = planned.policy.history
    if history.older_than_turns is None or not recalled.is_todays or planned.plan.mode is not Mode.ENFORCE:
        return none
    last = max((segment.turn for segment in planned.segments), default=0)
    covered, limit = recalled.stepped_turns, last - history.older_than_turns
    is_repeated = len(recalled.conversation) in recalled.ended
    if limit <= covered or (limit - covered) % history.step or is_repeated or not recalled.ended:
        return none
    aged = _aged(planned, recalled, range(covered, limit))
    if not aged:
        return none
    expected = {message: sum(map(_expected, decisions)) for message, decisions in aged.items()}
    sent = sent_tokens(recalled)
    hoped = {message: tokens for message, tokens in expected.items() if tokens < sent[message]}
    verdict = _verdict(planned, recalled, hoped, {})
    chosen = tuple(decision for message in hoped for decision in aged[message])
    if verdict.ruling is Ruling.WAIT:
        return replace(none, waits=verdict if hoped else None)
    return replace(none, turns=limit, decisions=chosen)


def _aged(planned: Planned, recalled: Recalled, turns: range) -> dict[int, list[Decision]]:
    """Return the decisions about every message of old turns of which something may be shortened again."""
    rule = Rule("history", _OLD, planned.policy.history.use)
    policy = replace(planned.policy, rules=(rule,), budget=None)
    facts = replace(planned.facts, wish=Wish())
    again = make_plan(policy, planned.segments, facts, planned.senses).decisions
    counted = sent_tokens(recalled)
    messages = {
        decision.segment.message
        for decision in again
        if decision.compresses and decision.segment.turn in turns and decision.segment.message in counted
    }
    found: dict[int, list[Decision]] = {message: [] for message in sorted(messages)}
    at_first: dict[int, list[Decision]] = defaultdict(list)
    for decision in planned.plan.decisions:
        at_first[decision.segment.source].append(decision)
    for decision in again:
        segment = decision.segment
        if segment.message in messages:
            first = _within(at_first[segment.source], segment)
            found[segment.message] += [decision] if decision.compresses or segment.tag else first
    return found


def _within(decisions: Iterable[Decision], segment: Segment) -> list[Decision]:
    """Return what was decided at first about a segment, which a budget may have cut.

    Args:
        decisions: about its text.
    """
    start, end = segment.start, segment.end
    return [one for one in decisions if start <= one.segment.start and one.segment.end <= end]


def _expected(decision: Decision) -> int:
    """Return the tokens that a decision leaves; of a method without a target the least, for it may."""
    if decision.segment.tag:
        return 0
    use = decision.use
    if decision.compresses and use.rate is None and use.tokens is None:
        return 0
    return decision.segment.tokens - planned_saving(decision)


def _verdict(
    planned: Planned, recalled: Recalled, new: Mapping[int, int], tail: Mapping[int, int]
) -> Verdict:
    """Judge a step.

    Args:
        new: tokens of earlier messages as they would be sent from now on.
        tail: tokens of the messages that are new, where they do not go out as they came.
    """
    sent = sent_tokens(recalled)
    told = {**sent, **tail}
    saving = sum(sent[index] - tokens for index, tokens in new.items())
    end = max((number for number in recalled.ended if number < len(recalled.conversation)), default=0)
    head = prefix_tokens(planned, sent, min(new, default=end))
    known = Known(prefix_tokens(planned, sent, end), head, recalled.age_s)
    return judge_step(prompt_tokens(planned, told), saving, known, outlook_of(planned, told))


def _tokens(made: Made) -> int:
    return sum(after for _, _, after in made.figures.tokens)
