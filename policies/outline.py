"""A text's outline: where its lines, tags, headings and fences say something of its structure.

Pure, and linear in the text's length: two passes of regular expressions that begin at line ends,
and one over what they found. It says what stands where; what that means for the cut is decided in
`paragraphs`, `demonstrations` and `documents`.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import NamedTuple

from elision.policies.cues import Cue, cue, normal


class Sign(Enum):
    """By what a line stands out."""

    FENCE = auto()
    RULE = auto()
    OPEN = auto()
    CLOSE = auto()
    HEADING = auto()
    LABEL = auto()
    NUMBER = auto()


class Line(NamedTuple):
    """A line that stands out.

    Attributes:
        start: of the line.
        end: after what makes it stand out: the colon of a label, the line itself for others.
        name: of the tag, heading or label, in its normal form; of others, what was read.
        cue: what a heading or label says of the text below it.
    """

    start: int
    end: int
    sign: Sign
    name: str
    cue: Cue = Cue.NOTHING


class Region(NamedTuple):
    """Fenced code (name "") or all between a tag and its close, to the end of the closing line."""

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Outline:
    r"""What a text's lines say.

    Attributes:
        text: of the same length as the original, with every line end one `\n`; a CRLF is a space
            and a `\n`.
        lines: those that stand out, ascending; none within a fence.
        gaps: where the text goes on after empty lines, outside fences.
        fences: the ranges of fenced code.
    """

    text: str
    lines: tuple[Line, ...]
    gaps: tuple[int, ...]
    fences: tuple[Region, ...]


_GAP = re.compile(r"\n[^\S\n]*+\n\s*+")
# A label is short and made of words; the same signs are looked for at the head of the text.
_SIGNS = (
    # What begins with a sign is looked for apart, so that most lines are passed over at once.
    r"[ \t]{0,8}+(?:(?=[`~\-=_*\#<\[0-9【])(?:"
    r"(?P<fence>```|~~~)"
    r"|(?P<rule>(?:[-=_*~]{3,200}+|\#{3,200}+)[ \t]*+(?=\n|\Z))"
    r"|</(?P<close>[\w:.-]{1,40})[ \t]*+>[ \t]*+(?=\n|\Z)"
    r"|<(?P<open>[A-Za-z][\w:.-]{0,40})(?=[\s>/])"
    r"|\#{1,6}[ \t]++(?P<heading>[^\n]{1,80})"
    r"|\*\*(?P<bold>[^\n*]{1,60})\*\*[ \t]*+(?=\n|\Z)"
    r"|【(?P<bracket>[^\n】]{1,40})】"
    r"|\[(?P<reference>\d{1,4})\](?=[ \t:(\n])"
    r"|(?P<item>\d{1,3})[.)][ \t]"
    r")"
    r"|[*_>\-•【\[]{0,4}+[ ]?(?P<label>[^\W\d_][^\n:：<>{}=\"“”|;,!?？。，]{0,46}+)[:：](?!//)"
    r"|[*_>【\[]{0,4}+(?P<numbered>[^\W\d_]{2,12}[ ]?[\#\[(]?\d{1,4}(?!\w))"
    r")"
)
_FIRST = re.compile(_SIGNS)
_LATER = re.compile(r"\n" + _SIGNS)
_KINDS = {
    "fence": Sign.FENCE,
    "rule": Sign.RULE,
    "close": Sign.CLOSE,
    "open": Sign.OPEN,
    "heading": Sign.HEADING,
    "bold": Sign.HEADING,
    "bracket": Sign.LABEL,
    "label": Sign.LABEL,
    "reference": Sign.NUMBER,
    "item": Sign.NUMBER,
    "numbered": Sign.NUMBER,
}
_NAMED = frozenset(("heading", "bold", "bracket", "label"))


def outline(text: str) -> Outline:
    """Read a text's outline."""
    plain = text.replace("\r\n", " \n").replace("\r", "\n") if "\r" in text else text
    lines = _lines(plain)
    fences = _fences(plain, lines)
    if fences:
        lines = list(_outside(lines, fences))
    gaps = [match.end() for match in _GAP.finditer(plain)]
    return Outline(plain, tuple(lines), tuple(_places_outside(gaps, fences) if fences else gaps), fences)


