"""Strategies for conversations, conditions and policies; what a text looks like, `fakes.senses` reads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

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
_TEXT_KINDS = (TextKind.PROSE, TextKind.CODE, TextKind.TABLE)
_LANGUAGES = ("en", "de", "??")
_METHODS = ("selective_context", "any", "lossless")
RATES = st.sampled_from([0.2, 0.5, 1.0])


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
        st.none() | st.none() | MARKS,
        st.sampled_from([False, False, False, True]),
    )


def _message(role: str) -> st.SearchStrategy[tuple[str, list[Part]]]:
    return st.tuples(st.just(role), st.lists(_parts(role), min_size=1, max_size=2))


_MESSAGES = st.sampled_from(["system", "user", "user", "tool", "assistant"]).flatmap(_message)
CONVERSATIONS = st.lists(_MESSAGES, max_size=6).map(lambda messages: segments_of(messages))


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


WHENS = st.builds(
    When,
    role=_some("system", "user", "assistant", "tool"),
    segment=st.lists(st.sampled_from(list(Kind)), max_size=3, unique=True).map(tuple),
    model=_some("a", "a*", "*", "b?"),
    min_tokens=st.integers(0, 6),
    max_tokens=st.none() | st.integers(0, 12),
    text_kind=st.lists(st.sampled_from(_TEXT_KINDS), max_size=1).map(tuple),
    language=_some("en", "de"),
    endpoint=st.lists(st.sampled_from(list(Endpoint)), max_size=3, unique=True).map(tuple),
    upstream=_some("east", "w*"),
    position=st.lists(st.sampled_from(list(Position)), max_size=3, unique=True).map(tuple),
    min_turn=st.integers(1, 3),
    max_turn=st.none() | st.integers(1, 3),
    header=st.lists(st.tuples(st.just("x-app"), st.sampled_from(["*", "1", "1*"])), max_size=1).map(tuple),
)
"""Conditions of any sort; most match little."""
PLAIN_WHENS = st.builds(
    When,
    segment=st.lists(st.sampled_from(list(Kind)), max_size=4, unique=True).map(tuple),
    text_kind=st.lists(st.sampled_from(_TEXT_KINDS), max_size=1).map(tuple),
    language=_some("en", "de"),
    min_tokens=st.integers(0, 6),
    min_turn=st.integers(1, 2),
    max_turn=st.none() | st.just(2),
    position=st.sampled_from([(), (), (Position.FIRST,)]),
)
"""Conditions that an earlier turn meets for ever, or never."""
USES = st.builds(
    Use,
    method=st.sampled_from([KEEP, *_METHODS]),
    rate=st.none() | RATES,
    tokens=st.none() | st.integers(1, 5),
    min_tokens=st.none() | st.integers(1, 5),
    mode=st.none() | st.sampled_from(list(Mode)),
)
BUDGETS = st.builds(Budget, rate=RATES, coarse=st.booleans(), slope=st.sampled_from([0.0, 0.3]))
"""Of the scope `turn`."""
ANY_BUDGETS = BUDGETS | st.builds(
    Budget,
    tokens=st.none() | st.integers(0, 30),
    fit=st.booleans(),
    window=st.none() | st.integers(0, 60),
    scope=st.just(Scope.REQUEST),
)


def policies(
    whens: st.SearchStrategy[When], budgets: st.SearchStrategy[Budget] = ANY_BUDGETS
) -> st.SearchStrategy[Policy]:
    """Return a strategy for policies with such conditions and budgets, or without a budget."""
    rules = st.lists(st.builds(Rule, st.sampled_from("pqrst"), whens, USES), max_size=4).map(tuple)
    permissions = st.builds(Permissions, *[st.booleans()] * 5, st.sampled_from([0.1, 0.3]))
    return st.builds(
        Policy,
        st.just("team"),
        st.just("abc"),
        st.sampled_from(list(Mode)),
        st.just(2.0),
        rules,
        st.none() | budgets,
        permissions=permissions,
    )


WISHES = st.builds(
    Wish,
    st.none() | st.sampled_from([Mode.AUDIT, Mode.OFF]),
    st.booleans(),
    st.none() | st.sampled_from([0.05, 0.5, 1.0]),
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
