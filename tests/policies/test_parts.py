"""Cutting segments at their pieces: nothing lost, nothing moved, frames kept."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from elision.policies.model import Kind, Segment
from elision.policies.parts import Part, cut, part_of, runs, whole


def of(text: str, *pieces: str) -> Segment:
    """Make a segment that begins at character 5, with the pieces where their texts stand."""
    spans = tuple((text.index(piece), text.index(piece) + len(piece)) for piece in pieces)
    return Segment(0, 5, 5 + len(text), Kind.CONTEXT, "user", text, len(text.split()), pieces=spans)


def shown(segment: Segment, parts: tuple[Part, ...]) -> list[tuple[str, int | None]]:
    return [(segment.text[part.start : part.end], part.piece) for part in parts]


@st.composite
def some_segments(draw: st.DrawFn) -> Segment:
    text = draw(st.text("ab \n-é東", max_size=24))
    bounds = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pieces = tuple(zip(bounds[::2], bounds[1::2], strict=False))
    return Segment(0, 3, 3 + len(text), Kind.CONTEXT, "user", text, len(text), pieces=pieces)


@given(some_segments())
def test_parts_concatenate_to_their_segment(segment: Segment) -> None:
    """Whatever the pieces, every character is in one part, and every piece within its own."""
    parts = cut(segment, len)
    assert "".join(segment.text[part.start : part.end] for part in parts) == segment.text
    assert [part.piece for part in parts if part.piece is not None] == list(range(len(segment.pieces)))
    for part in parts:
        if part.piece is not None:
            start, end = segment.pieces[part.piece]
            assert part.start <= start
            assert end <= part.end
        assert part.tokens == part.end - part.start


def test_what_separates_pieces_goes_with_the_former() -> None:
    """Blank lines and rules between documents are left out with a document; the last one's end too."""
    segment = of("one\n\n---\n\ntwo\n\n", "one", "two")
    assert shown(segment, cut(segment, len)) == [("one\n\n---\n\n", 0), ("two\n\n", 1)]


def test_what_has_words_of_its_own_frames() -> None:
    """A heading between pieces, an opening and a closing tag are no part of a piece."""
    segment = of("<docs>\none\nPart B:\ntwo\n</docs>", "one", "two")
    assert shown(segment, cut(segment, len)) == [
        ("<docs>\n", None),
        ("one", 0),
        ("\nPart B:\n", None),
        ("two", 1),
        ("\n</docs>", None),
    ]


def test_a_fence_that_closes_the_pieces_frames() -> None:
    """Behind the last piece even marks without words stay."""
    segment = of("```\none\ntwo\n```", "one", "two")
    assert shown(segment, cut(segment, len))[-1] == ("\n```", None)


def test_each_part_is_counted_once() -> None:
    """Counting is dear."""
    segment = of("one two", "one", "two")
    asked: list[str] = []

    def count(text: str) -> int:
        asked.append(text)
        return 1

    assert [part.tokens for part in cut(segment, count)] == [1, 1]
    assert asked == ["one ", "two"]


def texts(segment: Segment, kept: set[int], *, apart: bool) -> list[str]:
    found = runs(cut(segment, len), kept, apart=apart)
    return ["".join(segment.text[part.start : part.end] for part in run) for run in found]


def test_neighbours_that_stay_are_one_run() -> None:
    """What is compressed together is compressed better; what was left out parts."""
    segment = of("A: one two three Z:", "one", "two", "three")
    assert texts(segment, {0, 1, 2}, apart=False) == ["A: one two three Z:"]
    assert texts(segment, {0, 2}, apart=False) == ["A: one ", "three Z:"]
    assert texts(segment, {1}, apart=False) == ["A: ", "two ", " Z:"]


def test_pieces_with_rates_of_their_own_stay_apart_with_their_frames() -> None:
    """A heading goes with what follows it, a closing line with what precedes it."""
    segment = of("A: one two B: three Z:", "one", "two", "three")
    assert texts(segment, {0, 1, 2}, apart=True) == ["A: one ", "two", " B: three Z:"]
    assert texts(segment, {0, 1}, apart=True) == ["A: one ", "two B: ", " Z:"]
    assert texts(segment, {1}, apart=True) == ["A: ", "two B: ", " Z:"]


@given(some_segments(), st.sets(st.integers(0, 4)), st.booleans())
def test_runs_hold_what_stays_and_nothing_else(segment: Segment, kept: set[int], apart: bool) -> None:
    """Every frame, every kept piece, in their order, each run without a gap."""
    parts = cut(segment, len)
    found = runs(parts, kept, apart=apart)
    assert [part for run in found for part in run] == [p for p in parts if p.piece is None or p.piece in kept]
    for run in found:
        assert all(a.end == b.start for a, b in pairwise(run))
        assert not apart or sum(part.piece is not None for part in run) <= 1


def test_a_part_of_a_segment_knows_its_place() -> None:
    """Characters are counted in the text, and a part has no pieces."""
    segment = of("one two", "one", "two")
    part = part_of(segment, 4, 7, 1)
    assert (part.start, part.end, part.text, part.tokens, part.pieces) == (9, 12, "two", 1, ())
    assert part_of(segment, 0, 7, 9) is segment
    assert whole(segment) == Part(0, 7, 2)
