"""What is kept of requests in Redis, which several machines share.

`RedisKeeper` adds to counters; `RedisArchive` reads them. For each bucket of time there is a hash that
ends by itself: `<labels>:<number>` is a measure, `<labels>:w<word>` a word, where `<labels>` is a
digest that another hash explains. All keys share a slot, so that a part is added by one script, whole
or not at all; each part has a number that only grows, so that one whose answer was lost is sent again
and counted once. How Redis is reached is for whoever hands in `Commands`.
"""

import asyncio
import heapq
import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, TypeAlias

import msgspec

from elision.accounts.archive import LABELS, ArchiveTrouble, Order, Query, Recent, Row, Step
from elision.accounts.labels import Labels
from elision.accounts.recorder import KeepingTrouble
from elision.accounts.spans import SECONDS, Kept, Span, check_labels, kept_at, spans
from elision.accounts.tally import Cell, Tally, sums_of
from elision.config.accounts import Accounts

PREFIX = "elision:figures:1:{figures}:"
TAG = b"figures"
"""What stands between the braces: it decides the slot of all keys."""
MOST_RECENT = 20_000
"""Recent requests beyond this would make reading them slow."""

Word: TypeAlias = bytes | str | int
Answer: TypeAlias = "bytes | int | list[Answer] | None"

_CELLS_AT_ONCE = 4
_RECENT_AT_ONCE = 100
_ASKED_AT_ONCE = 50
_RECENT_PAGE = 1000
_REMEMBERED_S = 7 * 86_400
"""A part that waited so long for its answer may be counted twice."""

_LABELS_KEY, _RECENT_KEY = PREFIX + "labels", PREFIX + "recent"
_NUMBERS = len(Cell().numbers())

_ADD = """
local part = tonumber(ARGV[1])
if tonumber(redis.call('GET', KEYS[1]) or '0') >= part then return 0 end
redis.call('SET', KEYS[1], part, 'EX', ARGV[2])
local at = 6
for _ = 1, tonumber(ARGV[4]) do
  redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1])
  at = at + 2
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
for _ = 1, tonumber(ARGV[5]) do
  redis.call('LPUSH', KEYS[3], ARGV[at])
  at = at + 1
end
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[at]) - 1)
redis.call('EXPIRE', KEYS[3], ARGV[3])
at = at + 1
for key = 4, #KEYS do
  local last = at + 1 + 2 * tonumber(ARGV[at + 1])
  for field = at + 2, last, 2 do
    redis.call('HINCRBY', KEYS[key], ARGV[field], ARGV[field + 1])
  end
  redis.call('EXPIREAT', KEYS[key], ARGV[at])
  at = last + 1
end
return 1
"""


class RedisAway(Exception):
    """Redis did not answer, or with an error; the message says why, for the operator."""


