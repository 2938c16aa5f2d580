"""What a user's message asks, and what it brings along: its paragraphs, told apart.

Pure, and linear in the message's length. A message is judged by itself alone, and by lengths
instead of token counts, so that it is cut alike in every turn and for every model. Where it is not
plain what a paragraph is, it counts as question, which is kept unless a rule names it.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from elision.policies.cues import (
    ADDRESSES,
    INSTRUCTS,
    MATERIAL_TAGS,
    QUESTION_TAGS,
    SPEAKS,
    TELLING_TAGS,
    Cue,
)
from elision.policies.outline import Outline, Region, Sign, end_of_line, regions, size

SHORT_MESSAGE_TOKENS = 300
"""A user message of no more tokens is not cut: it is all question."""
QUESTION_TOKENS = 200
"""A longer paragraph is no question."""
OPENING_TOKENS = 60
"""A first paragraph of no more tokens is kept: it may say how to answer."""
INSTRUCTING_TOKENS = 1500
"""A message that begins like a system's is kept up to the mark of its material, if that is no further."""
UNMARKED_TOKENS = 800
"""Without any mark, such a message is kept whole if it has no more tokens."""
OPENINGS_TOKENS = 120
"""So many tokens at most are kept of first paragraphs that neither ask nor end before a mark."""
CLOSING_TOKENS = 16
"""A last part of no more tokens that asks nothing ("Thanks!", "Answer:") takes one more with it."""
CLOSING_PARAGRAPHS = 4
"""So many paragraphs at most are joined in search of the question."""
LIST_PARAGRAPHS = 12
"""So many at most where they are the items of a list."""
OPENING_PARAGRAPHS = 8
"""So many paragraphs at most are kept before a mark that says that the material begins."""
SPEAKS_WITHIN = 400
"""So many characters at the head of a paragraph may speak to who is to answer."""
LABELLED_PARAGRAPHS = 2
"""If more paragraphs call themselves a question, they are material: an FAQ, an exam."""
ENCLOSED_SHARE = 0.6
"""Where fences and tags hold this share of a message, short paragraphs outside of them are asked."""

# Latin, Greek, Arabic, full-width, Armenian, Ethiopic; not the one of a URL.
_ASKS = re.compile("[?\u037e\u061f\uff1f\u055e\u1367](?![\\w/&=])")
_SENTENCE = re.compile(r"[\w\"'\u00ab\u201c\u00bf\u00a1!(*]")
# Where a sentence, or what leads one in, ends within a line; with the blanks after it.
_STOP = re.compile("[.!?\u061f:][\"'\u201d\u2019)*_]{0,3}[ \t]{1,9}|[\u3002\uff01\uff1f\uff1a]")
_LABEL = re.compile(r"\W{0,4}(?:\w+[ '-]){0,5}\w+ ?[:：][ \t]{1,9}")
_CLOSED = re.compile(r"[-=_*~]{3,200}|\#{3,200}|</[\w:.-]{1,40}>")
_ITEM = re.compile(r"[ \t]*(?:[-*+•·] |\(?\d{1,3}[.)、．] ?|\(?[a-zA-Z][.)] |[①-⑳])")
_LEADS_IN = re.compile("[:：][ \t*_]*\\Z")
_LONGEST_CLOSE = 300


class Settled(Enum):
    """What tags and fences say of a paragraph, whatever it looks like."""

    OPEN = auto()
    ASKED = auto()
    MATERIAL = auto()


class Paragraph(NamedTuple):
    """Characters `start` to `end` of prompt text `source`, the empty lines after it included.

    Attributes:
        cue: what the label says that it begins with.
    """

    source: int
    start: int
    end: int
    text: str
    settled: Settled
    cue: Cue = Cue.NOTHING


