"""Tests of elision.policies.marks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.marks import Marked, read_marks
from elision.policies.model import Mark

METHODS = ("lossless", "llmlingua2")
OFF = Mark(keep=True)


def read(text: str) -> Marked:
    """Read a text's marks as a policy with two methods and a least rate of 0.1 would."""
    return read_marks(text, METHODS, 0.1)


def said(text: str) -> list[tuple[str, Mark]]:
    """Return the marked parts of a text, each with its mark."""
    return [(text[start:end], mark) for start, end, mark in read(text).regions]


def bare(text: str) -> str:
    """Return a text without its tags."""
    at, kept = 0, []
    for start, end in read(text).tags:
        kept.append(text[at:start])
        at = end
    return "".join((*kept, text[at:]))


@pytest.mark.parametrize(
    ("tag", "mark"),
    [
        ('<elision rate="0.4" method="lossless">', Mark(rate=0.4, method="lossless")),
        ("<elision method='lossless' rate='0.4'>", Mark(rate=0.4, method="lossless")),
        ("<elision rate=.4>", Mark(rate=0.4)),
        ("<elision rate = 40% >", Mark(rate=0.4)),
        ('<elision rate="100%">', Mark(rate=1.0)),
        ("<elision rate=1>", Mark(rate=1.0)),
        ("<elision\n  rate=0.4\n  method=llmlingua2\n>", Mark(rate=0.4, method="llmlingua2")),
        ("<elision rate=0.01>", Mark(rate=0.1)),
        ("<elision>", Mark()),
        ("<Elision OFF>", OFF),
        ("<elision off>", OFF),
        ('<elision off="true">', OFF),
        ("<elision off='false' rate=0.4>", Mark(rate=0.4)),
        ("<elision off rate=0.4>", OFF),
        ("<elision method=keep>", OFF),
    ],
)
def test_the_ways_to_write_our_own_mark(tag: str, mark: Mark) -> None:
    """Attributes in any order, quoted or not; what is asked below the least rate gets that rate."""
    assert said(f"Before. {tag}The part.</elision> After.") == [("The part.", mark)]


@pytest.mark.parametrize(
    ("tag", "mark"),
    [
        ("<llmlingua, rate=0.5>", Mark(rate=0.5)),
        ("<llmlingua, compress=False>", OFF),
        ("<llmlingua, rate=0.5, compress=False>", OFF),
        ("<llmlingua, compress=True, rate=0.5>", Mark(rate=0.5)),
        ("<llmlingua,rate=.5>", Mark(rate=0.5)),
        ("<llmlingua>", Mark()),
        ("<LLMLINGUA>", Mark()),
        ("<LLMLingua rate='1.'>", Mark(rate=1.0)),
    ],
)
def test_the_words_of_llmlingua_and_kong(tag: str, mark: Mark) -> None:
    """Prompts written for LLMLingua's structured mode, and for Kong's plugin, mean the same here."""
    close = "</LLMLINGUA>" if "MLINGUA" in tag else "</llmlingua>"
    assert said(f"{tag}The part.{close}") == [("The part.", mark)]


@pytest.mark.parametrize(
    "text",
    [
        "<elision rate=0.4>never closed",
        "closed but never opened</elision>",
        "</elision>the wrong way round<elision>",
        "<elision rate=0>x</elision>",
        "<elision rate=1.01>x</elision>",
        "<elision rate=101%>x</elision>",
        "<elision rate=-0.4>x</elision>",
        "<elision rate=nan>x</elision>",
        "<elision rate=1e-1>x</elision>",
        "<elision rate=٠.٥>x</elision>",
        "<elision rate=>x</elision>",
        "<elision rate>x</elision>",
        "<elision rate=0.4 rate=0.5>x</elision>",
        "<elision method=zip>x</elision>",
        "<elision method>x</elision>",
        "<elision method=''>x</elision>",
        "<elision off=maybe>x</elision>",
        "<elision compress=False>x</elision>",
        "<elision speed=0.4>x</elision>",
        "<elision 0.4>x</elision>",
        "<elision rate='0.4>x</elision>",
        "<elision/>x</elision>",
        "<elisions>x</elisions>",
        "<elision-part>x</elision-part>",
        "< elision>x</elision>",
        "<elision>x</llmlingua>",
        "<llmlingua, off>x</llmlingua>",
        "<llmlingua, compress>x</llmlingua>",
        "<llmlingua, compress=No>x</llmlingua>",
        "<llmlingua, rate=2>x</llmlingua>",
        "<llmlingua, method=lossless>x</llmlingua>",
    ],
)
def test_a_broken_mark_is_text(text: str) -> None:
    """Nobody loses a word to a mistyped tag: it stays, and can be seen."""
    assert read(text) == Marked()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<elision rate=9>a</elision> <elision off>b</elision>", [("b", OFF)]),
        ("</elision> <elision off>b</elision> <elision rate=0.5>", [("b", OFF)]),
        (
            "<elision rate=0.5>a<elision rate=9>b</elision>c</elision>",
            [("a<elision rate=9>b</elision>c", Mark(rate=0.5))],
        ),
        ("<elision rate=9>a<elision off>b</elision>c</elision>", [("b", OFF)]),
        ("<elision off>a<llmlingua>b</elision>c</llmlingua>", [("a<llmlingua>b", OFF)]),
        ("<elision rate=0.5>a<elision off>b</elision>", [("b", OFF)]),
        ("<elision rate=0.5>a<elision x>b</elision>", [("a<elision x>b", Mark(rate=0.5))]),
        ("<elision off>a<elision x>b<elision y>c</elision>", [("a<elision x>b<elision y>c", OFF)]),
        (
            "<elision off>a<elision x>b</elision>c<elision>d</elision>",
            [("a<elision x>b", OFF), ("d", Mark())],
        ),
    ],
)
def test_a_broken_mark_does_not_spoil_others(text: str, parts: list[tuple[str, Mark]]) -> None:
    """Around it, in it and beside it, marks that are whole are obeyed."""
    assert said(text) == parts


