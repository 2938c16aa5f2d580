"""Inline marks: what users write into a prompt about a part of it.

Pure, and linear in the text's length. Reads `<elision rate="0.4" method="lossless">...</elision>`,
`<elision off>...</elision>`, LLMLingua's `<llmlingua, rate=0.5, compress=False>...</llmlingua>`
(the vocabulary of its `structured_compress_prompt`) and Kong's `<LLMLINGUA>...</LLMLINGUA>`; names
in any case. It says where tags stand and what they ask; it takes nothing out and decides nothing.

A mark that is broken (not closed, an attribute or a value that is not known) is text, and so is a
tag in fenced or inline code. Marks nest: the innermost speaks for its part, alone, and what an
outer one says of a rate or a method does not reach into it.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from elision.policies.model import KEEP, Mark

# A mark is closed or it is none, so a text without such a close has no mark. Every text is searched
# for it: two plain letters turn most closing tags of markup away before any alternative is tried.
_CLOSE = re.compile(r"</[eElL][lL](?i:ision|mlingua)")
# Inline code is read over; it begins and ends in one line.
_TAG = re.compile(
    r"`[^`\n]*+`"
    r"|</(?P<close>(?i:elision|llmlingua))\s*+>"
    r"|<(?P<open>(?i:elision|llmlingua))(?P<words>(?:[\s,][^<>]{0,200}+)?)>"
)
_WORD = re.compile(
    r"""[\s,]++(?P<name>[A-Za-z]++)(?:\s*+=\s*+(?:"(?P<q>[^"]*+)"|'(?P<a>[^']*+)'|(?P<bare>[^\s,"'=]++)))?"""
)
_RATE = re.compile(r"(?P<number>(?:[0-9]{1,9}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}))(?P<percent>%?)")
_FENCE = re.compile(r"^[ \t]{0,3}(?P<mark>```++|~~~++)(?P<info>[^\n]*+)$", re.MULTILINE)
_TRUTH = MappingProxyType({"true": True, "false": False})

Range = tuple[int, int]
_Said = Mapping[str, str | None]
_Reader = Callable[[_Said, Collection[str], float], Mark | None]


@dataclass(frozen=True, slots=True)
class Marked:
    """What a text's inline marks say.

    Attributes:
        tags: character ranges of the tags themselves, ascending and disjoint; to be taken out.
        regions: ranges between tags with the mark in force there, ascending and disjoint; none is
            empty, and text outside all marks is in none.
    """

    tags: tuple[Range, ...] = ()
    regions: tuple[tuple[int, int, Mark], ...] = ()


def read_marks(text: str, methods: Collection[str], min_rate: float) -> Marked:
    """Find the inline marks of a text.

    Args:
        methods: names that `method` may have; `keep` is understood beside them.
        min_rate: a mark that asks to keep less gets this rate.
    """
    if not _CLOSE.search(text):
        return Marked()
    pairing = _Pairing()
    for tag in _tags(text):
        if tag["close"]:
            pairing.close(tag["close"].lower(), tag.span())
        else:
            mark = _mark(tag["open"].lower(), tag["words"], methods, min_rate)
            pairing.open(_Open(tag["open"].lower(), tag.span(), mark))
    return _marked(pairing.finish())


def _tags(text: str) -> Iterator[re.Match[str]]:
    """Yield the tags outside code, whether or not they make a mark."""
    fences = _fences(text)
    fence = next(fences, None)
    for found in _TAG.finditer(text):
        while fence and fence[1] <= found.start():
            fence = next(fences, None)
        inside = fence is not None and fence[0] <= found.start()
        if not inside and (found["open"] or found["close"]):
            yield found


def _fences(text: str) -> Iterator[Range]:
    """Yield the ranges of fenced code. A fence that is not closed is none, lest it hide a mark."""
    opened: re.Match[str] | None = None
    for line in _FENCE.finditer(text) if "```" in text or "~~~" in text else ():
        if opened is None:
            opened = line
        elif line["mark"].startswith(opened["mark"]) and not line["info"].strip():
            yield opened.start(), line.end()
            opened = None


def _mark(family: str, words: str, methods: Collection[str], min_rate: float) -> Mark | None:
    """Return what an opening tag's attributes ask for, None if they are broken."""
    said: dict[str, str | None] = {}
    at, end = 0, len(words.rstrip())
    while at < end:
        word = _WORD.match(words, at)
        if not word or word["name"].lower() in said:
            return None
        values = (word["q"], word["a"], word["bare"])
        said[word["name"].lower()] = next((value for value in values if value is not None), None)
        at = word.end()
    return _READERS[family](said, methods, min_rate)


