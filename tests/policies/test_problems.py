"""Tests of elision.policies.problems."""

import json
from typing import Any

import pytest

from elision.policies.model import Ability, TextKind
from elision.policies.problems import Path, Severity, problems
from elision.policies.schema import PolicyFile

METHODS = {
    "lossless": Ability(needs_target=False),
    "selective_context": Ability(frozenset({"en"}), frozenset({TextKind.PROSE})),
}
HALF: dict[str, Any] = {"method": "selective_context", "rate": 0.5}
RULE: dict[str, Any] = {"use": {"method": "selective_context"}}
KEY = "sha256:" + "0a" * 32
RATES = dict.fromkeys(("demonstrations", "context", "tool_result", "history"), 0.35)


def found(
    data: object, severity: Severity = Severity.ERROR, own_rules: int | None = None
) -> list[tuple[Path, str]]:
    """Return paths and messages of what is wrong with a file."""
    file = PolicyFile.model_validate_json(json.dumps(data), strict=True)
    told = problems(file, METHODS, "selective_context", own_rules)
    return [(problem.path, problem.message) for problem in told if problem.severity is severity]


def in_rules(*rules: dict[str, Any]) -> list[tuple[Path, str]]:
    """Return what is wrong with rules, paths from the first one's index on."""
    return [(path[1:], message) for path, message in found({"rules": rules})]


def test_a_sound_policy_has_no_problems() -> None:
    """Neither errors nor warnings, with the default method and a budget, or with rates."""
    files = [
        {"mode": "off"},
        {"budget": {"rate": 0.5}, "rules": [{"use": {}}]},
        {"rules": [{"when": {"segment": "tool_result"}, "use": "lossless"}, {"use": HALF}]},
        {"rules": [{"when": {"position": ["first", "earlier", "last"], "max_turn": 3}, "use": HALF}]},
        {"budget": {"rate": 0.5, "min_rate": {"context": 0.5}}, "rules": [RULE]},
    ]
    for file in files:
        assert found(file) + found(file, Severity.WARNING) == []


def test_an_unknown_method_names_the_nearest() -> None:
    """The caller says which methods there are."""
    assert in_rules({"use": {"method": "loseless"}}) == [
        ((0, "use", "method"), 'unknown method "loseless"; did you mean "lossless"?')
    ]
    [(_, message)] = in_rules({"use": {"method": "zip", "rate": 0.5}})
    assert message == 'unknown method "zip"; known: keep, lossless, selective_context'


@pytest.mark.parametrize(
    ("use", "path", "says"),
    [
        ({"method": "lossless", "rate": 0.5}, ("use", "rate"), "remove rate"),
        ({"method": "keep", "tokens": 5}, ("use", "tokens"), "remove tokens"),
        ({"method": "keep", "options": {"a": 1}}, ("use", "options"), "remove options"),
        ({"method": "keep", "mode": "audit"}, ("use", "mode"), "remove mode"),
        ({**HALF, "tokens": 5}, ("use", "tokens"), "exclude one another"),
        ({"method": "selective_context"}, ("use",), 'add "rate: 0.5" or "tokens: 500" here, or a budget'),
        ({}, ("use",), "selective_context must be told how far"),
        ({**HALF, "deadline_s": 3}, ("use", "deadline_s"), "the whole request has 2 s"),
    ],
)
def test_what_a_rule_uses_must_fit_together(use: dict[str, Any], path: tuple[str, ...], says: str) -> None:
    """Each is told at the key that has to change, with how."""
    [(where, message)] = in_rules({"use": use})
    assert where == (0, *path)
    assert says in message


