"""A lack of memory is known by any library's words, and makes portions smaller for a while."""

import ctypes
import subprocess
import sys

import onnxruntime.capi.onnxruntime_pybind11_state as onnx_state
import pytest
import torch

from elision.compressors.memory import SMALLER_FOR_S, Portions, is_out_of_memory, release, suspects, trim

HEAPS = """
import sys, threading
from pathlib import Path
from elision.compressors.memory import one_heap

told = one_heap() if sys.argv[1] == "one" else None
here, over = threading.Barrier(5), threading.Event()

def hold():
    kept = [bytearray(50_000) for _ in range(20)]
    here.wait()
    over.wait()

threads = [threading.Thread(target=hold) for _ in range(4)]
for thread in threads:
    thread.start()
here.wait()
# A heap of a thread's own lies in an aligned room of 64 MiB, most of which nobody may touch yet.
rooms = 0
for line in Path("/proc/self/maps").read_text().splitlines():
    start, end = (int(number, 16) for number in line.split()[0].split("-"))
    rooms += line.split()[1] == "---p" and end % (1 << 26) == 0 and 50 << 20 < end - start < 1 << 26
print(told, rooms)
over.set()
"""

LACKING = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    onnx_state.RuntimeException("Failed to allocate memory for requested buffer of size 4096"),
    onnx_state.Fail("std::bad_alloc"),
]


@pytest.mark.parametrize("error", LACKING, ids=repr)
def test_every_library_s_lack_of_memory_is_caught_and_known(error: Exception) -> None:
    """Whether it has a class of its own or only words."""
    assert isinstance(error, suspects())
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes do not match"), ValueError("out of memory")], ids=repr
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    """A text that speaks of memory is no lack of it."""
    assert not is_out_of_memory(error)


def test_memory_that_a_real_allocation_lacks_is_known() -> None:
    """What torch says on this machine, not what we think it says."""
    with pytest.raises(suspects()) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)
    release()
    assert torch.empty(8).shape == (8,)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library"
)
def test_memory_that_was_freed_below_what_stays_goes_back_to_the_system() -> None:
    """The C library keeps it otherwise: it returns by itself only what lies at the end."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    blocks = [libc.malloc(ctypes.c_size_t(1 << 14)) for _ in range(200)]
    for block in blocks[:-1]:
        libc.free(ctypes.c_void_p(block))
    assert trim()
    libc.free(ctypes.c_void_p(blocks[-1]))


def test_portions_are_whole_until_memory_ran_out_and_again_after_a_while() -> None:
    """Half of what was too much, in whole items, at least one; by key."""
    now = [0.0]
    portions = Portions(lambda: now[0])
    assert portions.first("a", [5, 5, 5, 5]) == 4
    portions.halve("a", 20)
    assert [portions.first("a", sizes) for sizes in ([5, 5, 5, 5], [11, 1], [1, 1])] == [2, 1, 2]
    assert portions.first("b", [5, 5, 5, 5]) == 4
    now[0] = SMALLER_FOR_S
    assert portions.first("a", [5, 5, 5, 5]) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_threads_share_one_heap_where_they_would_have_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the operator has said how many there are to be."""
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert [_heaps("one"), _heaps("each")] == [["True", "0"], ["None", "4"]]
    monkeypatch.setenv("MALLOC_ARENA_MAX", "3")
    assert _heaps("one") == ["False", "2"]


def _heaps(word: str) -> list[str]:
    """Return what `one_heap` said, if it was called, and how many heaps there are beside the first."""
    command = [sys.executable, "-c", HEAPS, word]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
