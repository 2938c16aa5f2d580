"""What was sent for a conversation's earlier messages, so that exactly that is sent again.

Providers bill a prefix that they have seen at a fraction of its price, and find it by its bytes. So
what once went out for a message goes out in every later turn, whatever policy, deadline, weights or
device would say by then (promise 4). The ledger reads what is known of a conversation in one round
trip, settles what is new of it, and writes that once the upstream has answered. It decides nothing.

Names are digests of content (`elision.proxy.ledger_chain`), entries are scripts
(`elision.proxy.ledger_entries`). Both are kept per team and per lineage, the policy under which a
conversation began: a new conversation is decided by today's policy even where it begins with the
words of an old one, and a running one stays as it is.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

import msgspec

from elision.proxy.bodies import Body
from elision.proxy.ledger_chain import DIGEST_BYTES, Chains, Origin
from elision.proxy.ledger_entries import (
    Entry,
    Figures,
    Lineage,
    Read,
    Reader,
    Sent,
    entry_of,
    pack,
    unpack_lineage,
)
from elision.proxy.store import Kind, MemoryStore, Store, make_key, scope_of

_LINEAGE_BYTES = 8
_STEP = "#"
"""In the name of a lineage, between a policy's label and what began it within a conversation."""
_NOTHING: Mapping[int, str] = MappingProxyType({})
_NOTED: Mapping[bytes, bytes] = MappingProxyType({})
PATIENCE_S = 1.0
_LEAST_PATIENCE_S = 0.05
"""What was sent before is worth some waiting, even for a request that is late already."""
_ENDS = 64
"""An end of an earlier request of ours is looked for in so many places, from the end on."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request's conversation, as the ledger names it.

    Attributes:
        scope: its team's.
        chain: digests of its prefixes.
        today: the policy under which it begins if it is a new one.
        pinned: so many messages at its beginning are none of the ledger's.
    """

    body: Body
    scope: bytes
    chain: bytes
    today: str
    pinned: int = 0

    def __len__(self) -> int:
        return len(self.body.messages)

    @property
    def indices(self) -> range:
        """Return which messages are the ledger's."""
        return range(min(self.pinned, len(self)), len(self))

    def message_keys(self, lineage: str) -> list[bytes]:
        """Return the key of what was sent for each message that is the ledger's."""
        head, name = make_key(self.scope, Kind.MESSAGE, b""), _name_of(lineage)
        return [head + self._digest(index + 1) + name for index in self.indices]

    def lineage_key(self, number: int) -> bytes:
        """Return the key of the lineage of a request that ended after so many messages."""
        return make_key(self.scope, Kind.LINEAGE, self._digest(number))

    def own_lineage(self, lineage: str, turns: int) -> str:
        """Return the name of a lineage that begins with this very request.

        Args:
            lineage: that it has been so far.
            turns: so many of its first turns count as shortened a second time.
        """
        digest = self._digest(len(self))[-_LINEAGE_BYTES:].hex()
        return f"{lineage.partition(_STEP)[0]}{_STEP}{turns}.{digest}"

    def first_texts(self) -> list[int]:
        """Return where each message's texts begin among the body's, and, at last, where they end."""
        texts = self.body.texts
        starts = [len(texts)] * (len(self) + 1)
        for place in range(len(texts) - 1, -1, -1):
            starts[texts[place].message] = place
        for index in range(len(self) - 1, -1, -1):
            starts[index] = min(starts[index], starts[index + 1])
        return starts

    def _digest(self, number: int) -> bytes:
        return self.chain[(number - 1) * DIGEST_BYTES : number * DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Known:
    """What was sent for a message.

    Attributes:
        texts: what was exchanged, by indices into the body's texts.
    """

    entry: Entry
    texts: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the ledger knows of a conversation.

    Attributes:
        lineage: that it runs under.
        known: what was sent, by messages.
        ended: numbers of messages after which an earlier request of this conversation ended.
        stale: values that are to be written again, lest they end while they are used.
        damaged: whether an entry could not be used.
        others: what the store holds under the keys that were asked for besides.
        age_s: seconds since its last request, a minute less at most; 0 where none is known.
        copies: what is known, under the keys of a lineage that begins with this request.
        unstepped: the same before that lineage began; None where none does.
        is_sure: whether what is not known was never sent; not where the store is in trouble.
    """

    conversation: Conversation
    lineage: str
    known: Mapping[int, Known]
    ended: Collection[int] = ()
    stale: Mapping[bytes, bytes] = field(default_factory=dict)
    damaged: bool = False
    others: Mapping[bytes, bytes | None] = field(default_factory=dict)
    age_s: float = 0.0
    copies: Mapping[bytes, bytes] = field(default_factory=dict)
    unstepped: "Recalled | None" = None
    is_sure: bool = True

    @property
    def stepped_turns(self) -> int:
        """Return how many of the conversation's first turns were shortened a second time."""
        return _turns_of(self.lineage)

    @property
    def is_todays(self) -> bool:
        """Whether the conversation runs under the team's policy of today."""
        return self.lineage.partition(_STEP)[0] == self.conversation.today

    def tail(self, shown: Collection[int]) -> int:
        """Return the first message that is to be decided; unknown ones before it are history.

        A chain that breaks off where an earlier request ended, and goes on with its answer, is all
        known; so is one with no answer after the break. Otherwise others sent what follows, and it
        goes out as they sent it, up to the last answer. Where the store is in trouble, it is we who
        are likely to have sent it; decided a second time, it is likely to come out as at first.

        Args:
            shown: messages of the assistant that are demonstrations, and no answers.
        """
        messages = self.conversation.body.messages
        start = self.conversation.pinned
        while start < len(messages) and start in self.known:
            start += 1
        answers = [
            index
            for index in range(start, len(messages))
            if messages[index].role == "assistant" and index not in shown and index not in self.known
        ]
        is_first_sight = start in self.ended and answers[:1] == [start]
        return start if is_first_sight or not self.is_sure or not answers else answers[-1] + 1


@dataclass(frozen=True, slots=True)
class Made:
    """What is to be sent for a message: texts that are exchanged, by indices into the body's."""

    sent: Mapping[int, Sent]
    figures: Figures


class Ledger:
    """Remembers what was sent.

    Args:
        store: of all that is kept.
        memory: its level in this process, which is read and written at once.
        ttl_s: seconds that an entry is kept after its last use, at least three quarters of them.
        is_sure: whether what the store did not have when it was last asked is not there.
    """

    def __init__(
        self,
        store: Store,
        memory: MemoryStore,
        ttl_s: float = 86400.0,
        *,
        is_sure: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._is_sure = is_sure
        self._memory = memory
        self._ttl_s = ttl_s
        self._chains = Chains()
        self._reader = Reader()
        self._writes: set[asyncio.Task[None]] = set()

    def conversation(
        self, body: Body, origin: Origin, team: str, policy: str, pinned: int = 0
    ) -> Conversation:
        """Return the conversation that a body is a request of; may be called in any thread.

        Args:
            policy: names the rules by which the team's new conversations are decided today.
            pinned: so many messages at its beginning are none of the ledger's.
        """
        return Conversation(body, scope_of(team), self._chains.of(body, origin), policy, pinned)

    async def recall(
        self, conversation: Conversation, also: Sequence[bytes] = (), patience_s: float = PATIENCE_S
    ) -> Recalled:
        """Return what is known of a conversation, in one round trip; in two if it began under another policy.

        Args:
            also: keys that are asked for on the same trip.
            patience_s: after so many seconds, of both trips together, what this process knows counts.
        """
        until = time.monotonic() + patience_s
        ends = _ends(conversation)
        keys = conversation.message_keys(conversation.today)
        asked = [*keys, *map(conversation.lineage_key, ends), *also]
        values, is_sure = await self._asked(asked, patience_s)
        given, others = values[: len(keys)], dict(zip(also, values[len(asked) - len(also) :], strict=True))
        lineages = dict(zip(ends, map(_lineage, values[len(keys) : len(keys) + len(ends)]), strict=True))
        ended = [number for number, lineage in lineages.items() if lineage is not None]
        lineage = lineages[max(ended)] if ended else None
        if lineage is not None and lineage.policy != conversation.today:
            keys = conversation.message_keys(lineage.policy)
            given, is_sure = await self._asked(keys, until - time.monotonic())
        read = self._known(conversation, keys, given)
        known = {index: told for index, told in read.items() if told is not None}
        used: dict[bytes, Entry | Lineage] = {
            keys[index - conversation.indices.start]: told.entry for index, told in known.items()
        }
        used |= {conversation.lineage_key(max(ended)): lineage} if lineage is not None else {}
        return Recalled(
            conversation,
            lineage.policy if lineage is not None else conversation.today,
            known,
            frozenset(ended),
            self._stale(used),
            damaged=len(known) < len(read),
            others=others,
            age_s=max(0, _minutes() - lineage.minutes - 1) * 60.0 if lineage is not None else 0.0,
            is_sure=is_sure,
        )

    def stepped(self, recalled: Recalled, turns: int, made: Mapping[int, Made]) -> Recalled:
        """Return a conversation of which earlier messages are sent otherwise from this request on.

        It goes on under a lineage of its own, so that requests that do not follow this one, in other
        branches of the conversation, find what they were sent as it was.

        Args:
            turns: so many of its first turns count as shortened a second time.
            made: for messages that are known, what is to be sent for them.
        """
        conversation, minutes = recalled.conversation, _minutes()
        lineage = conversation.own_lineage(recalled.lineage, turns)
        starts, known = conversation.first_texts(), dict(recalled.known)
        for index, told in made.items():
            read = _decided(starts[index], told, minutes)
            known[index] = Known(read.entry, _placed(starts[index], read.texts))
        keys = conversation.message_keys(lineage)
        first = conversation.indices.start
        entries = {index: msgspec.structs.replace(one.entry, minutes=minutes) for index, one in known.items()}
        copies = {keys[index - first]: pack(entry) for index, entry in entries.items()}
        return replace(recalled, lineage=lineage, known=known, stale={}, copies=copies, unstepped=recalled)

    def apart(self, recalled: Recalled, passing: Collection[int]) -> Recalled:
        """Return a new conversation under a lineage of its own, where it must not speak for others.

        What others begin with as well, a system message for instance, may go out as it came for no
        better reason than a bad moment, or that nobody knows how it went out before. This conversation
        stays with that; the next one that begins so decides anew.

        Args:
            passing: messages that go out as they came for such a reason.
        """
        last = len(recalled.conversation) - 1
        if recalled.ended or recalled.unstepped is not None or all(at >= last for at in passing):
            return recalled
        return self.stepped(recalled, 0, {})

    def settle(
        self, recalled: Recalled, made: Mapping[int, Made], noted: Mapping[bytes, bytes] = _NOTED
    ) -> "Settled":
        """Return what is sent, in one step with which it is known to all other requests of this process.

        Args:
            made: for messages that are not known. Where another request of the conversation was
                quicker, its word counts.
            noted: values to be kept besides.
        """
        conversation, minutes = recalled.conversation, _minutes()
        lineage_key = conversation.lineage_key(len(conversation)) if len(conversation) else b""
        held = _lineage(self._memory.get(lineage_key))
        if held is not None and recalled.unstepped is not None:
            recalled = recalled.unstepped
        lineage = held.policy if held is not None else recalled.lineage
        written = dict(recalled.copies)
        if held is None and lineage_key:
            written[lineage_key] = pack(Lineage(minutes, lineage))
        sent = dict(recalled.known) if lineage == recalled.lineage else {}
        new: set[int] = set()
        keys = conversation.message_keys(lineage)
        named = dict(zip(conversation.indices, keys, strict=True))
        values = [None if at in sent else self._memory.get(key) for at, key in named.items()]
        quicker = self._known(conversation, keys, values)
        sent |= {at: known for at, known in quicker.items() if known is not None}
        starts = conversation.first_texts() if len(sent) < len(keys) else []
        for index in sorted(named.keys() - sent.keys()):
            if index in recalled.known:
                sent[index] = recalled.known[index]
            elif index in made:
                new.add(index)
                read = _decided(starts[index], made[index], minutes)
                sent[index] = Known(read.entry, _placed(starts[index], read.texts))
                value = written[named[index]] = pack(read.entry)
                self._reader.remember(named[index], value, read)
        for key, value in (*written.items(), *noted.items()):
            self._memory.put(key, value, self._ttl_s)
        stale = {**recalled.stale, **noted}
        return Settled(self, conversation, lineage, sent, frozenset(new), written, stale)

    def write(self, items: Mapping[bytes, bytes], *, only_new: bool) -> None:
        """Keep values, in the background."""
        if not items:
            return
        work = self._store.put_many(items, self._ttl_s, only_new=only_new)
        task = asyncio.get_running_loop().create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def close(self) -> None:
        """Wait for writes that are under way."""
        await asyncio.gather(*self._writes)

    async def _asked(self, keys: Sequence[bytes], patience_s: float) -> tuple[list[bytes | None], bool]:
        """Return what the store has, and whether what it has not is not there."""
        try:
            async with asyncio.timeout(max(patience_s, _LEAST_PATIENCE_S)):
                values = await self._store.get_many(keys)
        except TimeoutError:
            return [self._memory.get(key) for key in keys], False
        return values, self._is_sure()

    def _stale(self, used: Mapping[bytes, Entry | Lineage]) -> dict[bytes, bytes]:
        """Return values made new, of those that have lived a quarter of their life."""
        minutes = _minutes() - int(self._ttl_s / 4 / 60)
        return {key: _renewed(told) for key, told in used.items() if told.minutes <= minutes}

    def _known(
        self, conversation: Conversation, keys: Sequence[bytes], values: Sequence[bytes | None]
    ) -> dict[int, Known | None]:
        """Return what values say was sent, by messages; None for one that says nothing of its message."""
        found: dict[int, Known | None] = {}
        starts: list[int] = []
        texts, read = conversation.body.texts, self._reader.read
        for index, key, value in zip(conversation.indices, keys, values, strict=True):
            if value is None:
                continue
            starts = starts or conversation.first_texts()
            start, end = starts[index], starts[index + 1]
            told = read(key, value, texts[start:end])
            found[index] = told and Known(told.entry, _placed(start, told.texts))
        return found


@dataclass(frozen=True, slots=True)
class Settled:
    """What is sent of a conversation; the receipt that tells the ledger that it was.

    Attributes:
        messages: what is sent for each.
        new: messages that were decided for this request.
        written: values that are new.
        stale: values that are to be written again.
    """

    ledger: Ledger
    conversation: Conversation
    lineage: str
    messages: Mapping[int, Known]
    new: Collection[int]
    written: Mapping[bytes, bytes]
    stale: Mapping[bytes, bytes]

    def texts(self) -> dict[int, str]:
        """Return the texts that are exchanged, by indices into the body's."""
        return {index: text for known in self.messages.values() for index, text in known.texts.items()}

    def sent(self) -> None:
        """Write what is new, in the background."""
        self.ledger.write(self.written, only_new=True)
        self.ledger.write(self.stale, only_new=False)

    def withdrawn(self, reason: str) -> None:
        """Write that everything went out as the client sent it.

        It is written over what this request decided. Where an earlier one's word is concerned, other
        conversations and branches rely on that, and this one goes on under a lineage of its own.
        """
        conversation, minutes, lineage = self.conversation, _minutes(), self.lineage
        told = {at: known.entry for at, known in self.messages.items() if known.texts}
        originals = {at: _as_it_was(entry, minutes, reason) for at, entry in told.items()}
        written: dict[bytes, bytes] = {}
        if not originals.keys() <= set(self.new):
            lineage = conversation.own_lineage(lineage, _turns_of(lineage))
            originals = {at: known.entry for at, known in self.messages.items()} | originals
            written[conversation.lineage_key(len(conversation))] = pack(Lineage(minutes, lineage))
        keys, first = conversation.message_keys(lineage), conversation.indices.start
        written |= {keys[at - first]: pack(entry) for at, entry in originals.items()}
        self.ledger.write(written, only_new=False)


def _turns_of(lineage: str) -> int:
    """Return how many turns count as shortened a second time under a lineage."""
    own = lineage.partition(_STEP)[2]
    return int(own.partition(".")[0]) if own else 0


def _minutes() -> int:
    return int(time.time() // 60)


@lru_cache(maxsize=1024)
def _name_of(lineage: str) -> bytes:
    return hashlib.sha256(lineage.encode()).digest()[:_LINEAGE_BYTES]


def _ends(conversation: Conversation) -> list[int]:
    """Return after how many messages an earlier request may have ended, the latest last.

    Mostly before an answer; but a client may have said more without waiting for one. The former are
    looked for first, for one answer may call more tools than there are places to look in.
    """
    messages = conversation.body.messages
    number = len(messages)
    said = [end for end in range(number - 1, 0, -1) if messages[end - 1].role != "assistant"]
    answered = [end for end in said if messages[end].role == "assistant"]
    found = {number, *answered[: _ENDS // 2]} if number else set[int]()
    found.update(said[: _ENDS - len(found)])
    return sorted(found)


def _lineage(value: bytes | None) -> Lineage | None:
    return unpack_lineage(value) if value is not None else None


def _decided(start: int, made: Made, minutes: int) -> Read:
    """Return what is sent for a message, whose texts begin at `start` among the body's."""
    sent = {place - start: told for place, told in made.sent.items()}
    return Read(entry_of(minutes, sent, made.figures), {number: told.text for number, told in sent.items()})


def _placed(start: int, texts: Mapping[int, str]) -> Mapping[int, str]:
    """Return texts by their indices among the body's."""
    return {start + number: text for number, text in texts.items()} if texts else _NOTHING


def _renewed(told: Entry | Lineage) -> bytes:
    return pack(msgspec.structs.replace(told, minutes=_minutes()))


def _as_it_was(entry: Entry, minutes: int, reason: str) -> Entry:
    """Return the entry of a message that went out as the client sent it after all."""
    tokens = tuple((kind, before, before) for kind, before, _ in entry.figures.tokens)
    return Entry(minutes, (), Figures(tokens, (), (reason,)))
