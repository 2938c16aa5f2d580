"""What the ledger keeps of one message: what was sent for it, and what there was to say of that. Pure.

An entry holds scripts (`elision.proxy.edit_script`), not texts. It is packed as any value of the
store is; what cannot be unpacked, or makes another text than it did once, is None, hence a miss.
"""

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import msgspec

from elision.policies.model import PromptText
from elision.proxy import values
from elision.proxy.edit_script import Piece, apply_script, script_of


class Change(msgspec.Struct, frozen=True, array_like=True):
    """One text of a message, exchanged.

    Attributes:
        text: which of the message's texts, from 0.
        checksum: CRC-32 of what was sent.
        script: makes it of the original.
    """

    text: int
    checksum: int
    script: tuple[int | str, ...]


class Figures(msgspec.Struct, frozen=True, array_like=True):
    """What there is to say of a message.

    Attributes:
        tokens: by kind of segment, before and after; () where nobody counted.
        methods: names of those that shortened something.
        reasons: why something planned was not done.
        audited: tokens that rules in audit would have saved besides.
    """

    tokens: tuple[tuple[str, int, int], ...] = ()
    methods: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    audited: int = 0


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What was sent for a message.

    Attributes:
        minutes: when it was written or last prolonged, since 1970.
        changes: the texts that were exchanged; () where the message went out as it was.
    """

    minutes: int
    changes: tuple[Change, ...] = ()
    figures: Figures = Figures()


class Lineage(msgspec.Struct, frozen=True, array_like=True):
    """Under which policy a conversation began."""

    minutes: int
    policy: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A text as it was sent, and the pieces of the original that it is made of."""

    text: str
    pieces: Sequence[Piece]


T = TypeVar("T")

_BESIDE_BYTES = 1000
_ENTRY = msgspec.msgpack.Decoder(Entry)
_LINEAGE = msgspec.msgpack.Decoder(Lineage)


def entry_of(minutes: int, sent: Mapping[int, Sent], figures: Figures) -> Entry:
    """Return the entry of a message.

    Args:
        sent: what was exchanged, by the text's number in its message.
    """
    changes = (Change(n, _checksum(told.text), script_of(told.pieces)) for n, told in sorted(sent.items()))
    return Entry(minutes, tuple(changes), figures)


def replayed(entry: Entry, originals: Sequence[str]) -> dict[int, str] | None:
    """Return the texts that an entry exchanges, by their numbers; None where it is not made for these.

    Args:
        originals: the message's texts.
    """
    found: dict[int, str] = {}
    for change in entry.changes:
        if not 0 <= change.text < len(originals):
            return None
        text = apply_script(originals[change.text], change.script)
        if text is None or _checksum(text) != change.checksum:
            return None
        found[change.text] = text
    return found


def pack(told: Entry | Lineage) -> bytes:
    """Return an entry or a lineage as bytes."""
    return values.pack(msgspec.msgpack.encode(told))


def unpack_entry(value: bytes) -> Entry | None:
    """Return what `pack` made bytes of, None if they are no such bytes."""
    return _unpacked(value, _ENTRY)


def unpack_lineage(value: bytes) -> Lineage | None:
    """Return what `pack` made bytes of, None if they are no such bytes."""
    return _unpacked(value, _LINEAGE)


class Read(NamedTuple):
    """What a value says was sent for a message: the texts that were exchanged, by their numbers in it."""

    entry: Entry
    texts: Mapping[int, str]


class Reader:
    """Reads entries, and remembers what came of those read last: a conversation comes again every turn.

    This is where sent texts are held, in memory and for as long as others are not asked for.

    Args:
        limit_bytes: of what is remembered, about.
    """

    def __init__(self, limit_bytes: int = 32 * 1024 * 1024) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._seen: OrderedDict[bytes, tuple[bytes, Read]] = OrderedDict()

    def read(self, key: bytes, value: bytes, texts: Sequence[PromptText]) -> Read | None:
        """Return what a value says, None if it says nothing of such a message.

        Args:
            key: of the value; it says all of the message.
            texts: of the message.
        """
        seen = self._seen.get(key)
        if seen is not None and seen[0] == value:
            self._seen.move_to_end(key)
            return seen[1]
        entry = unpack_entry(value)
        made = replayed(entry, [text.text for text in texts]) if entry is not None else None
        if entry is None or made is None:
            return None
        read = Read(entry, made)
        self.remember(key, value, read)
        return read

    def remember(self, key: bytes, value: bytes, read: Read) -> None:
        """Take note of what a value says, so that it need not be read."""
        self._forget(key)
        self._seen[key] = value, read
        self._held += _size(value, read)
        while self._held > self._limit:
            self._forget(next(iter(self._seen)))

    def _forget(self, key: bytes) -> None:
        if (gone := self._seen.pop(key, None)) is not None:
            self._held -= _size(*gone)


def summed(figures: Iterable[Figures]) -> Figures:
    """Return the figures of several messages together."""
    tokens: dict[str, tuple[int, int]] = {}
    methods: set[str] = set()
    reasons: set[str] = set()
    audited = 0
    for told in figures:
        for kind, before, after in told.tokens:
            had = tokens.get(kind, (0, 0))
            tokens[kind] = (had[0] + before, had[1] + after)
        methods.update(told.methods)
        reasons.update(told.reasons)
        audited += told.audited
    listed = tuple((kind, *pair) for kind, pair in tokens.items())
    return Figures(listed, tuple(sorted(methods)), tuple(sorted(reasons)), audited)


def _unpacked(value: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    content = values.unpack(value)
    if content is None:
        return None
    try:
        return decoder.decode(content)
    except msgspec.DecodeError:
        return None


def _size(value: bytes, read: Read) -> int:
    """Return about how many bytes a remembered entry takes."""
    return _BESIDE_BYTES + 4 * len(value) + sum(map(len, read.texts.values()))


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode())