def asked(paragraphs: Sequence[Paragraph]) -> frozenset[int]:
    """Return the indices of a user message's paragraphs that are its question; the rest is material."""
    everything = frozenset(range(len(paragraphs)))
    sizes = [size(paragraph.text) for paragraph in paragraphs]
    whole = sum(sizes)
    if len(paragraphs) < 2 or whole <= SHORT_MESSAGE_TOKENS:
        return everything
    chosen = _closing(paragraphs) | _labelled(paragraphs) | _addressed(paragraphs)
    material: set[int] = set()
    for number, paragraph in enumerate(paragraphs):
        if paragraph.settled is not Settled.OPEN:
            (material if paragraph.settled is Settled.MATERIAL else chosen).add(number)
    chosen |= _opening(paragraphs, OPENING_TOKENS if chosen else QUESTION_TOKENS)
    if material and sum(sizes[n] for n in material) >= ENCLOSED_SHARE * whole:
        chosen |= {n for n in everything if sizes[n] <= QUESTION_TOKENS}
    return frozenset(chosen - material) or everything


def paragraphs_of(source: int, read: Outline, start: int, end: int) -> list[Paragraph]:
    """Cut a part of a text into paragraphs that concatenate to it; empty lines go with what precedes.

    Fenced code, and what stands between tags that say what it is, is one paragraph each.
    """
    text = read.text
    found = regions(read, TELLING_TAGS)
    within = [region for region in found if start <= region.start and region.end <= end]
    meant = {_first_letter(text, line.start): line.cue for line in read.lines if line.cue is not Cue.NOTHING}
    settled = {_first_letter(text, region.start): _settled(region) for region in within}
    made: list[Paragraph] = []
    for after in [*(at for at in _starts(read, within) if start < at < end), end]:
        part = text[start:after]
        body = part.lstrip()
        if body or (after == end and part):
            at = after - len(body)
            kind = settled.get(at, Settled.OPEN)
            made.append(Paragraph(source, start, after, part, kind, meant.get(at, Cue.NOTHING)))
            start = after
    return made


