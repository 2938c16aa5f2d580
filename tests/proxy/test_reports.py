"""Figures of messages, new and sent before, made a report."""

import json
from collections.abc import Mapping
from dataclasses import replace

from elision.accounts.records import Shortened
from elision.compressors.base import Outcome
from elision.policies.model import Decision, Endpoint, Mode, Policy, Use
from elision.policies.telling import Telling
from elision.proxy.bodies import parse
from elision.proxy.edit_script import script_of
from elision.proxy.fates import made_of
from elision.proxy.ledger import Known, Ledger, Recalled, Settled
from elision.proxy.ledger_chain import Origin
from elision.proxy.ledger_entries import Change, Entry, Figures
from elision.proxy.pipeline import Fate
from elision.proxy.planner import Planned
from elision.proxy.reports import report_of, report_unread, report_with, report_without_plan
from elision.proxy.store import MemoryStore
from fakes.planned import planned
from fakes.plans import HALVE, KEEP, decision, plan

ROLES = ("user", "assistant", "user")
SHORTENED = Entry(1, (Change(0, 0, script_of([(0, 1)])),), Figures((("context", 9, 5),), ("halve",)))


def said(message: int, use: Use = KEEP) -> Decision:
    made = decision("a b c", use, source=message)
    return replace(made, segment=replace(made.segment, message=message))


def whole(*decisions: Decision) -> Planned:
    return replace(planned(), plan=plan(*decisions), notes=("bad_wish",))


def settled(entries: Mapping[int, Entry], new: set[int]) -> tuple[Recalled, Settled]:
    """Return what a ledger makes of three messages."""
    body = parse(json.dumps({"messages": [{"role": role} for role in ROLES]}).encode(), Endpoint.CHAT)
    memory = MemoryStore(1 << 20)
    ledger = Ledger(memory, memory)
    conversation = ledger.conversation(body, Origin(), "t", "p@1")
    known = {index: Known(entry) for index, entry in entries.items()}
    found = Recalled(conversation, "p@1", {index: told for index, told in known.items() if index not in new})
    return found, Settled(ledger, conversation, "p@1", known, frozenset(new), {}, {})


def test_a_plan_that_was_carried_out_is_told_in_figures() -> None:
    """What its outcomes were, and how many of them were known."""
    first, second = said(0, HALVE), said(1, HALVE)
    fates = [Fate(first, Outcome("a", 3, 1, (), "m", "f"), cached=True), Fate(second, None, "queue_full")]
    made = made_of(plan(first, second), (first, second), fates)
    report = report_of(whole(first, second), made.values(), fates)
    assert (report.team, report.policy, report.mode, report.encoding) == ("search", "p@1", "enforce", "words")
    assert (report.tokens_before, report.tokens_after, report.segments) == (6, 4, ("context:6>4",))
    assert (report.methods, report.cache) == (("halve",), "partial")
    assert report.bypass == ("bad_wish", "queue_full")


def test_what_was_sent_before_counts_as_it_was_counted_then() -> None:
    """Beside what is new."""
    own = Entry(1, (), Figures((("question", 3, 3),)))
    recalled, now = settled({0: SHORTENED, 1: Entry(1), 2: own}, {1, 2})
    report = report_with(whole(said(0, HALVE), said(1), said(2)), recalled, now, (), [])
    assert (report.tokens_before, report.tokens_after) == (9 + 3 + 3, 5 + 3 + 3)
    assert (report.methods, report.cache, report.prefix) == (("halve",), "replay", ("replayed=1", "new=2"))


def test_reasons_are_told_in_their_own_turn() -> None:
    """Of what is new, and of what the same question was answered with before; never of earlier turns."""
    old = Entry(1, (), Figures((), (), ("deadline",)))
    recent = Entry(1, (), Figures((), (), ("queue_full",)))
    recalled, now = settled({0: old, 1: Entry(1), 2: recent}, set())
    assert report_with(whole(), recalled, now, (), []).bypass == ("bad_wish", "queue_full")
    recalled, now = settled({0: old, 1: Entry(1), 2: recent}, {0})
    assert report_with(whole(), recalled, now, (), []).bypass == ("bad_wish", "deadline", "queue_full")


