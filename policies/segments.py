"""Cutting a prompt's texts into segments: what instructs, what shows, what is asked, what is material.

Pure, and linear in the length of the texts. A message is judged by itself alone, never by its
distance from the conversation's end, so that it is cut alike in every turn that repeats it
(promise 4); the one exception is what a policy itself says of the conversation's first messages.
Lengths decide where tokens would, so each segment is counted once, and cuts are the same for every
model. Questions and material are told apart in `paragraphs`, exemplars found in `demonstrations`,
whole documents in `documents`, material in system messages in `knowledge`.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from elision.policies.demonstrations import exemplars
from elision.policies.documents import documents
from elision.policies.knowledge import knowledge
from elision.policies.marks import Marked
from elision.policies.model import FewShot, Kind, Mark, PromptText, Segment
from elision.policies.outline import Outline, outline, size
from elision.policies.paragraphs import SHORT_MESSAGE_TOKENS, asked, edges_apart, paragraphs_of

LONGEST_TEXT = 4_000_000
"""Characters; a longer text is not cut, lest it hold up others: it is one segment of its role's kind."""
MOST_LINES = 100_000
"""A text of more lines is not cut either."""

Count = Callable[[str], int]
Span = tuple[int, int]

_ROLES = {
    "system": Kind.INSTRUCTION,
    "developer": Kind.INSTRUCTION,
    "tool": Kind.TOOL_RESULT,
    "function": Kind.TOOL_RESULT,
    "assistant": Kind.HISTORY,
    "user": Kind.QUESTION,
}
_INSTRUCTING = frozenset(("system", "developer"))
_EXAMPLE_NAMES = frozenset(("example_user", "example_assistant"))
# Exemplars have labels, headings or tags.
_EXEMPLAR_SIGNS = re.compile("[:：<#*【]")
_NO_MARKS = Marked()
_DEFAULT = FewShot()

Message = list[tuple[int, PromptText]]


class _Part(NamedTuple):
    """Characters `start` to `end` of a text without its tags; pieces are relative to `start`."""

    start: int
    end: int
    kind: Kind
    pieces: tuple[Span, ...] = ()


Layout = Sequence[Sequence[_Part]]
"""What each text of a message is made of; places and kinds only, no text."""
Recall = Callable[[tuple[Hashable, ...], Sequence[str], Callable[[], Layout]], Layout]
"""From what a layout depends on beside the texts, the texts, and how to find it, to the layout."""


@dataclass(frozen=True, slots=True)
class _Cutting:
    """How a message's texts are cut, and what is in force."""

    count: Count
    few_shot: FewShot
    read: Callable[[str], Marked] | None
    recall: Recall | None

    def message(self, message: Message, turn: int, shown: bool) -> Iterator[Segment]:
        """Yield the segments of a message that is, or is not, `shown` as a demonstration."""
        marked = {source: self.read(text.text) if self.read else _NO_MARKS for source, text in message}
        clean = {source: _without(text.text, marked[source].tags) for source, text in message}
        parts = self._recalled(message[0][1].role, clean, shown)
        found: list[tuple[int, _Part, str, Mark | None, bool, int]] = []
        block: dict[Kind, int] = {}
        for source, text in message:
            for part, mark, tag in _placed(text, parts[source], marked[source]):
                piece = text.text[part.start : part.end]  # one string, whose hash is worked out once
                tokens = self.count(piece)
                block[part.kind] = block.get(part.kind, 0) + (0 if tag else tokens)
                found.append((source, part, piece, mark, tag, tokens))
        number, role = message[0][1].message, message[0][1].role
        for source, part, piece, mark, tag, tokens in found:
            start, end, kind = part.start, part.end, part.kind
            yield Segment(
                source, start, end, kind, role, piece, tokens,
                number, turn, block[kind], part.pieces, mark, tag,
            )  # fmt: skip

    def _recalled(self, role: str, clean: dict[int, str], shown: bool) -> Mapping[int, Sequence[_Part]]:
        """Return what each text of a message is made of, found out or remembered."""
        if self.recall is None:
            return self._parts(role, clean, shown)
        about = (role, shown, self.few_shot.inside)
        found = self.recall(
            about, tuple(clean.values()), lambda: _listed(clean, self._parts(role, clean, shown))
        )
        return dict(zip(clean, found, strict=True))

    def _parts(self, role: str, clean: dict[int, str], shown: bool) -> dict[int, list[_Part]]:
        """Return what each text of a message is made of."""
        if shown:
            return {source: _whole(text, Kind.DEMONSTRATIONS) for source, text in clean.items()}
        # A role that we do not know may instruct; instructions are kept.
        kind = _ROLES.get(role, Kind.INSTRUCTION)
        if any(map(_is_endless, clean.values())):
            return {source: [_Part(0, len(text), kind)] if text else [] for source, text in clean.items()}
        if role == "user":
            return _user(clean, self.few_shot.inside)
        if role in _INSTRUCTING:
            return {source: _instruction(text, self.few_shot.inside) for source, text in clean.items()}
        return {source: _whole(text, kind) for source, text in clean.items()}


