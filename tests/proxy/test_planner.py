"""From bytes to a plan."""

import json
from dataclasses import dataclass, field, replace

import pytest

from elision.config.prefix_terms import PrefixEntry, PrefixRow, PrefixTable
from elision.config.windows import Windows
from elision.policies.model import (
    Ability,
    Budget,
    Endpoint,
    Kind,
    Mode,
    Permissions,
    Policy,
    PrefixTerms,
    PromptText,
    Rule,
    Scope,
    TextKind,
    Use,
    When,
)
from elision.proxy.carry import NotCarriedError
from elision.proxy.headers import Headers
from elision.proxy.memo import Memo
from elision.proxy.planner import Knowledge, Planned, Planner, Seen, packaged_knowledge
from elision.proxy.rewriter import Ask

PATH = "/v1/chat/completions"
PREFIXES = PrefixTable(
    (), (PrefixRow(("gpt-4o*",), 0.5, "a page", 1.0, 1024), PrefixRow(("*",), 1.0, "none"))
)
KNOWLEDGE = Knowledge({"halve": Ability()}, "halve", Windows((("gpt-4o*", 128_000),)), PREFIXES)
POLICY = Policy(
    "rag",
    "1a2b3c4d",
    Mode.ENFORCE,
    2.0,
    (Rule("documents", When(segment=(Kind.CONTEXT,)), Use("halve", rate=0.5)),),
)


@dataclass
class Words:
    """Counts words, and remembers what it was asked for."""

    asked: list[str] = field(default_factory=list)
    name = "words"

    def count(self, text: str) -> int:
        self.asked.append(text)
        return len(text.split())


@dataclass
class OneTeam:
    """`search` has a policy; others have none."""

    policy: Policy = POLICY

    def for_team(self, team: str) -> Policy | None:
        return self.policy if team == "search" else None


MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "A fact. " * 400 + "\n\nWhat is it?"},
]
BODY = json.dumps({"model": "gpt-4o", "messages": MESSAGES}).encode()


def ask(path: str = PATH, team: str = "search", headers: Headers | None = None, upstream: str = "") -> Ask:
    return Ask("POST", path, team, headers or [], upstream)


def planner(policy: Policy = POLICY, words: Words | None = None) -> Planner:
    counter = words or Words()
    return Planner(OneTeam(policy), lambda model: counter, KNOWLEDGE)


def planned(body: bytes, asked: Ask, policy: Policy = POLICY) -> Planned:
    found = planner(policy).plan(body, asked)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("method", "path", "team", "mode", "wanted"),
    [
        ("POST", "/v1/chat/completions", "search", Mode.ENFORCE, True),
        ("POST", "/v1/chat/completions?api-version=1", "search", Mode.AUDIT, True),
        ("POST", "/v1/completions", "search", Mode.ENFORCE, True),
        ("POST", "/v1/responses", "search", Mode.ENFORCE, True),
        ("GET", "/v1/chat/completions", "search", Mode.ENFORCE, False),
        ("POST", "/v1/embeddings", "search", Mode.ENFORCE, False),
        ("POST", "/v1/chat/completions", "search", Mode.OFF, False),
        ("POST", "/v1/chat/completions", "other", Mode.ENFORCE, False),
    ],
)
def test_only_known_endpoints_of_a_team_with_a_policy_are_read(
    method: str, path: str, team: str, mode: Mode, wanted: bool
) -> None:
    """Every other body streams through unread."""
    assert planner(replace(POLICY, mode=mode)).wants(Ask(method, path, team)) is wanted


def test_nothing_long_is_begun_when_it_is_too_late() -> None:
    """Whoever asked has gone on without; what was found out before is remembered."""
    words = Words()
    late = planner(words=words)
    with pytest.raises(TimeoutError):
        late.plan(BODY, ask(), until=0.0)
    assert words.asked == []
    assert late.plan(BODY, ask()) is not None
    assert late.plan(BODY, ask(), until=0.0) is not None


@pytest.mark.parametrize("between", ["\n", " "])
def test_protected_spans_of_very_long_texts_are_counted_stretch_by_stretch(between: str) -> None:
    """No search takes long, so that other threads are not held up; no span is counted twice."""
    words = Words()
    seen = Seen(Memo(1000), words, KNOWLEDGE)
    text = between.join(["The mill was built in 1342 by nobody of that name."] * 12_000)
    assert seen.senses.protected(text, ("numbers", "dates")) == 12_000
    assert len(text) > 500_000


def test_a_request_may_ask_to_be_left_alone() -> None:
    """If the policy lets it; then its body is not even read."""
    asked = ask(headers=[("x-elision", "off")])
    assert not planner().wants(asked)
    assert planner(replace(POLICY, permissions=Permissions(off=False))).wants(asked)


def test_a_plan_decides_on_every_segment() -> None:
    """The rule's segment is compressed, instruction and question are kept."""
    found = planned(BODY, ask())
    assert (found.team, found.plan.policy, found.encoding) == ("search", "rag@1a2b3c4d", "words")
    assert [(d.segment.kind, d.use.method) for d in found.plan.decisions] == [
        (Kind.INSTRUCTION, "keep"),
        (Kind.CONTEXT, "halve"),
        (Kind.QUESTION, "keep"),
    ]
    assert found.plan.decisions[1].question == "What is it?"
    assert found.segments == tuple(decision.segment for decision in found.plan.decisions)


