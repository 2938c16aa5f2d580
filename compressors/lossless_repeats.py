"""Repeated lines and blocks become references to where they stood first, and back.

`[same as lines 3-40 above]` stands for lines 3 to 40 of the text as it is sent, counted from 1; they
are lines as they were, never references. `restore` gives the original, exactly. This module owns
what a reference looks like and when one pays; whether it may be used at all a policy says. Time is
linear in the text's length.
"""

import re

_REFERENCE = re.compile(r"\[same as (?:line (?P<only>\d+)|lines (?P<first>\d+)-(?P<last>\d+)) above\]")
# So many lines make a block that may be worth a reference, and so many characters, or one long line.
_LINES = 3
_CHARACTERS = 80
_LONG_LINE = 120


def fold(text: str) -> str:
    """Return a text with references in place of repeated blocks of lines.

    A block is three lines or more with 80 characters, or one line of 120. Of several places where a
    block stood, the first is named. A text with a line that looks like a reference stays as it is:
    `restore` could not tell it from ours.
    """
    lines = text.split("\n")
    if any(_REFERENCE.fullmatch(line) for line in lines):
        return text
    folding = _Folding(lines)
    at = 0
    while at < len(lines):
        source, count = folding.match(at)
        if count:
            folding.refer(source, count)
        else:
            folding.copy(at)
        at += count or 1
    return "\n".join(folding.sent)


def restore(text: str) -> str:
    """Return the text that `fold` was given.

    Raises: ValueError if a reference names lines that do not stand above it.
    """
    lines = text.split("\n")
    result: list[str] = []
    for at, line in enumerate(lines):
        found = _REFERENCE.fullmatch(line)
        if found is None:
            result.append(line)
            continue
        first = int(found["only"] or found["first"])
        last = int(found["only"] or found["last"])
        if not 0 < first <= last <= at:
            raise ValueError(f"line {at + 1} refers to lines {first}-{last}, which do not stand above it")
        result += lines[first - 1 : last]
    return "\n".join(result)


class _Folding:
    """What has been sent so far, and where its lines and triples of lines stood first."""

    def __init__(self, lines: list[str]) -> None:
        self.sent: list[str] = []
        self._lines = lines
        self._literal: list[bool] = []
        self._long: dict[str, int] = {}
        self._triples: dict[tuple[str, ...], int] = {}

    def copy(self, at: int) -> None:
        """Send line `at` as it is."""
        self.sent.append(self._lines[at])
        self._literal.append(True)
        here = len(self.sent) - 1
        if len(self._lines[at]) >= _LONG_LINE:
            self._long.setdefault(self._lines[at], here)
        if all(self._literal[-_LINES:]) and here + 1 >= _LINES:
            self._triples.setdefault(tuple(self.sent[-_LINES:]), here + 1 - _LINES)

    def refer(self, source: int, count: int) -> None:
        """Send a reference to `count` lines sent from `source` on."""
        self.sent.append(_reference(source, count))
        self._literal.append(False)

    def match(self, at: int) -> tuple[int, int]:
        """Return where lines from `at` on were sent before, and how many; (0, 0) if none are worth it."""
        line = self._lines[at]
        triple = tuple(self._lines[at : at + _LINES])
        source = self._long.get(line, self._triples.get(triple, -1))
        if source < 0:
            return 0, 0
        count = 0
        while (
            source + count < len(self.sent)
            and at + count < len(self._lines)
            and self._literal[source + count]
            and self.sent[source + count] == self._lines[at + count]
        ):
            count += 1
        size = sum(map(len, self._lines[at : at + count])) + count - 1
        pays = size > len(_reference(source, count)) and (
            (count >= _LINES and size >= _CHARACTERS) or len(line) >= _LONG_LINE
        )
        return (source, count) if pays else (0, 0)


def _reference(source: int, count: int) -> str:
    first, last = source + 1, source + count
    return f"[same as line {first} above]" if count == 1 else f"[same as lines {first}-{last} above]"
