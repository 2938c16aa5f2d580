"""What is wrong, or unwise, in a policy file beyond its shape.

Pure. Errors are what cannot mean anything, or cannot mean what its author wants: conditions that
contradict one another, rules never reached, rates that nothing can reach. Warnings are what works
and costs: conversations whose earlier turns change, methods given what they were not made for.
Every problem says where it is and what to change; files and lines are the reader's matter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from elision.policies.conditions import covers, kinds_of
from elision.policies.economy import turns_needed
from elision.policies.judge import least_tokens
from elision.policies.model import (
    KEEP,
    Ability,
    Budget,
    History,
    Kind,
    Mode,
    Position,
    PrefixTerms,
    Rule,
    Scope,
    TextKind,
    Use,
    When,
)
from elision.policies.schema import PolicyFile, budget_of, history_of, rules_of

LOW_RATE = 0.2
"""Keeping less than this share is warned of."""
DEAREST = PrefixTerms(read=0.1, write=1.25)
"""Prices of a prefix at which breaking one costs most; what OpenAI (from 5.6 on) and Anthropic ask."""

Path = tuple[str | int, ...]
Found = tuple[Path, str]

SECRET_HEADERS = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "cookie",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "ocp-apim-subscription-key",
        "x-amz-security-token",
    )
)
"""Headers that no rule may look at, in lower case."""
# Which kinds of segments a role's messages can have; every other role may have any.
_SYSTEM = frozenset((Kind.INSTRUCTION, Kind.DEMONSTRATIONS, Kind.CONTEXT))
_ASSISTANT = frozenset((Kind.HISTORY, Kind.DEMONSTRATIONS))
_TOOL = frozenset((Kind.TOOL_RESULT,))
_KINDS_OF_ROLE = {
    "system": _SYSTEM,
    "developer": _SYSTEM,
    "user": frozenset(Kind) - _TOOL,
    "assistant": _ASSISTANT,
    "tool": _TOOL,
    "function": _TOOL,
}
_STRICT_TEXTS = frozenset((TextKind.CODE, TextKind.JSON, TextKind.CONFIG, TextKind.ENCODED))


class Severity(StrEnum):
    """How much is wrong: an error refuses the file, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a policy file beyond its shape.

    Attributes:
        path: keys and indices that lead to the value that is wrong.
        message: what is wrong and how to mend it.
    """

    path: Path
    message: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class _Context:
    """What a rule is judged by beside itself."""

    file: PolicyFile
    rules: tuple[Rule, ...]
    budget: Budget | None
    history: History
    methods: Mapping[str, Ability]


def problems(
    file: PolicyFile, methods: Mapping[str, Ability], default_method: str, own_rules: int | None = None
) -> list[Problem]:
    """Return what is wrong in a policy file beyond its shape, in the order of its rules.

    Args:
        file: validated, and merged with what it extends.
        methods: the compression methods that there are.
        default_method: what a rule without a method means.
        own_rules: so many of the rules are the file's own, the rest a preset's, which the file may
            well make unreachable; None: all.
    """
    rules = rules_of(file, default_method)
    own = len(rules) if own_rules is None else own_rules
    history = history_of(file.history, default_method)
    context = _Context(file, rules, budget_of(file.budget), history, methods)
    found: list[Problem] = []
    for index, rule in enumerate(rules):
        here: Path = ("rules", index)
        errors = list(_errors_of(rule, index, context))
        if index < own:
            errors += _unreachable(rule, rules[:index])
        found += (Problem((*here, *path), message) for path, message in errors)
        if not errors:
            warnings = _warnings_of(rule, context)
            found += (Problem((*here, *path), message, Severity.WARNING) for path, message in warnings)
    found += (Problem(path, message) for path, message in _errors_beside_rules(context))
    found += (Problem(path, message, Severity.WARNING) for path, message in _warnings_beside_rules(context))
    return found


def _errors_of(rule: Rule, index: int, context: _Context) -> Iterator[Found]:
    yield from _condition_errors(rule)
    if (message := _unknown_method(rule.use.method, context.methods)) is not None:
        yield ("use", "method"), message
    elif rule.use.method == KEEP:
        yield from _keep_errors(rule.use)
    else:
        yield from _target_errors(rule, context)
        yield from _patience_errors(rule.use, context.file.deadline_s)
    if any(other.name == rule.name for other in context.rules[:index]):
        yield ("name",), f'another rule is called "{rule.name}" already; choose another name'


def _condition_errors(rule: Rule) -> Iterator[Found]:
    """Yield conditions that cannot hold together, or must not be asked."""
    when = rule.when
    if when.max_tokens is not None and when.min_tokens > when.max_tokens:
        message = f"nothing has at least {when.min_tokens} and at most {when.max_tokens} tokens"
        yield ("when", "min_tokens"), f"{message}; lower it, or raise max_tokens"
    elif when.max_tokens is not None and when.max_tokens < (least := _least_compressed(rule)):
        message = f"nothing of at most {when.max_tokens} tokens is compressed: fewer than"
        told = f"{message} {least} are left alone; set use.min_tokens lower"
        yield ("when", "max_tokens"), told
    if when.max_turn is not None and when.min_turn > when.max_turn:
        message = f"no turn is at least number {when.min_turn} and at most number {when.max_turn}"
        yield ("when", "min_turn"), f"{message}; lower it, or raise max_turn"
    if when.min_turn > 1 and set(when.position) == {Position.FIRST}:
        yield ("when", "position"), f"the first turn is never number {when.min_turn}; remove one of the two"
    if when.role and when.segment and _held(when).isdisjoint(when.segment):
        roles, kinds = " or ".join(when.role), " or ".join(when.segment)
        told = f"{roles} messages have no {kinds} segments; they have {', '.join(sorted(_held(when)))}"
        yield ("when", "segment"), told
    for name, _ in when.header:
        if name in SECRET_HEADERS:
            remedy = "list the team's keys under `keys`, or ask for a header that holds no secret"
            yield ("when", "header", name), f"{name} holds a secret, which no rule may look at; {remedy}"


def _least_compressed(rule: Rule) -> int:
    """Return the tokens below which a rule that compresses leaves a block alone."""
    return 0 if rule.use.method == KEEP else least_tokens(rule)


def _unknown_method(method: str, methods: Mapping[str, Ability]) -> str | None:
    known = sorted({KEEP, *methods})
    if method in known:
        return None
    near = get_close_matches(method, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
    return f'unknown method "{method}"; {hint}'


def _keep_errors(use: Use) -> Iterator[Found]:
    given = {
        "rate": use.rate is not None,
        "tokens": use.tokens is not None,
        "options": bool(use.options),
        "protect": use.protect is not None,
        "min_tokens": use.min_tokens is not None,
        "deadline_s": use.deadline_s is not None,
        "mode": use.mode is not None,
    }
    for key in (key for key, is_given in given.items() if is_given):
        yield ("use", key), f"keep changes nothing; remove {key}"


def _target_errors(rule: Rule, context: _Context) -> Iterator[Found]:
    """Yield what is wrong with how far a method is to go."""
    use, budget = rule.use, context.budget
    ability = context.methods[use.method]
    for path, message in _reach_errors(use, ability):
        yield ("use", *path), message
    if ability.needs_target and use.rate is None and use.tokens is None and budget is None:
        told = 'add "rate: 0.5" or "tokens: 500" here, or a budget to the policy'
        yield ("use",), f"{use.method} must be told how far: {told}"
    if use.rate is not None and budget is not None:
        highest = {kind: bound for kind, bound in budget.max_rates if kind in _kinds(rule.when)}
        kinds = _kinds(rule.when)
        if kinds and kinds <= highest.keys() and use.rate > max(highest.values()):
            message = f"no budget can reach {use.rate:g}: budget.max_rate allows {max(highest.values()):g}"
            yield ("use", "rate"), f"{message} here; lower this rate, or raise max_rate"


def _patience_errors(use: Use, deadline_s: float) -> Iterator[Found]:
    if use.deadline_s is not None and use.deadline_s > deadline_s:
        message = f"the whole request has {deadline_s:g} s; say less here, or raise the policy's deadline_s"
        yield ("use", "deadline_s"), message


def _unreachable(rule: Rule, earlier: tuple[Rule, ...]) -> Iterator[Found]:
    for other in earlier:
        if covers(other.when, rule.when):
            message = f"never reached: rule `{other.name}` above matches all that this one does"
            yield (), f"{message}; remove this rule or put it first"
            return


def _kinds(when: When) -> frozenset[Kind]:
    """Return the kinds that a condition can match."""
    return kinds_of(when) & _held(when)


def _held(when: When) -> frozenset[Kind]:
    """Return the kinds that messages of a condition's roles can have."""
    if not when.role:
        return frozenset(Kind)
    return frozenset().union(*(_KINDS_OF_ROLE.get(role, frozenset(Kind)) for role in when.role))