def test_the_facts_of_a_request_are_found() -> None:
    """In its body, its path and its headers; keys and cookies are none of a policy's business."""
    headers = [
        ("X-App", "a"),
        ("x-app", "b"),
        ("Authorization", "Bearer k"),
        ("Cookie", "c"),
        ("api-key", "k"),
    ]
    body = json.dumps({"model": "gpt-4o-mini", "max_tokens": 9, "messages": MESSAGES, "tools": [1]}).encode()
    facts = planned(body, ask(headers=headers, upstream="azure")).facts
    assert (facts.model, facts.endpoint, facts.upstream) == ("gpt-4o-mini", Endpoint.CHAT, "azure")
    assert dict(facts.headers) == {"x-app": "a"}
    assert (facts.reply_tokens, facts.window, facts.other_tokens) == (9, 128_000, 0)


def test_a_deployment_stands_for_a_model_that_is_not_named() -> None:
    """Azure's bodies need not name one; its paths do."""
    body = json.dumps({"messages": MESSAGES}).encode()
    found = planned(body, ask("/openai/deployments/gpt-4o-eu/chat/completions"))
    assert (found.facts.model, found.facts.window) == ("gpt-4o-eu", 128_000)
    assert planned(BODY, ask("/openai/deployments/x/chat/completions")).facts.model == "gpt-4o"


def test_what_stands_beside_texts_is_counted_where_a_budget_fits_the_window() -> None:
    """Nobody else asks for it."""
    body = json.dumps({"model": "gpt-4o", "messages": MESSAGES, "tools": ["one two three"]}).encode()
    fitting = replace(POLICY, budget=Budget(fit=True, scope=Scope.REQUEST))
    assert planned(body, ask(), fitting).facts.other_tokens == 3


@pytest.mark.parametrize(
    ("headers", "mode", "explain", "notes"),
    [
        ([], Mode.ENFORCE, False, ()),
        ([("x-elision", "audit")], Mode.AUDIT, False, ()),
        ([("x-elision", "explain")], Mode.ENFORCE, True, ()),
        ([("x-elision", "of")], Mode.ENFORCE, False, ("bad_wish",)),
        ([("x-elision-rate", "0.5")], Mode.ENFORCE, False, ("wish_refused",)),
    ],
)
def test_a_request_gets_what_it_wishes_or_is_told_why_not(
    headers: Headers, mode: Mode, explain: bool, notes: tuple[str, ...]
) -> None:
    """As far as its team's policy lets it."""
    found = planned(BODY, ask(headers=headers))
    assert (found.plan.mode, found.explain, found.notes) == (mode, explain, notes)


def test_what_may_not_be_explained_is_not() -> None:
    """The policy says whether."""
    secret = replace(POLICY, permissions=Permissions(explain=False))
    found = planned(BODY, ask(headers=[("x-elision", "explain")]), secret)
    assert (found.explain, found.notes) == (False, ("wish_refused",))


def test_marks_are_read_where_the_policy_lets_them() -> None:
    """Else they are text like any other."""
    content = "<elision off>Keep.</elision> " + "A fact. " * 400 + "\n\nWhat is it?"
    body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
    deaf = replace(POLICY, permissions=Permissions(marks=False))
    assert any(segment.tag for segment in planned(body, ask()).segments)
    assert not any(segment.tag for segment in planned(body, ask(), deaf).segments)


def test_what_was_counted_once_is_not_counted_again() -> None:
    """The next turn of a conversation counts what is new in it."""
    words = Words()
    lasting = planner(words=words)
    first = lasting.plan(BODY, ask())
    words.asked.clear()
    again = lasting.plan(BODY, ask())
    assert words.asked == []
    assert first is not None
    assert again is not None
    assert again.plan == first.plan
    more = [*MESSAGES, {"role": "assistant", "content": "A fact it is."}]
    lasting.plan(json.dumps({"model": "gpt-4o", "messages": more}).encode(), ask())
    assert words.asked == ["A fact it is."]


def test_senses_judge_texts() -> None:
    """Alike the first and the second time; what is protected is counted together."""
    seen = Seen(Memo(100), Words(), KNOWLEDGE)
    for _ in range(2):
        assert seen.senses.count("a b c") == 3
        assert seen.senses.text_kind('{"a": 1}\n') is TextKind.JSON
        assert seen.senses.language("This is a plain sentence in the English language, and so on.") == "en"
        assert (
            seen.senses.protected("Pay 5 dollars at https://a.example/b not later", ("urls", "numbers")) > 1
        )
        assert seen.senses.protected("Pay 5 dollars", ()) == 0
    assert seen.segments((PromptText("/p", 0, "assistant", "x y"),), POLICY)[0].tokens == 2


def test_what_is_installed_is_known() -> None:
    """Every method says what it may be given, and the default one is among them."""
    known = packaged_knowledge()
    assert known.default_method in known.abilities
    assert known.windows.of("gpt-4o") == 128_000
    assert known.prefix_terms("gpt-4o", "").read == 0.5
    better = packaged_knowledge({"gpt-4o": 1}, (PrefixEntry(upstreams=("own",), read=1.0),))
    assert (better.windows.of("gpt-4o"), better.prefix_terms("gpt-4o", "own").read) == (1, 1.0)


def test_a_plan_knows_what_a_repeated_prefix_costs() -> None:
    """At the upstream that the request goes to, by the model that it asks for."""
    assert planned(BODY, ask()).terms == PrefixTerms(0.5, 1.0, 1024, source="a page")
    other = json.dumps({"model": "own", "messages": MESSAGES}).encode()
    assert planned(other, ask()).terms.read == 1.0


def test_a_team_without_a_policy_has_no_plan() -> None:
    """None, not an empty one; nor has a path that we do not know."""
    assert planner().plan(BODY, ask(team="other")) is None
    assert planner().plan(BODY, ask("/v1/embeddings")) is None
    assert planner().policy("other") is None


def test_a_body_that_cannot_be_carried_is_refused() -> None:
    """The rewriter makes a reason of it."""
    with pytest.raises(NotCarriedError):
        planner().plan(b"[]", ask())
