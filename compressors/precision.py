"""In which precision a causal model runs: what is asked for, and what this machine does fast.

Owns the question whether a CPU multiplies bf16 in hardware; loads no model.
"""

from enum import StrEnum
from functools import cache
from pathlib import Path

# AMX and AVX-512 (x86), and what ARM calls it. Elsewhere half precision is emulated, and slower than full.
_INSTRUCTIONS = frozenset(("amx_bf16", "avx512_bf16", "bf16"))
_CPU = Path("/proc/cpuinfo")


class Precision(StrEnum):
    """How numbers of a model are held.

    AUTO: half on a GPU, and on a CPU with instructions for it; else full.
    FULL: 32 bits, everywhere.
    HALF: bf16 (fp16 on a GPU that has no bf16).
    """

    AUTO = "auto"
    FULL = "full"
    HALF = "half"


def chosen(asked: Precision) -> Precision:
    """Return FULL or HALF, by what this machine does fast where that is left to it."""
    if asked is not Precision.AUTO:
        return asked
    import torch

    return Precision.HALF if torch.cuda.is_available() or _has_fast_half() else Precision.FULL


def names_half(cpu: str) -> bool:
    """Return whether a CPU, by the text of Linux's `/proc/cpuinfo`, has instructions for bf16."""
    lines = (line.partition(":") for line in cpu.splitlines())
    flags = {
        flag for name, _, told in lines if name.strip() in ("flags", "Features") for flag in told.split()
    }
    return not flags.isdisjoint(_INSTRUCTIONS)


@cache
def _has_fast_half() -> bool:
    return _CPU.is_file() and names_half(_CPU.read_text("utf-8", "replace"))
