"""Where one document ends and the next begins, in a text that holds several.

Pure and linear. Documents are told apart by what prompts put between them: tags, numbered or
repeated heads, rules, else empty lines. No border lies within what is protected: a block of code
with an empty line in it is one block. `elision.policies.documents` cuts a prompt's messages by what
is plainly one of several documents; a method that is given one text has to do with less.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from elision.compressors.base import Span

_TAG = re.compile(
    r"<(document|doc|passage|source|chunk|result|excerpt|article|context|item)(?:\s[^<>]{0,300})?>"
)
_NAMES = (
    "document|doc|passage|source|chunk|result|excerpt|snippet|article|paper|reference|context"
    "|dokument|quelle|документ|источник|documento|fuente|文档|文件|资料|来源|文書|資料|出典|문서|مستند"
)
# A head is known by its form: `Document [1]`, `[1]`, `Source:`, `# 1`. Numbers of a list are none.
_HEAD = re.compile(
    rf"^[ \t]{{0,8}}[#>*_]{{0,6}}[ \t]?(?:(?P<number>[\[(]?(?:{_NAMES})s?[ _-]?[#\[(]{{0,2}}\d{{1,4}}(?!\w))"
    r"|(?P<reference>\[\d{1,4}\](?=[ \t:(\n]))"
    rf"|(?P<label>(?:{_NAMES}|title|url|file|titel|标题)[ ]?[:：]))",
    re.IGNORECASE | re.MULTILINE,
)
_RULE = re.compile(r"^[ \t]*[-=*_~]{3,200}[ \t]*\n", re.MULTILINE)
_EMPTY = re.compile(r"\n[ \t\r]*\n\s*")
_LAST_RULE = re.compile(r"(?:\A|\n)[ \t]*[-=*_~]{3,200}\s*\Z")
_LONGEST_RULE = 300
_HEADING = 60
"""Characters of a line that may be a heading, underlined."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A text as documents, with what stands around them and between.

    Attributes:
        documents: ascending and disjoint, without white space or rules at their ends; at least one unless the
            text is blank.
        gaps: what stands between each and the next; one fewer.
        head, tail: what stands before the first and after the last.
        marks: heads and tags by which documents are known; ascending and disjoint.
    """

    documents: tuple[Span, ...]
    gaps: tuple[Span, ...]
    head: Span
    tail: Span
    marks: tuple[Span, ...] = ()


def cut(text: str, protected: Sequence[Span] = ()) -> Cut:
    """Cut a text into its documents.

    Args:
        protected: ascending and disjoint; what must not be torn.
    """
    for find in (_tagged, _headed, _ruled, _parted):
        starts, marks = find(text)
        starts = [at for at in starts if not _is_within(at, protected)]
        if len(starts) > 1:
            return _cut_at(text, starts, marks, protected)
    return _cut_at(text, [0], (), protected)


def _cut_at(text: str, starts: Sequence[int], marks: Sequence[Span], protected: Sequence[Span]) -> Cut:
    """Return the stretches between starts as documents, what parts them as gaps."""
    found: list[Span] = []
    for start, end in pairwise([*starts, len(text)]):
        piece = text[start:end]
        rule = _LAST_RULE.search(piece, max(0, len(piece) - _LONGEST_RULE))
        # The line that closes a block of code looks like a rule.
        if rule and "~" in rule[0] and _is_within(start + rule.start(), protected):
            rule = None
        whole = piece[: rule.start()] if rule else piece
        left, right = start + len(piece) - len(piece.lstrip()), start + len(whole.rstrip())
        if left < right:
            found.append(Span(left, right))
    if not found:
        return Cut((), (), Span(0, len(text)), Span(len(text), len(text)))
    gaps = tuple(Span(a.end, b.start) for a, b in pairwise(found))
    return Cut(tuple(found), gaps, Span(0, found[0].start), Span(found[-1].end, len(text)), tuple(marks))


_Found = tuple[list[int], list[Span]]
"""Where documents begin, and the marks by which they are known."""


def _tagged(text: str) -> _Found:
    """Find tags that are named as the first one that is closed."""
    opened = [(tag[1], tag.start()) for tag in _TAG.finditer(text)]
    closed = {name: text.rfind(f"</{name}>") for name in dict.fromkeys(name for name, _ in opened)}
    first = next((name for name, at in opened if at < closed[name]), "")
    if not first:
        return [], []
    marks = [Span(*tag.span()) for tag in re.finditer(rf"<{first}(?:\s[^<>]{{0,300}})?>|</{first}>", text)]
    return [at for name, at in opened if name == first and at < closed[name]], marks


def _headed(text: str) -> _Found:
    """Find heads of the first form of which there are several."""
    kinds: dict[str, list[Span]] = {}
    for match in _HEAD.finditer(text):
        kind = match.lastgroup or ""
        if kind == "label":
            kind = match["label"].casefold().rstrip(":： ")
        closes = text[match.end() : match.end() + 2].rstrip(" \n")
        end = match.end() + (len(closes) if set(closes) <= set(")]:：.") else 0)
        kinds.setdefault(kind, []).append(Span(match.start(), end))
    marks = next((found for found in kinds.values() if len(found) > 1), [])
    return [mark.start for mark in marks], marks


def _ruled(text: str) -> _Found:
    """Find what stands between lines of dashes; a line under a heading is none."""
    ends: list[int] = []
    for rule in _RULE.finditer(text):
        above = text[text.rfind("\n", 0, max(0, rule.start() - 1)) + 1 : rule.start()].strip()
        if not above or len(above) > _HEADING:
            ends.append(rule.end())
    return [0, *ends] if ends else [], []


def _parted(text: str) -> _Found:
    """Find paragraphs."""
    return [0, *(match.end() for match in _EMPTY.finditer(text))], []


def _is_within(at: int, protected: Sequence[Span]) -> bool:
    number = bisect_right(protected, at, key=lambda span: span.start) - 1
    return number >= 0 and protected[number].start < at < protected[number].end
