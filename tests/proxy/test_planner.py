"""From bytes to a plan."""

import json
from dataclasses import dataclass

import pytest

from elision.policies.model import Kind, Mode, Policy, Rule, Use, When
from elision.proxy.carry import NotCarriedError
from elision.proxy.planner import Planner
from elision.proxy.rewriter import Ask


class Words:
    """Counts words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


@dataclass
class OneTeam:
    """`search` has a policy; others have none."""

    mode: Mode = Mode.ENFORCE

    def for_team(self, team: str) -> Policy | None:
        rule = Rule("documents", When(segment=(Kind.CONTEXT,)), Use("halve", rate=0.5))
        return Policy("rag", "1a2b3c4d", self.mode, 2.0, (rule,)) if team == "search" else None


BODY = json.dumps(
    {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "A fact. " * 400 + "\n\nWhat is it?"},
        ],
    }
).encode()


def planner(mode: Mode = Mode.ENFORCE) -> Planner:
    return Planner(OneTeam(mode), lambda model: Words())


@pytest.mark.parametrize(
    ("method", "path", "team", "mode", "wanted"),
    [
        ("POST", "/v1/chat/completions", "search", Mode.ENFORCE, True),
        ("POST", "/v1/chat/completions?api-version=1", "search", Mode.AUDIT, True),
        ("GET", "/v1/chat/completions", "search", Mode.ENFORCE, False),
        ("POST", "/v1/embeddings", "search", Mode.ENFORCE, False),
        ("POST", "/v1/chat/completions", "search", Mode.OFF, False),
        ("POST", "/v1/chat/completions", "other", Mode.ENFORCE, False),
    ],
)
def test_only_chat_completions_of_a_team_with_a_policy_are_read(
    method: str, path: str, team: str, mode: Mode, wanted: bool
) -> None:
    """Every other body streams through unread."""
    assert planner(mode).wants(Ask(method, path, team)) is wanted


def test_a_plan_decides_on_every_segment() -> None:
    """The rule's segment is compressed, instruction and question are kept."""
    planned = planner().plan(BODY, Ask("POST", "/v1/chat/completions", "search"))
    assert planned is not None
    assert (planned.team, planned.plan.policy, planned.encoding) == ("search", "rag@1a2b3c4d", "words")
    assert [(d.segment.kind, d.use.method) for d in planned.plan.decisions] == [
        (Kind.INSTRUCTION, "keep"),
        (Kind.CONTEXT, "halve"),
        (Kind.QUESTION, "keep"),
    ]
    assert planned.plan.decisions[1].question == "What is it?"


def test_a_team_without_a_policy_has_no_plan() -> None:
    """None, not an empty one."""
    assert planner().plan(BODY, Ask("POST", "/v1/chat/completions", "other")) is None


def test_a_body_that_cannot_be_carried_is_refused() -> None:
    """The rewriter makes a reason of it."""
    with pytest.raises(NotCarriedError):
        planner().plan(b"[]", Ask("POST", "/v1/chat/completions", "search"))
