"""Which old turns may be shortened a second time, and when."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from elision.compressors.base import Outcome, Span
from elision.policies.economy import Ruling
from elision.policies.engine import make_plan
from elision.policies.model import (
    Ability,
    Decision,
    Endpoint,
    Facts,
    History,
    Kind,
    Mode,
    Policy,
    PrefixTerms,
    Rule,
    Senses,
    TextKind,
    Use,
    When,
)
from elision.policies.segments import cut
from elision.proxy.bodies import parse
from elision.proxy.history_steps import Step, step_of
from elision.proxy.ledger import Conversation, Known, Recalled
from elision.proxy.ledger_entries import Entry, Figures
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned

OLD = History(older_than_turns=2, step=2, use=Use("cut", rate=0.25, min_tokens=5), expected_turns=10)
TERMS = PrefixTerms(0.5, 1.0)
SENSES = Senses(
    count=lambda text: len(text.split()),
    text_kind=lambda text: TextKind.CODE if text.startswith("def") else TextKind.PROSE,
    language=lambda _: "en",
    protected=lambda _text, _classes: 0,
    abilities={"cut": Ability(text_kinds=frozenset({TextKind.PROSE})), "whole": Ability(needs_target=False)},
    default_method="cut",
)
HALF = (Rule("documents", When(segment=(Kind.CONTEXT,)), Use("cut", rate=0.5, min_tokens=5)),)
DOCUMENT = "<document>\n" + "The mill stood by the river. " * 60 + "\n</document>\n\nWho owned it?"


def planned(turns: int, history: History = OLD, said: str = "He did.", mode: Mode = Mode.ENFORCE) -> Planned:
    """Return the plan of the request that begins a turn, counted from 0."""
    messages = [{"role": "system", "content": "Be brief. " * 30}]
    for _ in range(turns):
        messages += [{"role": "user", "content": DOCUMENT}, {"role": "assistant", "content": said}]
    messages.append({"role": "user", "content": DOCUMENT})
    policy = Policy("p", "1", mode, 2.0, HALF, history=history)
    body = parse(json.dumps({"model": "m", "messages": messages}).encode(), Endpoint.CHAT)
    segments = cut(body.texts, SENSES.count)
    plan = make_plan(policy, segments, Facts(), SENSES)
    return Planned("t", policy, body, plan, "words", segments, Facts(), SENSES, terms=TERMS)


def recalled(plan: Planned, lineage: str = "p@1", sent: Mapping[int, int] | None = None) -> Recalled:
    """Return what is known: all messages but the last, each sent with so many tokens, else 200."""
    body = plan.body
    conversation = Conversation(body, b"s" * 8, b"d" * 16 * len(body.messages), "p@1")
    known = {
        index: Known(Entry(0, (), Figures((("context", 363, (sent or {}).get(index, 200)),))))
        for index in range(len(body.messages) - 1)
    }
    ended = frozenset(range(2, len(body.messages) - 1, 2))
    return Recalled(conversation, lineage, known, ended)


def messages_of(step: Step) -> list[int]:
    return sorted({decision.segment.message for decision in step.decisions})


def shortened(decision: Decision, tokens: int) -> Fate:
    text = " ".join(decision.segment.text.split()[:tokens])
    spans = (Span(0, len(text)),)
    return Fate(decision, Outcome(text, decision.segment.tokens, tokens, spans, "cut", "f"))


@pytest.mark.parametrize(("turns", "due"), [(0, []), (3, []), (4, [1, 3]), (5, []), (6, [1, 3, 5, 7])])
def test_a_step_is_due_when_enough_has_come_together(turns: int, due: list[int]) -> None:
    """Once for every two turns that have more than two after them; documents only, no system message."""
    plan = planned(turns)
    assert messages_of(step_of(plan, recalled(plan))) == due


def test_turns_that_a_step_has_covered_are_left_alone() -> None:
    """What was shortened twice is not shortened again."""
    plan = planned(6)
    step = step_of(plan, recalled(plan, "p@1#2.abc"))
    assert (messages_of(step), step.turns) == ([5, 7], 4)
    assert messages_of(step_of(plan, recalled(plan, "p@1#4.abc"))) == []


def test_no_step_is_taken_where_none_may_be() -> None:
    """Without a word in the policy, under another policy, in audit, for a retry, and of nothing known."""
    plan = planned(4)
    know = recalled(plan)
    assert step_of(planned(4, History()), know).decisions == ()
    assert step_of(plan, replace(know, lineage="p@0")).decisions == ()
    audited = planned(4, mode=Mode.AUDIT)
    assert step_of(audited, recalled(audited)).decisions == ()
    again = replace(know, ended=frozenset({2, len(plan.body.messages)}))
    assert step_of(plan, again).decisions == ()
    assert step_of(plan, replace(know, known={}, ended=frozenset())).decisions == ()
    uncounted = {index: Known(Entry(0)) for index in know.known}
    assert step_of(plan, replace(know, known=uncounted)).decisions == ()


def test_what_is_short_enough_already_is_no_matter_of_a_step() -> None:
    """A message that was sent with less than the second shortening would leave stays out of it."""
    plan = planned(4)
    step = step_of(plan, recalled(plan, sent={1: 20}))
    assert messages_of(step) == [3]
    assert step_of(plan, recalled(plan, sent={1: 20, 3: 20})) == Step(
        plan, recalled(plan, sent={1: 20, 3: 20})
    )


def test_what_a_method_was_not_made_for_is_left_as_it_was() -> None:
    """The same gate as for rules: code is not prose."""
    code = "def f(): " * 40
    plan = planned(4, said=code)
    assert messages_of(step_of(plan, recalled(plan))) == [1, 3]
    prose = planned(4, said="He owned it for years. " * 20)
    assert messages_of(step_of(prose, recalled(prose))) == [1, 2, 3]


def test_a_message_is_decided_whole() -> None:
    """Its document a second time, its question as at first."""
    plan = planned(4)
    step = step_of(plan, recalled(plan))
    first = [decision for decision in step.decisions if decision.segment.message == 1]
    assert [(decision.segment.kind, decision.use.rate) for decision in first] == [
        (Kind.CONTEXT, 0.25),
        (Kind.QUESTION, None),
    ]
    assert "".join(decision.segment.text for decision in first) == DOCUMENT


def test_a_step_that_pays_is_taken_with_what_became_smaller() -> None:
    """Where nothing came of one message, that one goes on as it was."""
    plan = planned(4)
    step = step_of(plan, recalled(plan))
    fates = [
        shortened(decision, 30) if decision.segment.message == 1 else Fate(decision, None, "deadline")
        for decision in step.decisions
        if decision.compresses
    ]
    taken = step.judge({}, fates)
    assert taken.verdict is not None
    assert (taken.turns, list(taken.made), taken.verdict.ruling) == (2, [1], Ruling.STEP)
    assert taken.words[0].startswith("step=taken,tokens=")
    assert taken.verdict.before - taken.verdict.sent == 200 - 33


def test_a_step_of_which_nothing_came_is_not_taken() -> None:
    """Deadlines and failures change nothing that was sent."""
    plan = planned(4)
    step = step_of(plan, recalled(plan))
    taken = step.judge({}, [Fate(d, None, "deadline") for d in step.decisions if d.compresses])
    assert taken.made == {}
    assert taken.words[0].startswith("step=waits")


def test_a_step_that_cannot_pay_asks_no_compressor() -> None:
    """By the tokens that it would leave if all went well; it says so."""
    plan = replace(planned(4), terms=PrefixTerms(0.1, 1.25))
    step = step_of(plan, recalled(plan))
    assert step.decisions == ()
    [words] = step.judge({}, ()).words
    assert words.startswith("step=waits")


def test_a_method_without_a_target_is_tried() -> None:
    """How far it goes is known only afterwards."""
    history = replace(OLD, use=Use("whole", min_tokens=5))
    plan = planned(4, history)
    step = step_of(plan, recalled(plan))
    assert messages_of(step) == [1, 3]
    taken = step.judge({}, [shortened(d, 300) for d in step.decisions if d.compresses])
    assert taken.made == {}


def test_a_cold_prefix_is_broken_at_once() -> None:
    """After a pause that is longer than any provider keeps it."""
    plan = replace(planned(4), terms=PrefixTerms(0.1, 1.25, ttl_s=600))
    cold = replace(recalled(plan), age_s=601.0)
    step = step_of(plan, cold)
    taken = step.judge({}, [shortened(d, 30) for d in step.decisions if d.compresses])
    assert list(taken.made) == [1, 3]
    assert taken.verdict is not None
    assert taken.verdict.broken == 0
