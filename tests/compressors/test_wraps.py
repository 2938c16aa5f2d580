"""Wrapped prose becomes one line; whatever may be structured keeps its lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.units import sentences
from elision.compressors.wraps import unwrapped

LINES = st.sampled_from(
    [
        "The Trust asked the surveyor of the Harbour Trust to walk along",
        "the shelf of granite with Ms Orrin, who had kept the light for",
        "Marrow Point had been dark for twenty years when she came back.",
        "- an item of a list that is long enough to be taken for wrapped prose",
        "这座灯塔建于一八七三年，由一位年轻的工程师设计，至今仍在使用",
        "short",
        "",
        "    indented",
    ]
)
TEXTS = st.lists(LINES | st.text(), max_size=8).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n", "\n\n"]).map(lambda end: end.join(lines))
)


@given(TEXTS)
def test_only_whitespace_changes_and_nothing_moves(text: str) -> None:
    """Offsets in the unwrapped text are offsets in the original."""
    flat = unwrapped(text)
    assert len(flat) == len(text)
    assert all(a == b or (a in "\r\n" and b == " ") for a, b in zip(text, flat, strict=True))


@given(TEXTS)
def test_blank_lines_always_stay(text: str) -> None:
    """Where a paragraph ends, a line ends."""
    assert unwrapped(text).count("\n\n") >= text.count("\n\n")


WRAPPED = {
    "a paragraph": """\
On the advice of the chair, the Trust asked the surveyor of the county to
look at the lamp room, which had been shut in 1911, when old Mr Edgar
Farrant and his family left it, and to say what the repair of the iron
gallery would cost the town and whether it could be done before winter""",
    "a paragraph whose last line ends in a word that leads on": """\
The keeper wrote to the council that the lamp would be lit again by the
Trust before winter.""",
    "a line that begins with a number": """\
When the accounts were closed in the spring, the repair had cost the town
3,500 pounds more than the committee had been told, and it was not yet paid.""",
    "an item of a list with a hanging indent": """\
- The first item of this list is so long that it was carried over to the
  next line by an editor""",
    "Windows line ends": (
        "The committee met on the second of May and agreed that the surveyor\r\nshould be paid at once."
    ),
    "Chinese": """\
这座灯塔建于一八七三年，由一位年轻的工程师设计，至今仍在使用，中间只有
两次停用，港务局去年决定把它修好，并请测量员检查楼梯和灯室里的每一个螺
栓""",
    "Korean": """\
이 등대는 천팔백칠십삼년에 젊은 기술자가 세웠으며 그 뒤로 두 번의 중단을 빼고는 지금까지
줄곧 쓰이고 있고 항만 위원회는 지난해 등대를 고치기로 하고 측량사에게 계단을 살펴 달라고
부탁했다""",
}

# In each of these a reader sees one unit on every line.
STRUCTURED = {
    "a bullet list": """\
- The first item of this list is long enough to be taken for wrapped prose
- the second item goes on in lower case and is of much the same length too
* the third has another bullet and is also as long as the two before it""",
    "a numbered list": """\
1. The first item of this list is long enough to be taken for wrapped prose
2. the second item goes on in lower case and is of much the same length
(c) the third has a letter and is also as long as the two before it""",
    "a log": """\
2026-05-01 10:22:33 INFO the service has been started on port 8000 and
2026-05-01 10:22:34 WARN the service could not reach the store and waits
ERROR the service was stopped by the operator after a while of waiting for
[worker-3] the request was given back to the queue after three attempts""",
    "dialogue": """\
ANNA: I went down to the harbour in the morning, and there was nobody at
BEN: nobody at all, you say, or nobody whom you would have cared to meet
The Acting Chair (Mr. Orrin): you should have asked me before you went there""",
    "verse": """\
When I consider how my light is spent, and
Ere half my days in this dark world and wide,
And that one talent which is death to hide
Lodged with me useless, though my soul more bent""",
    "an address": """\
Harbour Trust
7 Senna Road
Marrow Point""",
    "Chinese verse": """\
床前明月光
疑是地上霜
举头望明月
低头思故乡""",
    "a heading and a paragraph": """\
# The restoration of the lighthouse at Marrow Point on the Senna
the work was begun in the spring of the year and ended in the autumn""",
    "a table": """\
| name of the keeper    | years in which the light was kept | reason |
| isolde farrant        | from 1873 until the great storm   | old age |
edgar orrin      from 1911 until the tower was shut      unknown
maud orrin       from 1931 until the lamp was sold       illness""",
    "key and value": """\
description: the lighthouse that stands on the granite of Marrow Point and
keeper: the person who is paid by the Trust to light the lamp each night""",
    "code": """\
surveyor = find_surveyor(county, available_from, known_to_the_trust)
return surveyor.letter(about_the_stairs, addressed_to_the_committee)
from elision.compressors.wraps import unwrapped
from elision.compressors.units import sentences""",
    "what is indented": """\
install the lamp and everything else that the keeper needs in the tower
    lamp --keeper orrin install the lamp and whatever else there is""",
    "a quoted letter": """\
> The Trust asked the surveyor of the county to look at the lamp room
> which had been shut since the family left it""",
    "titles": """\
A short history of the lighthouses of the western coast
The restoration of the lighthouse at Marrow Point
Letters of Isolde Farrant to her brother in the city, 1870 to 1874""",
    "what a colon introduces": """\
The surveyor looked at the tower for a week and wrote down what follows:
the stairs are sound""",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in WRAPPED.items()])
def test_a_wrapped_sentence_goes_on(text: str) -> None:
    """The line ends of hard-wrapped prose become spaces, in scripts with and without capitals."""
    assert "\n" not in unwrapped(text)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in STRUCTURED.items()])
def test_structure_stays_line_by_line(text: str) -> None:
    """Each line is a unit of its own."""
    assert unwrapped(text) == text
    assert [text[a:b] for a, b in sentences(text).tolist()][-1] == text.splitlines()[-1].lstrip()


def test_sentences_of_wrapped_prose_are_whole() -> None:
    """No sentence ends in the middle because its line did; a new paragraph begins a new one."""
    text = (
        "For a long time nobody in the town knew what to do. The Trust asked the\r\n"
        "surveyor whether the iron gallery could be kept. He said that it could,\r\n"
        "at a price. This was read to the whole committee in the spring by Dr.\r\n"
        "Orrin. The committee did\r\n\r\nnot answer."
    )
    assert [" ".join(text[a:b].split()) for a, b in sentences(text).tolist()] == [
        "For a long time nobody in the town knew what to do.",
        "The Trust asked the surveyor whether the iron gallery could be kept.",
        "He said that it could, at a price.",
        "This was read to the whole committee in the spring by Dr. Orrin.",
        "The committee did",
        "not answer.",
    ]


@pytest.mark.parametrize(
    "piece", ["a\n", "a" * 50 + "\n", "日" * 30 + "\n", "a   ", "; ", "a.", "Abc ", "(", "- "]
)
def test_a_million_characters_are_read_once(piece: str) -> None:
    """No pattern backtracks; a quadratic one would outlast the test's timeout."""
    text = piece * (1_000_000 // len(piece)) + "x"
    assert len(unwrapped(text)) == len(text)
