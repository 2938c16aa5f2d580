"""The shape of a policy file, and what it means as a `Policy`.

This module owns the names and ranges of a policy's keys. It reads no files: whoever does validates
a document as `PolicyFile`, lays it over the preset that it `extends` with `merged`, asks
`elision.policies.problems` what is wrong beyond its shape, and calls `build`.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from elision.policies.model import (
    Budget,
    Endpoint,
    FewShot,
    History,
    Kind,
    Mode,
    OptionValue,
    Permissions,
    Policy,
    Position,
    Ranking,
    Rule,
    Scope,
    TextKind,
    Use,
    When,
)
from elision.policies.scalars import (
    Fingerprint,
    Glob,
    HeaderName,
    Language,
    Name,
    OneOrMore,
    Permission,
    Rate,
    Role,
    Seconds,
    Several,
    Strict,
    Tokens,
)
from elision.policies.telling import Telling
from elision.policies.telling_schema import Headers, SpendingSpec


def _method_alone(value: object) -> object:
    """Read `use: keep` as `use: {method: keep}`."""
    return {"method": value} if isinstance(value, str) else value


def _few_shot_word(value: object) -> object:
    """Read `auto` and `off` as the mappings that they stand for."""
    if not isinstance(value, str):
        return value
    if value not in ("auto", "off"):
        raise ValueError("must be auto, off, or a mapping such as {leading_pairs: 3}")
    return {} if value == "auto" else {"named": False, "inside": False}


def _history_word(value: object) -> object:
    """Read `keep` and `compress` as what becomes of unknown turns."""
    if not isinstance(value, str):
        return value
    if value not in ("keep", "compress"):
        raise ValueError("must be keep, compress, or a mapping such as {older_than_turns: 8, rate: 0.4}")
    return {"unknown": value}


def _listed(value: object) -> object:
    """Read a list as the tuple that frozen values hold."""
    return tuple(value) if isinstance(value, list) else value


class WhenSpec(Strict):
    """Which segments a rule is for; every key that is given must hold."""

    role: OneOrMore[Role] | None = None
    """Roles of messages."""

    segment: OneOrMore[Kind] | None = None
    """What the segment is for. Instructions and questions are matched only where they are named here
    (or, for instructions, where `role` names system or developer)."""

    kind: OneOrMore[TextKind] | None = None
    """What the text looks like. A rule that names kinds gives them to its method, whatever the method
    was made for."""

    language: OneOrMore[Language] | None = None
    """Languages of the text, as two or three letters: en, de, zh. A rule that names languages gives them
    to its method, whatever the method was made for."""

    model: OneOrMore[Glob] | None = None
    """Names of models, with `*` and `?` for what varies."""

    endpoint: OneOrMore[Endpoint] | None = None
    """Kinds of request."""

    upstream: OneOrMore[Glob] | None = None
    """Names of upstreams, with `*` and `?` for what varies."""

    min_tokens: Tokens | None = None
    """Fewest tokens that the message has of this kind of segment."""

    max_tokens: Tokens | None = None
    """Most tokens that the message has of this kind of segment."""

    position: OneOrMore[Position] | None = None
    """The first turn of a conversation, earlier ones, or its last. All but `first` change while a
    conversation grows, and then the provider's prefix cache is lost."""

    min_turn: Annotated[int, Field(ge=1)] | None = None
    """First turn of the conversation that the rule is for, counted from 1."""

    max_turn: Annotated[int, Field(ge=1)] | None = None
    """Last turn of the conversation that the rule is for, counted from 1."""

    header: Annotated[dict[HeaderName, Glob], Field(min_length=1)] | None = None
    """Headers of the request by name, each with what its value must be, `*` and `?` for what varies.
    All must match."""


