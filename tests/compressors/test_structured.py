"""Tags in contexts say how far each part goes; they are read strictly and taken out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.errors import BadOption
from elision.compressors.structured import read_segments
from elision.compressors.vocabulary import Segment


def test_tags_say_rate_and_whether_to_compress() -> None:
    """In any order, with any space; what is outside has the prompt's rate."""
    text = "a <llmlingua, rate=0.4>b < c</llmlingua><llmlingua,compress=False , rate = 0.2>d</llmlingua>e"
    assert read_segments(text) == (
        Segment("a "),
        Segment("b < c", 0.4),
        Segment("d", 1.0),
        Segment("e"),
    )
    assert read_segments("<llmlingua>x</llmlingua><llmlingua, compress=True, rate=1>y</llmlingua>") == (
        Segment("x"),
        Segment("y", 1.0),
    )
    assert read_segments("no tags < here") == (Segment("no tags < here"),)
    assert read_segments("") == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<llmlingua>a", "not closed"),
        ("a</llmlingua>", "closes nothing"),
        ("<llmlingua><llmlingua>a</llmlingua></llmlingua>", "within another"),
        ("<llmlingua, rate=2>a</llmlingua>", r"must be in \[0, 1\]"),
        ("<llmlingua, rate=x>a</llmlingua>", r"must be in \[0, 1\]"),
        ("<llmlingua, rat=0.2>a</llmlingua>", "not rat=0.2"),
        ("<llmlingua, compress=no>a</llmlingua>", "not compress=no"),
        ("<llmlingua rate=0.2>a</llmlingua>", "must be <llmlingua, rate=0.4"),
    ],
)
def test_wrong_tags_are_refused(text: str, told: str) -> None:
    """Rather than compressed as text."""
    with pytest.raises(BadOption, match=told):
        read_segments(text)


@given(
    st.lists(st.tuples(st.text(alphabet="ab <>/=,\n漢", min_size=1), st.sampled_from([None, 0.0, 0.25, 1.0])))
)
def test_what_is_tagged_comes_out_as_it_was(told: list[tuple[str, float | None]]) -> None:
    """Whatever it holds but a tag."""
    tagged = "".join(
        f"<llmlingua{'' if rate is None else f', rate={rate}'}>{text}</llmlingua>" for text, rate in told
    )
    assert read_segments(tagged) == tuple(Segment(text, rate) for text, rate in told)
