"""Beginnings that several requests share, remembered so that they are found again. Pure.

Some providers' caches find a long document again that stands before ever other questions in one
message. So what a message begins with is remembered in units of some hundred tokens, by a digest of
all up to the end of each, in the store that keeps everything else; no text is kept. How a beginning
that came before is sent is `elision.proxy.steady_heads`' matter.
"""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import msgspec

from elision.policies.cues import Cue, cue, normal
from elision.policies.engine import budget_of
from elision.policies.model import Decision, PrefixTerms, Segment
from elision.proxy import values
from elision.proxy.bodies import Body
from elision.proxy.ledger import Conversation
from elision.proxy.ledger_chain import DIGEST_BYTES, last_answer
from elision.proxy.planner import Planned
from elision.proxy.prefix_guard import is_unwanted
from elision.proxy.store import Kind, make_key

AS_PLANNED = -1
"""The target of a segment of which the policy alone, and no budget, says how far it is shortened."""
LEAST = 2048
"""Messages of fewer characters are worth no look."""
UNITS = 192
"""Units of one message that are remembered; what follows them is always new."""
_MESSAGES = 2
"""So many of a request's new messages are looked at: a system message, and what follows it."""
_PIECE, _STRETCH, _GROWTH = 256, 1024, 32
"""A unit ends at the next document after so many characters, at the next line or sentence after so
many, or after a share of all before it, if that is more: a long text has few. And where a label asks."""
_LABEL = re.compile(r"\n([#*_ \t]{0,6}[^\W\d_][^\n:\uff1a]{0,30})[:\uff1a]")
_SENTENCE = re.compile(r"[.!?]\s|[\u3002\uff01\uff1f]")
_MARKED = re.compile(rb'"(?:cache_control|prompt_cache_breakpoint)"')

Asks = Callable[[Decision], bool]
"""Whether what a decision makes of a text depends on what is asked."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """That a request began so.

    Attributes:
        minutes: when one last did, since 1970.
        targets: of the segments up to here, the tokens that each was to keep, 0 where it stayed as it
            was; None where more than these segments had a part in how they were sent.
    """

    minutes: int
    targets: tuple[int, ...] | None = None


_SEEN = msgspec.msgpack.Decoder(Seen)


class Unit(NamedTuple):
    """Characters `start` to `end` of a segment's text.

    Attributes:
        segment: of its message's, from 0.
        key: where it is kept that a message began so, up to this unit's end.
    """

    segment: int
    start: int
    end: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """A message that may begin as another one did.

    Attributes:
        index: of the message.
        segments: all of it.
    """

    index: int
    segments: tuple[Segment, ...]
    units: tuple[Unit, ...]

    @property
    def keys(self) -> list[bytes]:
        """Return what the store is to be asked for."""
        return [unit.key for unit in self.units]

    def ends_segment(self, number: int) -> bool:
        """Whether a segment ends with a unit."""
        unit = self.units[number]
        return unit.end == len(self.segments[unit.segment].text)

    def known(
        self, kept: Mapping[bytes, bytes | None], terms: PrefixTerms, now_s: float
    ) -> tuple[int, Seen] | None:
        """Return the last unit up to which another message began so, within the provider's memory.

        Args:
            kept: what the store holds.
            now_s: seconds since 1970.
        """
        oldest = int((now_s - terms.ttl_s) // 60)
        for number in range(len(self.units) - 1, -1, -1):
            seen = _read(kept.get(self.units[number].key))
            if seen is not None and seen.minutes >= oldest:
                return number, seen
        return None

    def noted(
        self, decisions: Sequence[Decision], kept: Mapping[bytes, bytes | None], now_s: float, asks: Asks
    ) -> dict[bytes, bytes]:
        """Return what the store is to keep of how this message went out, but what it has.

        Args:
            decisions: about all messages that were decided.
            kept: what the store holds.
        """
        minutes, found = int(now_s // 60), dict[bytes, bytes]()
        targets = _targets(self.segments, [d for d in decisions if d.segment.message == self.index], asks)
        for number, unit in enumerate(self.units):
            is_plain = self.ends_segment(number) and len(targets) > unit.segment
            seen = Seen(minutes, targets[: unit.segment + 1] if is_plain else None)
            if _read(kept.get(unit.key)) != seen:
                found[unit.key] = values.pack(msgspec.msgpack.encode(seen))
        return found


def heads_of(planned: Planned, conversation: Conversation) -> tuple[Head, ...]:
    """Return the messages after the last answer that may begin as others did, where that is worth a look.

    It is not where nothing is expected to be cached, by the policy or by the provider; where the
    provider finds whole messages only, and the client marked no part of one; and where a budget is a
    number of tokens for all, of which a part by itself has no share.
    """
    return tuple(
        Head(
            index, segments, tuple(_units(segments, conversation.scope, _place(planned, conversation, index)))
        )
        for index, segments in _large(planned)
    )


def first_head(planned: Planned) -> Head | None:
    """Return the first message that may begin as others did, None where none may; its keys are nobody's."""
    for index, segments in _large(planned):
        return Head(index, segments, tuple(_units(segments, b"", b"")))
    return None


