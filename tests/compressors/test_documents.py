"""A text's documents are found by what prompts put between them; nothing is lost or torn."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Span
from elision.compressors.documents import cut
from elision.compressors.protect import find_spans

ONE, TWO = "The mill stood by the river.\nIt was old.", "The tower fell in spring."

LONG = "The mill stood by the river, and nobody knew who had built it or when it was."


def documents(text: str) -> list[str]:
    return [text[span.start : span.end] for span in cut(text, find_spans(text)).documents]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{ONE}\n\n{TWO}", [ONE, TWO]),
        (f"{ONE}\n \t\n\n{TWO}\n", [ONE, TWO]),
        (f"Read:\n\nDocument [1]: {ONE}\n\nmore of it\n\nDocument [2]: {TWO}",
         [f"Document [1]: {ONE}\n\nmore of it", f"Document [2]: {TWO}"]),
        (f"[1] {ONE}\n[2] {TWO}", [f"[1] {ONE}", f"[2] {TWO}"]),
        (f"Source: a\n\n{ONE}\n\nSource: b\n\n{TWO}", [f"Source: a\n\n{ONE}", f"Source: b\n\n{TWO}"]),
        (f"<doc id='1'>{ONE}\n\nmore</doc>\n<doc>{TWO}</doc>",
         [f"<doc id='1'>{ONE}\n\nmore</doc>", f"<doc>{TWO}</doc>"]),
        (f"{LONG}\n---\n{TWO}\n\nmore\n\n=====\n{ONE}", [LONG, f"{TWO}\n\nmore", ONE]),
        (f"来源：{ONE}\n\n来源：{TWO}", [f"来源：{ONE}", f"来源：{TWO}"]),
        (ONE, [ONE]),
        (" \n\n ", []),
        ("", []),
    ],
)  # fmt: skip
def test_documents_are_told_apart(text: str, found: list[str]) -> None:
    """By tags, heads, rules, else by empty lines; what stands before the first head is none."""
    assert documents(text) == found


def test_a_line_under_a_heading_parts_nothing() -> None:
    """It belongs to the heading."""
    assert documents(f"Title\n-----\n{ONE}\n\nOther\n-----\n{TWO}") == [
        f"Title\n-----\n{ONE}",
        f"Other\n-----\n{TWO}",
    ]


def test_what_is_protected_is_not_torn() -> None:
    """An empty line in a block of code ends no document."""
    code = "```python\na = 1\n\nb = 2\n```"
    assert documents(f"{ONE}\n\n{code}\n\n{TWO}") == [ONE, code, TWO]


def test_the_line_that_closes_a_block_of_code_is_no_rule() -> None:
    """It would stay behind alone where the block goes."""
    code = "~~~\nraw   text\n~~~"
    assert documents(f"{ONE}\n\n{code}\n\n{TWO}") == [ONE, code, TWO]
    assert documents(f"{ONE}\n\n{code}") == [ONE, code]


PIECES = st.lists(
    st.sampled_from(
        ["\n", "\n\n", "a b", "[1] ", "[2] ", "---\n", "<doc>", "</doc>", "Source: ", "漢字", " ", "~~~\n"]
    ),
    max_size=30,
).map("".join)


@given(PIECES)
def test_head_documents_gaps_and_tail_are_the_text(text: str) -> None:
    """In their order they are all of it, and borders lie outside what is protected."""
    found = cut(text, find_spans(text))
    spans = [found.head, found.tail]
    for document, gap in zip(found.documents, (*found.gaps, None), strict=True) if found.documents else ():
        spans[-1:-1] = [document, *([gap] if gap else [])]
    assert "".join(text[span.start : span.end] for span in spans) == text
    assert all(left.end == right.start for left, right in pairwise(spans))
    assert all(text[span.start : span.end].strip() for span in found.documents)
    assert all(isinstance(span, Span) for span in spans)
    blocks = [span for span in find_spans(text) if text.startswith("~~~", span.start)]
    for edge in (at for span in found.documents for at in (span.start, span.end)):
        assert all(not text[edge : span.end].strip() for span in blocks if span.start < edge < span.end)