def test_unknown_history_is_told_where_something_was_planned_for_it() -> None:
    """It is no news otherwise; a damaged entry is."""
    recalled, now = settled({index: Entry(1) for index in range(3)}, {0, 1, 2})
    report = report_with(whole(said(0), said(2, HALVE)), recalled, now, {0, 1}, [])
    assert (report.bypass, report.prefix) == (("bad_wish",), ("replayed=0", "new=1", "unknown=2"))
    report = report_with(whole(said(0, HALVE)), replace(recalled, damaged=True), now, {0, 1}, [])
    assert report.bypass == ("bad_wish", "entry_damaged", "history_unknown")


def test_without_a_plan_there_are_the_figures_of_what_was_sent_before() -> None:
    """And why there is no plan."""
    _, now = settled({0: SHORTENED, 1: Entry(1), 2: Entry(1)}, {2})
    policy = Policy("p", "1", Mode.ENFORCE, 1.0, ())
    report = report_without_plan("", policy, now, ("deadline",))
    assert (report.team, report.policy, report.mode) == ("default", "p@1", "enforce")
    assert (report.tokens_before, report.tokens_after, report.methods) == (9, 5, ("halve",))
    assert (report.bypass, report.prefix) == (("deadline",), ("replayed=2", "new=1"))
    assert (report.cache, report.segments) == ("replay", ("context:9>5",))


def test_the_cache_is_told_of_what_was_looked_for_in_it() -> None:
    """Where something is new, what was sent before counts as found; where nothing is, it is a replay."""
    own = Entry(1, (), Figures((("question", 3, 3),)))
    recalled, now = settled({0: SHORTENED, 1: Entry(1), 2: own}, {1, 2})
    asked = said(2, HALVE)
    found = Fate(asked, Outcome("a", 3, 1, (), "m", "f"), cached=True)
    for fates, told in ([], "replay"), ([found], "hit"), ([replace(found, cached=False)], "partial"):
        assert report_with(whole(said(0, HALVE), said(1), asked), recalled, now, (), fates).cache == told


def test_a_request_that_is_not_looked_into_is_its_teams_all_the_same() -> None:
    """By its policy, in the mode that it is treated by."""
    policy = Policy("p", "1", Mode.ENFORCE, 1.0, (), telling=Telling(headers=False))
    told = report_unread("", policy, Mode.OFF, ("b", "a", "b"))
    assert (told.team, told.policy, told.mode, told.bypass) == ("default", "p@1", "off", ("a", "b"))
    assert told.silent
    off = replace(policy, mode=Mode.OFF)
    assert [report_unread("t", p, Mode.AUDIT, ()).mode for p in (policy, off)] == ["audit", "off"]
    assert report_unread("t", policy, None, ()).mode == "enforce"


def test_where_something_was_saved_is_told_for_the_bill() -> None:
    """By what stands before it, and whether an earlier request had sent it; and what answer came between."""
    known = Entry(1, SHORTENED.changes, Figures((("context", 9, 5),), ("halve",)))
    answer = Entry(1, (), Figures((("answer", 4, 4),)))
    recalled, done = settled({0: known, 1: answer, 2: SHORTENED}, new={1, 2})
    report = report_with(whole(), replace(recalled, age_s=120.0), done, (), ())
    assert report.shortened == (Shortened(0, 5, 4, 3, known=True), Shortened(9, 5, 4, 1, known=False))
    assert (report.known_before, report.known_after, report.answer_tokens) == (9, 5, 4)
    assert (report.new_messages, report.known_age_s) == (2, 120.0)
    assert report_without_plan("t", planned().policy, done, ()).shortened == report.shortened
