"""Strategies for conversations, conditions and policies; what a text looks like, `fakes.senses` reads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

from elision.policies.model import (
    KEEP,
    Budget,
    Endpoint,
    Facts,
    Kind,
    Mark,
    Mode,
    Permissions,
    Policy,
    Position,
    Rule,
    Scope,
    Segment,
    TextKind,
    Use,
    When,
    Wish,
)

_KINDS = {
    "system": (Kind.INSTRUCTION, Kind.DEMONSTRATIONS),
    "user": (Kind.CONTEXT, Kind.QUESTION, Kind.DEMONSTRATIONS),
    "assistant": (Kind.HISTORY,),
    "tool": (Kind.TOOL_RESULT,),
}
_TEXT_KINDS = (TextKind.PROSE, TextKind.PROSE, TextKind.CODE, TextKind.TABLE)
_LANGUAGES = ("en", "en", "de", "??")
_METHODS = ("selective_context", "any", "lossless")
RATES = st.sampled_from([0.2, 0.5, 1.0])
T = TypeVar("T")


def _seldom(usual: T, other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """Return a strategy that gives the usual value three times in four: what has all odds matches nothing."""
    return st.sampled_from([False, False, False, True]).flatmap(lambda odd: other if odd else st.just(usual))


@dataclass(frozen=True, slots=True)
class Part:
    """What a segment is made from."""

    kind: Kind
    text_kind: TextKind
    language: str
    words: int
    pieces: int
    mark: Mark | None
    tag: bool


MARKS = st.builds(
    Mark,
    keep=st.booleans(),
    rate=st.none() | st.sampled_from([0.01, 0.4, 1.0]),
    method=st.sampled_from(["", "", KEEP, "unheard-of", *_METHODS]),
)


def _parts(role: str) -> st.SearchStrategy[Part]:
    return st.builds(
        Part,
        st.sampled_from(_KINDS[role]),
        st.sampled_from(_TEXT_KINDS),
        st.sampled_from(_LANGUAGES),
        st.integers(0, 9),
        st.sampled_from([0, 0, 2, 3]),
        _seldom(None, MARKS),
        _seldom(False, st.just(True)),
    )


def _message(role: str) -> st.SearchStrategy[tuple[str, list[Part]]]:
    return st.tuples(st.just(role), st.lists(_parts(role), min_size=1, max_size=2))


_MESSAGES = st.sampled_from(["system", "user", "user", "tool", "assistant"]).flatmap(_message)
CONVERSATIONS = st.lists(_MESSAGES, min_size=1, max_size=7).map(lambda messages: segments_of(messages))


def segments_of(messages: Sequence[tuple[str, Sequence[Part]]]) -> tuple[Segment, ...]:
    """Lay messages out as `elision.policies.segments` would: an assistant's begins a turn."""
    segments: list[Segment] = []
    turn = 0
    for number, (role, parts) in enumerate(messages):
        turn += role == "assistant" and number > 0
        sizes: Counter[Kind] = Counter()
        for part in parts:
            sizes[part.kind] += len(_text(part).split())
        at = 0
        for part in parts:
            text = _text(part)
            base = Segment(number, at, at + len(text), part.kind, role, text, len(text.split()), number, turn)
            cuts = [len(text) * cut // max(part.pieces, 1) for cut in range(part.pieces + 1)]
            pieces = tuple(pairwise(cuts)) if part.pieces else ()
            block = sizes[part.kind]
            segments.append(replace(base, block_tokens=block, pieces=pieces, mark=part.mark, tag=part.tag))
            at += len(text)
    return tuple(segments)


def _text(part: Part) -> str:
    return " ".join([part.text_kind, part.language, *(f"word{n}" for n in range(part.words))]) + " "


def _some(*values: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True).map(tuple)


_NAMED_KINDS = st.lists(st.sampled_from(list(Kind)), min_size=1, max_size=4, unique=True).map(tuple)
_NAMED_TEXT_KINDS = st.lists(st.sampled_from(_TEXT_KINDS), max_size=2, unique=True).map(tuple)
SEGMENTS = st.builds(
    lambda kind, role, size, turn, first, second: Segment(
        0, 0, 9, kind, role, f"{first} {second}", size, 0, turn, size
    ),
    st.sampled_from(list(Kind)),
    st.sampled_from(list(_KINDS)),
    st.integers(0, 13),
    st.integers(0, 2),
    st.sampled_from(_TEXT_KINDS),
    st.sampled_from(_LANGUAGES),
)
"""Single segments of a conversation of three turns."""
WHENS = st.builds(
    When,
    role=_seldom((), _some("system", "user", "assistant", "tool")),
    segment=_seldom((), _NAMED_KINDS) | st.just(tuple(Kind)),
    model=_seldom((), _some("a", "a*", "*", "b?")),
    min_tokens=_seldom(0, st.integers(0, 6)),
    max_tokens=_seldom(None, st.integers(3, 12)),
    text_kind=_seldom((), _NAMED_TEXT_KINDS),
    language=_seldom((), _some("en", "de")),
    endpoint=_seldom((), st.lists(st.sampled_from(list(Endpoint)), max_size=3, unique=True).map(tuple)),
    upstream=_seldom((), _some("east", "w*")),
    position=_seldom((), st.lists(st.sampled_from(list(Position)), max_size=3, unique=True).map(tuple)),
    min_turn=_seldom(1, st.integers(1, 3)),
    max_turn=_seldom(None, st.integers(1, 3)),
    header=_seldom((), st.tuples(st.tuples(st.just("x-app"), st.sampled_from(["*", "1", "1*"])))),
)
"""Conditions of any sort."""
PLAIN_WHENS = st.builds(
    When,
    segment=_seldom(tuple(Kind), _NAMED_KINDS),
    text_kind=_seldom((), _NAMED_TEXT_KINDS),
    language=_seldom((), _some("en", "de")),
    min_tokens=_seldom(0, st.integers(0, 6)),
    min_turn=_seldom(1, st.integers(1, 3)),
    max_turn=_seldom(None, st.integers(1, 3)),
    position=_seldom((), st.just((Position.FIRST,))),
)
"""Conditions that an earlier turn meets for ever, or never."""
USES = st.builds(
    Use,
    method=st.sampled_from([KEEP, "any", "any", *_METHODS]),
    rate=_seldom(None, RATES),
    tokens=_seldom(None, st.integers(1, 5)),
    min_tokens=st.sampled_from([None, 1, 1, 1, 5]),
    mode=_seldom(None, st.sampled_from(list(Mode))),
)
_REST = Rule("rest", When(segment=tuple(Kind)), Use("any", min_tokens=1))
BUDGETS = st.builds(Budget, rate=RATES, coarse=st.booleans(), slope=st.sampled_from([0.0, 0.3]))
"""Of the scope `turn`."""
ANY_BUDGETS = (
    st.none()
    | BUDGETS
    | st.builds(
        Budget,
        tokens=st.none() | st.integers(0, 30),
        fit=st.booleans(),
        window=st.none() | st.integers(0, 60),
        scope=st.just(Scope.REQUEST),
    )
)


def policies(
    whens: st.SearchStrategy[When], budgets: st.SearchStrategy[Budget | None] = ANY_BUDGETS
) -> st.SearchStrategy[Policy]:
    """Return a strategy for policies with such conditions and budgets."""
    rules = st.lists(st.builds(Rule, st.sampled_from("pqrst"), whens, USES), max_size=3)
    endings = st.sampled_from([(), (_REST,), (_REST,)])
    permissions = st.builds(Permissions, *[st.booleans()] * 5, st.sampled_from([0.1, 0.3]))
    return st.builds(
        Policy,
        st.just("team"),
        st.just("abc"),
        st.sampled_from(list(Mode)),
        st.just(2.0),
        st.builds(lambda first, last: (*first, *last), rules, endings),
        budgets,
        permissions=permissions,
    )


WISHES = st.builds(
    Wish,
    _seldom(None, st.sampled_from([Mode.AUDIT, Mode.OFF])),
    st.booleans(),
    _seldom(None, st.sampled_from([0.05, 0.5, 1.0])),
)
FACTS = st.builds(
    Facts,
    model=st.sampled_from(["a", "ab", "b", "bc", ""]),
    endpoint=st.sampled_from(list(Endpoint)),
    upstream=st.sampled_from(["east", "west", ""]),
    headers=st.sampled_from([{}, {"x-app": "1"}, {"x-app": "12"}, {"x-app": ""}]),
    reply_tokens=st.none() | st.integers(0, 20),
    window=st.none() | st.integers(0, 60),
    wish=WISHES,
)
