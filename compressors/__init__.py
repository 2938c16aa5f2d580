"""Elision's compressors: texts in, shorter texts out, with what was kept and why.

`compress` and `PromptCompressor` are the room's front doors for those who have texts and no proxy
(`elision.compressors.api`). Importing this package loads neither numpy nor torch; asking for one of
the two loads numpy, compressing by a model loads what runs it.
"""

from typing import TYPE_CHECKING

from elision.compressors.base import Job, Method, Outcome, Span, Target

if TYPE_CHECKING:
    from elision.compressors.api import PromptCompressor, compress

__all__ = ["Job", "Method", "Outcome", "PromptCompressor", "Span", "Target", "compress"]


def __getattr__(name: str) -> object:
    """Import the front doors when they are asked for."""
    if name not in ("PromptCompressor", "compress"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from elision.compressors import api

    return getattr(api, name)
