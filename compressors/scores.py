"""What a scorer found in a text, as bytes, so that a changed rate need not have the text read anew.

The selector asks of two units only which matters more, so that what is kept of their importance is
their order: the least distinct value is 0, the next 1. Two bytes hold the order of 65,536 values;
where a text has more, neighbours become equal. Values that differ by less than a model's sums do from
batch to batch are taken for equal first, lest two words that it thinks alike change places with the
company that their text was read in. Every selection is made of these ranks, whether they were just
found or come from a cache, so that the choice cannot depend on that.
Nothing here proves that bytes are undamaged: whoever keeps them does.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import Units

LEVELS = 1 << 16
LIMIT_BYTES = 1 << 20
"""Scores of more bytes, those of some 300,000 tokens, are not packed: too much for a few milliseconds."""
_BITS = 16
"""Of a value's mantissa that count: sums of 32-bit floats in another order differ by some 2e-7 of them."""
_FORMAT = 1
_HEAD = struct.Struct("<BIIBBB")
_WIDTHS = (1, 2, 4)


def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values as exact as sums in any order leave them, so that equals are equal."""
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * (1 << _BITS)), exponent)


def quantised(units: Units) -> Units:
    """Return the units with the rank of their importance in its place, from 0, equals alike."""
    values, ranks = np.unique(rounded(units.importance), return_inverse=True)
    if len(values) > LEVELS:
        ranks = ranks * LEVELS // len(values)
    return Units(units.bounds, ranks.reshape(-1).astype(np.float64))


def pack(units: Units, length: int) -> bytes:
    """Return quantised units of a text of `length` characters as bytes; b"" if that were too many.

    A head, then three columns of N numbers, each as wide as its largest needs: characters from the
    end of the unit before, characters of the unit, rank. Small and alike, they compress well.
    """
    starts, ends = units.bounds[:, 0], units.bounds[:, 1]
    gaps = starts - np.concatenate((np.zeros(1, np.int64), ends))[:-1]
    columns = [_narrow(column) for column in (gaps, ends - starts, units.importance)]
    head = _HEAD.pack(_FORMAT, length, len(starts), *(column.itemsize for column in columns))
    packed = b"".join((head, *(column.tobytes() for column in columns)))
    return packed if len(packed) <= LIMIT_BYTES else b""


def unpack(data: bytes, length: int) -> Units | None:
    """Return what `pack` made bytes of; None for bytes of another format or of another text's length."""
    if len(data) < _HEAD.size:
        return None
    form, told, count, *widths = _HEAD.unpack_from(data)
    if (form, told) != (_FORMAT, length) or any(width not in _WIDTHS for width in widths):
        return None
    if len(data) != _HEAD.size + count * sum(widths):
        return None
    columns: list[NDArray[np.int64]] = []
    at = _HEAD.size
    for width in widths:
        columns.append(np.frombuffer(data, f"<u{width}", count, at).astype(np.int64))
        at += count * width
    gaps, lengths, ranks = columns
    ends = np.cumsum(gaps + lengths)
    if count and (ends[-1] > length or lengths.min() < 1):
        return None
    return Units(np.stack((ends - lengths, ends), 1), ranks.astype(np.float64))


def _narrow(column: NDArray[np.generic]) -> NDArray[np.generic]:
    most = int(column.max()) if len(column) else 0
    width = next(width for width in _WIDTHS if most < 1 << 8 * width)
    return column.astype(f"<u{width}")