class HowSpec(Strict):
    """How far a method is to go, and with what."""

    method: str | None = None
    """Name of a compression method, or `keep`. Without it: the default method."""

    rate: Rate | None = None
    """Share of the tokens to keep. Without it, and without `tokens`, the budget says."""

    tokens: Tokens | None = None
    """Number of tokens to keep, in place of a rate."""

    options: dict[str, Annotated[OptionValue, BeforeValidator(_listed)]] = Field(default={})
    """The method's own options."""

    protect: Several[str] | None = None
    """Classes of spans that are never cut, in place of all of them; `[]` protects nothing."""

    min_tokens: Tokens | None = None
    """A message with fewer tokens of this kind of segment is left alone; 300 without it, unless
    `when` has a `min_tokens`."""


class UseSpec(HowSpec):
    """What a rule does with a segment."""

    deadline_s: Seconds | None = None
    """After so many seconds the segment goes out as it is; the policy's deadline without it."""

    mode: Mode | None = None
    """enforce, audit (compress and report, send the original) or off; the policy's without it."""


class RuleSpec(Strict):
    """One rule; the first whose conditions hold decides."""

    name: Name | None = None
    """What explanations and headers call it; `rule-1`, `rule-2`, ... by default."""

    when: WhenSpec = WhenSpec()
    """Conditions; without any the rule is for everything but instructions and questions."""

    use: Annotated[UseSpec, BeforeValidator(_method_alone)]
    """What to do. A method's name alone is short for `{method: name}`."""


class RatesSpec(Strict):
    """A share of tokens by kind of segment."""

    instruction: Rate | None = None
    """Of instructions."""
    demonstrations: Rate | None = None
    """Of few-shot examples."""
    context: Rate | None = None
    """Of documents and other material."""
    question: Rate | None = None
    """Of what is asked."""
    tool_result: Rate | None = None
    """Of what tools returned."""
    history: Rate | None = None
    """Of what the assistant said."""


class BudgetSpec(Strict):
    """How many tokens a prompt may keep, and how they are shared out. One of `rate`, `tokens` and `fit`
    says how many; it is shared among the rules that say neither rate nor tokens themselves.
    """

    rate: Rate | None = None
    """Share of all tokens to keep, of each turn or (`scope: request`) of the whole request."""

    tokens: Tokens | None = None
    """Tokens to keep of the whole request."""

    fit: bool = False
    """Keep what the model's context window holds beside the reply."""

    window: Tokens | None = None
    """With `fit`: tokens of the context window, where they are not known for the model."""

    reply: Tokens | None = None
    """With `fit`: tokens left free for the reply; what the request asks for without it."""

    scope: Scope | None = None
    """What a rate is shared out over: each turn by itself, or the request as a whole. The latter treats
    an earlier turn anew while the conversation grows, and the provider's prefix cache is lost."""

    instruction_rate: Rate = 0.85
    """Share of instructions to keep, where a rule compresses them."""

    question_rate: Rate = 0.9
    """Share of questions to keep, where a rule compresses them."""

    min_rate: RatesSpec = RatesSpec()
    """The least to keep, by kind of segment."""

    max_rate: RatesSpec = RatesSpec()
    """The most to keep, by kind of segment."""

    granularity: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 2.0
    """Before texts are shortened, whole documents and examples are chosen up to this many times the
    budget."""

    coarse: bool = True
    """Whether whole documents and examples may be left out."""

    min_examples: Annotated[int, Field(ge=0)] = 1
    """So many documents or examples stay at least."""

    slope: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much more of the best ranked document is kept than of the last; 0: alike."""

    ranking: Ranking = Ranking.BM25
    """How documents and examples are ordered: by words shared with the question (bm25), or as they
    stand (order)."""


class FewShotSpec(Strict):
    """What counts as demonstrations (few-shot examples)."""

    named: bool = True
    """Messages whose name is example_user or example_assistant."""

    inside: bool = True
    """Examples inside one message: "Q: ... A: ...", "Input: ... Output: ...", <example>."""

    leading_pairs: Annotated[int, Field(ge=0, le=1000)] = 0
    """So many pairs of user and assistant at the head of every conversation."""


class RequestsSpec(Strict):
    """What a request may ask for, by `x-elision` headers and by marks in its texts."""

    allow: Several[Permission] = (Permission.OFF, Permission.AUDIT, Permission.EXPLAIN, Permission.MARKS)
    """`x-elision: off`, `audit`, `explain`; `rate` for x-elision-rate; `marks` for tags in texts."""

    min_rate: Rate = 0.1
    """The least share of tokens that a request or a mark may ask to keep."""


class Unknown(StrEnum):
    """What becomes of turns that began before the proxy saw their conversation."""

    KEEP = "keep"
    COMPRESS = "compress"


class HistorySpec(HowSpec):
    """What is done with a conversation's earlier turns, beside sending again what was sent before.
    `method`, `rate` and the like are for turns that are shortened a second time; there a method or
    a rate must be named.
    """

    unknown: Unknown = Unknown.KEEP
    """keep: turns that began before the proxy saw them go out as they are; compress: they are
    shortened as the rules say, for upstreams that bill a repeated prefix in full."""

    older_than_turns: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Turns with more turns than these after them may be shortened a second time, once for all, where
    that makes the bill smaller; never without it."""

    step: Annotated[int, Field(ge=1, le=1000)] = 4
    """So many such turns must have come together before the provider's prefix is broken for them."""

    expected_turns: Annotated[int, Field(ge=0, le=200)] = 5
    """Further requests that are expected to begin as one does: what has to pay, pays within these. 0
    where every request stands alone: then no prompt is held above the provider's minimum."""