@pytest.mark.parametrize(
    ("when", "key", "says"),
    [
        ({"min_tokens": 900, "max_tokens": 800}, "min_tokens", "nothing has at least 900 and at most 800"),
        ({"max_tokens": 200}, "max_tokens", "fewer than 300 are left alone; set use.min_tokens lower"),
        ({"min_turn": 3, "max_turn": 2}, "min_turn", "no turn is at least number 3 and at most number 2"),
        ({"position": "first", "min_turn": 2}, "position", "the first turn is never number 2"),
        ({"role": "tool", "segment": "question"}, "segment", "they have tool_result"),
        (
            {"role": ["system", "user"], "segment": "tool_result"},
            "segment",
            "system or user messages have no",
        ),
    ],
)
def test_conditions_that_cannot_hold_are_told(when: dict[str, Any], key: str, says: str) -> None:
    """A rule for nothing is a slip that the first look at a dashboard would puzzle over."""
    [(where, message)] = in_rules({"when": when, "use": HALF})
    assert where == (0, "when", key)
    assert says in message


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "cookie"])
def test_no_rule_may_look_at_secrets(name: str) -> None:
    """A key in a policy file would be a key in a repository."""
    [(where, message)] = in_rules({"when": {"header": {name: "Bearer sk-*"}}, "use": HALF})
    assert where == (0, "when", "header", name.lower())
    assert "holds a secret" in message
    assert "sk-" not in message


def test_a_rule_below_one_that_matches_as_much_is_never_reached() -> None:
    """It would be dead text that its author believes in."""
    broad = {"name": "all", "use": HALF}
    narrow = {"when": {"role": "user", "model": "gpt*"}, "use": "keep"}
    [(where, message)] = in_rules(broad, narrow)
    assert where == (1,)
    assert "never reached: rule `all` above matches all that this one does" in message
    assert found({"rules": [broad, narrow]}, own_rules=1) == []


def test_rules_that_can_be_reached_are_no_problem() -> None:
    """Instructions and questions are not matched by a rule that does not name them."""
    broad = {"use": HALF}
    assert in_rules(broad, {"when": {"segment": "question"}, "use": "keep"}) == []
    large = {"when": {"min_tokens": 1000}, "use": HALF}
    assert in_rules(large, {"when": {"min_tokens": 999}, "use": HALF}, {"use": "keep"}) == []
    tables = {"when": {"kind": "table"}, "use": "lossless"}
    assert in_rules(tables, {"when": {"header": {"x-a": "b"}}, "use": HALF}, {"use": "keep"}) == []


def test_two_rules_of_one_name_are_told() -> None:
    """Headers and explanations could not tell them apart."""
    first = {"name": "a", "when": {"segment": "context"}, "use": HALF}
    second = {"name": "a", "when": {"segment": "history"}, "use": HALF}
    assert [path for path, _ in in_rules(first, second)] == [(1, "name")]


@pytest.mark.parametrize(
    ("budget", "path", "says"),
    [
        ({}, (), "a budget must say how much"),
        ({"rate": 0.5, "tokens": 9}, ("tokens",), "rate and tokens exclude one another"),
        ({"rate": 0.5, "window": 9}, ("window",), "window is only for fit: true"),
        ({"fit": True, "window": 9, "reply": 9}, ("reply",), "leaves nothing of 9"),
        ({"tokens": 9, "scope": "turn"}, ("scope",), "tokens is for the whole request"),
        (
            {"rate": 0.5, "min_rate": {"context": 0.6}, "max_rate": {"context": 0.5}},
            ("min_rate", "context"),
            "at least 0.6 and at most 0.5 exclude one another",
        ),
    ],
)
def test_a_budget_must_make_sense_by_itself(budget: dict[str, Any], path: Path, says: str) -> None:
    """One size, bounds in their order, keys that have an effect."""
    [(where, message)] = found({"budget": budget, "rules": [RULE]})
    assert where == ("budget", *path)
    assert says in message


