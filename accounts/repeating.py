"""Work that a thread of its own does again and again, so that nothing of it is done while requests wait."""

import threading
from collections.abc import Callable


class Repeating:
    """A thread that repeats some work until it is told to end, and then does it once more.

    Args:
        name: of the thread.
        every_s: seconds between two times.
        work: must not raise.
    """

    def __init__(self, name: str, every_s: float, work: Callable[[], None]) -> None:
        self._every_s = every_s
        self._work = work
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_ending(self) -> bool:
        """Whether this is the last time."""
        return self._ending.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Have the work done once more, and return when it is; in the caller's thread if none was started."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        elif self._thread.ident is None:
            self._work()

    def _run(self) -> None:
        while not self._ending.wait(self._every_s):
            self._work()
        self._work()