class PolicyFile(Strict):
    """One team's policy file."""

    extends: str | None = None
    """A preset. Its values are overridden by this file's; its rules come after this file's."""

    name: Name | None = None
    """What headers and logs call the policy; the file's name by default."""

    mode: Mode = Mode.ENFORCE
    """enforce; audit (decide and report, send the original); off (look at nothing)."""

    deadline_s: Seconds = 2.0
    """Seconds that compressing a request may take; after them its original goes out."""

    keys: Several[Fingerprint] = ()
    """Fingerprints of the team's API keys, as `elision fingerprint` prints them. Requests with one of
    these keys are this team's."""

    few_shot: Annotated[FewShotSpec, BeforeValidator(_few_shot_word)] = FewShotSpec()
    """What counts as demonstrations: auto, off, or in particular."""

    budget: BudgetSpec | None = None
    """How many tokens a prompt may keep; without it the rules alone say how far."""

    history: Annotated[HistorySpec, BeforeValidator(_history_word)] = HistorySpec()
    """What is done with earlier turns: keep, compress (those that the proxy has not seen before), or in
    particular."""

    requests: RequestsSpec = RequestsSpec()
    """What requests may ask for."""

    headers: Headers = Headers.ALL
    """Which `x-elision-*` headers answers carry: all or none."""

    log_text: bool = False
    """Whether the log of requests (`request_log` in the settings) holds texts, before and after. Whoever
    reads that file reads what users wrote."""

    spending: SpendingSpec | None = None
    """What the team means to spend; shown on the dashboard and exported, never enforced."""

    recover: bool = False
    """Whether what answers quote of shortened texts is put back into the client's words. Such answers
    come whole, and are no longer the upstream's bytes; streams pass as they are."""

    rules: tuple[RuleSpec, ...] = ()
    """In order of precedence; a segment that no rule matches is kept."""


_TARGETS = {"rate", "tokens", "fit"}
_OF_TARGETS = _TARGETS | {"window", "reply", "scope"}


def merged(file: PolicyFile, preset: PolicyFile) -> PolicyFile:
    """Return a file laid over the preset that it extends.

    `budget` and `requests` are laid over key by key, but for how large the budget is: a file that
    says `tokens` leaves nothing of a preset's `rate` and scope. A preset's rule gives way to one of
    the same name in the file.
    """
    own = file.model_dump(exclude_unset=True)
    base = preset.model_dump(exclude_unset=True)
    both: dict[str, Any] = {**base, **own}
    for key in ("budget", "requests"):
        below, above = base.get(key) or {}, own.get(key)
        if above is not None:
            both[key] = {k: v for k, v in below.items() if not _gives_way(k, above)} | above
    taken = {rule.name for rule in file.rules if rule.name}
    rules = (*file.rules, *(rule for rule in preset.rules if rule.name not in taken))
    both["rules"] = [rule.model_dump(exclude_unset=True) for rule in rules]
    return PolicyFile.model_validate(both)


