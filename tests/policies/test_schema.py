"""Tests of elision.policies.schema."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from elision.policies.model import Kind, Mode, Policy, Rule, Use, When
from elision.policies.schema import PolicyFile, build, problems

METHODS = ("lossless", "selective_context")
KEEP: dict[str, Any] = {"method": "keep"}
HALF: dict[str, Any] = {"method": "selective_context", "rate": 0.5}


def read(data: object) -> PolicyFile:
    """Validate as the proxy does: strictly, as JSON."""
    return PolicyFile.model_validate_json(json.dumps(data), strict=True)


def rules(*specs: dict[str, Any]) -> PolicyFile:
    """Return a policy file with these rules."""
    return read({"rules": list(specs)})


def test_a_file_becomes_the_policy_that_it_says() -> None:
    """Every key arrives, and single values stand for lists of one."""
    file = read(
        {
            "name": "search",
            "mode": "audit",
            "deadline_s": 1,
            "rules": [
                {
                    "name": "documents",
                    "when": {
                        "role": "user",
                        "segment": ["context"],
                        "model": "gpt-4*",
                        "min_tokens": 9,
                    },
                    "use": {**HALF, "options": {"unit": "phrase", "a": 1}, "protect": "numbers"},
                },
                {"use": {"method": "selective_context", "tokens": 100}},
            ],
        }
    )
    use = Use("selective_context", 0.5, None, (("a", 1), ("unit", "phrase")), ("numbers",))
    when = When(("user",), (Kind.CONTEXT,), ("gpt-4*",), 9, None)
    second = Rule("rule-2", When(), Use("selective_context", None, 100))
    expected = Policy("search", "v1", Mode.AUDIT, 1.0, (Rule("documents", when, use), second))
    assert build(file, "v1", "stem") == expected
    assert problems(file, METHODS) == []


def test_an_empty_file_keeps_everything() -> None:
    """Its name is the file's, it is enforced, and it has two seconds."""
    assert build(read({}), "v", "stem") == Policy("stem", "v", Mode.ENFORCE, 2.0, ())


@pytest.mark.parametrize(
    "data",
    [
        {"rule": []},
        {"deadline_s": 0},
        {"mode": "on"},
        {"name": "two words"},
        {"rules": [{}]},
        {"rules": [{"use": {}}]},
        {"rules": [{"use": {**HALF, "rate": 0}}]},
        {"rules": [{"use": {**HALF, "rate": 1.1}}]},
        {"rules": [{"use": {**HALF, "rate": "0.5"}}]},
        {"rules": [{"use": {**HALF, "rate": True}}]},
        {"rules": [{"use": {**HALF, "options": {"k": [1]}}}]},
        {"rules": [{"when": {"segment": []}, "use": HALF}]},
        {"rules": [{"when": {"segment": "system"}, "use": HALF}]},
        {"rules": [{"when": {"min_tokens": 0}, "use": HALF}]},
        {"rules": [{"when": {"tokens": 5}, "use": HALF}]},
    ],
)
def test_what_is_out_of_shape_is_refused(data: object) -> None:
    """Unknown keys, wrong types and values out of range never become a policy."""
    with pytest.raises(ValidationError):
        read(data)


def found(*specs: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Return paths and messages of what is wrong with rules."""
    return [(problem.path[1:], problem.message) for problem in problems(rules(*specs), METHODS)]


def test_an_unknown_method_names_the_nearest() -> None:
    """The caller says which methods there are."""
    assert found({"use": {"method": "loseless"}})[0] == (
        (0, "use", "method"),
        'unknown method "loseless"; did you mean "lossless"?',
    )
    [(_, message)] = found({"use": {"method": "zip", "rate": 0.5}})
    assert message == 'unknown method "zip"; known: keep, lossless, selective_context'


@pytest.mark.parametrize(
    ("use", "path", "says"),
    [
        ({"method": "lossless", "rate": 0.5}, ("use", "rate"), "remove rate"),
        ({"method": "keep", "tokens": 5}, ("use", "tokens"), "remove tokens"),
        ({"method": "keep", "options": {"a": 1}}, ("use", "options"), "remove them"),
        ({**HALF, "tokens": 5}, ("use", "tokens"), "exclude one another"),
        ({"method": "selective_context"}, ("use",), 'add "rate: 0.5" or "tokens: 500"'),
    ],
)
def test_a_target_must_suit_its_method(use: dict[str, Any], path: tuple[str, ...], says: str) -> None:
    """Each is told at the key that has to change, with how."""
    [(where, message)] = found({"use": use})
    assert where == (0, *path)
    assert says in message


def test_a_rule_below_one_that_matches_as_much_is_never_reached() -> None:
    """It would be dead text that its author believes in."""
    broad = {"name": "all", "use": HALF}
    [(where, message)] = found(broad, {"when": {"role": "user", "model": "gpt*"}, "use": KEEP})
    assert where == (1,)
    assert "never reached: rule `all` above matches all that this one does" in message
    same = {"when": {"segment": ["context", "history"]}, "use": HALF}
    assert len(found(same, {"when": {"segment": "history"}, "use": KEEP})) == 1


def test_rules_that_can_be_reached_are_no_problem() -> None:
    """Instructions and questions are not matched by a rule that does not name them."""
    broad = {"use": HALF}
    assert found(broad, {"when": {"segment": "question"}, "use": KEEP}) == []
    assert found(broad, {"when": {"role": "system"}, "use": KEEP}) == []
    large = {"when": {"min_tokens": 1000}, "use": HALF}
    assert found(large, {"when": {"min_tokens": 999}, "use": HALF}, {"use": KEEP}) == []


def test_impossible_conditions_and_repeated_names_are_told() -> None:
    """Both are slips that the first look at a dashboard would puzzle over."""
    span = {"when": {"min_tokens": 9, "max_tokens": 8}, "use": HALF}
    assert found(span) == [((0, "when", "min_tokens"), "no segment has at least 9 and at most 8 tokens")]
    first = {"name": "a", "when": {"segment": "context"}, "use": HALF}
    second = {"name": "a", "when": {"segment": "history"}, "use": HALF}
    assert [path for path, _ in found(first, second)] == [(1, "name")]


def test_every_key_is_described_in_the_json_schema() -> None:
    """Editors show it, and so does the documentation."""
    schema = PolicyFile.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        for name, key in model.get("properties", {}).items():
            assert key.get("description"), name