def _errors_beside_rules(context: _Context) -> Iterator[Found]:
    budget = context.budget
    if budget is not None:
        yield from _budget_errors(context.file, budget)
        yield from _unreached_budget(context, budget)
    yield from _permission_errors(context)
    yield from _history_errors(context)
    first: dict[str, int] = {}
    for number, key in enumerate(context.file.keys):
        if key in first:
            yield ("keys", number), f"key number {first[key] + 1} is the same; remove one"
        first.setdefault(key, number)


def _budget_errors(file: PolicyFile, budget: Budget) -> Iterator[Found]:
    """Yield what is wrong with a budget by itself."""
    given = [key for key in ("rate", "tokens", "fit") if getattr(budget, key)]
    if not given:
        yield ("budget",), 'a budget must say how much: add "rate: 0.5", "tokens: 4000" or "fit: true"'
    for key in given[1:]:
        yield ("budget", key), f"{given[0]} and {key} exclude one another; remove one"
    for key in ("window", "reply"):
        if getattr(budget, key) is not None and not budget.fit:
            yield ("budget", key), f"{key} is only for fit: true; remove it, or say fit"
    if budget.window is not None and budget.reply is not None and budget.reply >= budget.window:
        yield ("budget", "reply"), f"a reply of {budget.reply} tokens leaves nothing of {budget.window}"
    if file.budget and file.budget.scope is Scope.TURN and budget.scope is Scope.REQUEST:
        yield ("budget", "scope"), f"{given[0]} is for the whole request; say scope: request, or a rate"
    yield from _bound_errors(budget)


