"""When a device has no memory left: telling such errors, making room, smaller portions for a while.

The libraries that run models say it each in their own way; this module knows those ways and imports
none of them, because only a library that was imported can have failed.
"""

import ctypes
import gc
import os
import sys
import time
from collections.abc import Callable, Hashable, Sequence

SMALLER_FOR_S = 60.0
"""Seconds after which the whole size is tried again: memory may have been another process's."""

_ARENA_MAX = -8  # malloc.h
_CLASSES = frozenset(("OutOfMemoryError", "MemoryError"))
# In the order: torch on CUDA and its libraries, torch on a CPU, ONNX Runtime's arenas, C++ itself.
_WORDS = (
    "out of memory",
    "alloc_failed",
    "can't allocate memory",
    "not enough memory",
    "failed to allocate memory",
    "bad_alloc",
    "bad allocation",
)


def suspects() -> tuple[type[Exception], ...]:
    """Return the classes of errors that may tell of a lack of memory, for an `except`."""
    known: list[type[Exception]] = [MemoryError, RuntimeError]
    state = sys.modules.get("onnxruntime.capi.onnxruntime_pybind11_state")
    for name in ("RuntimeException", "Fail", "EPFail"):
        found = getattr(state, name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            known.append(found)
    return tuple(known)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had, of the device's or the machine's."""
    if any(kind.__name__ in _CLASSES for kind in type(error).__mro__):
        return True
    told = str(error).lower()
    return isinstance(error, suspects()) and any(words in told for words in _WORDS)


def release() -> None:
    """Give back what is held without need, so that a smaller portion may find room."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    trim()


def trim() -> bool:
    """Give freed memory back to the system, where the C library (glibc) would keep it for later.

    After loading: what parsing files took and freed again is a tenth of such a process.

    Returns: whether there was any; False where the C library cannot.
    """
    if sys.platform != "linux":
        return False
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return give_back is not None and bool(give_back(0))


def one_heap() -> bool:
    """Have all threads allocate from one heap, where the C library (glibc) would give each its own.

    What one thread frees, another can then use; with a heap for each, half-empty ones add up. To be called
    before threads are started. Large pieces are mapped by themselves in either case.

    Returns: whether it is so from now on; False where the C library cannot, or the operator has said how
        many there are to be.
    """
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return False
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    return set_option is not None and bool(set_option(_ARENA_MAX, 1))


class Portions:
    """How much may be done at once, by key: all of it, or less for a while after memory ran out.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limits: dict[Hashable, tuple[int, float]] = {}

    def first(self, key: Hashable, sizes: Sequence[int]) -> int:
        """Return how many of the items of these sizes may be done next; at least one of any."""
        limit, until = self._limits.get(key, (0, 0.0))
        if until <= self._clock():
            self._limits.pop(key, None)
            return len(sizes)
        total = 0
        for count, size in enumerate(sizes):
            total += size
            if total > limit:
                return max(count, 1)
        return len(sizes)

    def halve(self, key: Hashable, size: int) -> None:
        """Remember that `size` at once was too much."""
        self._limits[key] = (size // 2, self._clock() + SMALLER_FOR_S)
