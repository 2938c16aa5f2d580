"""What can go wrong while a text is being shortened.

    CompressionError          ours: a client never sees it, the original text goes out instead
      UnknownMethod           no such method; the message names the nearest that exists
      BadOption               a method does not know the option, or not that value
      WeightsMissing          weights or the packages that run them are absent; the message says
                              what to install
      PromptTooLong           a prompt does not fit the model's window
      OutOfMemory             not even one text at a time fits the device's memory
      Abandoned               nobody waits any more (`elision.compressors.breaks`)

Each message says what was wrong, where, and how to fix it. This module owns the tree and raises
nothing itself.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class CompressionError(Exception):
    """A text could not be shortened, or a compressor could not be made ready."""


class UnknownMethod(CompressionError):
    """A policy or a caller named a method that does not exist."""


class BadOption(CompressionError):
    """A method was given an option, or a value, that it does not understand."""


class WeightsMissing(CompressionError):
    """A model's weights, or the packages that run them, are not on this machine."""


class PromptTooLong(CompressionError):
    """A prompt has more tokens than the model can read at once."""


class OutOfMemory(CompressionError):
    """One text alone is more than the device, or the machine, has memory for."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as `; did you mean 'rate'?`, or the known words where none is near."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(words)}" if words else ""
