"""Until when somebody waits for something, and that it may get later while he does."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Patience:
    """A moment by the clock of `time.monotonic`; who joins those who wait may put it off.

    Args:
        ends: the moment.
    """

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self._listeners: list[Callable[[], None]] = []

    @classmethod
    def of(cls, seconds: float) -> "Patience":
        """Return a patience of so many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left_s(self) -> float:
        """Seconds that are left; not above 0 when it is over."""
        return self.ends - time.monotonic()

    def prolong(self, ends: float) -> None:
        """Put the moment off, if `ends` is later, and tell those who listen."""
        if ends > self.ends:
            self.ends = ends
            for tell in tuple(self._listeners):
                tell()

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` whenever the moment was put off within the block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)