def test_the_inner_mark_wins_for_its_part() -> None:
    """A rule of thumb for a page, and an exception inside it."""
    text = "Say <elision rate=0.4>one <elision off>two</elision> three</elision> four."
    assert said(text) == [("one ", Mark(rate=0.4)), ("two", OFF), (" three", Mark(rate=0.4))]
    assert bare(text) == "Say one two three four."


def test_marks_of_two_families_nest() -> None:
    """A template may bring Kong's tags, and its author ours."""
    text = "<LLMLINGUA>one<elision off>two</elision></LLMLINGUA>"
    assert said(text) == [("one", Mark()), ("two", OFF)]
    assert bare(text) == "onetwo"


def test_an_inner_mark_inherits_nothing() -> None:
    """What stands in a tag is all that it says."""
    text = "<elision rate=0.4 method=lossless><elision>one</elision></elision>"
    assert said(text) == [("one", Mark())]


def test_an_empty_mark_goes_without_a_region() -> None:
    """Its tags are taken out; there is nothing to decide about."""
    assert read("a<elision off></elision>b") == Marked(tags=((1, 14), (14, 24)))


@pytest.mark.parametrize(
    "text",
    [
        "How to:\n```\n<elision off>x</elision>\n```\n",
        "How to:\n~~~html\n<elision off>x</elision>\n~~~",
        "````\n```\n<elision off>x</elision>\n```\n````",
        "Write `<elision off>x</elision>` around it.",
        "Write `<elision off>` before and `</elision>` after it.",
    ],
)
def test_a_mark_in_code_is_text(text: str) -> None:
    """A question about these tags can be asked."""
    assert read(text) == Marked()


def test_a_mark_may_hold_code() -> None:
    """Fences within a mark, with tags within them, are part of it."""
    text = "<elision off>\n```\n</elision>\n```\nuse `a`</elision>"
    assert said(text) == [("\n```\n</elision>\n```\nuse `a`", OFF)]


def test_an_unclosed_fence_hides_nothing() -> None:
    """Three stray backquotes in a document are no reason to forward tags."""
    assert said("```\nwhat is this? <elision off>x</elision>") == [("x", OFF)]


@pytest.mark.parametrize(
    "piece",
    [
        "<elision>",
        "</elision>",
        "<elision x>",
        "<elision rate=0.5",
        "<elision ",
        "<elision><llmlingua>",
        "</elision></llmlingua>",
        "<elision a='",
        "<elision><llmlingua></elision>",
        "`",
        "```a\n",
        "<elision     ",
        "</",
        "</elision ",
    ],
)
def test_hostile_texts_end(piece: str) -> None:
    """A megabyte of halves of tags is read in one pass; the test's own time limit watches."""
    text = piece * (1_000_000 // len(piece)) + "</elision>"
    marked = read(text)
    assert len(marked.tags) % 2 == 0


def test_deep_nesting_is_read() -> None:
    """No recursion: depth is no limit."""
    depth = 20_000
    marked = read("<elision off>" * depth + "x" + "</elision>" * depth)
    assert len(marked.tags) == 2 * depth
    assert marked.regions == ((depth * 13, depth * 13 + 1, OFF),)


PIECES = st.sampled_from(
    [
        "<elision off>",
        "<elision rate=0.5>",
        "<elision rate=7>",
        "</elision>",
        "<llmlingua>",
        "<llmlingua, rate=0.5>",
        "</llmlingua>",
        "`",
        "\n```\n",
        "\n",
        "words ",
        "字",
        "<",
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=30).map("".join))
def test_ranges_fit_the_text(text: str) -> None:
    """Tags and regions are in order, apart and inside the text; every tag is one."""
    marked = read(text)
    for ranges in (marked.tags, [(start, end) for start, end, _ in marked.regions]):
        assert all(0 <= start < end <= len(text) for start, end in ranges)
        assert all(one[1] <= two[0] for one, two in pairwise(ranges))
    assert all(text[start] == "<" and text[end - 1] == ">" for start, end in marked.tags)
    taken = {at for start, end in marked.tags for at in range(start, end)}
    assert not any(at in taken for start, end, _ in marked.regions for at in range(start, end))
    assert len(bare(text)) == len(text) - len(taken)


@given(st.lists(PIECES, max_size=30).map("".join), st.sampled_from(["a ", "\n"]))
def test_what_stands_before_a_mark_changes_nothing(text: str, before: str) -> None:
    """A mark is read alike wherever its text begins."""
    shift = len(before)
    moved = read(before + text)
    assert [(start - shift, end - shift) for start, end in moved.tags] == list(read(text).tags)


@given(st.text())
def test_a_text_without_marks_is_untouched(text: str) -> None:
    """No tag, no region."""
    text = text.replace("</", "<")
    assert read(text) == Marked()
