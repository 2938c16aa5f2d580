"""Decisions and senses made by hand, for what shares out budgets: tokens are characters."""

from elision.policies.model import Ability, Decision, Kind, Mode, Segment, Senses, TextKind, Use

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