def regions(read: Outline, names: Collection[str]) -> tuple[Region, ...]:
    """Return fenced code and what stands between the tags `names` and their closes.

    Only the outermost, ascending and disjoint. A tag begins a line; its close ends one, or is the
    first. A tag that is not closed encloses nothing.
    """
    if not any(line.sign is Sign.OPEN for line in read.lines):
        return read.fences
    found = list(read.fences)
    missing: set[str] = set()
    end = 0
    for line in read.lines:
        if line.sign is not Sign.OPEN or line.start < end or line.name not in names or line.name in missing:
            continue
        closed = _close(read.text, line)
        if closed:
            end = closed
            found.append(Region(line.start, end, line.name))
        else:
            missing.add(line.name)
    return _outermost(sorted(found, key=lambda region: (region.start, -region.end)))


def end_of_line(text: str, at: int) -> int:
    """Return the place after the line end that follows `at`, or the text's end."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def size(text: str) -> float:
    """Return about how many tokens a text has, by its length alone.

    A quarter of its UTF-8 bytes: right within a third for prose in Latin letters and for Chinese
    or Japanese. Cuts are decided by it, so that they are the same for every model, and cost no count.
    """
    return (len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))) / 4


def _lines(text: str) -> list[Line]:
    """Return the lines that stand out, those within fences too."""
    known: dict[str, tuple[str, Cue]] = {}
    found: list[Line] = []
    first = _FIRST.match(text)
    for match in chain((first,) if first else (), _LATER.finditer(text)):
        group = match.lastgroup or ""
        sign, written = _KINDS[group], match[group]
        start, end = match.span()
        start += text[start] == "\n"
        if group not in _NAMED:
            found.append(Line(start, end, sign, written.casefold()))
            continue
        named = known.get(written)
        if named is None:
            name = normal(written)
            named = known[written] = (name, cue(name))
        found.append(Line(start, end, sign, *named))
    return found


def _fences(text: str, lines: Sequence[Line]) -> tuple[Region, ...]:
    """Return the ranges of fenced code. A fence that is not closed is none, lest it hide a question."""
    found: list[Region] = []
    opened: Line | None = None
    for line in lines:
        if line.sign is not Sign.FENCE:
            continue
        if opened is None:
            opened = line
        elif line.name == opened.name:
            found.append(Region(opened.start, end_of_line(text, line.end), ""))
            opened = None
    return tuple(found)


def _outside(lines: Sequence[Line], fences: Sequence[Region]) -> Iterator[Line]:
    number = 0
    for line in lines:
        while number < len(fences) and fences[number].end <= line.start:
            number += 1
        if number == len(fences) or line.start < fences[number].start:
            yield line


def _places_outside(places: Sequence[int], fences: Sequence[Region]) -> Iterator[int]:
    number = 0
    for place in places:
        while number < len(fences) and fences[number].end <= place:
            number += 1
        if number == len(fences) or place <= fences[number].start:
            yield place


def _close(text: str, line: Line) -> int:
    """Return where the region ends that a tag opens, 0 if it is not closed."""
    tag = f"</{text[line.start : line.end].lstrip()[1:]}>"
    closed = text.find(tag, line.end)
    if closed < 0:
        return 0
    closed += len(tag)
    after = end_of_line(text, closed)
    return closed if text[closed:after].strip() else after


def _outermost(found: Sequence[Region]) -> tuple[Region, ...]:
    kept: list[Region] = []
    for region in found:
        if not kept or region.start >= kept[-1].end:
            kept.append(region)
    return tuple(kept)
