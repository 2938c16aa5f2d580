"""Messages that begin as others did, in the client's words."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.policies.model import Endpoint, PrefixTerms
from elision.policies.segments import cut
from elision.proxy.beginnings import Beginnings
from elision.proxy.bodies import parse
from elision.proxy.ledger import Known, Ledger, Settled
from elision.proxy.ledger_chain import Origin
from elision.proxy.ledger_entries import Entry
from elision.proxy.planner import Planned
from elision.proxy.store import MemoryStore
from fakes.planned import planned

TERMS = PrefixTerms(read=0.1, ttl_s=300.0)
DOCUMENT = " ".join(f"word{number:04}" for number in range(1000))
WORDS = 1000
SYSTEM = "Be brief, please."


class Clock:
    """Goes on when it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def asked(
    question: str,
    *,
    document: str = DOCUMENT,
    system: str = SYSTEM,
    new: tuple[int, ...] = (0, 1),
    model: str = "m",
) -> tuple[Planned, Settled]:
    """Return a request with a document and a question in its second message."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": f"{document} {question}"}]
    body = parse(json.dumps({"model": model, "messages": messages}).encode(), Endpoint.CHAT)
    memory = MemoryStore(1 << 20)
    ledger = Ledger(memory, memory)
    conversation = ledger.conversation(body, Origin(model=model), "team", "p@1")
    entries = {0: Known(Entry(1)), 1: Known(Entry(1))}
    settled = Settled(ledger, conversation, "p@1", entries, frozenset(new), {}, {})
    segments = cut(body.texts, lambda text: len(text.split()))
    made = planned()
    facts = replace(made.facts, model=model)
    return replace(made, body=body, segments=segments, facts=facts, terms=TERMS), settled


def test_the_same_document_before_another_question_is_found() -> None:
    """All before it counts as well; and at most a block too much."""
    beginnings = Beginnings()
    assert beginnings.end(*asked("Who owned the mill?")) == 0
    found = beginnings.end(*asked("When was it built, and by whom?"))
    assert WORDS <= found <= WORDS + 3 + 512 // 5


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 999))
def test_no_less_is_found_than_is_alike(differs: int) -> None:
    """Wherever the two begin to differ, but for what is smaller than a block."""
    other = " ".join("other" if number == differs else f"word{number:04}" for number in range(1000))
    beginnings = Beginnings()
    beginnings.end(*asked("Why?"))
    found = beginnings.end(*asked("Why?", document=other))
    alike = 9 * differs
    assert found >= differs + 3 if alike >= 512 else found == 0


@pytest.mark.parametrize(
    "second",
    [
        asked("Why?", document=DOCUMENT[::-1]),
        asked("Why?", system="Another system message."),
        asked("Why?", model="another"),
        asked("Why?", new=()),
        asked("Why?", document="word0000 word0001"),
    ],
)
def test_what_comes_elsewhere_or_begins_otherwise_is_not_alike(second: tuple[Planned, Settled]) -> None:
    """Nor is what was sent before, which the ledger knows, and what is too short for a look."""
    beginnings = Beginnings()
    beginnings.end(*asked("Who owned the mill?"))
    assert beginnings.end(*second) == 0


def test_what_no_cache_keeps_is_no_discount() -> None:
    """After the time that the provider's terms tell; and where it has no cache."""
    clock = Clock()
    beginnings = Beginnings(clock=clock)
    beginnings.end(*asked("Who owned the mill?"))
    clock.now = 301.0
    assert beginnings.end(*asked("When was it built?")) == 0
    clock.now = 302.0
    assert beginnings.end(*asked("Why?")) > WORDS
    made, settled = asked("How?")
    assert beginnings.end(replace(made, terms=replace(TERMS, read=1.0)), settled) == 0


def test_so_many_are_remembered_and_no_more() -> None:
    """Of places, and of messages in one place: what is old goes first."""
    beginnings = Beginnings(places=2)
    for system in ("one", "two", "three"):
        beginnings.end(*asked("Why?", system=system))
    assert beginnings.end(*asked("How?", system="three")) > 0
    assert beginnings.end(*asked("How?", system="one")) == 0
    for number in range(5):
        beginnings.end(*asked("Why?", document=f"{number} {DOCUMENT}"))
    assert beginnings.end(*asked("How?", document=f"4 {DOCUMENT}")) > 0
    assert beginnings.end(*asked("How?", document=f"0 {DOCUMENT}")) == 0


def test_a_message_without_end_is_not_looked_at_to_its_end() -> None:
    """It is taken to go on as it began."""
    beginnings = Beginnings()
    long = DOCUMENT * 12
    beginnings.end(*asked("Why?", document=f"{long} one"))
    assert beginnings.end(*asked("Why?", document=f"{long} two")) > 11 * WORDS