def _bound_errors(budget: Budget) -> Iterator[Found]:
    highest = dict(budget.max_rates)
    for kind, least in budget.min_rates:
        if least > highest.get(kind, 1.0):
            message = f"at least {least:g} and at most {highest[kind]:g} exclude one another"
            yield ("budget", "min_rate", kind.value), f"{message}; lower it, or raise max_rate"


def _unreached_budget(context: _Context, budget: Budget) -> Iterator[Found]:
    """Yield that a budget is smaller than what its rules must leave."""
    if not any(rule.use.method in context.methods for rule in context.rules):
        yield ("budget",), "no rule compresses anything, so no budget can be kept to; add a rule"
    elif not _frees(context) and (least := _least_left(context, budget)):
        message = f"no prompt can be brought to {budget.rate:g}: the rules and bounds leave at least"
        yield ("budget", "rate"), f"{message} {least:g} of every segment; raise it, or lower those"


def _frees(context: _Context) -> bool:
    """Whether a rule's method decides by itself how far it goes, which may be very far."""
    used = (context.methods.get(rule.use.method) for rule in context.rules)
    return any(ability is not None and not ability.needs_target for ability in used)


def _least_left(context: _Context, budget: Budget) -> float:
    """Return what is left at least where words are left out, 0 if the budget is not below it."""
    floors: list[float] = []
    for rule in context.rules:
        ability = context.methods.get(rule.use.method)
        if ability is not None and ability.needs_target:
            floors += _floors(rule, budget)
    return min(floors) if floors and budget.rate is not None and budget.rate < min(floors) else 0.0


def _floors(rule: Rule, budget: Budget) -> Iterator[float]:
    """Yield the least share that a rule surely leaves of each kind that it matches."""
    fixed = {Kind.INSTRUCTION: budget.instruction_rate, Kind.QUESTION: budget.question_rate}
    least = dict(budget.min_rates)
    for kind in _kinds(rule.when):
        bound = least.get(kind, 0.0)
        if rule.use.tokens is not None or kind in fixed:
            # A share fixed high gives way before a budget does (the stated order of degrading).
            yield bound
        else:
            yield bound if rule.use.rate is None else rule.use.rate


def _permission_errors(context: _Context) -> Iterator[Found]:
    """Yield that a request may not even ask for what the policy itself does."""
    requests = context.file.requests
    rates = [rule.use.rate for rule in context.rules if rule.use.rate is not None]
    if context.budget is not None and context.budget.rate is not None:
        rates.append(context.budget.rate)
    asked = {"rate", "marks"} & set(requests.allow)
    if asked and rates and requests.min_rate > max(rates):
        message = f"a request could not ask for what the policy itself keeps, {max(rates):g} at most"
        yield ("requests", "min_rate"), f"{message}; lower it"


def _history_errors(context: _Context) -> Iterator[Found]:
    """Yield what is wrong with how old turns are shortened a second time."""
    spec, use = context.file.history, context.history.use
    if spec.older_than_turns is None:
        for key in sorted(spec.model_fields_set - {"unknown", "older_than_turns", "expected_turns"}):
            message = f"{key} is for turns that are shortened a second time"
            yield ("history", key), f'{message}; say which, "older_than_turns: 8", or remove it'
        return
    if (unknown := _unknown_method(use.method, context.methods)) is not None:
        yield ("history", "method"), unknown
    elif use.method == KEEP:
        yield ("history", "method"), "keep shortens nothing; name a method, or remove older_than_turns"
    else:
        for path, message in _reach_errors(use, context.methods[use.method]):
            yield ("history", *path), message
        if spec.rate is None and spec.tokens is None and context.methods[use.method].needs_target:
            yield ("history",), f'{use.method} must be told how far: add "rate: 0.4" or "tokens: 500" here'