def _large(planned: Planned) -> Iterator[tuple[int, tuple[Segment, ...]]]:
    """Yield the messages that are worth a look, and their segments."""
    terms, budget = planned.terms, budget_of(planned.policy, planned.facts)
    if terms.read >= 1 or is_unwanted(planned) or (budget is not None and budget.rate is None):
        return
    current, left = last_answer(planned.body.messages), _MESSAGES
    for index, grouped in groupby(planned.segments, key=lambda segment: segment.message):
        if index < current or not left:
            continue
        segments = tuple(grouped)
        is_large = sum(len(segment.text) for segment in segments) >= LEAST
        if not is_large or any(segment.tag or segment.mark for segment in segments):
            continue
        if not terms.whole_messages or _is_marked(planned.body, index):
            left -= 1
            yield index, segments


def cuts(text: str, pieces: Sequence[tuple[int, int]], before: int) -> Iterator[int]:
    """Yield where the units of a text end, the last at its end.

    What a text begins with decides where its first units end, whatever follows them.

    Args:
        pieces: documents in it.
        before: characters that precede it.
    """
    starts, at = [start for start, _ in pieces], 0
    blank = len(text) - len(text.lstrip())
    asked = [match.start(1) for match in _LABEL.finditer(text, blank) if _asks(match[1])]
    while at < len(text):
        more = (before + at) // _GROWTH
        piece = _first(starts, at + max(_PIECE, more), len(text))
        at = min(piece, _first(asked, at + 1, len(text)), _stretch(text, at + max(_STRETCH, more)))
        yield at


def _first(places: Sequence[int], least: int, end: int) -> int:
    """Return the first of some places that is not before `least`, or the end."""
    number = bisect_left(places, least)
    return places[number] if number < len(places) else end


@lru_cache(maxsize=1024)
def _asks(label: str) -> bool:
    """Whether a label says that what follows it is asked."""
    return cue(normal(label)) in (Cue.QUESTION, Cue.TASK)


def _stretch(text: str, least: int) -> int:
    """Return where a line ends after so many characters, or a sentence if that is much nearer."""
    line = text.find("\n", least) + 1 or len(text)
    if line - least <= _STRETCH:
        return line
    sentence = _SENTENCE.search(text, least)
    return min(line, sentence.end()) if sentence else line


def _units(segments: Sequence[Segment], scope: bytes, place: bytes) -> Iterator[Unit]:
    digest, before, left = place, 0, UNITS
    for number, segment in enumerate(segments):
        start = 0
        for end in cuts(segment.text, segment.pieces, before):
            if not left:
                return
            told = segment.text[start:end].encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(digest + told, digest_size=DIGEST_BYTES).digest()
            yield Unit(number, start, end, make_key(scope, Kind.HEAD, digest))
            start, left = end, left - 1
        before += len(segment.text)


def _place(planned: Planned, conversation: Conversation, index: int) -> bytes:
    """Return the digest of all that must be alike before a message, and of whose it is."""
    facts, body = planned.facts, conversation.body
    before = conversation.chain[max(0, index - 1) * DIGEST_BYTES : index * DIGEST_BYTES]
    role, rate = body.messages[index].role, facts.wish.rate
    told = (conversation.today, facts.endpoint, facts.upstream, facts.model, rate, body.thread, role, before)
    return hashlib.blake2b(msgspec.msgpack.encode(told), digest_size=DIGEST_BYTES).digest()


def _is_marked(body: Body, index: int) -> bool:
    """Whether the client marked a part of a message as what the provider is to keep."""
    message = body.messages[index]
    return _MARKED.search(body.raw, message.start, message.end) is not None


def _targets(segments: Sequence[Segment], decisions: Sequence[Decision], asks: Asks) -> tuple[int, ...]:
    """Return how far segments were shortened, up to the first that was not shortened as one, by itself."""
    targets: list[int] = []
    by_source: dict[int, list[Decision]] = {}
    for decision in decisions:
        by_source.setdefault(decision.segment.source, []).append(decision)
    for segment in segments:
        inside = [d for d in by_source.get(segment.source, ()) if is_within(d.segment, segment)]
        one = inside[0] if len(inside) == 1 else None
        if one is None or one.drops or (one.compresses and asks(one)):
            break
        targets.append(_target(one))
    return tuple(targets)


def _target(decision: Decision) -> int:
    if not decision.compresses:
        return 0
    return AS_PLANNED if decision.use.tokens is None else decision.use.tokens


def is_within(part: Segment, whole: Segment) -> bool:
    """Whether a part of a prompt is part of another."""
    return part.source == whole.source and whole.start <= part.start and part.end <= whole.end


def _read(value: bytes | None) -> Seen | None:
    content = values.unpack(value) if value is not None else None
    if content is None:
        return None
    try:
        return _SEEN.decode(content)
    except msgspec.DecodeError:
        return None