def cut(
    texts: Sequence[PromptText],
    count: Count,
    *,
    few_shot: FewShot = _DEFAULT,
    read: Callable[[str], Marked] | None = None,
    recall: Recall | None = None,
) -> tuple[Segment, ...]:
    """Cut a request's texts into segments.

    Args:
        texts: all texts of a request, in the order of its body.
        count: tokens of a text, as the target model counts them; called once for each segment.
        few_shot: what counts as demonstrations.
        read: finds a text's inline marks; None: there are none.
        recall: remembers how a message is cut, which its role and texts alone decide; None: nobody.
    Returns: in the order of the texts; those of one text concatenate to it exactly. An empty
        text has no segment.
    """
    messages = [list(group) for _, group in groupby(enumerate(texts), key=lambda pair: _key(pair[1]))]
    shown = _shown(messages, few_shot)
    cutting = _Cutting(count, few_shot, read, recall)
    segments: list[Segment] = []
    turn, before = 0, -1
    for number, message in enumerate(messages):
        text = message[0][1]
        turn += _begins_turn(text, number in shown, before)
        before = text.message
        segments += cutting.message(message, turn, number in shown)
    return tuple(segments)


def _listed(clean: dict[int, str], parts: dict[int, list[_Part]]) -> Layout:
    return tuple(tuple(parts[source]) for source in clean)


def _key(text: PromptText) -> tuple[int, str]:
    return text.message, text.role


def _begins_turn(text: PromptText, shown: bool, before: int) -> bool:
    """Whether a turn begins with a message: the assistant's, or one after a message without texts.

    Such a message is mostly an assistant's that calls tools and says nothing.
    """
    if before < 0:
        return False
    return (text.role == "assistant" and not shown and text.message != before) or text.message > before + 1


def _shown(messages: Sequence[Message], few_shot: FewShot) -> frozenset[int]:
    """Return which messages are demonstrations as a whole.

    Leading pairs are so only if all of them are there: a conversation that is too young to have
    had examples has its first question taken for a question.
    """
    named = {n for n, message in enumerate(messages) if message[0][1].name in _EXAMPLE_NAMES}
    first = next((n for n, message in enumerate(messages) if message[0][1].role not in _INSTRUCTING), 0)
    leading = range(first, first + 2 * few_shot.leading_pairs)
    wanted = ("user", "assistant") * few_shot.leading_pairs
    roles = tuple(message[0][1].role for message in messages[first : first + len(wanted)])
    return frozenset((named if few_shot.named else set()) | (set(leading) if roles == wanted else set()))


def _whole(text: str, kind: Kind) -> list[_Part]:
    """Return a text as one part."""
    if not text:
        return []
    pieces = documents(outline(text), 0, len(text)) if kind is Kind.TOOL_RESULT else ()
    return [_Part(0, len(text), kind, pieces)]


def _user(clean: dict[int, str], inside: bool) -> dict[int, list[_Part]]:
    """Cut a user's message; its texts are read as one that goes on."""
    if _asks_only(clean.values()):
        return {source: _whole(text, Kind.QUESTION) for source, text in clean.items()}
    outlines = {source: outline(text) for source, text in clean.items()}
    parts: dict[int, list[_Part]] = {}
    paragraphs = []
    for source, read in outlines.items():
        parts[source], rest = _demonstrations(read, inside, False)
        for start, end in rest:
            paragraphs += paragraphs_of(source, read, start, end)
    paragraphs = edges_apart(paragraphs)
    chosen = asked(paragraphs)
    kinds = [Kind.QUESTION if number in chosen else Kind.CONTEXT for number in range(len(paragraphs))]
    runs: list[list[int]] = []
    for number, paragraph in enumerate(paragraphs):
        before = paragraphs[number - 1]
        goes_on = number and before.source == paragraph.source and before.end == paragraph.start
        if runs and goes_on and kinds[number] is kinds[number - 1]:
            runs[-1].append(number)
        else:
            runs.append([number])
    for run in runs:
        first, last = paragraphs[run[0]], paragraphs[run[-1]]
        parts[first.source].append(_part(outlines[first.source], (first.start, last.end), kinds[run[0]]))
    return {source: sorted(found, key=lambda part: part.start) for source, found in parts.items()}


