"""Shortening without loss: JSON without its layout, text without whitespace that says nothing.

JSON that is the whole text, or a fenced block, loses the whitespace between its tokens; strings,
numbers, order and duplicate keys stay byte for byte, because nothing is parsed and written anew.
Outside code and indented blocks, lines lose trailing whitespace and runs of three or more blank
lines become one. This module owns what counts as no loss; rates and budgets are not its concern.
"""

import json
import re
from collections.abc import Iterator, Sequence

from elision.compressors.base import Outcome, Target
from elision.compressors.protect_blocks import find_fences
from elision.compressors.tokens import Counters

NAME = "lossless"
_VERSION = "1"
_JSON_PIECE = re.compile(r'"(?:[^"\\]++|\\.)*+"|[ \t\n\r]++')
_FENCE = re.compile(
    r"(?P<head>(?:```+|~~~+)[ \t]*(?:json)?[ \t]*\r?\n)(?P<body>.*\n)(?P<tail>(?:```+|~~~+)[ \t]*)",
    re.DOTALL | re.IGNORECASE,
)
_PRE = re.compile(r"<pre\b.*?</pre>", re.DOTALL | re.IGNORECASE)
_BLANK_RUN = 3


class Lossless:
    """The compressor; targets' rates are not looked at."""

    def __init__(self, counters: Counters) -> None:
        """Take counters that count as the target's model does."""
        self._counters = counters

    @property
    def fingerprint(self) -> str:
        return f"{NAME}/{_VERSION}"

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Return each text without what says nothing; "not_shorter" where that saves no token."""
        return [self._compress(text, target) for text, target in zip(texts, targets, strict=True)]

    def _compress(self, text: str, target: Target) -> Outcome:
        counter = self._counters.counter_for(target.model)
        before = counter.count(text)
        shorter = squeeze(text)
        after = counter.count(shorter) if shorter != text else before
        if after >= before:
            return Outcome(text, before, before, (), NAME, self.fingerprint, "not_shorter")
        return Outcome(shorter, before, after, (), NAME, self.fingerprint)


def squeeze(text: str) -> str:
    """Return a text without layout that says nothing; whitespace at its edges stays as it is."""
    inner = text.strip()
    whole = minify_json(inner)
    if whole is not None:
        return text.replace(inner, whole, 1)
    start = len(text) - len(text.lstrip())
    return text[:start] + "".join(_squeezed(inner)) + text[start + len(inner) :]


def minify_json(text: str) -> str | None:
    """Return a JSON object or array without whitespace between tokens; None if it is not one."""
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return None
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return _JSON_PIECE.sub(lambda piece: piece[0] if piece[0][0] == '"' else "", text)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _squeezed(text: str) -> Iterator[str]:
    done = 0
    for start, end in find_fences(text):
        yield _squeezed_prose(text[done:start])
        yield _squeezed_fence(text[start:end])
        done = end
    yield _squeezed_prose(text[done:])


def _squeezed_fence(block: str) -> str:
    fence = _FENCE.fullmatch(block)
    short = minify_json(fence["body"].strip()) if fence else None
    return f"{fence['head']}{short}\n{fence['tail']}" if fence and short else block


def _squeezed_prose(text: str) -> str:
    if "<pre" in text or "<PRE" in text:
        return text
    lines: list[str] = []
    blank: list[str] = []
    for line in text.split("\n"):
        short = line if _is_indented(line) else line.rstrip(" \t")
        if not short.strip():
            blank.append(short)
            continue
        lines += _squeezed_blanks(blank, lines, short)
        blank = []
        lines.append(short)
    return "\n".join([*lines, *blank])


def _squeezed_blanks(blank: list[str], before: list[str], after: str) -> list[str]:
    in_block = _is_indented(after) and bool(before) and _is_indented(before[-1])
    return blank if in_block or len(blank) < _BLANK_RUN else [blank[0].strip(" \t")]


def _is_indented(line: str) -> bool:
    """Whether a line is preformatted by its indentation (CommonMark: four spaces, or a tab)."""
    return line.startswith(("    ", "\t"))
