"""Cutting a prompt's texts into segments: what instructs, what is asked, what is material.

Pure, and linear in the length of the texts. A message is judged by itself alone, never by its
distance from the conversation's end, so that it is cut alike in every turn that repeats it
(promise 4). Only long user messages are cut; every other text is one segment. Where it is not
plain what a paragraph is, it counts as question, which is kept unless a rule names it.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from elision.policies.model import Kind, PromptText, Segment

SHORT_MESSAGE_TOKENS = 300
"""A user message of no more tokens is not cut: it is all question."""
QUESTION_TOKENS = 200
"""A longer paragraph is no question."""
OPENING_TOKENS = 60
"""A first paragraph of no more tokens is kept: it may say how to answer."""
CLOSING_TOKENS = 16
"""A last part of no more tokens that asks nothing ("Thanks!", "Answer:") takes one more with it."""
CLOSING_PARAGRAPHS = 4
"""So many paragraphs at most are joined in search of the question."""
OPENING_PARAGRAPHS = 8
"""So many paragraphs at most are kept before a mark that says that the material begins."""

# Prose has four or five characters to a token, never so many; longer texts need not be counted.
_CHARACTERS_PER_TOKEN = 32

_ROLES = {
    "system": Kind.INSTRUCTION,
    "developer": Kind.INSTRUCTION,
    "tool": Kind.TOOL_RESULT,
    "function": Kind.TOOL_RESULT,
    "assistant": Kind.HISTORY,
}
# Atomic, because a CRLF must not be taken for the two line ends of an empty line.
_GAP = re.compile(r"(?>\r\n|\n|\r)[^\S\r\n]*+(?>\r\n|\n|\r)\s*+")
_FENCE = re.compile(r"^[ \t]{0,3}(```|~~~)[^\r\n]*(?:\r\n?|\n|\Z)", re.MULTILINE)
_QUESTION = re.compile(r"^[ \t#*_]{0,6}(?:question|query|q\d{0,3})\b[^\r\n]{0,20}:", re.I | re.MULTILINE)
# "Context:", "<documents>": the material begins.
_NAMES = r"(?:contexts?|documents?|passages?|articles?|texts?|sources?|transcripts?|search[ _]results?)"
_MATERIAL = re.compile(rf"^[ \t#*_]{{0,6}}(?:{_NAMES}\b[^\r\n]{{0,30}}:|<{_NAMES}\b)", re.I | re.MULTILINE)
# A line of dashes, or one closing tag: the material begins or ends.
_LINE_END = r"[ \t]*(?:\r\n?|\n|\Z)"
_RULE = re.compile(rf"^[ \t]{{0,8}}(?:[-=_*~]{{3,200}}|</[\w:.-]{{1,40}}>){_LINE_END}", re.MULTILINE)
# Latin, Greek, Arabic, full-width, Armenian, Ethiopic; not the one of a URL.
_ASKS = re.compile("[?\u037e\u061f\uff1f\u055e\u1367](?![\\w/&=])")
_SENTENCE = re.compile(r"[\w\"'\u00ab\u201c\u00bf\u00a1(*]")

_LONGEST_RULE = 300

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """Characters `start` to `end` of prompt text `source`, the blank lines after it included."""

    source: int
    start: int
    end: int
    text: str


def cut(texts: Sequence[PromptText], count: Count) -> tuple[Segment, ...]:
    """Cut a request's texts into segments.

    Args:
        texts: all texts of a request, in the order of its body.
        count: tokens of a text, as the target model counts them.
    Returns: in the order of the texts; those of one text concatenate to it exactly. An empty
        text has no segment.
    """
    segments: list[Segment] = []
    numbered = enumerate(texts)
    for _, group in groupby(numbered, key=lambda pair: (pair[1].message, pair[1].role)):
        message = list(group)
        role = message[0][1].role
        if role == "user":
            segments += _user(message, count)
        else:
            # A role that we do not know may instruct; instructions are kept.
            kind = _ROLES.get(role, Kind.INSTRUCTION)
            segments += (
                _segment(text, source, (0, len(text.text)), kind, count)
                for source, text in message
                if text.text
            )
    return tuple(segments)


def _user(message: Sequence[tuple[int, PromptText]], count: Count) -> Iterator[Segment]:
    """Cut one user message; its parts are read as one text that goes on."""
    parts = (part for source, text in message for part in _paragraphs(source, text.text))
    paragraphs = _last_line_apart(list(parts), count)
    texts = dict(message)
    asked = _asked(paragraphs, count)
    kinds = (Kind.QUESTION if number in asked else Kind.CONTEXT for number in range(len(paragraphs)))
    pairs = zip(paragraphs, kinds, strict=True)
    for (source, kind), group in groupby(pairs, key=lambda pair: (pair[0].source, pair[1])):
        run = [paragraph for paragraph, _ in group]
        yield _segment(texts[source], source, (run[0].start, run[-1].end), kind, count)


def _segment(text: PromptText, source: int, span: tuple[int, int], kind: Kind, count: Count) -> Segment:
    start, end = span
    piece = text.text[start:end]
    return Segment(source, start, end, kind, text.role, piece, count(piece), text.message)


def _asked(paragraphs: Sequence[_Paragraph], count: Count) -> frozenset[int]:
    """Return the indices of a user message's paragraphs that are its question."""
    everything = frozenset(range(len(paragraphs)))
    whole = "".join(paragraph.text for paragraph in paragraphs)
    if len(paragraphs) < 2 or _fits(whole, SHORT_MESSAGE_TOKENS, count):
        return everything
    last = _closing(paragraphs, count)
    opening = _opening(paragraphs, count, QUESTION_TOKENS if not last else OPENING_TOKENS)
    return frozenset(last | opening) or everything