def _asks_only(texts: Collection[str]) -> bool:
    """Whether a user's texts are too short to be cut, and hold no sign of an exemplar; most are so."""
    short = sum(map(len, texts)) / 4 <= SHORT_MESSAGE_TOKENS and sum(map(size, texts)) <= SHORT_MESSAGE_TOKENS
    return short and not any(map(_EXEMPLAR_SIGNS.search, texts))


def _instruction(text: str, inside: bool) -> list[_Part]:
    """Cut a system message: exemplars and material where they are plainly marked, else instruction."""
    read = outline(text)
    parts, rest = _demonstrations(read, inside, True)
    for start, end in rest:
        at = start
        for begin, stop in knowledge(read, start, end):
            if at < begin:
                parts.append(_Part(at, begin, Kind.INSTRUCTION))
            parts.append(_part(read, (begin, stop), Kind.CONTEXT))
            at = stop
        if at < end:
            parts.append(_Part(at, end, Kind.INSTRUCTION))
    return sorted(parts, key=lambda part: part.start)


def _demonstrations(read: Outline, inside: bool, instructs: bool) -> tuple[list[_Part], list[Span]]:
    """Return the exemplars in a text, and the spans that hold none."""
    parts: list[_Part] = []
    rest: list[Span] = []
    at = 0
    for found in exemplars(read, instructs) if inside else ():
        rest.append((at, found.start))
        pieces = tuple((start - found.start, end - found.start) for start, end in found.spans)
        parts.append(_Part(found.start, found.end, Kind.DEMONSTRATIONS, _several(pieces)))
        at = found.end
    rest.append((at, len(read.text)))
    return parts, [(start, end) for start, end in rest if start < end]


def _part(read: Outline, span: Span, kind: Kind) -> _Part:
    start, end = span
    return _Part(start, end, kind, documents(read, start, end) if kind is Kind.CONTEXT else ())


def _several(pieces: tuple[Span, ...]) -> tuple[Span, ...]:
    return pieces if len(pieces) > 1 else ()


def _is_endless(text: str) -> bool:
    """Whether a text is too much to be cut while others wait."""
    return len(text) > LONGEST_TEXT or (len(text) > MOST_LINES and text.count("\n") > MOST_LINES)


def _without(text: str, tags: Sequence[Span]) -> str:
    """Return a text without its tags."""
    if not tags:
        return text
    ends = [0, *(end for _, end in tags)]
    starts = [*(start for start, _ in tags), len(text)]
    return "".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _placed(
    text: PromptText, parts: Sequence[_Part], marked: Marked
) -> Iterator[tuple[_Part, Mark | None, bool]]:
    """Yield a text's parts where they stand in it, its tags between them, and what marks say of each."""
    if not marked.tags:
        yield from ((part, None, False) for part in parts)
        return
    kind = parts[0].kind if parts else _ROLES.get(text.role, Kind.INSTRUCTION)
    starts = [start for start, _, _ in marked.regions]
    gone = 0
    tags = iter(marked.tags)
    tag = next(tags, None)
    for part in parts:
        at, kind = part.start, part.kind
        while tag is not None and tag[0] - gone < part.end:
            if at < tag[0] - gone:
                yield _moved(part, (at, tag[0] - gone), gone), _mark_at(marked, starts, at + gone), False
                at = tag[0] - gone
            yield _Part(*tag, kind), None, True
            gone += tag[1] - tag[0]
            tag = next(tags, None)
        yield _moved(part, (at, part.end), gone), _mark_at(marked, starts, at + gone), False
    for last in (tag, *tags):
        if last is not None:
            yield _Part(*last, kind), None, True


def _moved(part: _Part, span: Span, gone: int) -> _Part:
    """Return what of a part lies in `span`, moved by as many characters as tags took before it."""
    start, end = span
    offset = start - part.start
    inside = ((a - offset, b - offset) for a, b in part.pieces if offset <= a and b <= end - part.start)
    return _Part(start + gone, end + gone, part.kind, _several(tuple(inside)))


def _mark_at(marked: Marked, starts: Sequence[int], at: int) -> Mark | None:
    number = bisect_left(starts, at + 1) - 1
    if number >= 0 and at < marked.regions[number][1]:
        return marked.regions[number][2]
    return None
