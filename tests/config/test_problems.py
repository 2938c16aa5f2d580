"""Tests of elision.config.problems."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from elision.config.problems import Problem, describe, nearest


class Inner(BaseModel):
    """A nested model."""

    model_config = ConfigDict(extra="forbid")

    method: str
    rate: Annotated[float, Field(gt=0, le=1)] | None = None
    options: dict[str, str | int | bool] = {}


class Outer(BaseModel):
    """A model of everything that is worded."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["enforce", "audit"] = "enforce"
    rules: list[Inner] = []
    secret: str = ""


def problems(data: object) -> list[Problem]:
    """Return what is wrong with `data` as an `Outer`."""
    adapter = TypeAdapter(Outer)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(data)
    return describe(caught.value, adapter.json_schema(), data)


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    """A slip of the pen is mended by the message itself."""
    found = problems({"rules": [{"method": "keep", "raet": 0.5}]})
    assert found == [Problem(("rules", 0, "raet"), 'unknown key "raet"; did you mean "rate"?', at_key=True)]


def test_an_unknown_key_that_resembles_none_is_answered_with_all() -> None:
    """The valid keys of that very place are listed."""
    [found] = problems({"zzz": 1})
    assert found.message == 'unknown key "zzz"; valid: mode, rules, secret'


def test_a_number_out_of_range_is_answered_with_the_whole_range() -> None:
    """Both ends are named, not only the one that was crossed."""
    [found] = problems({"rules": [{"method": "x", "rate": 1.5}]})
    assert found.message == "must be a number above 0 and at most 1 or null, not 1.5"


def test_a_wrong_choice_is_answered_with_the_choices() -> None:
    """The choices are listed, and the nearest is proposed."""
    [found] = problems({"mode": "enforced"})
    assert found.message == 'must be one of enforce, audit, not "enforced"; did you mean "enforce"?'


def test_a_missing_key_is_placed_at_the_mapping_that_lacks_it() -> None:
    """A key that is not there has no place of its own."""
    assert problems({"rules": [{}]}) == [Problem(("rules", 0), 'the key "method" is missing')]


def test_a_union_is_one_problem() -> None:
    """pydantic's one error per branch would be noise."""
    [found] = problems({"rules": [{"method": "x", "options": {"k": [1]}}]})
    assert found.path == ("rules", 0, "options", "k")
    assert found.message == "must be a text or a whole number or true or false"


def test_a_text_that_may_be_a_secret_is_not_repeated() -> None:
    """Messages end in logs."""
    adapter = TypeAdapter(dict[str, int])
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python({"port": "hunter2"})
    [found] = describe(caught.value, adapter.json_schema(), {"port": "hunter2"})
    assert found.message == "must be a whole number"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "must be a mapping of keys to values"),
        ({"rules": "keep"}, "must be a list"),
        ({"secret": 5}, "must be a text, not 5"),
        ({"secret": True}, "must be a text, not true"),
    ],
)
def test_types_are_named_in_plain_words(data: object, message: str) -> None:
    """No reader needs to know what an `object` or a `dataclass` is."""
    assert [problem.message for problem in problems(data)] == [message]


def test_nearest_ignores_case_and_knows_when_nothing_is_valid() -> None:
    """`Mode` means `mode`; of nothing, nothing is near."""
    assert nearest("MODE", ["mode", "name"]) == 'did you mean "mode"?'
    assert nearest("x", []) == "none is valid here"
