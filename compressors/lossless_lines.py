"""Whitespace of prose that says nothing, and where it says something after all.

Taken out: blanks at line ends, runs of three or more blank lines but one, runs of spaces between
words but one. Left alone: indentation, code, what is quoted, tables and whatever stands in columns, the two
spaces that break a line in Markdown, and everything within `pre`. This module owns those rules; it is given
prose without fenced code. Time is linear in the text's length.
"""

import re
from collections.abc import Sequence

from elision.compressors.protect import find_spans

_BLANK_RUN = 3
_PRE = re.compile(r"<pre\b", re.IGNORECASE)
# Between words and marks of prose, whatever script; `x  =  1` and `a  # b` are none.
_GAP = re.compile(r"(?<=[^\s=<>|{}\\/+*#~`^&@$-]) {2,}(?=[^\s=<>|{}\\/+*#~`^&@$-])")
# A line with one of these may be code or a row of something.
_NOT_PROSE = re.compile(r"[\t|={};]|->|::|//|\w\(\)")
_KEPT_WHOLE = ("inline_code", "json", "yaml", "markup", "tables", "latex", "urls")
_WIDE_GAP = 3
# A string's spaces may be meant.
_QUOTED = re.compile(r"\"[^\"\n]*+\"|(?<!\w)'[^'\n]*+'(?!\w)")
_SIGN = re.compile(r"[^\n]")


def squeeze_lines(text: str) -> str:
    """Return prose without whitespace that says nothing."""
    if _PRE.search(text):
        return text
    return _squeezed_blanks(_squeezed_gaps(text))


def _squeezed_gaps(text: str) -> str:
    """Make one space of runs of spaces between words of prose."""
    if "  " not in text:
        return text
    lines, shown = text.split("\n"), _veiled(text).split("\n")
    gaps = [[gap.span() for gap in _GAP.finditer(line)] for line in shown]
    ends = [frozenset(end for _, end in line) for line in gaps]
    for i, line in enumerate(lines):
        if gaps[i] and _is_prose(shown[i], gaps[i]) and not _stands_in_columns(ends, i):
            lines[i] = _closed(line, gaps[i])
    return "\n".join(lines)


def _veiled(text: str) -> str:
    """Return the text, as long as it was, with letters for what is to be kept whole."""
    parts, done = [], 0
    for span in find_spans(text, _KEPT_WHOLE):
        parts += [text[done : span.start], _SIGN.sub("x", text[span.start : span.end])]
        done = span.end
    return _QUOTED.sub(lambda quoted: "x" * len(quoted[0]), "".join((*parts, text[done:])))


def _is_prose(line: str, gaps: Sequence[tuple[int, int]]) -> bool:
    wide = sum(end - start >= _WIDE_GAP for start, end in gaps)
    return wide < 2 and not _is_indented(line) and _NOT_PROSE.search(line) is None


def _stands_in_columns(ends: Sequence[frozenset[int]], i: int) -> bool:
    """Whether a gap ends at the same column in a line next to this one."""
    beside = [ends[at] for at in (i - 1, i + 1) if 0 <= at < len(ends)]
    return any(not ends[i].isdisjoint(other) for other in beside)


def _closed(line: str, gaps: Sequence[tuple[int, int]]) -> str:
    parts, done = [], 0
    for start, end in gaps:
        parts.append(line[done : start + 1])
        done = end
    return "".join((*parts, line[done:]))


def _squeezed_blanks(text: str) -> str:
    """Take blanks off line ends, and make one of runs of blank lines."""
    lines: list[str] = []
    blank: list[str] = []
    given = text.split("\n")
    for i, line in enumerate(given):
        following = given[i + 1] if i + 1 < len(given) else ""
        short = line if _is_indented(line) else line.rstrip(" \t")
        if not short.strip():
            blank.append(short)
            continue
        if line.endswith("  ") and short is not line and following.strip():
            # Markdown: two spaces, however many more, break the line.
            short += "  "
        lines += _few(blank, lines, short)
        blank = []
        lines.append(short)
    return "\n".join([*lines, *blank])


def _few(blank: list[str], before: list[str], after: str) -> list[str]:
    in_block = _is_indented(after) and bool(before) and _is_indented(before[-1])
    return blank if in_block or len(blank) < _BLANK_RUN else [blank[0].strip(" \t")]


def _is_indented(line: str) -> bool:
    """Whether a line is preformatted by its indentation (CommonMark: four spaces, or a tab)."""
    return line.startswith(("    ", "\t"))
