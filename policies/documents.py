"""Whole documents within material: where each begins and ends, so that one may be left out.

Pure, and linear in the text's length. Documents are known by tags, by numbered or repeated heads
("Document 3:", "[3] Title", "Source: ..."), or by lines of dashes between them. What is not plainly
one of several is part of none, and so is what stands before the first: a heading, a wrapper's tag.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from elision.policies.cues import DOCUMENT_TAGS
from elision.policies.outline import Line, Outline, size

HEADING_TOKENS = 60
"""More than this before the first head, and the heads are a part of one document, not its borders."""
ITEM_TOKENS = 40
"""Shorter items of a numbered list, on average, are a list's, not documents."""

Span = tuple[int, int]

_TAG = re.compile(rf"<(?P<close>/?)(?P<name>{'|'.join(sorted(DOCUMENT_TAGS))})(?:\s[^<>]{{0,300}})?>")
_NAMES = (
    "document|doc|passage|source|chunk|result|excerpt|snippet|article|paper|reference|context|hit|evidence"
    "|dokument|quelle|abschnitt|документ|источник|фрагмент|documento|fuente|fragmento|extrait|fonte"
    "|文档|文件|资料|片段|来源|段落|文書|資料|出典|문서|مستند|وثيقة|المستند|الوثيقة|مصدر"
)
_LABELS = (
    "source|document|doc|title|file|filename|file_path|path|url|link|passage|article|page_label|subject|from"
    "|quelle|titel|источник|документ|fuente|título|titre|来源|标题|文档|出典|タイトル|المصدر|العنوان"
)
_HEAD = re.compile(
    r"[ \t]{0,8}+[\#>*_]{0,6}+[ \t]?[*_]{0,3}+(?:"
    rf"[\[(【<]?(?:search |retrieved )?(?:{_NAMES})s?[ _-]?(?:no\.|nr\.|id|n°)?[ :]?[\#\[(]{{0,2}}"
    r"(?P<number>\d{1,4})(?!\w)"
    r"|\[(?P<reference>\d{1,4})\](?=[ \t:(\n])"
    r"|(?P<item>\d{1,3})[.)][ \t]"
    rf"|[\[【]?(?P<label>{_LABELS})[*_]{{0,3}}[ ]?[:：]"
    r"|(?P<rule>[-=*_~]{3,200}+)[ \t]*+(?=\n|\Z)"
    r")",
    re.IGNORECASE,
)
# A line that closes the material as a whole, and belongs to none of its documents.
_CLOSING = re.compile(r"</[\w:.-]{1,40}>|[-=_*~]{3,200}|```|~~~")
_BLANKS = re.compile(r"\s*+")
_CLOSING_LINES = 4
_LONGEST_BLANK = 200
_OPENING = re.compile(
    r"[-=*_~]{3,200}|<[\w:.-]{1,40}>|[^\n]{0,80}[:：]|【[^\n】]{1,40}】|\#{1,6} [^\n]{1,80}"
)


class _Heads:
    """Where lines of a text begin that may head a document, by how they do."""

    def __init__(self, text: str, lines: Sequence[Line], offset: int) -> None:
        self.text = text
        self.numbers: list[tuple[int, int]] = []
        self.references: list[tuple[int, int]] = []
        self.items: list[tuple[int, int]] = []
        self.labels: dict[str, list[int]] = {}
        self.rules: list[Span] = []
        for line in lines:
            match = _HEAD.match(text, line.start - offset)
            if match:
                self._add(match)

    def _add(self, match: re.Match[str]) -> None:
        at, group = match.start(), match.lastgroup or ""
        if group == "rule":
            self.rules.append((at, match.end()))
        elif group == "label":
            self.labels.setdefault(match[group].casefold(), []).append(at)
        else:
            own = {"number": self.numbers, "reference": self.references, "item": self.items}[group]
            own.append((at, int(match[group])))


def documents(read: Outline, start: int, end: int) -> tuple[Span, ...]:
    """Find the whole documents in a part of a text.

    Returns: ascending and disjoint ranges relative to `start`, each with the empty lines and rules
        after it; () where there are fewer than two.
    """
    text = read.text[start:end]
    begin = text[:_LONGEST_BLANK].lstrip()[:2]
    if begin[:1] == "{" or (begin[:1] == "[" and not begin[1:2].isalnum()):
        return ()
    fences = _fences(read, start, end)
    tagged = _tagged(text, fences)
    if len(tagged) > 1:
        return tagged
    first, last = (bisect_left(read.lines, at, key=lambda line: line.start) for at in (start, end))
    if first == last:
        return ()
    heads = _Heads(text, read.lines[first:last], start)
    for find in (_numbered, _listed, _repeated, _ruled):
        starts = find(heads)
        if len(starts) > 1 and size(text[: starts[0]]) <= HEADING_TOKENS:
            return _from_starts(text, starts)
    return ()


