"""The shape of a policy file, and what it means as a `Policy`.

This module owns the names and ranges of a policy's keys and the checks that need more than one of
them. It reads no files: whoever does validates a document as `PolicyFile`, asks `problems` what is
wrong beyond its shape, and calls `build`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from elision.policies.engine import covers
from elision.policies.model import KEEP, Kind, Mode, OptionValue, Policy, Rule, Use, When

LOSSLESS = "lossless"
"""The method that decides by itself how far it goes."""

T = TypeVar("T")


def _several(value: object) -> object:
    """Read a single value as a list of one."""
    if isinstance(value, list):
        return tuple(value)
    return (value,) if isinstance(value, (str, int, float)) else value


OneOrMore = Annotated[tuple[T, ...], BeforeValidator(_several), Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.-]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class WhenSpec(_Strict):
    """Which segments a rule is for; every key that is given must hold."""

    role: OneOrMore[str] | None = None
    """Roles of messages: system, developer, user, assistant, tool, function."""

    segment: OneOrMore[Kind] | None = None
    """Kinds of segments. Instructions and questions are matched only where they are named here
    (or, for instructions, where `role` names system or developer)."""

    model: OneOrMore[str] | None = None
    """Names of models, with `*` and `?` for what varies."""

    min_tokens: Annotated[int, Field(ge=1)] | None = None
    """Fewest tokens. Without it, a segment of under 300 tokens is not compressed."""

    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Most tokens."""


class UseSpec(_Strict):
    """What a rule does with a segment."""

    method: str
    """Name of a compression method, or `keep`."""

    rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the tokens to keep."""

    tokens: Annotated[int, Field(ge=1)] | None = None
    """Number of tokens to keep, in place of a rate."""

    options: dict[str, OptionValue] = {}
    """The method's own options."""

    protect: Annotated[tuple[str, ...], BeforeValidator(_several)] | None = None
    """Classes of spans that are never cut, in place of the default ones; `[]` protects nothing."""


class RuleSpec(_Strict):
    """One rule; the first whose conditions hold decides."""

    name: Name | None = None
    """What explanations and headers call it; `rule-1`, `rule-2`, ... by default."""

    when: WhenSpec = WhenSpec()
    """Conditions; without any the rule is for everything but instructions and questions."""

    use: UseSpec
    """What to do."""


class PolicyFile(_Strict):
    """One team's policy file."""

    name: Name | None = None
    """What headers and logs call the policy; the file's name by default."""

    mode: Mode = Mode.ENFORCE
    """enforce; audit (decide and report, send the original); off (look at nothing)."""

    deadline_s: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 2.0
    """Seconds that compressing a request may take; after them its original goes out."""

    rules: tuple[RuleSpec, ...] = ()
    """In order of precedence; a segment that no rule matches is kept."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a policy file beyond its shape.

    Attributes:
        path: keys and indices that lead to the value that is wrong.
        message: what is wrong and how to mend it.
    """

    path: tuple[str | int, ...]
    message: str


def build(file: PolicyFile, version: str, name: str = "") -> Policy:
    """Return what a policy file means.

    Args:
        file: validated, and without `problems`.
        version: short digest of the file.
        name: what the policy is called where the file does not say.
    """
    rules = tuple(_rule(spec, number) for number, spec in enumerate(file.rules, 1))
    return Policy(file.name or name, version, file.mode, file.deadline_s, rules)


def problems(file: PolicyFile, methods: Collection[str]) -> list[Problem]:
    """Return what is wrong in a policy file beyond its shape, in the order of its rules.

    Args:
        file: validated.
        methods: names of the compression methods that there are.
    """
    found: list[Problem] = []
    rules = [_rule(spec, number) for number, spec in enumerate(file.rules, 1)]
    for index, rule in enumerate(rules):
        here = ("rules", index)
        known = _method_problems(rule.use, methods) or _target_problems(rule.use)
        for path, message in (*known, *_order_problems(rule, rules[:index])):
            found.append(Problem((*here, *path), message))
    return found


def _rule(spec: RuleSpec, number: int) -> Rule:
    when, use = spec.when, spec.use
    return Rule(
        spec.name or f"rule-{number}",
        When(
            role=when.role or (),
            segment=when.segment or (),
            model=when.model or (),
            min_tokens=when.min_tokens or 0,
            max_tokens=when.max_tokens,
        ),
        Use(use.method, use.rate, use.tokens, tuple(sorted(use.options.items())), use.protect),
    )


_Found = tuple[tuple[str, ...], str]


def _method_problems(use: Use, methods: Collection[str]) -> list[_Found]:
    known = sorted({KEEP, *methods})
    if use.method in known:
        return []
    near = get_close_matches(use.method, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
    return [(("use", "method"), f'unknown method "{use.method}"; {hint}')]


def _target_problems(use: Use) -> Iterator[_Found]:
    """Yield what is wrong with how far a method is to go."""
    given = [key for key in ("rate", "tokens") if getattr(use, key) is not None]
    if use.method in (KEEP, LOSSLESS):
        why = "changes nothing" if use.method == KEEP else "decides by itself how far it goes"
        for key in given:
            yield ("use", key), f"{use.method} {why}; remove {key}"
    elif len(given) == 2:
        yield ("use", "tokens"), "rate and tokens exclude one another; remove one"
    elif not given:
        yield ("use",), f'{use.method} must be told how far: add "rate: 0.5" or "tokens: 500"'
    if use.method == KEEP and use.options:
        yield ("use", "options"), "keep has no options; remove them"


def _order_problems(rule: Rule, earlier: list[Rule]) -> Iterator[_Found]:
    """Yield why a rule can never be reached, or not be told from another."""
    when = rule.when
    if when.max_tokens is not None and when.min_tokens > when.max_tokens:
        message = f"no segment has at least {when.min_tokens} and at most {when.max_tokens} tokens"
        yield ("when", "min_tokens"), message
    if any(other.name == rule.name for other in earlier):
        yield ("name",), f'another rule is called "{rule.name}" already; choose another name'
    for other in earlier:
        if covers(other.when, when):
            message = f"never reached: rule `{other.name}` above matches all that this one does"
            yield (), f"{message}; remove this rule or put it first"
            break
