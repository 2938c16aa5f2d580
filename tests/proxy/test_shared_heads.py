"""What messages begin with is remembered in units, and found again."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elision.policies.model import Budget, Decision, Endpoint, History, Mode, Policy, PrefixTerms, Use, When
from elision.policies.model import Rule as PolicyRule
from elision.proxy.bodies import parse
from elision.proxy.ledger import Conversation, Ledger
from elision.proxy.ledger_chain import Origin
from elision.proxy.planner import Planned
from elision.proxy.shared_heads import AS_PLANNED, LEAST, UNITS, Head, Seen, cuts, heads_of
from elision.proxy.store import Kind, MemoryStore
from fakes.planned import planned

TERMS = PrefixTerms(0.1, ttl_s=600.0)
NOW = 1_000_000.0
POLICY = Policy("team", "abc", Mode.ENFORCE, 2.0, (PolicyRule("all", When(), Use("any", rate=0.5)),))


def never(decision: Decision) -> bool:
    """No method here reads the question."""
    return False


def conversation_of(plan: Planned, today: str = "team@abc") -> Conversation:
    memory = MemoryStore(1 << 20)
    ledger = Ledger(memory, memory)
    return ledger.conversation(plan.body, Origin(model=plan.facts.model), "team", today)


def a_plan(policy: Policy = POLICY, terms: PrefixTerms = TERMS) -> Planned:
    return replace(planned(policy), terms=terms)


def head(plan: Planned, today: str = "team@abc") -> Head:
    (found,) = heads_of(plan, conversation_of(plan, today))
    return found


LINES = st.text(alphabet="ab .\n", max_size=3000)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, LINES, LINES)
def test_units_are_cut_alike_whatever_follows_them(begins: str, one: str, other: str) -> None:
    """But for the last ones, which end where the text parts."""
    first, second = list(cuts(begins + one, (), 0)), list(cuts(begins + other, (), 0))
    assert [end for end in first if end < len(begins)] == [end for end in second if end < len(begins)]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, st.integers(0, 100_000))
def test_units_make_up_the_text(text: str, before: int) -> None:
    """Each is some text, in order, to the end."""
    found = list(cuts(text, (), before))
    assert sorted(set(found)) == found
    assert found[-1:] == ([len(text)] if text else [])


def test_a_unit_ends_where_a_document_does() -> None:
    """Or with a line, or with a sentence where no line ends soon; a long text has long units."""
    assert list(cuts("x" * 600, ((0, 300), (300, 600)), 0)) == [300, 600]
    assert list(cuts("\nIt was old.\n\nQuestion: Who?", (), 0)) == [14, 28]
    assert list(cuts("\nQuestion: Who?", (), 0)) == [15]
    lines = ("word " * 20 + "\n") * 200
    assert all(lines[end - 1] == "\n" for end in cuts(lines, (), 0))
    sentences = "It was old. " * 1000
    assert all(sentences[:end].endswith(". ") for end in cuts(sentences, (), 0))
    assert len(list(cuts(lines * 100, (), 0))) < UNITS


def test_only_large_messages_are_looked_at() -> None:
    """Every unit has a key of its own, of its kind and its team's scope."""
    plan = a_plan()
    found = head(plan)
    assert found.index == 1
    assert len(set(found.keys)) == len(found.units) > 1
    assert {key[8:9] for key in found.keys} == {Kind.HEAD.value}
    assert sum(unit.end - unit.start for unit in found.units) == sum(len(s.text) for s in found.segments)
    assert sum(len(s.text) for s in plan.segments if s.message == 0) < LEAST


@pytest.mark.parametrize(
    "plan",
    [
        a_plan(terms=PrefixTerms()),
        a_plan(terms=replace(TERMS, whole_messages=True)),
        a_plan(replace(POLICY, history=History(expected_turns=0))),
        a_plan(replace(POLICY, history=History(compress_unknown=True))),
        a_plan(replace(POLICY, budget=Budget(tokens=500))),
        a_plan(replace(POLICY, budget=Budget(fit=True))),
    ],
)
def test_where_nothing_is_shared_nothing_is_remembered(plan: Planned) -> None:
    """Without a cache, or one for whole messages; by the policy's word; where a budget has no rate."""
    assert heads_of(plan, conversation_of(plan)) == ()


def test_a_part_that_the_client_marks_is_looked_at() -> None:
    """Where the provider keeps whole messages else."""
    plan = a_plan(terms=replace(TERMS, whole_messages=True))
    texts = plan.body.texts
    part = {"type": "text", "text": texts[1].text, "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": texts[0].text}, {"role": "user", "content": [part]}]
    marked = parse(json.dumps({"model": "gpt-4o", "messages": messages}).encode(), Endpoint.CHAT)
    assert len(heads_of(replace(plan, body=marked), conversation_of(replace(plan, body=marked)))) == 1


def test_what_came_before_is_known_until_the_provider_forgets() -> None:
    """The last unit counts; damaged values are none."""
    found = head(a_plan())
    kept: dict[bytes, bytes | None] = dict(found.noted((), {}, NOW, never))
    last = len(found.units) - 1
    assert found.known(kept, TERMS, NOW + 590) == (last, Seen(int(NOW // 60)))
    assert found.known(kept, TERMS, NOW + 700) is None
    kept[found.keys[-1]] = b"nonsense"
    assert found.known(kept, TERMS, NOW) == (last - 1, Seen(int(NOW // 60)))
    assert found.known({}, TERMS, NOW) is None


def test_another_policy_or_another_beginning_knows_nothing_of_it() -> None:
    """Nor does another text before it."""
    plan = a_plan()
    kept = dict(head(plan).noted((), {}, NOW, never))
    assert head(plan, "team@other").known(kept, TERMS, NOW) is None
    rated = replace(plan, facts=replace(plan.facts, model="other"))
    assert head(rated).known(kept, TERMS, NOW) is None


def test_how_far_segments_were_shortened_is_remembered_where_nothing_else_had_a_part_in_it() -> None:
    """Not from the first segment on whose outcome depends on the question."""
    plan = a_plan()
    found, decisions = head(plan), plan.plan.decisions
    targets = (AS_PLANNED, 0)  # of the document; the question is too small
    kept = found.noted(decisions, {}, NOW, never)
    assert found.known(kept, TERMS, NOW) == (len(found.units) - 1, Seen(int(NOW // 60), targets))
    asking = found.noted(decisions, {}, NOW, lambda decision: True)
    assert found.known(asking, TERMS, NOW) == (len(found.units) - 1, Seen(int(NOW // 60)))


def test_what_the_store_has_is_not_written_again_within_a_minute() -> None:
    """It is written anew when it is used later."""
    found = head(a_plan())
    kept = dict(found.noted((), {}, NOW, never))
    assert found.noted((), kept, NOW + 1, never) == {}
    assert found.noted((), kept, NOW + 61, never).keys() == kept.keys()
