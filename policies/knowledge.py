"""Material inside system messages: documents, retrieved passages, a knowledge base.

Pure, and linear in the text's length. A system message instructs unless a part of it is plainly
marked otherwise: by tags that hold documents, by a heading or label of its own line ("Context:",
"## Knowledge base"), or by a line of dashes below "use the following context". What follows the
material, and what begins like instructions again, is instruction.
"""

import re
from collections.abc import Iterator, Sequence

from elision.policies.cues import KNOWLEDGE_TAGS, Cue
from elision.policies.outline import Line, Outline, Sign, end_of_line, regions, size

TAGGED_TOKENS = 100
"""Less material than this between tags is left with the instructions."""
HEADED_TOKENS = 200
"""Less than this below a heading is as likely background to the instructions."""
CLOSING_TOKENS = 60
"""Last paragraphs of no more tokens are kept: they may say how to use the material."""
CLOSING_PARAGRAPHS = 2
HEAD_TOKENS = 300
"""A line of dashes after more than this parts instructions from instructions."""

Span = tuple[int, int]

_STRONG = re.compile(
    r"(?:[\w']+ ){0,2}(?:contexts?|documents?|docs|passages?|excerpts?|snippets?|search[ _]results?|knowledge"
    r"|knowledge[ _]base|faqs?|frequently asked questions|reference material|background information"
    r"|articles)$"
    r"|kontext$|dokumente$|wissensdatenbank$|контекст$|документы$|база знаний$|contexto$|documentos$"
    r"|contexte$|documents$|contesto$|documenti$|上下文$|背景资料$|参考资料$|參考資料$|知识库$|文档$|资料$|文脈$"
    r"|コンテキスト$|参考情報$|参考資料$|資料$|문맥$|참고 자료$|문서$|السياق$|المستندات$"
)
_POINTS = re.compile(
    r"\b(?:following|below|here (?:is|are))\b[^\n]{0,80}\b"
    r"(?:contexts?|documents?|passages?|excerpts?|sources?|search results|snippets|articles)\b"
    r"|\b(?:contexts?|documents?|passages?|excerpts?|sources?|information)"
    r" (?:is|are)? ?(?:given |provided )?below"
    r"|以下(?:の|是)?(?:上下文|资料|文档|文脈|資料|文書|コンテキスト|参考)",
    re.IGNORECASE,
)
_LEVEL = re.compile(r"[ \t]*(#*)")
_POINTING = 400


def knowledge(read: Outline, start: int, end: int) -> tuple[Span, ...]:
    """Return the spans of a system message's part that are plainly material, ascending and disjoint."""
    tagged = list(_tagged(read, start, end))
    found = tagged or list(_headed(read, start, end)) or list(_ruled(read, start, end))
    return tuple(found)


def _tagged(read: Outline, start: int, end: int) -> Iterator[Span]:
    """Yield what stands between tags that hold documents; documents side by side are one span."""
    spans: list[Span] = []
    for region in regions(read, KNOWLEDGE_TAGS):
        if not region.name or region.start < start or region.end > end:
            continue
        if spans and not read.text[spans[-1][1] : region.start].strip():
            spans[-1] = (spans[-1][0], region.end)
        else:
            spans.append((region.start, region.end))
    yield from (span for span in spans if size(read.text[slice(*span)]) >= TAGGED_TOKENS)


def _headed(read: Outline, start: int, end: int) -> Iterator[Span]:
    """Yield what stands below headings that announce material, up to the next instructions."""
    lines = [line for line in read.lines if start <= line.start < end]
    at, headings = start, False
    for number, line in enumerate(lines):
        headings = headings or line.sign is Sign.HEADING
        if line.start < at or not _announces(read, line):
            continue
        stop = _stop(read, lines, number, headings)
        at = stop or end
        stop = stop or _before_closing(read, line.end, end)
        if size(read.text[line.start : stop]) >= HEADED_TOKENS:
            yield line.start, stop


def _announces(read: Outline, line: Line) -> bool:
    """Whether a line is a heading or label for material, with nothing else in it."""
    if line.cue is not Cue.MATERIAL or not _STRONG.match(line.name):
        return False
    return not read.text[line.end : end_of_line(read.text, line.end)].strip(" \t\n*_")


def _stop(read: Outline, lines: Sequence[Line], opening: int, headings: bool) -> int:
    """Return where the material below a heading ends: at the next instruction, or heading of its rank.

    Args:
        opening: index of the heading's line.
        headings: whether the message is parted by headings, so that one ends what is above it.
    Returns: 0 where nothing ends it.
    """
    level = _level(read, lines[opening])
    for number in range(opening + 1, len(lines)):
        line = lines[number]
        if line.cue in (Cue.QUESTION, Cue.TASK, Cue.EXAMPLE):
            return line.start
        if headings and line.sign is Sign.HEADING and _level(read, line) <= level and line.cue is Cue.NOTHING:
            return line.start
    return 0


def _level(read: Outline, line: Line) -> int:
    """Return the rank of a heading: its number of `#`; of a label or a bold line, one below all."""
    found = _LEVEL.match(read.text, line.start)
    return len(found[1]) if found and found[1] else 7


def _ruled(read: Outline, start: int, end: int) -> Iterator[Span]:
    """Yield what stands below a line of dashes if the text above it points to it."""
    rules = [line for line in read.lines if line.sign is Sign.RULE and start <= line.start < end]
    if not rules or size(read.text[start : rules[0].start]) > HEAD_TOKENS:
        return
    first = rules[0]
    if not _POINTS.search(read.text, max(start, first.start - _POINTING), first.start):
        return
    if any(first.start < line.start < end and line.cue is Cue.TASK for line in read.lines):
        return
    last = end_of_line(read.text, rules[-1].end)
    closed = len(rules) > 1 and size(read.text[last:end]) <= HEAD_TOKENS
    stop = last if closed else _before_closing(read, first.end, end)
    if size(read.text[first.start : stop]) >= HEADED_TOKENS:
        yield first.start, stop


def _before_closing(read: Outline, start: int, end: int) -> int:
    """Return where the last short paragraphs of a text begin."""
    stop = end
    for gap in [gap for gap in read.gaps if start < gap < end][: -CLOSING_PARAGRAPHS - 1 : -1]:
        if size(read.text[gap:end]) > CLOSING_TOKENS:
            break
        stop = gap
    return stop