@pytest.mark.parametrize(
    ("file", "path", "says"),
    [
        ({"budget": {"rate": 0.5}}, ("budget",), "no rule compresses anything"),
        ({"budget": {"rate": 0.5}, "rules": [{"use": "keep"}]}, ("budget",), "no rule compresses anything"),
        ({"budget": {"rate": 0.4}, "rules": [{"use": HALF}]}, ("budget", "rate"), "leave at least 0.5"),
        (
            {
                "budget": {"rate": 0.4, "min_rate": {"context": 0.6, "history": 0.5}},
                "rules": [{"when": {"segment": ["context", "history"]}, "use": {}}],
            },
            ("budget", "rate"),
            "leave at least 0.5",
        ),
        (
            {
                "budget": {"rate": 0.4, "max_rate": {"context": 0.6}},
                "rules": [
                    {"when": {"segment": "context", "min_tokens": 5000}, "use": {"rate": 0.7}},
                    {"use": {}},
                ],
            },
            ("rules", 0, "use", "rate"),
            "budget.max_rate allows 0.6",
        ),
        (
            {"requests": {"allow": "rate", "min_rate": 0.6}, "rules": [{"use": HALF}]},
            ("requests", "min_rate"),
            "a request could not ask for what the policy itself keeps, 0.5 at most",
        ),
    ],
)
def test_a_rate_that_nothing_can_reach_is_told(file: object, path: Path, says: str) -> None:
    """Only where it is certain, whatever the request."""
    [(where, message)] = found(file)
    assert where == path
    assert says in message


def test_a_budget_that_only_lossless_could_reach_is_unwise() -> None:
    """Documents have a bound above it; tool results may shrink to anything."""
    lossless = {"when": {"segment": "tool_result"}, "use": "lossless"}
    file = {"budget": {"rate": 0.3, "min_rate": RATES}, "rules": [lossless, RULE]}
    assert found(file) == []
    [(path, message)] = found(file, Severity.WARNING)
    assert path == ("budget", "rate")
    assert "at least 0.35 where words are left out" in message


def test_a_policy_without_rules_is_unwise() -> None:
    """A budget forgotten, or `extends`; whoever means it says `mode: off`."""
    [(path, message)] = found({}, Severity.WARNING)
    assert path == ()
    assert "extends: balanced" in message


def test_a_budget_that_may_be_reached_is_no_problem() -> None:
    """One rule that may go lower is enough; a method without a target may go anywhere."""
    lower = {"when": {"segment": "history"}, "use": {"tokens": 100}}
    assert found({"budget": {"rate": 0.4}, "rules": [lower, {"use": HALF}]}) == []
    tools = {"when": {"segment": "tool_result"}, "use": "lossless"}
    assert found({"budget": {"rate": 0.4}, "rules": [tools, {"use": HALF}]}) == []


def test_a_key_that_is_listed_twice_is_told() -> None:
    """The second changes nothing, so one of them is probably meant to be another."""
    assert found({"keys": [KEY, KEY]}) == [(("keys", 1), "key number 1 is the same; remove one")]


@pytest.mark.parametrize(
    ("file", "path", "says"),
    [
        (
            {"rules": [{"when": {"position": "last"}, "use": HALF}]},
            ("rules", 0, "when", "position"),
            "not last for ever",
        ),
        (
            {"rules": [{"when": {"header": {"x-class": "batch"}}, "use": HALF}]},
            ("rules", 0, "when", "header", "x-class"),
            "where x-class differs from request to request",
        ),
        ({"budget": {"tokens": 900}, "rules": [RULE]}, ("budget", "tokens"), "over the whole request"),
        ({"budget": {"fit": True}, "rules": [RULE]}, ("budget", "fit"), "over the whole request"),
        (
            {"budget": {"rate": 0.5, "scope": "request"}, "rules": [RULE]},
            ("budget", "scope"),
            "over the whole request",
        ),
        (
            {"few_shot": {"leading_pairs": 3}, "rules": [{"use": HALF}]},
            ("few_shot", "leading_pairs"),
            "the first 3 pairs",
        ),
    ],
)
def test_what_costs_the_providers_cache_is_warned_of(file: object, path: Path, says: str) -> None:
    """A prefix that changes from turn to turn is billed in full."""
    assert found(file) == []
    [(where, message)] = found(file, Severity.WARNING)
    assert where == path
    assert says in message
    assert "prefix cache is lost" in message


