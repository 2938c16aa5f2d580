"""The single values of a policy file: names, globs, rates, roles; and the short forms of lists.

It owns what each may be and how an error says so. What keys hold them is `elision.policies.schema`'s
matter.
"""

import re
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

NAME_PATTERN = r"^[\w.-]+$"
KEY_PATTERN = r"^sha256:[0-9a-f]{64}$"
LANGUAGE_PATTERN = r"^[a-z]{2,3}$"
_LONGEST_NAME = 64

T = TypeVar("T")


class Role(StrEnum):
    """Roles of messages."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    FUNCTION = "function"


class Permission(StrEnum):
    """What a request may ask for."""

    OFF = "off"
    AUDIT = "audit"
    EXPLAIN = "explain"
    RATE = "rate"
    MARKS = "marks"


def _several(value: object) -> object:
    """Read a single value as a list of one."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, (str, int, float)) else value


def _fingerprint(value: str) -> str:
    # The value is not repeated: it may be the key itself, put here by mistake.
    if re.match(KEY_PATTERN, value) is None:
        raise ValueError(
            "must be sha256: and 64 lower-case hexadecimal digits; `elision fingerprint` prints it for a key"
        )
    return value


def _named(value: str) -> str:
    if re.match(NAME_PATTERN, value) is None or len(value) > _LONGEST_NAME:
        raise ValueError(f"must be letters, digits, dots, dashes and _, {_LONGEST_NAME} at most")
    return value


def _language(value: str) -> str:
    if re.match(LANGUAGE_PATTERN, value) is None:
        raise ValueError("must be a language's two or three letters in lower case, such as en, de or zh")
    return value


def _header_name(value: str) -> str:
    if re.match(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", value) is None:
        raise ValueError("must be the name of a header")
    return value.lower()


OneOrMore = Annotated[tuple[T, ...], BeforeValidator(_several), Field(min_length=1)]
Several = Annotated[tuple[T, ...], BeforeValidator(_several)]
Name = Annotated[
    str,
    AfterValidator(_named),
    Field(json_schema_extra={"pattern": NAME_PATTERN, "minLength": 1, "maxLength": _LONGEST_NAME}),
]
Glob = Annotated[str, StringConstraints(min_length=1)]
Language = Annotated[str, AfterValidator(_language), Field(json_schema_extra={"pattern": LANGUAGE_PATTERN})]
Fingerprint = Annotated[str, AfterValidator(_fingerprint), Field(json_schema_extra={"pattern": KEY_PATTERN})]
HeaderName = Annotated[str, AfterValidator(_header_name)]
Rate = Annotated[float, Field(gt=0, le=1)]
Tokens = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)]


class Strict(BaseModel):
    """A mapping whose keys are all known, and described where they stand."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