def _gives_way(key: str, above: dict[str, Any]) -> bool:
    return key in _OF_TARGETS and not _TARGETS.isdisjoint(above)


def build(file: PolicyFile, version: str, name: str, default_method: str) -> Policy:
    """Return what a policy file means.

    Args:
        file: validated, merged, and without `problems`.
        version: short digest of all that it was read from.
        name: what the policy is called where the file does not say.
        default_method: what a rule without a method means.
    """
    return Policy(
        file.name or name,
        version,
        file.mode,
        file.deadline_s,
        rules_of(file, default_method),
        budget_of(file.budget),
        FewShot(file.few_shot.named, file.few_shot.inside, file.few_shot.leading_pairs),
        _permissions(file.requests),
        file.keys,
        history_of(file.history, default_method),
        Telling(file.headers is Headers.ALL, file.log_text),
        file.spending.meant() if file.spending else None,
        file.recover,
    )


def rules_of(file: PolicyFile, default_method: str) -> tuple[Rule, ...]:
    """Return a file's rules; those without a name are called by their number."""
    return tuple(
        Rule(spec.name or f"rule-{number}", when_of(spec.when), use_of(spec.use, default_method))
        for number, spec in enumerate(file.rules, 1)
    )


def when_of(spec: WhenSpec) -> When:
    """Return a rule's condition."""
    return When(
        role=tuple(role.value for role in spec.role or ()),
        segment=spec.segment or (),
        model=spec.model or (),
        min_tokens=spec.min_tokens or 0,
        max_tokens=spec.max_tokens,
        text_kind=spec.kind or (),
        language=spec.language or (),
        endpoint=spec.endpoint or (),
        upstream=spec.upstream or (),
        position=spec.position or (),
        min_turn=spec.min_turn or 1,
        max_turn=spec.max_turn,
        header=tuple(sorted((spec.header or {}).items())),
    )


def use_of(spec: UseSpec, default_method: str) -> Use:
    """Return what a rule does."""
    return Use(
        spec.method or default_method,
        spec.rate,
        spec.tokens,
        tuple(sorted(spec.options.items())),
        spec.protect,
        spec.min_tokens,
        spec.deadline_s,
        spec.mode,
    )


def history_of(spec: HistorySpec, default_method: str) -> History:
    """Return what is done with earlier turns."""
    how = Use(
        spec.method or default_method,
        spec.rate,
        spec.tokens,
        tuple(sorted(spec.options.items())),
        spec.protect,
        spec.min_tokens,
    )
    return History(
        spec.unknown is Unknown.COMPRESS,
        spec.older_than_turns,
        spec.step,
        Use() if spec.older_than_turns is None else how,
        spec.expected_turns,
    )


def budget_of(spec: BudgetSpec | None) -> Budget | None:
    """Return a budget; one of tokens or of the window is the whole request's."""
    if spec is None:
        return None
    scope = Scope.REQUEST if spec.tokens is not None or spec.fit else spec.scope or Scope.TURN
    return Budget(
        spec.rate,
        spec.tokens,
        spec.fit,
        spec.window,
        spec.reply,
        scope,
        spec.instruction_rate,
        spec.question_rate,
        _bounds(spec.min_rate),
        _bounds(spec.max_rate),
        spec.granularity,
        spec.coarse,
        spec.min_examples,
        spec.slope,
        spec.ranking,
    )


def _bounds(rates: RatesSpec) -> tuple[tuple[Kind, float], ...]:
    given = ((kind, getattr(rates, kind.value)) for kind in Kind)
    return tuple((kind, rate) for kind, rate in given if rate is not None)


def _permissions(spec: RequestsSpec) -> Permissions:
    allowed = set(spec.allow)
    return Permissions(
        off=Permission.OFF in allowed,
        audit=Permission.AUDIT in allowed,
        explain=Permission.EXPLAIN in allowed,
        rate=Permission.RATE in allowed,
        marks=Permission.MARKS in allowed,
        min_rate=spec.min_rate,
    )
