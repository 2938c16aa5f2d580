"""Tests of elision.policies.json_schema: editors and the check agree about what is right."""

from typing import Any

import jsonschema
import pytest

from elision.policies.json_schema import json_schema
from elision.policies.schema import PolicyFile

SCHEMA = json_schema(("lossless", "selective_context"), ("code", "numbers"), ("balanced", "rag"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

GOOD: list[dict[str, Any]] = [
    {},
    {"extends": "balanced", "budget": {"rate": 0.5}},
    {"few_shot": "auto", "rules": [{"use": "keep"}]},
    {"few_shot": {"leading_pairs": 2}, "keys": "sha256:" + "0" * 64},
    {"rules": [{"when": {"role": "user", "segment": ["context"], "header": {"a": "b"}}, "use": {}}]},
    {"rules": [{"use": {"method": "lossless", "protect": "code"}}], "requests": {"allow": "rate"}},
    {"history": "compress"},
    {"history": {"older_than_turns": 8, "method": "lossless", "protect": ["code"], "expected_turns": 0}},
]
BAD: list[dict[str, Any]] = [
    {"rule": []},
    {"mode": "on"},
    {"few_shot": "yes"},
    {"keys": ["sk-secret"]},
    {"rules": [{}]},
    {"rules": [{"use": {"rate": 2}}]},
    {"rules": [{"use": {}, "when": {"segment": "system"}}]},
    {"budget": {"rate": 0.5, "min_rate": {"documents": 0.5}}},
    {"history": "forget"},
    {"history": {"older_than_turns": 0}},
]


def test_the_schema_is_one() -> None:
    """Of the draft that editors read."""
    VALIDATOR.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("data", GOOD)
def test_what_is_right_is_right_in_the_editor(data: dict[str, Any]) -> None:
    """Short forms included."""
    assert PolicyFile.model_validate(data) is not None
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []


@pytest.mark.parametrize(
    "data",
    [
        *BAD,
        {"rules": [{"use": "zip"}]},
        {"rules": [{"use": {"method": "zip"}}]},
        {"extends": "harsh"},
        {"rules": [{"use": {"protect": ["nouns"]}}]},
        {"history": {"method": "zip"}},
    ],
)
def test_what_is_wrong_is_marked_in_the_editor(data: dict[str, Any]) -> None:
    """Shapes, and names that only the installed methods know."""
    assert list(VALIDATOR.iter_errors(data)) != []


def test_the_examples_hold() -> None:
    """They are what an editor offers first."""
    assert [list(VALIDATOR.iter_errors(example)) for example in SCHEMA["examples"]] == [[], []]


def test_every_key_is_described() -> None:
    """Editors show it, and so does the documentation."""
    nameless = [
        name
        for model in (SCHEMA, *SCHEMA["$defs"].values())
        for name, key in model.get("properties", {}).items()
        if not key.get("description")
    ]
    assert nameless == []