def _elision(said: _Said, methods: Collection[str], min_rate: float) -> Mark | None:
    if not said.keys() <= {"rate", "method", "off"}:
        return None
    off = _TRUTH.get((said["off"] or "true").lower()) if "off" in said else False
    method = said.get("method", "")
    rate = _rate(said["rate"], min_rate) if "rate" in said else None
    known = method is not None and (method in methods or method == KEEP or "method" not in said)
    if off is None or not known or ("rate" in said and rate is None):
        return None
    if off or method == KEEP:
        return Mark(keep=True)
    return Mark(rate=rate, method=method or "")


def _llmlingua(said: _Said, _methods: Collection[str], min_rate: float) -> Mark | None:
    if not said.keys() <= {"rate", "compress"}:
        return None
    compress = _TRUTH.get((said["compress"] or "").lower()) if "compress" in said else True
    rate = _rate(said["rate"], min_rate) if "rate" in said else None
    if compress is None or ("rate" in said and rate is None):
        return None
    return Mark(rate=rate) if compress else Mark(keep=True)


_READERS: Mapping[str, _Reader] = MappingProxyType({"elision": _elision, "llmlingua": _llmlingua})


def _rate(value: str | None, min_rate: float) -> float | None:
    """Return a share of `0.4` or `40%`, no less than `min_rate`; None if it is not in (0, 1]."""
    read = _RATE.fullmatch((value or "").strip())
    if not read:
        return None
    rate = float(read["number"]) / (100 if read["percent"] else 1)
    return max(rate, min_rate) if 0 < rate <= 1 else None


@dataclass(slots=True)
class _Open:
    """An opening tag that waits for its close.

    Attributes:
        mark: None if the tag is broken: it takes its close with it, both stay text.
        spare: the last close that a broken tag directly inside took; if no other comes, that one
            was meant for this tag, and the broken one stood there without a close.
    """

    family: str
    span: Range
    mark: Mark | None
    spare: Range | None = None


@dataclass(slots=True)
class _Pairing:
    """Finds each opening tag's close in one pass over the tags."""

    stack: list[_Open] = field(default_factory=list)
    pairs: list[tuple[Range, Range, Mark]] = field(default_factory=list)
    waiting: dict[str, int] = field(default_factory=dict)

    def open(self, tag: _Open) -> None:
        self.stack.append(tag)
        self.waiting[tag.family] = self.waiting.get(tag.family, 0) + 1

    def close(self, family: str, span: Range) -> None:
        """Pair a close with the nearest tag of its family; tags of the other one above it are text."""
        if not self.waiting.get(family):
            return
        while self.stack[-1].family != family:
            self.give_up()
        tag = self.pop()
        if tag.mark:
            self.pairs.append((tag.span, span, tag.mark))
        else:
            self.leave(family, span)

    def finish(self) -> list[tuple[Range, Range, Mark]]:
        """Return all marks: the spans of their two tags, and what they say."""
        while self.stack:
            self.give_up()
        return self.pairs

    def give_up(self) -> None:
        """Take the uppermost tag for text, unless a broken one inside it had taken its close."""
        tag = self.pop()
        if tag.spare and tag.mark:
            self.pairs.append((tag.span, tag.spare, tag.mark))
        elif tag.spare:
            self.leave(tag.family, tag.spare)

    def leave(self, family: str, span: Range) -> None:
        """Leave a close that went to a broken tag to the tag around that one."""
        if self.stack and self.stack[-1].family == family:
            self.stack[-1].spare = span

    def pop(self) -> _Open:
        tag = self.stack.pop()
        self.waiting[tag.family] -= 1
        return tag


def _marked(pairs: list[tuple[Range, Range, Mark]]) -> Marked:
    """Lay the marks out in the text's order; pairs are nested or apart, never crossed."""
    tags: list[tuple[Range, Mark | None]] = []
    for opening, closing, mark in pairs:
        tags += (opening, mark), (closing, None)
    tags.sort(key=lambda tag: tag[0])
    regions: list[tuple[int, int, Mark]] = []
    stack: list[Mark] = []
    at = 0
    for (start, end), opened in tags:
        if stack and at < start:
            regions.append((at, start, stack[-1]))
        if opened:
            stack.append(opened)
        else:
            stack.pop()
        at = end
    return Marked(tuple(span for span, _ in tags), tuple(regions))