@pytest.mark.parametrize(
    ("file", "path", "says"),
    [
        ({"rules": [{"use": {"rate": 0.1}}]}, ("rules", 0, "use", "rate"), "keeping 0.1 leaves little"),
        ({"budget": {"rate": 0.1}, "rules": [RULE]}, ("budget", "rate"), "keeping 0.1 leaves little"),
        (
            {"rules": [{"when": {"kind": ["prose", "code"]}, "use": HALF}]},
            ("rules", 0, "when", "kind", 1),
            "was not made for code; use lossless or keep",
        ),
        (
            {"rules": [{"when": {"language": "de"}, "use": HALF}]},
            ("rules", 0, "when", "language", 0),
            "selective_context was made for en, not for de",
        ),
    ],
)
def test_what_costs_answers_is_warned_of(file: object, path: Path, says: str) -> None:
    """It works, and somebody should measure it."""
    assert found(file) == []
    [(where, message)] = found(file, Severity.WARNING)
    assert where == path
    assert says in message


OLD: dict[str, Any] = {"older_than_turns": 8, "method": "selective_context", "rate": 0.4}


@pytest.mark.parametrize(
    ("history", "path", "says"),
    [
        (
            {"step": 2},
            ("step",),
            'step is for turns that are shortened a second time; say which, "older_than',
        ),
        ({"rate": 0.4, "unknown": "compress"}, ("rate",), "or remove it"),
        ({**OLD, "method": "loseless"}, ("method",), 'did you mean "lossless"?'),
        ({**OLD, "method": "keep"}, ("method",), "keep shortens nothing"),
        ({**OLD, "tokens": 5}, ("tokens",), "exclude one another"),
        ({**OLD, "method": "lossless"}, ("rate",), "lossless decides by itself"),
        ({"older_than_turns": 8}, (), "selective_context must be told how far"),
    ],
)
def test_how_old_turns_are_shortened_must_fit_together(
    history: dict[str, Any], path: tuple[str, ...], says: str
) -> None:
    """No budget says how far: a second shortening has its own target."""
    [(where, message)] = found({"budget": {"rate": 0.5}, "rules": [RULE], "history": history})
    assert where == ("history", *path)
    assert says in message


def test_sound_words_on_history_are_no_problem() -> None:
    """What is expected to pay is not warned of."""
    rules = [{"use": HALF}]
    for history in ("keep", {"expected_turns": 0}, {**OLD, "expected_turns": 9, "rate": 0.4}):
        data = {"rules": rules, "history": history}
        assert found(data) + found(data, Severity.WARNING) == []
    lossless = {"older_than_turns": 8, "method": "lossless"}
    assert found({"rules": rules, "history": lossless}, Severity.WARNING) == []


def test_what_costs_more_than_it_saves_is_warned_of() -> None:
    """Turns that the provider knows; steps that cannot pay within the turns expected; low rates."""
    rules = [{"use": HALF}]
    [(where, message)] = found({"rules": rules, "history": "compress"}, Severity.WARNING)
    assert where == ("history", "unknown")
    assert "it pays where there is no such cache" in message
    late = {**OLD, "rate": 0.5}
    [(where, message)] = found({"rules": rules, "history": late}, Severity.WARNING)
    assert where == ("history", "rate")
    assert "a step to 0.5 pays after 11 further turns, and 5 are expected" in message
    low = {**OLD, "rate": 0.1}
    [(where, message)] = found({"rules": rules, "history": low}, Severity.WARNING)
    assert (where, "keeping 0.1 leaves little" in message) == (("history", "rate"), True)
    never = {**OLD, "rate": 1.0}
    [(_, message)] = found({"rules": rules, "history": never}, Severity.WARNING)
    assert "a step to 1 pays never" in message