def edges_apart(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """Part the first and the last line of a message from long paragraphs: what is asked may stand there.

    A message of one line is kept whole: where in it the material begins would be a guess.
    """
    if len(paragraphs) == 1 and "\n" not in paragraphs[0].text.strip():
        return paragraphs
    return _last_line_apart(_first_line_apart(paragraphs))


def _starts(read: Outline, within: Sequence[Region]) -> list[int]:
    """Return where paragraphs may begin: after empty lines and rules, around regions, at labels."""
    places = set(read.gaps)
    for line in read.lines:
        if line.sign in (Sign.RULE, Sign.CLOSE):
            places.add(end_of_line(read.text, line.end))
        elif line.cue in (Cue.QUESTION, Cue.TASK, Cue.MATERIAL) or (
            line.sign is Sign.OPEN and line.name in MATERIAL_TAGS
        ):
            places.add(line.start)
    if not within:
        return sorted(places)
    starts = [region.start for region in within]
    return sorted({place for place in places if not _inside(place, within, starts)} | _borders(within))


def _borders(within: Sequence[Region]) -> set[int]:
    return {place for region in within for place in (region.start, region.end)}


def _inside(place: int, within: Sequence[Region], starts: Sequence[int]) -> bool:
    number = bisect_right(starts, place) - 1
    return number >= 0 and place < within[number].end


def _settled(region: Region) -> Settled:
    return Settled.ASKED if region.name in QUESTION_TAGS else Settled.MATERIAL


def _first_letter(text: str, at: int) -> int:
    """Return the place of what follows a line's indentation."""
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _opening(paragraphs: Sequence[Paragraph], limit: int) -> set[int]:
    """Return the first paragraphs that ask or say how to answer.

    Those are all before the mark where the material begins, if they are few; without a mark, the
    first if it has at most `limit` tokens, or asks, and short ones below it. A message that begins
    like a system's ("You are ...") has much to say, and is kept further.
    """
    first = paragraphs[0]
    if _begins_material(paragraphs, 0):
        return set()
    instructs = bool(INSTRUCTS.match(first.text))
    marked = _first_mark(paragraphs, INSTRUCTING_TOKENS if instructs else SHORT_MESSAGE_TOKENS)
    if marked and (instructs or marked <= OPENING_PARAGRAPHS):
        return set(range(marked))
    if instructs and sum(size(paragraph.text) for paragraph in paragraphs) <= UNMARKED_TOKENS:
        return set(range(len(paragraphs)))
    short = _fits(first, limit) or (_fits(first, QUESTION_TOKENS) and (_asks(first) or _speaks(first)))
    return _first_ones(paragraphs) if short else set()


def _first_mark(paragraphs: Sequence[Paragraph], longest: int) -> int:
    """Return the first paragraph that is marked as material, 0 if none of the first `longest` tokens is."""
    head = 0.0
    for number, paragraph in enumerate(paragraphs):
        if number and _begins_material(paragraphs, number):
            return number
        head += size(paragraph.text)
        if head > longest:
            break
    return 0


def _first_ones(paragraphs: Sequence[Paragraph]) -> set[int]:
    """Return the first paragraph and the short ones below it, until one leads in what follows."""
    chosen = {0}
    total = size(paragraphs[0].text)
    for number in range(1, min(CLOSING_PARAGRAPHS, len(paragraphs))):
        total += size(paragraphs[number].text)
        if _leads_in(paragraphs[number - 1]) or not _fits(paragraphs[number], OPENING_TOKENS):
            break
        if total > OPENINGS_TOKENS:
            break
        chosen.add(number)
    return chosen


def _begins_material(paragraphs: Sequence[Paragraph], number: int) -> bool:
    paragraph = paragraphs[number]
    if paragraph.settled is Settled.MATERIAL or paragraph.cue is Cue.MATERIAL:
        return True
    return number > 0 and _is_closed(paragraphs[number - 1].text)


def _closing(paragraphs: Sequence[Paragraph]) -> set[int]:
    """Return the last paragraphs that ask; none where the message ends in material.

    Below a question, what asks nothing is material unless it is as short as an opening.
    """
    asks_first = _fits(paragraphs[0], QUESTION_TOKENS) and _asks(paragraphs[0])
    chosen: set[int] = set()
    total = 0.0
    end = len(paragraphs)
    for number in range(end - 1, max(-1, end - 1 - CLOSING_PARAGRAPHS), -1):
        paragraph = paragraphs[number]
        total += size(paragraph.text.strip())
        asks = total <= QUESTION_TOKENS and any(_asks(p) for p in paragraphs[number:])
        limit = OPENING_TOKENS if asks_first and not asks else QUESTION_TOKENS
        if OPENING_TOKENS < total <= QUESTION_TOKENS and _speaks(paragraph):
            limit = QUESTION_TOKENS
        if paragraph.settled is Settled.MATERIAL or total > limit:
            break
        chosen.add(number)
        if asks or total > CLOSING_TOKENS:
            break
    if chosen and not asks_first:
        chosen |= _above(paragraphs, min(chosen))
    return chosen | _after_material(paragraphs)


def _above(paragraphs: Sequence[Paragraph], top: int) -> set[int]:
    """Return what belongs to a closing from `top` on: its list, its lead-in, a question shortly before."""
    first = top
    while first and _ITEM.match(paragraphs[first].text) and top - first < LIST_PARAGRAPHS:
        first -= 1
    if first < top and _fits(paragraphs[first], QUESTION_TOKENS):
        return set(range(first, top)) if _leads_in(paragraphs[first]) else set()
    many = sum(paragraph.cue is Cue.QUESTION for paragraph in paragraphs) > LABELLED_PARAGRAPHS
    for number in range(top - 1, max(-1, top - CLOSING_PARAGRAPHS), -1):
        paragraph = paragraphs[number]
        longest = QUESTION_TOKENS if paragraph.cue is Cue.TASK else OPENING_TOKENS
        if paragraph.settled is Settled.MATERIAL or not _fits(paragraph, longest):
            break
        labelled = paragraph.cue is Cue.TASK or (paragraph.cue is Cue.QUESTION and not many)
        if labelled or _ends_asking(paragraph) or (number == top - 1 and _leads_in(paragraph)):
            return set(range(number, top))
    return set()


def _after_material(paragraphs: Sequence[Paragraph]) -> set[int]:
    """Return the last paragraphs if they follow the plain end of material, and are short."""
    end = len(paragraphs)
    total = 0.0
    for number in range(end - 1, max(0, end - 1 - OPENING_PARAGRAPHS), -1):
        total += size(paragraphs[number].text)
        before = paragraphs[number - 1]
        if total > SHORT_MESSAGE_TOKENS or paragraphs[number].settled is Settled.MATERIAL:
            break
        # A rule may part chunks as well, so that less is taken for what follows them all.
        closed = total <= QUESTION_TOKENS and _is_closed(before.text)
        if before.settled is Settled.MATERIAL or closed:
            return set(range(number, end))
    return set()


def _labelled(paragraphs: Sequence[Paragraph]) -> set[int]:
    """Return the paragraph that calls itself the question, unless so many do that they are material."""
    found = {n for n, paragraph in enumerate(paragraphs) if paragraph.cue is Cue.QUESTION}
    return (
        {n for n in found if _fits(paragraphs[n], QUESTION_TOKENS)}
        if len(found) <= LABELLED_PARAGRAPHS
        else set()
    )


def _addressed(paragraphs: Sequence[Paragraph]) -> set[int]:
    """Return the paragraphs that begin like a request, and all below one where that is little.

    Material may do so too; what is kept of it by mistake is bounded, and counted from the end.
    """
    chosen: set[int] = set()
    kept = below = 0.0
    ends_open = True
    for number in range(len(paragraphs) - 1, -1, -1):
        paragraph = paragraphs[number]
        tokens = size(paragraph.text)
        below += tokens
        ends_open &= paragraph.settled is Settled.OPEN
        if paragraph.settled is not Settled.OPEN or not ADDRESSES.match(paragraph.text):
            continue
        if ends_open and below <= SHORT_MESSAGE_TOKENS:
            chosen.update(range(number, len(paragraphs)))
        elif tokens <= QUESTION_TOKENS and kept + tokens <= SHORT_MESSAGE_TOKENS:
            chosen.add(number)
            kept += tokens
    return chosen


def _is_closed(text: str) -> bool:
    """Whether a text's last line is a line of dashes or a closing tag."""
    lines = text[-_LONGEST_CLOSE:].rstrip().splitlines()
    return bool(lines and _CLOSED.fullmatch(lines[-1].strip()))


def _asks(paragraph: Paragraph) -> bool:
    """Whether a paragraph says of itself that it is a question, or a task."""
    return paragraph.cue in (Cue.QUESTION, Cue.TASK) or bool(_ASKS.search(paragraph.text))


def _speaks(paragraph: Paragraph) -> bool:
    """Whether a paragraph speaks to who is to answer."""
    return bool(SPEAKS.search(paragraph.text[:SPEAKS_WITHIN].lower()))


def _ends_asking(paragraph: Paragraph) -> bool:
    return bool(_ASKS.match(paragraph.text.rstrip()[-1:]))


def _fits(paragraph: Paragraph, limit: int) -> bool:
    return size(paragraph.text.strip()) <= limit


def _leads_in(paragraph: Paragraph) -> bool:
    return bool(_LEADS_IN.search(paragraph.text.rstrip()[-8:]))


def _first_line_apart(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """Part the first line of a message from a paragraph that is too long for an opening.

    It may say what is to be done with the lines below it, and costs little where it does not. Of a
    long line the first sentences are parted, if they speak to who is to answer. A line that begins
    like markup or JSON stays with its kind, a label with what it names.
    """
    first = paragraphs[0] if paragraphs else None
    if first is None or first.settled is not Settled.OPEN or first.cue is Cue.MATERIAL:
        return paragraphs
    if _fits(first, OPENING_TOKENS) or not _SENTENCE.match(first.text.lstrip()):
        return paragraphs
    end = _head(first)
    if not 0 < end < len(first.text):
        return paragraphs
    head = Paragraph(first.source, first.start, first.start + end, first.text[:end], Settled.OPEN, first.cue)
    rest = Paragraph(first.source, head.end, first.end, first.text[end:], Settled.OPEN)
    return [head, rest, *paragraphs[1:]]


def _head(paragraph: Paragraph) -> int:
    """Return where the first lines end that may ask, or the first sentences; 0 if none do."""
    text = paragraph.text
    end = end_of_line(text, len(text) - len(text.lstrip()))
    if size(text[:end].strip()) > QUESTION_TOKENS:
        return _first_sentences(text[:end])
    line = paragraph._replace(text=text[:end])
    if not (_fits(line, OPENING_TOKENS) or _asks(line) or _speaks(line)):
        return _first_sentences(text[:end])
    while end < len(text):
        after = end_of_line(text, end)
        more = paragraph._replace(text=text[end:after])
        if size(text[:after].strip()) > QUESTION_TOKENS or not _speaks(more):
            break
        end = after
    return end


def _first_sentences(line: str) -> int:
    """Return where the first sentences of a long line end, if they ask; a label alone is enough."""
    head = line[:SPEAKS_WITHIN]
    stops = [stop.end() for stop in _STOP.finditer(head)]
    near = [stop for stop in stops if size(line[:stop]) <= OPENING_TOKENS] or stops[:1]
    if near and (SPEAKS.search(line[: near[-1]].lower()) or _ASKS.search(line[: near[-1]])):
        return near[-1]
    label = _LABEL.match(head)
    return label.end() if label else 0


def _last_line_apart(paragraphs: list[Paragraph]) -> list[Paragraph]:
    """Part the last line of a message from a long paragraph: the question may stand there.

    Of a long line the last sentences are parted, if they ask. Where the message opens with a
    question, a last line that asks nothing is material. So is one that begins like markup or JSON,
    which would be broken by the cut.
    """
    if not paragraphs or not _is_long(paragraphs[-1]):
        return paragraphs
    *before, last = paragraphs
    cut_at = _last_lines(last.text)
    if size(last.text[cut_at:].strip()) > QUESTION_TOKENS:
        cut_at = _last_sentences(last.text, cut_at)
    line = Paragraph(last.source, last.start + cut_at, last.end, last.text[cut_at:], Settled.OPEN)
    opening_asks = bool(before) and _fits(before[0], QUESTION_TOKENS) and _asks(before[0])
    if not cut_at or not _SENTENCE.match(line.text.lstrip()) or (opening_asks and not _asks(line)):
        return paragraphs
    rest = Paragraph(last.source, last.start, line.start, last.text[:cut_at], Settled.OPEN, last.cue)
    return [*before, rest, line]


def _last_sentences(text: str, least: int) -> int:
    """Return where the last sentences of a text begin that ask, no further up than `least`; else 0."""
    first = max(least, len(text) - SPEAKS_WITHIN)
    for stop in _STOP.finditer(text, first):
        tail = text[stop.end() :]
        if size(tail) <= OPENING_TOKENS and (SPEAKS.search(tail.lower()) or _ASKS.search(tail)):
            return stop.end()
    return 0


def _last_lines(text: str) -> int:
    """Return where a paragraph's last line begins, or the list that it ends, if that is short."""
    start = cut_at = text.rstrip().rfind("\n") + 1
    for _ in range(LIST_PARAGRAPHS):
        above = text.rfind("\n", 0, max(0, start - 1)) + 1
        if not start or not _ITEM.match(text, start) or size(text[above:]) > QUESTION_TOKENS:
            break
        start = above
    return start if start < cut_at and _LEADS_IN.search(text[start:].partition("\n")[0]) else cut_at


def _is_long(paragraph: Paragraph) -> bool:
    return paragraph.settled is Settled.OPEN and not _fits(paragraph, QUESTION_TOKENS)
