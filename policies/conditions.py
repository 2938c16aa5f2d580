"""Whether a rule's conditions hold for a segment, which one does not, and what one rule leaves another.

Pure. It looks at facts and asks `Senses` about texts; what follows from a match is the engine's matter
(`elision.policies.engine`). Conditions are asked in the order of their cost: what is the same for the
whole request, what the segment carries, and last its text, which is studied once, and only if a rule
that still can match names it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from elision.policies.model import Endpoint, Facts, Kind, Position, Rule, Segment, Senses, TextKind, When

_NAMED_ONLY = frozenset((Kind.INSTRUCTION, Kind.QUESTION))
_BROAD = frozenset(Kind) - _NAMED_ONLY
_INSTRUCTING = frozenset(("system", "developer"))
_WILD = frozenset("*?[")


@dataclass(slots=True)
class Subject:
    """A segment as rules look at it; its text is studied when somebody asks, and then remembered."""

    segment: Segment
    senses: Senses
    _text_kind: TextKind | None = None
    _language: str | None = None

    @property
    def tokens(self) -> int:
        """Of its block; a segment that tells of none is a block by itself."""
        return max(self.segment.block_tokens, self.segment.tokens)

    @property
    def text_kind(self) -> TextKind:
        """What its text looks like."""
        if self._text_kind is None:
            self._text_kind = self.senses.text_kind(self.segment.text)
        return self._text_kind

    @property
    def language(self) -> str:
        """Primary subtag of its text's language, "" where that is not plain."""
        if self._language is None:
            self._language = self.senses.language(self.segment.text)
        return self._language


@dataclass(frozen=True, slots=True)
class Condition:
    """One of a rule's conditions, for one request.

    Attributes:
        holds: whether it does for a segment.
        why: for a person, why it does not.
    """

    holds: Callable[[Subject], bool]
    why: Callable[[Subject], str]


def conditions_of(when: When, facts: Facts, last_turn: int) -> tuple[Condition, ...]:
    """Return what a rule asks, the cheapest first; what the whole request already meets is left out.

    Args:
        facts: of the request.
        last_turn: number of its last turn, from 0.
    """
    return (*_of_request(when, facts), *_of_segment(when), *_of_turn(when, last_turn), *_of_text(when))


def mismatch(conditions: Sequence[Condition], subject: Subject) -> str:
    """Return why the first condition that does not hold does not, "" if all hold."""
    failed = next((one for one in conditions if not one.holds(subject)), None)
    return failed.why(subject) if failed else ""


def matches(conditions: Sequence[Condition], subject: Subject) -> bool:
    """Return whether all conditions hold."""
    return all(one.holds(subject) for one in conditions)


def kinds_of(when: When) -> frozenset[Kind]:
    """Return the kinds of segments that a condition can match.

    Instructions and questions steer the answer, so a rule is for them only if it names them; one
    for the role `system` can mean nothing but the instruction.
    """
    if when.segment:
        return frozenset(when.segment)
    return _BROAD | {Kind.INSTRUCTION} if _INSTRUCTING & set(when.role) else _BROAD


def _of_request(when: When, facts: Facts) -> Iterator[Condition]:
    if when.endpoint and facts.endpoint not in when.endpoint:
        yield _never(f"it is for the endpoint {_any_of(when.endpoint)}, not {facts.endpoint}")
    if when.model and not _matches_any(facts.model, when.model):
        yield _never(f"it is for the model {_any_of(when.model)}, not {facts.model or 'none'}")
    if when.upstream and not _matches_any(facts.upstream, when.upstream):
        yield _never(f"it is for the upstream {_any_of(when.upstream)}, not {facts.upstream or 'none'}")
    for name, glob in when.header:
        value = facts.headers.get(name)
        if value is None:
            yield _never(f"it is for requests with {name}: {glob}, and this one has no {name}")
        elif not fnmatchcase(value, glob):
            # A header's value may be anything, so it is not repeated.
            yield _never(f"it is for requests with {name}: {glob}, and this one's {name} is another")


def _of_segment(when: When) -> Iterator[Condition]:
    kinds, roles, least, most = kinds_of(when), when.role, when.min_tokens, when.max_tokens
    named = f"is for {_any_of(when.segment)} segments, not" if when.segment else "does not name"
    yield Condition(lambda it: it.segment.kind in kinds, lambda it: f"it {named} {it.segment.kind}")
    if roles:
        yield Condition(
            lambda it: it.segment.role in roles,
            lambda it: f"it is for the role {_any_of(roles)}, not {it.segment.role or 'none'}",
        )
    if least:
        yield Condition(
            lambda it: it.tokens >= least, lambda it: f"it is for at least {least} tokens, not {it.tokens}"
        )
    if most is not None:
        yield Condition(
            lambda it: it.tokens <= most, lambda it: f"it is for at most {most} tokens, not {it.tokens}"
        )


