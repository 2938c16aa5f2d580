"""What was found out about a text, so that the same text need not be studied in every turn.

A conversation is sent again with every turn, and most of its texts were seen before. This module
remembers facts by the text that they are about; it neither knows nor judges them. Texts are not
kept: a longer one is known by 128 bits of its SHA-256. Safe to use from several threads.
"""

import hashlib
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TypeVar, cast

T = TypeVar("T")

_KEPT_WHOLE = 48
_DIGEST = 16


def name_of(text: str) -> str | bytes:
    """Return what a text is known by: itself where that is short, else a digest of 16 bytes."""
    if len(text) <= _KEPT_WHOLE:
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_DIGEST]


class Memo:
    """The newest facts, at least half of `limit` and at most all of it.

    Two generations, because they need no order of use: what is asked for lives on in the younger,
    and when that is full it becomes the older, whose facts nobody asked for are let go.

    Args:
        limit: number of facts; each takes some 200 bytes.
    """

    def __init__(self, limit: int) -> None:
        self._half = max(limit // 2, 1)
        self._young: dict[Hashable, object] = {}
        self._old: dict[Hashable, object] = {}
        self._turning = Lock()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def fact(self, key: Hashable, find: Callable[[], T]) -> T:
        """Return what is known under `key`, or what `find` finds out; None is no fact.

        Args:
            key: says which fact, and about what; one key, one type of fact.
        """
        young = self._young
        known = young.get(key)
        if known is None:
            known = self._old.get(key)
            if known is None:
                known = find()
            self._put(key, known)
        return cast("T", known)

    def _put(self, key: Hashable, known: object) -> None:
        with self._turning:
            if len(self._young) >= self._half:
                self._old, self._young = self._young, {}
            self._young[key] = known
