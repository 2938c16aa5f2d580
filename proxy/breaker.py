"""When a server in trouble is left alone, and for how long. Pure: knows neither clocks nor sockets.

Closed: it is asked. Open: it is not. Half open: one probe is under way, in the background; no
request is ever the probe. Each failed probe doubles the pause before the next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether the server is asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a breaker opens and how its pauses grow.

    Attributes:
        failures: in a row, after which it opens.
        pause_s: the first pause; doubled after each.
        longest_pause_s: where the doubling ends.
    """

    failures: int
    pause_s: float
    longest_pause_s: float


class Breaker:
    """Counts what failed in a row.

    Args:
        limits: when to open.
        chance: returns a number in [0, 1), for the jitter that keeps workers from probing in step.
    """

    def __init__(self, limits: BreakerLimits, chance: Callable[[], float]) -> None:
        self.state = BreakerState.CLOSED
        self._limits = limits
        self._chance = chance
        self._failures = 0
        self._pauses = 0

    @property
    def is_closed(self) -> bool:
        """Whether requests may ask the server."""
        return self.state is BreakerState.CLOSED

    def succeed(self) -> None:
        """An answer came in time, to a request: all is forgotten."""
        self._failures = self._pauses = 0
        self.state = BreakerState.CLOSED

    def fail(self, *, at_once: bool = False) -> bool:
        """One failure more; return whether this one opened the breaker.

        Args:
            at_once: it is plain that the next would fail too.
        """
        self._failures += 1
        if self.is_closed and not at_once and self._failures < self._limits.failures:
            return False
        opened = self.is_closed
        self.state = BreakerState.OPEN
        return opened

    def probe(self) -> None:
        """A probe begins."""
        self.state = BreakerState.HALF_OPEN

    def close(self) -> None:
        """A probe was answered: requests may try. The pauses go on growing until one succeeds."""
        self._failures = 0
        self.state = BreakerState.CLOSED

    def next_pause_s(self) -> float:
        """Return how long to wait before the next probe: half to all of a pause that doubles, in seconds."""
        limits = self._limits
        longest = min(limits.pause_s * 2.0**self._pauses, limits.longest_pause_s)
        if limits.pause_s * 2.0**self._pauses < limits.longest_pause_s:
            self._pauses += 1
        return longest * (0.5 + 0.5 * self._chance())