def _reach_errors(use: Use, ability: Ability) -> Iterator[Found]:
    """Yield a target that a method does not take, or two."""
    if not ability.needs_target:
        for key in ("rate", "tokens"):
            if getattr(use, key) is not None:
                yield (key,), f"{use.method} decides by itself how far it goes; remove {key}"
    elif use.rate is not None and use.tokens is not None:
        yield ("tokens",), "rate and tokens exclude one another; remove one"


def _warnings_of(rule: Rule, context: _Context) -> Iterator[Found]:
    when, use = rule.when, rule.use
    moving = sorted({Position.EARLIER, Position.LAST} & set(when.position))
    if moving and len(set(when.position)) < len(Position):
        message = f"a turn is not {' or '.join(moving)} for ever: the same message is treated otherwise later"
        yield ("when", "position"), f"{message}, and the provider's prefix cache is lost"
    for name, _ in when.header:
        message = f"where {name} differs from request to request, so does a conversation's beginning"
        yield ("when", "header", name), f"{message}, and the provider's prefix cache is lost"
    if use.rate is not None and use.rate < LOW_RATE:
        yield ("use", "rate"), _low(use.rate)
    yield from _unsuitable(rule, context.methods.get(use.method))


def _low(rate: float) -> str:
    return f"keeping {rate:g} leaves little to answer from; measure answers before you enforce it"


def _unsuitable(rule: Rule, ability: Ability | None) -> Iterator[Found]:
    """Yield that a rule gives a method what it was not made for."""
    if ability is None:
        return
    if ability.text_kinds is not None:
        for number, kind in enumerate(rule.when.text_kind):
            if kind in _STRICT_TEXTS - ability.text_kinds:
                message = f"{rule.use.method} leaves words out, and was not made for {kind}"
                yield ("when", "kind", number), f"{message}; use lossless or keep for it"
    if ability.languages is not None:
        for number, language in enumerate(rule.when.language):
            if language not in ability.languages:
                made = ", ".join(sorted(ability.languages))
                message = f"{rule.use.method} was made for {made}, not for {language}"
                yield ("when", "language", number), f"{message}; measure answers before you enforce it"


def _warnings_beside_rules(context: _Context) -> Iterator[Found]:
    budget = context.budget
    lost = "and the provider's prefix cache is lost"
    if budget is not None and budget.scope is Scope.REQUEST:
        key = next((key for key in ("tokens", "fit") if getattr(budget, key)), "scope")
        message = "shared out over the whole request, earlier turns are treated anew in every later one"
        yield ("budget", key), f"{message}, {lost}; a rate per turn keeps it"
    if budget is not None and budget.rate is not None and budget.rate < LOW_RATE:
        yield ("budget", "rate"), _low(budget.rate)
    if budget is not None and _frees(context) and (least := _least_left(context, budget)):
        message = f"prose cannot be brought to {budget.rate:g}: the rules and bounds leave at least {least:g}"
        yield ("budget", "rate"), f"{message} where words are left out; raise it, or lower those"
    if not context.rules and budget is None and context.file.mode is not Mode.OFF:
        yield (
            (),
            "no rules, so nothing is compressed; say `extends: balanced`, or `mode: off` if that is meant",
        )
    yield from _history_warnings(context.history, lost)
    pairs = context.file.few_shot.leading_pairs
    if pairs:
        message = f"the first {pairs} pairs of every conversation are taken for examples, and so are real"
        told = f"{message} turns where a client sends none, {lost}; name them example_user and"
        yield ("few_shot", "leading_pairs"), f"{told} example_assistant instead where you can"


def _history_warnings(history: History, lost: str) -> Iterator[Found]:
    """Yield that shortening earlier turns costs more than it saves, or leaves little."""
    if history.compress_unknown:
        message = "turns that went to the provider before the proxy came are changed"
        told = f"{message}, {lost} once for each such conversation; it pays where there is no such cache"
        yield ("history", "unknown"), told
    rate = history.use.rate
    if history.older_than_turns is None or rate is None:
        return
    if rate < LOW_RATE:
        yield ("history", "rate"), _low(rate)
    needed = turns_needed(1000, 1000 - round(1000 * rate), DEAREST)
    if needed is None or needed > history.expected_turns:
        pays = "never" if needed is None else f"after {needed} further turns"
        message = f"where a provider reads a prefix at {DEAREST.read:g} and writes it at {DEAREST.write:g}"
        told = f"{message}, a step to {rate:g} pays {pays}, and {history.expected_turns} are expected"
        yield (
            ("history", "rate"),
            f"{told}: there no warm prefix is broken; lower it, or raise expected_turns",
        )