class Commands(Protocol):
    """A way to the Redis that holds the slot of `TAG`."""

    async def run(self, commands: Sequence[Sequence[Word]]) -> list[Answer]:
        """Return the answers to commands, in their order.

        Raises: RedisAway; some of the commands may have been carried out.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    """What is added at once.

    Attributes:
        command: that adds it, once, however often it is sent.
        requests: how many it holds.
    """

    command: Sequence[Word]
    requests: int


class RedisKeeper:
    """Adds what was recorded to the counters in Redis.

    Args:
        commands: the way there.
        loop: that `commands` lives in; `keep` is called in another thread.
        accounts: how long and how much is kept.
    """

    def __init__(self, commands: Commands, loop: asyncio.AbstractEventLoop, accounts: Accounts) -> None:
        self._commands = commands
        self._loop = loop
        self._accounts = accounts
        self._marker = f"{PREFIX}part:{os.urandom(8).hex()}"
        self._number = 0
        self._part: _Part | None = None

    @property
    def waiting(self) -> int:
        """Requests of the part whose answer is missing."""
        return self._part.requests if self._part is not None else 0

    def keep(self, tally: Tally) -> None:
        """Add what a tally holds, part by part.

        A part that was sent is sent again until there is an answer, before anything else is.

        Raises: KeepingTrouble.
        """
        while self._part is not None or tally:
            if self._part is None:
                self._number += 1
                self._part = self._packed(tally.take(_CELLS_AT_ONCE, _RECENT_AT_ONCE))
            sending = asyncio.run_coroutine_threadsafe(self._commands.run([self._part.command]), self._loop)
            try:
                sending.result()
            except RedisAway as trouble:
                raise KeepingTrouble(f"Redis: {trouble}") from trouble
            self._part = None

    def close(self) -> None:
        """Nothing is held; the way to Redis is its owner's."""

    def _packed(self, tally: Tally) -> _Part:
        """Return the command that adds a few cells."""
        labels = {_digest(labels): labels for _, labels in tally.cells}
        told = [word for digest, values in labels.items() for word in (digest, msgspec.json.encode(values))]
        recent = [msgspec.json.encode(one) for one in tally.told()]
        keys, hashes = self._hashes(tally)
        most = min(self._accounts.recent, MOST_RECENT)
        counts = (self._number, _REMEMBERED_S, self._accounts.days_d * 86_400, len(labels), len(recent))
        names = (self._marker, _LABELS_KEY, _RECENT_KEY, *keys)
        words = (*names, *counts, *told, *recent, most, *hashes)
        return _Part(("EVAL", _ADD, len(names), *words), tally.requests)

    def _hashes(self, tally: Tally) -> tuple[list[str], list[Word]]:
        """Return keys, and for each: when it ends, how many fields follow, and they with what is added."""
        lives = (
            self._accounts.minutes_h * 3600,
            self._accounts.hours_d * 86_400,
            self._accounts.days_d * 86_400,
        )
        fields: dict[tuple[Step, int], list[Word]] = {}
        for step, seconds in SECONDS.items():
            for (at, labels), cell in tally.by(seconds):
                fields.setdefault((step, at), []).extend(_fields(_digest(labels), cell))
        words: list[Word] = []
        for (step, at), added in fields.items():
            # A day more, since what is kept is kept to the beginning of an hour or a day.
            words += [at + lives[list(SECONDS).index(step)] + 2 * 86_400, len(added) // 2, *added]
        return [_key(step, at) for step, at in fields], words


def _key(step: Step, at: int) -> str:
    return f"{PREFIX}{step}:{at}"


def _digest(labels: Labels) -> str:
    """Return what labels are called in the fields of hashes: 8 letters, none of them a colon."""
    return urlsafe_b64encode(blake2b("\0".join(labels).encode(), digest_size=6).digest()).decode()


def _fields(digest: str, cell: Cell) -> list[Word]:
    """Return fields and what is added to each: measures that are not 0, and words."""
    added: list[Word] = []
    for number, count in enumerate(cell.numbers()):
        if count:
            added += [f"{digest}:{number}", count]
    for word, count in cell.words.items():
        added += [f"{digest}:w{word}", count]
    return added


class RedisArchive:
    """Answers questions about what is in Redis; see `elision.accounts.archive.Archive`.

    Args:
        commands: the way there.
        accounts: how long is kept what.
    """

    def __init__(self, commands: Commands, accounts: Accounts) -> None:
        self._commands = commands
        self._accounts = accounts

    async def rows(self, query: Query) -> list[Row]:
        """Return rows in order of time, then labels."""
        kept = kept_at(int(time.time()), self._accounts)
        found = spans(query, kept)
        if not found:
            return []
        groups = _groups(await self._labels(), query)
        sums = _Sums()
        for buckets in _batched(list(_buckets(found, kept)), _ASKED_AT_ONCE):
            hashes = await self._run([("HGETALL", _key(step, at)) for step, at in buckets])
            times = [found[0].since if query.step is Step.ALL else at for _, at in buckets]
            await asyncio.to_thread(sums.add, list(zip(times, hashes, strict=True)), groups)
        return sums.rows()

    async def recent(self, order: Order, count: int, only: Sequence[tuple[str, str]] = ()) -> list[Recent]:
        """Return recent requests, at most `count`."""
        check_labels(tuple(label for label, _ in only))
        by: Callable[[Recent], float] = {
            Order.NEWEST: lambda one: one.at,
            Order.SLOWEST: lambda one: one.overhead_ms,
            Order.LARGEST: lambda one: one.tokens_before,
        }[order]
        best: list[Recent] = []
        for start in range(0, min(self._accounts.recent, MOST_RECENT), _RECENT_PAGE):
            [page] = await self._run([("LRANGE", _RECENT_KEY, start, start + _RECENT_PAGE - 1)])
            found = await asyncio.to_thread(_told, page, only)
            best = heapq.nlargest(count, [*best, *found], key=by)
            if not isinstance(page, list) or len(page) < _RECENT_PAGE:
                break
        return best

    async def values(self, label: str) -> list[str]:
        """Return the values that a label has had, sorted."""
        check_labels((label,))
        at = LABELS.index(label)
        return sorted({labels[at] for labels in (await self._labels()).values()})

    async def _labels(self) -> dict[bytes, list[str]]:
        [found] = await self._run([("HGETALL", _LABELS_KEY)])
        return {digest: msgspec.json.decode(told, type=list[str]) for digest, told in _pairs(found)}

    async def _run(self, commands: Sequence[Sequence[Word]]) -> list[Answer]:
        try:
            return await self._commands.run(commands)
        except RedisAway as trouble:
            raise ArchiveTrouble(f"Redis: {trouble}") from trouble


class _Sums:
    """Measures by time and labels, while hashes are read."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        self._words: dict[tuple[int, tuple[str, ...]], dict[str, int]] = {}

    def add(self, hashes: Sequence[tuple[int, Answer]], groups: Mapping[bytes, tuple[str, ...]]) -> None:
        """Add hashes, each with the time that it counts for; of labels that are in no group nothing."""
        for at, answer in hashes:
            for field, count in _pairs(answer):
                digest, _, measure = field.partition(b":")
                group = groups.get(digest)
                if group is None:
                    continue
                numbers = self._numbers.setdefault((at, group), [0] * _NUMBERS)
                if measure.isdigit():
                    numbers[int(measure)] += int(count)
                else:
                    words = self._words.setdefault((at, group), {})
                    word = measure[1:].decode()
                    words[word] = words.get(word, 0) + int(count)

    def rows(self) -> list[Row]:
        """Return what was added, in order."""
        return [
            Row(at, group, sums_of(numbers, self._words.get((at, group), {})))
            for (at, group), numbers in sorted(self._numbers.items(), key=lambda item: item[0])
        ]


def _groups(labels: Mapping[bytes, Sequence[str]], query: Query) -> dict[bytes, tuple[str, ...]]:
    """Return, of labels that a query asks for, what it tells them apart by."""
    by = [LABELS.index(label) for label in query.by]
    only = [(LABELS.index(label), value) for label, value in query.only]
    return {
        digest: tuple(values[at] for at in by)
        for digest, values in labels.items()
        if all(values[at] == value for at, value in only)
    }


def _buckets(found: Iterable[Span], kept: Kept) -> Iterable[tuple[Step, int]]:
    """Yield the buckets of spans that may be there: nobody asks for every day since 1970."""
    for span in found:
        since, until = max(span.since, kept.days), min(span.until, kept.now + 86_400)
        yield from ((span.step, at) for at in range(since, until, SECONDS[span.step]))


def _batched(items: Sequence[tuple[Step, int]], count: int) -> Iterable[Sequence[tuple[Step, int]]]:
    for at in range(0, len(items), count):
        yield items[at : at + count]


def _pairs(answer: Answer) -> Iterable[tuple[bytes, bytes]]:
    """Yield the fields of a hash with their values."""
    words = [word for word in answer if isinstance(word, bytes)] if isinstance(answer, list) else []
    return zip(words[::2], words[1::2], strict=True)


def _told(page: Answer, only: Sequence[tuple[str, str]]) -> list[Recent]:
    """Return the requests on a page that have the labels asked for."""
    if not isinstance(page, list):
        return []
    found = [msgspec.json.decode(one, type=Recent) for one in page if isinstance(one, bytes)]
    return [one for one in found if all(getattr(one, label) == value for label, value in only)]
