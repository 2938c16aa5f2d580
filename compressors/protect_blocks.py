"""Protected blocks: code, JSON, YAML, dense markup, tables, headings, list markers.

Each finder yields character ranges of things that mean nothing, or something else, when a part of
them is missing. Time is linear in the text's length: patterns are possessive and lines are read
once. Where a block could be prose as well (a dialogue looks like YAML, a tagged document like
XML), it is prose: whoever compresses prose wants it found.
"""

import json
import re
from collections.abc import Iterator

Range = tuple[int, int]

_FENCE = re.compile(r"^[ \t]{0,3}(?P<mark>```+|~~~+)[^\n]*$", re.MULTILINE)
# What follows the bracket must look like JSON; a log's `[12:30] ...` costs no attempt. Within a line
# only what nothing else looks like: `[1, 2]` is a citation there, `{}` a placeholder.
_JSON_LINE = re.compile(
    r"^[ \t]{0,8}(?P<open>\{\s*+[\"}]|\[\s*+(?:[\[{\"\]]|-?\d[\d.eE+-]*+\s*+[,\]]|true|false|null))"
    r"|(?P<within>\{\s*+\"[^\"\n]{0,200}+\"\s*+:|\[\s*+\{\s*+\")",
    re.MULTILINE,
)
# An integer of many digits is slow to read, and its value is of no interest here.
_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_JSON_BUDGET = 8
_JSON_DEEP = 10_000

_LINE = re.compile(r"[^\n]*+\n?")
_YAML_LINE = re.compile(
    r"(?P<indent> *+)(?:(?:- +)*+(?P<key>[\w.\"'/$-]{1,80}+):(?P<value>[ \t]+\S[^\n]*+)?|- +\S[^\n]*+)\s*"
)
_YAML_COMMENT = re.compile(r"\s*+(?:#[^\n]*+)?\s*")
_TAG = re.compile(r"</?[A-Za-z][\w:.-]{0,60}+(?:\s[^<>]{0,2000})?/?>|<!--[^<>]{0,2000}-->")
_TAGS_OF_DATA = 6
_TEXT_BETWEEN_TAGS = 60
_TABLE_RULE = re.compile(r"[ \t]*+\|?[ \t]*+:?-{2,}+:?[ \t]*+(?:\|[ \t]*+:?-{2,}+:?[ \t]*+)*+\|?\s*")
_HEADING = re.compile(r"^#{1,6}[ \t]+[^\n]+$|^[^\s\n][^\n]{0,120}\n(?:={3,}|-{3,})[ \t]*$", re.MULTILINE)
_LIST_MARKER = re.compile(
    r"^[ \t]*+(?:[-*+•‣◦]|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,5})[.)])(?=[ \t])", re.MULTILINE
)


def find_fences(text: str) -> Iterator[Range]:
    """Yield fenced code, fences included (CommonMark); an open fence runs to the end."""
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence["mark"].startswith(opened["mark"]) and fence[0].strip() == fence["mark"]:
            yield opened.start("mark"), fence.end("mark")
            opened = None
    if opened is not None:
        yield opened.start("mark"), len(text)


def find_json(text: str) -> Iterator[Range]:
    """Yield JSON objects and arrays that begin a line, and within lines those that hold pairs.

    What cannot be read costs its length; when failures have cost eight times the text, the rest
    is yielded as one span, so that hostile input is kept rather than cut or studied.
    """
    budget, done = _JSON_BUDGET * len(text) + _JSON_DEEP, 0
    for line in _JSON_LINE.finditer(text):
        start = max(line.start("open"), line.start("within"))
        if start < done:
            continue
        try:
            _, done = _JSON.raw_decode(text, start)
            yield start, done
        except json.JSONDecodeError as error:
            # Making the error counts the lines before it, some 64 times faster than decoding.
            budget -= error.pos - start + error.pos // 64
        except RecursionError:
            budget -= _JSON_DEEP
        if budget < 0:
            yield start, len(text)
            return


def find_yaml(text: str) -> Iterator[Range]:
    """Yield runs of lines that can only be YAML: keys and items, one of them with a nested block."""
    start, indent, nested, end = -1, -1, False, 0
    opens = False
    for line in _LINE.finditer(text):
        found = _YAML_LINE.fullmatch(line[0]) if line[0].strip() else None
        if found is None:
            if start >= 0 and line[0] and _YAML_COMMENT.fullmatch(line[0]):
                continue
            if nested:
                yield start, end
            start, nested, opens = -1, False, False
            continue
        deeper = len(found["indent"]) > indent or line[0].lstrip().startswith("- ")
        nested = nested or (opens and deeper)
        start = line.start() if start < 0 else start
        indent, end = len(found["indent"]), line.start() + len(line[0].rstrip())
        opens = found["key"] is not None and found["value"] is None


def find_markup(text: str) -> Iterator[Range]:
    """Yield runs of tags with little text between them: data or layout, not a document in tags."""
    first, last, tags = 0, -1, 0
    for tag in _TAG.finditer(text):
        if last >= 0 and tag.start() - last > _TEXT_BETWEEN_TAGS:
            if tags >= _TAGS_OF_DATA:
                yield first, last
            last, tags = -1, 0
        if last < 0:
            first = tag.start()
        last, tags = tag.end(), tags + 1
    if tags >= _TAGS_OF_DATA:
        yield first, last


def find_tables(text: str) -> Iterator[Range]:
    """Yield tables: Markdown's, and lines of at least three columns that bars or tabs part."""
    start, end, rows, columns = -1, 0, 0, 0
    for line in _LINE.finditer(text):
        found = _columns(line[0])
        ruled = rows > 0 and _TABLE_RULE.fullmatch(line[0]) is not None and "-" in line[0]
        if rows and (found == columns or ruled):
            rows += 1
        else:
            if rows >= 2:
                yield start, end
            start, rows, columns = line.start(), int(found > 1), found
        end = line.start() + len(line[0].rstrip()) if rows else end
    if rows >= 2:
        yield start, end


def find_headings(text: str) -> Iterator[Range]:
    """Yield Markdown headings, underlined ones with their line."""
    return (match.span() for match in _HEADING.finditer(text))


def find_list_markers(text: str) -> Iterator[Range]:
    """Yield bullets and numbers at the beginning of lines."""
    return (match.span() for match in _LIST_MARKER.finditer(text))


def _columns(line: str) -> int:
    """Return how many columns a line has if it looks like a table's row, else 0."""
    stripped = line.strip()
    if bars := stripped.count("|"):
        framed = stripped.startswith("|") and stripped.endswith("|") and bars > 1
        return bars - 1 if framed else (bars + 1 if bars > 1 else 0)
    tabs = stripped.count("\t")
    return tabs + 1 if tabs > 1 else 0
