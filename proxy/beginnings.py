"""How much of a new message begins as another did that came in its place, in the client's words.

The ledger knows whole messages. Some providers' caches know beginnings: of one long document that is
sent with ever other questions they would have read the document again. Who shortens it by the
question takes that discount away, and must not call it saved. This module remembers, in this
process and for as long as others do not take the place, how large messages began; no text is kept.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import takewhile

from elision.proxy.ledger import Conversation, Settled
from elision.proxy.ledger_chain import DIGEST_BYTES
from elision.proxy.planner import Planned

_BLOCK = 512
"""Characters that are compared at once."""
_BLOCKS = 128
"""Of a message beyond so many, nothing is compared: it is taken to go on as it began."""
_LEAST = 2048
"""Messages of fewer characters are worth no look."""
_DENSER = 17 / 16
"""Characters are not everywhere as many tokens as they are on the whole."""
_BESIDE = 4
"""So many messages are remembered that came in one place."""

_Began = tuple[int, ...]


class Beginnings:
    """Remembers how messages began. One for a process; not for several threads.

    Args:
        places: so many places in conversations, each of some kilobytes at most.
        clock: seconds, from anywhere.
    """

    def __init__(self, places: int = 2000, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._clock = clock
        self._seen: OrderedDict[Hashable, dict[_Began, float]] = OrderedDict()

    def end(self, planned: Planned, settled: Settled) -> int:
        """Return how many tokens of the client's texts, from the prompt's beginning, came so before.

        Takes note of the request's new messages. Returns 0 where they begin as none did: what whole
        messages came before is the ledger's to say.
        """
        conversation, terms = settled.conversation, planned.terms
        if terms.read >= 1:
            return 0
        found = 0
        for index in sorted(settled.new):
            text = _text(conversation, index)
            if len(text) < _LEAST:
                continue
            share = self._alike(_place(planned, conversation, index), text, terms.ttl_s)
            if share:
                found = _tokens(planned, index, share)
        return found

    def _alike(self, place: Hashable, text: str, ttl_s: float) -> float:
        """Return which share of a text came in its place before, and remember it."""
        blocks = [text[start : start + _BLOCK] for start in range(0, len(text), _BLOCK)][:_BLOCKS]
        began, now = tuple(map(hash, blocks)), self._clock()
        others = self._seen.setdefault(place, {})
        self._seen.move_to_end(place)
        alike = max((_common(began, other) for other, at in others.items() if now - at <= ttl_s), default=0)
        others.pop(began, None)
        others[began] = now
        if len(others) > _BESIDE:
            del others[next(iter(others))]
        if len(self._seen) > self._places:
            self._seen.popitem(last=False)
        if not alike or alike == len(began):
            return 1.0 if alike else 0.0
        # Within the first block that differs they may go on alike almost to its end.
        return min(1.0, _DENSER * (alike + 1) * _BLOCK / len(text))


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _text(conversation: Conversation, index: int) -> str:
    return "\0".join(text.text for text in conversation.body.texts if text.message == index)


def _place(planned: Planned, conversation: Conversation, index: int) -> Hashable:
    """Return what a message comes after: all before it, as the client has that."""
    before = conversation.chain[max(0, index - 1) * DIGEST_BYTES : index * DIGEST_BYTES]
    facts = planned.facts
    return conversation.scope, facts.upstream, facts.model, before


def _tokens(planned: Planned, index: int, share: float) -> int:
    """Return the tokens of the texts of all messages before one, and of a share of its own."""
    counted = [(segment.message, segment.tokens) for segment in planned.segments if not segment.tag]
    before = sum(tokens for message, tokens in counted if message < index)
    own = sum(tokens for message, tokens in counted if message == index)
    return before + int(own * share) + 1
