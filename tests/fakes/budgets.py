"""Decisions and senses, made by hand or drawn, for what shares out budgets: tokens are characters."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from elision.policies.model import (
    Ability,
    Budget,
    Decision,
    Kind,
    Mode,
    Ranking,
    Segment,
    Senses,
    TextKind,
    Use,
)

SQUEEZE = Use(method="squeeze")
"""A method that must be told how far."""
TIDY = Use(method="tidy")
"""A method that goes as far as it goes."""
KEPT = Use()


def capitals(text: str, classes: tuple[str, ...] | None) -> int:
    """Count what is protected: capital letters, unless no class is."""
    return 0 if classes == () else sum(character.isupper() for character in text)


SENSES = Senses(
    count=len,
    text_kind=lambda _: TextKind.PROSE,
    language=lambda _: "en",
    protected=capitals,
    abilities={"squeeze": Ability(), "tidy": Ability(needs_target=False)},
    default_method="squeeze",
)


def decide(
    text: str,
    use: Use = SQUEEZE,
    *,
    kind: Kind = Kind.CONTEXT,
    source: int = 0,
    start: int = 0,
    turn: int = 0,
    pieces: tuple[tuple[int, int], ...] = (),
    question: str = "",
    mode: Mode = Mode.ENFORCE,
) -> Decision:
    """Decide on one segment; its message is its source."""
    segment = Segment(
        source, start, start + len(text), kind, "user", text, len(text), source, turn, len(text), pieces
    )
    return Decision(segment, use, "r", "rule `r` matched", question, mode)


def documents(*texts: str, question: str = "", source: int = 0, use: Use = SQUEEZE) -> Decision:
    """Decide on a segment of several documents, one after the other."""
    ends = [sum(map(len, texts[: number + 1])) for number in range(len(texts))]
    pieces = tuple((end - len(text), end) for text, end in zip(texts, ends, strict=True))
    return decide("".join(texts), use, source=source, pieces=pieces, question=question)


KINDS = (Kind.INSTRUCTION, Kind.QUESTION, Kind.CONTEXT, Kind.DEMONSTRATIONS, Kind.TOOL_RESULT)
USES = (SQUEEZE, SQUEEZE, SQUEEZE, KEPT, TIDY, replace(SQUEEZE, rate=0.4), replace(SQUEEZE, tokens=5))


@st.composite
def some_segments(draw: st.DrawFn, source: int, start: int, turn: int) -> Segment:
    """A segment of lower-case text and capitals, which are protected, with pieces or without."""
    text = draw(st.text("abX \n", min_size=1, max_size=40))
    bounds = sorted(draw(st.sets(st.integers(0, len(text)), max_size=10)))
    pieces = tuple(zip(bounds[::2], bounds[1::2], strict=False))
    return Segment(
        source,
        start,
        start + len(text),
        draw(st.sampled_from(KINDS)),
        "user",
        text,
        len(text),
        source,
        turn,
        pieces=pieces if len(pieces) > 1 else (),
    )


@st.composite
def some_plans(draw: st.DrawFn) -> tuple[Decision, ...]:
    """Up to four texts in up to three turns, of up to three segments each."""
    made: list[Decision] = []
    turn = 0
    for source in range(draw(st.integers(1, 4))):
        turn += source > 0 and draw(st.booleans())
        start = 0
        for _ in range(draw(st.integers(1, 3))):
            segment = draw(some_segments(source, start, turn))
            start = segment.end
            use = draw(st.sampled_from(USES))
            made.append(Decision(segment, use, "r", "because", draw(st.sampled_from(("", "ab a")))))
    return tuple(made)


BUDGETS = st.builds(
    Budget,
    slope=st.sampled_from((0.0, 0.3, 0.9)),
    coarse=st.sampled_from((True, True, False)),
    min_examples=st.integers(0, 3),
    granularity=st.sampled_from((1.0, 1.5, 2.0, 10.0)),
    min_rates=st.sampled_from(((), ((Kind.CONTEXT, 0.3), (Kind.QUESTION, 0.5)))),
    max_rates=st.sampled_from(((), ((Kind.CONTEXT, 0.6),))),
    ranking=st.sampled_from(Ranking),
)
RATES = st.sampled_from((0.05, 0.2, 0.33, 0.5, 0.8, 1.0))


def quarter(text: str) -> int:
    """Count as tokenizers do: the parts' tokens add up to more than the whole's."""
    return -(-len(text) // 4)


def in_quarters(plan: Sequence[Decision]) -> tuple[Decision, ...]:
    return tuple(replace(d, segment=replace(d.segment, tokens=quarter(d.segment.text))) for d in plan)
