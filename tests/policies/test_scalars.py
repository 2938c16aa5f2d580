"""The single values of a policy file."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from elision.policies.scalars import (
    Fingerprint,
    HeaderName,
    Language,
    Name,
    OneOrMore,
    Rate,
    Seconds,
    Several,
    Strict,
    Tokens,
)


def accepted(kind: Any, value: object) -> object:
    return TypeAdapter[object](kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (Name, "team-a.b_c", "team-a.b_c"),
        (Language, "zh", "zh"),
        (HeaderName, "X-Class", "x-class"),
        (Rate, 1, 1.0),
        (Tokens, 1, 1),
        (Seconds, 600, 600.0),
        (OneOrMore[int], 5, (5,)),
        (OneOrMore[str], ["a", "b"], ("a", "b")),
        (Several[str], [], ()),
    ],
)
def test_what_is_right_is_read(kind: Any, value: object, read: object) -> None:
    """One value stands for a list of one; headers are compared in lower case."""
    assert accepted(kind, value) == read


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Name, ""),
        (Name, "a b"),
        (Name, "a" * 65),
        (Language, "EN"),
        (HeaderName, "x class"),
        (Rate, 0),
        (Rate, 1.1),
        (Tokens, 0),
        (Seconds, 0),
        (Seconds, float("inf")),
        (OneOrMore[int], []),
    ],
)
def test_what_is_wrong_is_refused(kind: Any, value: object) -> None:
    """Nothing is mended silently."""
    with pytest.raises(ValidationError):
        accepted(kind, value)


def test_a_wrong_fingerprint_is_not_repeated() -> None:
    """It may be the key itself, put there by mistake."""
    with pytest.raises(ValidationError) as caught:
        accepted(Fingerprint, "sk-secret")
    assert "sk-secret" not in str(caught.value.errors(include_input=False)[0]["msg"])


def test_an_unknown_key_is_refused() -> None:
    """Of every mapping that is strict."""

    class Pair(Strict):
        """Two."""

        first: int = 0

    with pytest.raises(ValidationError, match="extra"):
        Pair.model_validate({"frist": 1})