def _fences(read: Outline, start: int, end: int) -> list[Span]:
    first, last = (bisect_left(read.fences, at, key=lambda fence: fence.start) for at in (start, end))
    return [(fence.start - start, fence.end - start) for fence in read.fences[first:last]]


def _tagged(text: str, fences: Sequence[Span]) -> tuple[Span, ...]:
    """Return what stands between document tags and their closes; () if one is not closed."""
    if "</" not in text:
        return ()
    found: list[Span] = []
    name, start = "", 0
    for tag in _TAG.finditer(text):
        if _is_within(tag.start(), fences):
            continue
        if not name and not tag["close"]:
            name, start = tag["name"], tag.start()
        elif tag["name"] == name and tag["close"]:
            found.append((start, _over_blanks(text, tag.end())))
            name = ""
        elif tag["name"] == name:
            return ()
    return tuple(found) if not name else ()


def _numbered(heads: _Heads) -> list[int]:
    """Return where heads with different numbers begin."""
    numbers = {number for _, number in heads.numbers}
    return [at for at, _ in heads.numbers] if len(numbers) == len(heads.numbers) else []


def _listed(heads: _Heads) -> list[int]:
    """Return where the items of a list of documents begin: numbered without a gap, and long."""
    references = _consecutive(heads.references)
    if len(references) > 1:
        return references
    items = _consecutive(heads.items)
    long = len(items) > 1 and size(heads.text[items[0] :]) / len(items) >= ITEM_TOKENS
    return items if long and _several_lines(heads.text, items) else []


def _consecutive(heads: Sequence[tuple[int, int]]) -> list[int]:
    follows = all(after[1] == before[1] + 1 for before, after in pairwise(heads))
    return [at for at, _ in heads] if heads and heads[0][1] <= 1 and follows else []


def _several_lines(text: str, starts: Sequence[int]) -> bool:
    ends = [*starts[1:], len(text)]
    return all(text.count("\n", start, end) > 1 for start, end in zip(starts[:-1], ends[:-1], strict=True))


def _repeated(heads: _Heads) -> list[int]:
    """Return where the first label stands that is repeated, each time after an empty line or rule."""
    for starts in sorted(heads.labels.values()):
        ends = {end + 1 for _, end in heads.rules}
        apart = [at for at in starts if at == starts[0] or at in ends or _after_empty_line(heads.text, at)]
        if len(starts) > 1 and len(apart) == len(starts):
            return starts
    return []


def _ruled(heads: _Heads) -> list[int]:
    """Return where chunks begin that are parted by rules; a rule that underlines a heading is none."""
    if not heads.rules:
        return []
    text = heads.text
    first, limit = _first_chunk(text), _end(text)
    ends = {end + 1 for start, end in heads.rules if _is_border(text, start)}
    inner = sorted(end for end in ends if first < end < limit)
    return [first, *inner] if inner else []


def _first_chunk(text: str) -> int:
    """Return where the first chunk begins: after opening lines that are rules, tags or headings only."""
    at = 0
    while (end := text.find("\n", at)) >= 0:
        line = text[at:end].strip()
        if line and not _OPENING.fullmatch(line):
            break
        at = end + 1
    return at


def _end(text: str) -> int:
    """Return where the last document ends: before the lines that close the material."""
    end = len(text)
    for _ in range(_CLOSING_LINES):
        body = len(text[:end].rstrip())
        start = text.rfind("\n", 0, body) + 1
        if not _CLOSING.fullmatch(text[start:body].strip()):
            break
        end = start
    return end


def _is_border(text: str, start: int) -> bool:
    """Whether a rule stands after an empty line or a line too long for a heading."""
    before = text.rfind("\n", 0, max(0, start - 1)) + 1
    line = text[before : max(0, start - 1)].strip()
    return not line or len(line) > HEADING_TOKENS


def _after_empty_line(text: str, at: int) -> bool:
    before = text.rfind("\n", 0, max(0, at - 1)) + 1
    return not text[before:at].strip()


def _from_starts(text: str, starts: Sequence[int]) -> tuple[Span, ...]:
    """Return the spans from each start to the next; the last ends before what closes the material."""
    end = _end(text)
    ends = [*starts[1:], end if end > starts[-1] else len(text)]
    return tuple(zip(starts, ends, strict=True))


def _over_blanks(text: str, at: int) -> int:
    """Return the place after the white space at `at`."""
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _is_within(at: int, fences: Sequence[Span]) -> bool:
    number = bisect_right(fences, at, key=lambda fence: fence[0]) - 1
    return number >= 0 and at < fences[number][1]