def _of_turn(when: When, last_turn: int) -> Iterator[Condition]:
    first, last = when.min_turn, when.max_turn
    if first > 1:
        yield Condition(
            lambda it: it.segment.turn + 1 >= first,
            lambda it: f"it is for turn {first} and later, not {it.segment.turn + 1}",
        )
    if last is not None:
        yield Condition(
            lambda it: it.segment.turn + 1 <= last,
            lambda it: f"it is for turn {last} and before, not {it.segment.turn + 1}",
        )
    if when.position:
        wanted = frozenset(when.position)
        yield Condition(
            lambda it: not wanted.isdisjoint(positions(it.segment.turn, last_turn)),
            lambda it: (
                f"it is for {_any_of(when.position)} turns, not turn {it.segment.turn + 1} of {last_turn + 1}"
            ),
        )


def positions(turn: int, last_turn: int) -> tuple[Position, ...]:
    """Return where a turn stands; an only turn is the first and the last."""
    ends = ((Position.FIRST, 0), (Position.LAST, last_turn))
    return tuple(position for position, at in ends if turn == at) or (Position.EARLIER,)


def _of_text(when: When) -> Iterator[Condition]:
    text_kinds, languages = when.text_kind, when.language
    if text_kinds:
        yield Condition(
            lambda it: it.text_kind in text_kinds,
            lambda it: f"it is for texts of the kind {_any_of(text_kinds)}, not {it.text_kind}",
        )
    if languages:
        yield Condition(
            lambda it: it.language in languages,
            lambda it: (
                f"it is for the language {_any_of(languages)}, not "
                + (it.language or "one that is not plain")
            ),
        )


def _never(why: str) -> Condition:
    return Condition(lambda _: False, lambda _: why)


def headers_met(rules: Iterable[Rule], headers: Mapping[str, str]) -> str:
    """Return which of the conditions on headers hold, a 1 or 0 for each; "" where rules have none.

    Args:
        headers: as `Facts` has them.
    """
    asked = dict.fromkeys(pair for rule in rules for pair in rule.when.header)
    return "".join(
        str(int(fnmatchcase(headers[name], glob) if name in headers else 0)) for name, glob in asked
    )


def _matches_any(value: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(value, glob) for glob in globs)


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(names)


def covers(first: When, second: When) -> bool:
    """Whether every segment that `second` matches is surely matched by `first`, in every request.

    True only if that is certain; two globs, for instance, are compared by what can be told from
    their letters.
    """
    return (
        kinds_of(second) <= kinds_of(first)
        and _includes(first.role, second.role)
        and _includes(first.text_kind, second.text_kind, frozenset(TextKind))
        and _includes(first.language, second.language)
        and _includes(first.endpoint, second.endpoint, frozenset(Endpoint))
        and _globs_include(first.model, second.model)
        and _globs_include(first.upstream, second.upstream)
        and all(_header_follows(name, glob, second) for name, glob in first.header)
        and first.min_tokens <= second.min_tokens
        and _is_most(first.max_tokens, second.max_tokens)
        and _turns_include(first, second)
    )


def _includes(first: Sequence[str], second: Sequence[str], everything: frozenset[str] = frozenset()) -> bool:
    if not first or (everything and everything <= set(first)):
        return True
    return bool(second) and set(second) <= set(first)


def _globs_include(first: Sequence[str], second: Sequence[str]) -> bool:
    if not first or "*" in first:
        return True
    return bool(second) and all(any(_glob_includes(one, other) for one in first) for other in second)


def _glob_includes(first: str, second: str) -> bool:
    """Whether all that `second` matches is matched by `first`, where `second` is plain or the same."""
    return first in ("*", second) or (_WILD.isdisjoint(second) and fnmatchcase(second, first))


def _header_follows(name: str, glob: str, second: When) -> bool:
    """Whether a header that fits `second` fits this glob; without the header no glob fits."""
    return any(other == name and _glob_includes(glob, narrower) for other, narrower in second.header)


def _is_most(first: int | None, second: int | None) -> bool:
    return first is None or (second is not None and second <= first)


def _turns_include(first: When, second: When) -> bool:
    """Whether the turns of `second`, by number and by position, are among those of `first`."""
    lasting, only = frozenset(first.position), frozenset(second.position)
    most = 1 if only == {Position.FIRST} else second.max_turn
    is_first_turn = most is not None and most <= 1
    return (
        first.min_turn <= second.min_turn
        and _is_most(first.max_turn, most)
        and (
            not lasting
            or frozenset(Position) <= lasting
            or (bool(only) and only <= lasting)
            or (is_first_turn and Position.FIRST in lasting)
        )
    )
