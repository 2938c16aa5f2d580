"""Tests of elision.policies.documents."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.documents import documents
from elision.policies.outline import outline

PROSE = "The mill stood by the river, and its wheel turned day and night for the miller. " * 4


def pieces(text: str) -> list[str]:
    """Return the texts of the documents that are found."""
    return [text[start:end] for start, end in documents(outline(text), 0, len(text))]


@pytest.mark.parametrize(
    "heads",
    [
        ("Document 1:", "Document 2:", "Document 7:"),
        ("Document [1](Title: a)", "Document [2](Title: b)", "Document [3](Title: c)"),
        ("[Document 1]", "[Document 2]", "[Document 3]"),
        ("### Doc 1", "### Doc 2", "### Doc 3"),
        ("**Passage 1**", "**Passage 2**", "**Passage 3**"),
        ("Passage 1", "Passage 2", "Passage 3"),
        ("[1] A mill", "[2] A harbour", "[3] Bees"),
        ("Source: a.txt", "Source: b.txt", "Source: c.txt"),
        ("page_label: 1", "page_label: 2", "page_label: 3"),
        ("文档1：", "文档2：", "文档3："),
        ("Документ 1:", "Документ 2:", "Документ 3:"),
        ("Search result 1: a", "Search result 2: b", "Search result 3: c"),
    ],
)
def test_heads_begin_documents(heads: tuple[str, ...]) -> None:
    """Each has its head and the empty line after it; what stands above the first is in none."""
    parts = [f"{head}\n{PROSE}\n\n" for head in heads]
    assert pieces("Found:\n\n" + "".join(parts)) == parts


def test_long_items_of_a_numbered_list_are_documents() -> None:
    """Search results with title, link and text; not the steps of a recipe."""
    results = [f"{n}. Title\nhttps://example.org/{n}\n{PROSE}\n\n" for n in (1, 2, 3)]
    assert pieces("".join(results)) == results
    assert pieces("1. Take the wheel.\n2. Turn it.\n3. Wait.\n" * 1) == []


def test_tagged_documents_are_whole() -> None:
    """Tags within a document part nothing, the wrapper is in none."""
    parts = [f"<document index='{n}'>\n<source>a</source>\n{PROSE}\n</document>\n" for n in (1, 2)]
    assert pieces("<documents>\n" + "".join(parts) + "</documents>\n") == parts
    assert pieces("<doc>a</doc><doc>b</doc>") == ["<doc>a</doc>", "<doc>b</doc>"]
    assert pieces(f"<doc>{PROSE}<doc>{PROSE}</doc>") == []


def test_rules_part_chunks() -> None:
    """A chunk goes with the rule below it; a heading's underline and closing rules part nothing."""
    chunks = [f"{PROSE}\n\n---\n\n", f"{PROSE}\n\n---\n\n", f"{PROSE}\n"]
    assert [piece.strip("\n -") for piece in pieces("Context:\n" + "".join(chunks))] == [PROSE.strip()] * 3
    assert "".join(pieces("Context:\n" + "".join(chunks))) == "".join(chunks)
    assert pieces(f"A title\n-------\n{PROSE}\n\nOther\n-----\n{PROSE}") == []
    assert pieces(f"-----\n{PROSE}\n-----\n") == []


def test_what_closes_the_material_is_in_no_document() -> None:
    """The wrapper's end stays when the last document goes."""
    text = f"-----\nSource: a\n{PROSE}\n\nSource: b\n{PROSE}\n-----\n"
    assert pieces(text)[-1] == f"Source: b\n{PROSE}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROSE,
        f"Document 1: {PROSE}",
        f"{PROSE * 3}\n\n[1] A book\n[2] Another book\n",
        f"Source: a\n{PROSE}\nSource: b\n{PROSE}",
        '{"document": 1}\nDocument 1: x\nDocument 2: y',
        '[{"a": 1}]\n[1] x\n[2] y',
        f"```\nDocument 1: x\nDocument 2: y\n```\n{PROSE}",
        f"[2] {PROSE}\n[7] {PROSE}",
        f"Document 1: {PROSE}\nDocument 1: {PROSE}",
    ],
)
def test_where_it_is_not_plain_there_are_none(text: str) -> None:
    """One document, notes at a document's end, a label within lines, JSON, code, wild numbers."""
    assert pieces(text) == []


def test_a_part_of_a_text_is_looked_at_alone() -> None:
    """Ranges are relative to the part."""
    text = f"Question: x\n\nDocument 1: {PROSE}\nDocument 2: {PROSE}\n\nQuestion: y"
    start, end = text.index("Document 1"), text.rindex("Question")
    first, second = documents(outline(text), start, end)
    assert first[0] == 0
    assert first[1] == second[0] == text.index("Document 2") - start
    assert second[1] == end - start


LINES = st.sampled_from(
    [
        "Document 1: a",
        "Document 2",
        "[1] b",
        "[2] c",
        "---",
        "<doc>",
        "</doc>",
        "1. d",
        "2. e",
        "Source: f",
        "",
        PROSE,
    ]
)


@given(st.lists(LINES, max_size=14).map("\n".join))
def test_documents_are_disjoint_and_inside(text: str) -> None:
    """At least two or none, ascending, none empty."""
    found = documents(outline(text), 0, len(text))
    assert len(found) != 1
    assert all(0 <= start < end <= len(text) for start, end in found)
    assert all(a[1] <= b[0] for a, b in pairwise(found))
