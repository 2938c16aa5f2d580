"""Tests of elision.policies.outline."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.cues import Cue
from elision.policies.outline import Region, Sign, end_of_line, outline, regions, size

SAMPLES = st.sampled_from(
    [
        "Question: x",
        "```",
        "~~~",
        "---",
        "<doc>",
        "</doc>",
        "## Head",
        "[1] a",
        "1. b",
        "Document 3",
        "é 中",
        "",
    ]
)
TEXTS = st.lists(st.tuples(SAMPLES, st.sampled_from(["\n", "\r\n", "\r", "\n\n"])), max_size=15).map(
    lambda pairs: "".join(line + end for line, end in pairs)
)


def signs(text: str) -> list[tuple[Sign, str]]:
    return [(line.sign, line.name) for line in outline(text).lines]


@pytest.mark.parametrize(
    ("line", "sign", "name"),
    [
        ("Question: why", Sign.LABEL, "question"),
        ("  **Context:** x", Sign.LABEL, "context"),
        ("问题：为什么", Sign.LABEL, "问题"),
        ("【資料】", Sign.LABEL, "資料"),
        ("## Knowledge base", Sign.HEADING, "knowledge base"),
        ("**Rules**", Sign.HEADING, "rules"),
        ("-----", Sign.RULE, "-----"),
        ("<Document id='1'>", Sign.OPEN, "document"),
        ("</Document>", Sign.CLOSE, "document"),
        ("[3] Title", Sign.NUMBER, "3"),
        ("3. Title", Sign.NUMBER, "3"),
        ("Document 3 of 9", Sign.NUMBER, "document 3"),
    ],
)
def test_a_line_stands_out_by_its_sign(line: str, sign: Sign, name: str) -> None:
    """First in a text or later, it is the same."""
    assert signs(line) == [(sign, name)]
    assert signs(f"prose\n{line}\nprose") == [(sign, name)]


@pytest.mark.parametrize(
    "line",
    [
        "https://example.org",
        "plain prose",
        "a < b",
        "12 monkeys",
        "He said that this is much too long for any label: yes",
    ],
)
def test_other_lines_do_not(line: str) -> None:
    """Prose, links and code mostly say nothing of structure."""
    assert signs(line) == []


def test_labels_carry_what_they_mean() -> None:
    """So that nobody has to look it up again."""
    assert [line.cue for line in outline("Context: a\nNorth: b\n# Rules").lines] == [
        Cue.MATERIAL,
        Cue.NOTHING,
        Cue.TASK,
    ]


def test_nothing_stands_out_in_a_fence() -> None:
    """Code is full of labels and rules; only a closed fence hides them."""
    assert signs("```\nQuestion: x\n---\n```\nContext: y") == [(Sign.LABEL, "context")]
    assert outline("```\na\n\nb\n```\n\nc").gaps == (14,)
    assert signs("```\nQuestion: x")[-1] == (Sign.LABEL, "question")
    assert outline("~~~\n```\n~~~\nx").fences == (Region(0, 12, ""),)


def test_regions_reach_from_a_tag_to_its_close() -> None:
    """The outermost only, closing line included; what is not closed encloses nothing."""
    text = "<docs>\n<doc>a</doc>\n</docs>\n<doc>b</doc> c\n<doc>d"
    found = regions(outline(text), {"docs", "doc"})
    assert [(text[r.start : r.end], r.name) for r in found] == [
        ("<docs>\n<doc>a</doc>\n</docs>\n", "docs"),
        ("<doc>b</doc>", "doc"),
    ]
    assert regions(outline("<other>\na\n</other>"), {"doc"}) == ()


def test_a_size_is_about_a_models_tokens() -> None:
    """Four Latin letters, or one and a third Chinese ones; what cannot be encoded has a size, too."""
    assert (size("word" * 3), size("中" * 4), size("\ud800"), size("")) == (3, 3, 0.75, 0)


def test_the_end_of_a_line_is_after_its_line_end() -> None:
    assert (end_of_line("ab\nc", 0), end_of_line("ab\nc", 3)) == (3, 4)


@given(TEXTS | st.text())
def test_an_outline_lies_over_its_text(text: str) -> None:
    """Same length, every place inside, ascending; only line ends differ."""
    read = outline(text)
    assert len(read.text) == len(text)
    assert "\r" not in read.text
    assert read.text.split() == text.split()
    assert all(0 <= line.start < line.end <= len(text) for line in read.lines)
    assert all(a.start < b.start for a, b in pairwise(read.lines))
    assert list(read.gaps) == sorted(set(read.gaps))
    found = regions(read, {"doc"})
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert not any(region.start < gap < region.end for region in read.fences for gap in read.gaps)
