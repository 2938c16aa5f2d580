"""Which line ends are mere wrapping, so that the sentence goes on in the next line.

This module owns the question "does the next line continue this one?" for hard-wrapped prose
(letters, READMEs, old books, text taken out of PDFs). It knows no end marks: whether a sentence
ends within a line is for `elision.compressors.units` to say. Each line is looked at a fixed number
of times, so time is linear in the text's length. Where a text may be structured, a line end stays.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

# Columns. Prose is wrapped at 60 to 90; lists, verse, addresses and CJK verse stay below 40.
_MIN_WIDTH = 40
# Verse in long lines seldom has as many columns, and its lines too end in "and".
_PROSE_WIDTH = 60
# By so many columns a script that breaks lines anywhere misses its margin, to keep marks together.
_LOOSE = 4
_WIDE = 2

# How a row begins: heading, quote, table, code, log. Nothing continues it, and it continues nothing.
_ROW_OPENS = r"""\#{1,6}\s | [>|@\[{}<] | \$\s | ``` | // | /\* | from\ [\w.]++\ import\b
  | \d{4}[-/.]\d | \d{1,2}[:/]\d\d | \d{1,2}\.\d{1,2}\.\d\d | [A-Z][a-z]{2}\ +\d{1,2}\ \d\d:
  | (?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\b"""
# What shows within a line that it is a row: columns, assignments, calls (but "file(s)" is prose).
_ROW_HAS = r"\S(?:\t|\ {3}|\ \|\ )|[{}]\Z|\ [-+*/:!=]?=\ |==|->|=>|::|</|\w\((?!s\))"
_ROW = re.compile(rf"\A(?:{_ROW_OPENS}) | {_ROW_HAS}", re.VERBOSE)
# How else lines begin that continue nothing: list item, rule, `key: value`, `NAME:`.
_FRESH = re.compile(
    r"""[-*+•‣◦▪–—]\s | [(\[]?(?:\d{1,3}|[A-Za-z]|[ivxlIVXL]{1,6})[.)\]]\s | [^\w\s]{3,}+\Z
      | [\w.\-]++\ ?[:=](?:\s|\Z) | \w{1,8}+：
      | [^\W\d_a-z][\w.'’\-]*+(?:\ (?=[(]|[^\W_a-z])[\w.'’()\-]++){1,6}:(?:\s|\Z)""",
    re.VERBOSE,
)
# English words that nothing ends with.
_LEADING = frozenset(
    {"a", "an", "the", "this", "these", "those", "my", "your", "his", "its", "our", "their", "every"}
    | {"of", "in", "at", "by", "to", "for", "from", "with", "and", "or", "but"}
)
_LAST_WORD = re.compile(r"[^\W\d_]+\Z")
_FIRST_LETTER = re.compile(r"[^\W\d_]")
_FIRST_WORD = re.compile(r"\S+")


class _Line(NamedTuple):
    """What is asked of one line.

    Attributes:
        width: columns, without the whitespace after it; 0 if blank.
        indent: characters of whitespace before it.
        need: columns that its first word, a space included, would have taken in the line before.
        letter: the first letter, where one stands near the beginning, or "".
        end: the last characters.
        row: it is a row of something, or code.
        fresh: it begins as lines do that continue nothing.
    """

    width: int
    indent: int
    need: int
    letter: str
    end: str
    row: bool
    fresh: bool


_BLANK = _Line(0, 0, 0, "", "", False, False)


def unwrapped(text: str) -> str:
    """Return the text, as long as it was, with a space for each line end that is mere wrapping.

    A line end is wrapping where all of this holds:

    1. the line has 40 columns or more (a CJK sign has two) and no colon at its end, and a next
       line follows at once;
    2. neither line looks like a row: table, heading, quote, log, code; and the next does not begin
       like a list item, a `key: value`, a speaker's `NAME:`, a date, nor is it indented deeper,
       unless below a list item;
    3. the next line begins in lower case; or the line has 60 columns and ends in an English word
       such as "the" or "of"; or the next word would not have fitted in the lines around, and
       these are prose: of the five nearest line ends one goes on in lower case or, in a script
       that has no case, the lines beside are filled as well.
    """
    lines = text.replace("\r", " ").split("\n")
    known = [_line(line) for line in lines]
    opens = [_may_continue(a, b) for a, b in pairwise(known)]
    lower = [ok and b.letter.islower() for ok, b in zip(opens, known[1:], strict=False)]
    full = [_is_filled(known, at) for at in range(len(opens))]
    parts = [lines[0]]
    for at, line in enumerate(lines[1:]):
        wraps = opens[at] and (
            lower[at] or _leads(known[at]) or (full[at] and _is_prose(known, lower, full, at))
        )
        parts.append(" " if wraps else "\n")
        parts.append(line)
    return "".join(parts)


def _line(raw: str) -> _Line:
    bare = raw.strip()
    if not bare:
        return _BLANK
    indent = len(raw) - len(raw.lstrip())
    word = _FIRST_WORD.match(bare)
    need = _WIDE if _is_wide(bare[0]) or not word else 1 + _width(word[0])
    letter = _FIRST_LETTER.search(bare[:8])
    return _Line(
        width=indent + _width(bare),
        indent=indent,
        need=need,
        letter=letter[0] if letter else "",
        end=bare[-8:],
        row=bool(_ROW.search(bare)),
        fresh=bool(_FRESH.match(bare)),
    )


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(text) + sum(map(_is_wide, text))


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _may_continue(line: _Line, following: _Line) -> bool:
    """Whether rules 1 and 2 hold."""
    if line.width < _MIN_WIDTH or not following.width or line.end.endswith((":", "：")):
        return False
    # A hanging indent is a list item's; else what is indented is code, or a new paragraph.
    if following.indent > line.indent and not (line.fresh and following.letter.islower()):
        return False
    return not (line.row or following.row or following.fresh)


def _leads(line: _Line) -> bool:
    word = _LAST_WORD.search(line.end)
    return line.width >= _PROSE_WIDTH and word is not None and word[0] in _LEADING


def _is_filled(known: Sequence[_Line], at: int) -> bool:
    """Whether the next line's first word found no room, by the width of the lines around."""
    line, following = known[at], known[at + 1]
    around = max(one.width for one in known[max(0, at - 1) : at + 2])
    loose = _LOOSE if following.need == _WIDE else 0
    return line.width + following.need + loose > around


def _is_prose(known: Sequence[_Line], lower: Sequence[bool], full: Sequence[bool], at: int) -> bool:
    """Whether the line ends near one are those of prose, though the next line begins no lower case."""
    letter = known[at + 1].letter
    if not letter or letter.lower() != letter.upper():
        return any(lower[max(0, at - 2) : at + 3])
    beside = [other for other in (at - 1, at + 1) if 0 <= other < len(full)]
    # A line that ends in a mark, or before a blank one, may end a paragraph and be short.
    return all(full[i] or not known[i].end[-1:].isalnum() or not known[i + 1].width for i in beside)