def _opening(paragraphs: Sequence[_Paragraph], count: Count, limit: int) -> set[int]:
    """Return the first paragraphs that ask or say how to answer.

    Those are all before the mark where the material begins, if they are few; without a mark, the
    first if it has at most `limit` tokens, or asks.
    """
    head = ""
    for number, paragraph in enumerate(paragraphs[:OPENING_PARAGRAPHS]):
        marked = _MATERIAL.match(paragraph.text.lstrip()) or _is_closed(head)
        if marked and number and _fits(head, SHORT_MESSAGE_TOKENS, count):
            return set(range(number))
        head += paragraph.text
    first = paragraphs[0].text
    return {0} if _fits(first, QUESTION_TOKENS if _asks(first) else limit, count) else set()


def _closing(paragraphs: Sequence[_Paragraph], count: Count) -> set[int]:
    """Return the last paragraphs that ask; none where the message ends in material.

    Below a question, what asks nothing is material unless it is as short as an opening.
    """
    limit = OPENING_TOKENS if _asks_shortly(paragraphs[0].text, count) else QUESTION_TOKENS
    chosen: set[int] = set()
    text = ""
    end = len(paragraphs)
    for number in range(end - 1, max(-1, end - 1 - CLOSING_PARAGRAPHS), -1):
        text = paragraphs[number].text + text
        asks = _asks(text)
        if not _fits(text, QUESTION_TOKENS if asks else limit, count):
            break
        chosen.add(number)
        if asks or not _fits(text, CLOSING_TOKENS, count):
            break
    return chosen | _after_material(paragraphs, count)


def _after_material(paragraphs: Sequence[_Paragraph], count: Count) -> set[int]:
    """Return the last paragraphs if they follow a line that closes the material, and are short."""
    end = len(paragraphs)
    for number in range(end - 1, max(0, end - 1 - CLOSING_PARAGRAPHS), -1):
        if _is_closed(paragraphs[number - 1].text):
            text = "".join(paragraph.text for paragraph in paragraphs[number:])
            return set(range(number, end)) if _fits(text, QUESTION_TOKENS, count) else set()
    return set()


def _is_closed(text: str) -> bool:
    """Whether a text's last line is a line of dashes, the end of a fence, or a closing tag."""
    lines = text[-_LONGEST_RULE:].rstrip().splitlines()
    return bool(lines and _RULE.fullmatch(lines[-1]))


def _asks_shortly(text: str, count: Count) -> bool:
    return _asks(text) and _fits(text, QUESTION_TOKENS, count)


def _asks(text: str) -> bool:
    """Whether a paragraph says of itself that it is a question."""
    return bool(_QUESTION.match(text.lstrip()) or _ASKS.search(text))


def _fits(text: str, limit: int, count: Count) -> bool:
    stripped = text.strip()
    return len(stripped) <= limit * _CHARACTERS_PER_TOKEN and count(stripped) <= limit


def _last_line_apart(paragraphs: list[_Paragraph], count: Count) -> list[_Paragraph]:
    """Part the last line of a message from a long paragraph: the question may stand there.

    Where the message opens with a question, a last line that asks nothing is material. So is one
    that begins like markup or JSON, which would be broken by the cut.
    """
    if not paragraphs or _fits(paragraphs[-1].text, QUESTION_TOKENS, count):
        return paragraphs
    *before, last = paragraphs
    body = last.text.rstrip()
    cut_at = max(body.rfind("\n"), body.rfind("\r")) + 1
    line = last.text[cut_at:]
    opening_asks = bool(before) and _asks_shortly(before[0].text, count)
    if not cut_at or not _SENTENCE.match(line.lstrip()) or (opening_asks and not _asks(line)):
        return paragraphs
    middle = last.start + cut_at
    rest = _Paragraph(last.source, last.start, middle, last.text[:cut_at])
    return [*before, rest, _Paragraph(last.source, middle, last.end, line)]


def _paragraphs(source: int, text: str) -> Iterator[_Paragraph]:
    """Cut a text into paragraphs that concatenate to it; blank lines go with what precedes."""
    start = 0
    for end in (*_starts(text), len(text)):
        if text[start:end].strip() or (end == len(text) and start < end):
            yield _Paragraph(source, start, end, text[start:end])
            start = end


def _starts(text: str) -> list[int]:
    """Return where paragraphs begin: after empty lines and fenced code, and at "Question:" and the like.

    Fenced code is never cut. A fence that is not closed is none, lest it hide a question.
    """
    fences = list(_fences(text))
    marks = [match.end() for match in _GAP.finditer(text)]
    marks += [match.end() for match in _RULE.finditer(text)]
    marks += [match.start() for mark in (_QUESTION, _MATERIAL) for match in mark.finditer(text)]
    ends = [end for _, end in fences]
    openings = [start for start, _ in fences]
    outside = (at for at in marks if not _within(at, openings, ends))
    return sorted({*outside, *ends} - {0, len(text)})


def _within(at: int, openings: Sequence[int], ends: Sequence[int]) -> bool:
    number = bisect_left(openings, at) - 1
    return number >= 0 and at < ends[number]


def _fences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of fenced code, fences and the last one's line end included."""
    opened: re.Match[str] | None = None
    for mark in _FENCE.finditer(text):
        if opened is None:
            opened = mark
        elif mark[1] == opened[1]:
            yield opened.start(), mark.end()
            opened = None
