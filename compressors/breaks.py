"""Moments at which long work may be put aside, or given up.

A text of a million tokens is read in many passes. Between two of them whoever reads it calls
`give_way()`, holding no lock and with nothing half done: then those who run the work may note that
it goes on, do something shorter first (by the same compressors, in the same thread), or end it by
raising `Abandoned`. Where nobody listens a call costs a dictionary look-up.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from elision.compressors.errors import CompressionError

_LISTENER: ContextVar[Callable[[], None] | None] = ContextVar("elision-give-way", default=None)


class Abandoned(CompressionError):
    """Nobody waits any more for what was being made."""


@contextmanager
def breaks(listener: Callable[[], None]) -> Iterator[None]:
    """Have `give_way` call `listener` within the block; in an inner block the inner one's counts."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def give_way() -> None:
    """Say that now is a good moment. Raises: Abandoned, to be let through."""
    listener = _LISTENER.get()
    if listener is not None:
        listener()
