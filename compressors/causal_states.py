"""What a causal model remembers of what it has read: keys and values, of several rows at once.

This module owns the cache and its bookkeeping: rows of unlike length in one padded tensor, cells
that are taken out again, rows that end. What is read, and what of it is worth remembering, others
decide. Works with any attention cache of transformers; layers that slide are masked by the model.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Ints = NDArray[np.int64]


class Body(Protocol):
    """A causal model without its head."""

    def run(self, ids: Ints, positions: Ints, real: "NDArray[np.bool_] | None", cache: Any) -> "torch.Tensor":
        """Read (B, T) ids on top of a cache, which grows; return (B, T, H) hidden states.

        Args:
            positions: (B, T).
            real: (B, cells of the cache + T), which of them may be seen; None: all.
        """
        ...


class States:
    """The keys and values of rows that are read further and further.

    Args:
        body: the model.
        rows: how many; each has read nothing yet.
    """

    def __init__(self, body: Body, rows: int) -> None:
        from transformers import DynamicCache

        self._body = body
        self._cache: Any = DynamicCache()
        self._real = np.zeros((rows, 0), np.bool_)

    @property
    def cells(self) -> list[int]:
        """What each row remembers, in tokens."""
        return [int(count) for count in self._real.sum(1)]

    def read(self, ids: Sequence[Sequence[int]], positions: Sequence[int]) -> list["torch.Tensor"]:
        """Read further tokens of each row and remember them.

        Padding stands right: a causal model's tokens do not see it, and its cells are masked later.

        Args:
            ids: of each row, () for none.
            positions: at which each row's first token stands.
        Returns: (T, H) hidden states of each row.
        """
        lengths = np.asarray([len(row) for row in ids], np.int64)
        width = max(int(lengths.max()), 1)
        padded = np.zeros((len(ids), width), np.int64)
        for row, one in zip(padded, ids, strict=True):
            row[: len(one)] = one
        steps = np.arange(width)
        new = steps < lengths[:, None]
        # Padding stays at its row's last position, lest it run out of those that the model has.
        places = np.asarray(positions)[:, None] + np.minimum(steps, np.maximum(lengths - 1, 0)[:, None])
        mask = None
        if not self._real.all():
            # Padding sees itself: a row of the mask without anything would be not a number.
            mask = np.concatenate((self._real, np.ones_like(new)), 1)
        hidden = self._body.run(padded, places, mask, self._cache)
        self._real = np.concatenate((self._real, new), 1)
        return [hidden[row, :length] for row, length in enumerate(lengths.tolist())]

    def keep(self, rows: Sequence[int], cells: Sequence[Ints]) -> None:
        """Forget everything else.

        Args:
            rows: ascending numbers of the rows that stay.
            cells: for each of them, ascending numbers of what it remembers that stays.
        """
        columns = [np.flatnonzero(self._real[row])[one] for row, one in zip(rows, cells, strict=True)]
        width = max((len(one) for one in columns), default=0)
        if len(rows) == len(self._real) == 1 and np.array_equal(columns[0], np.arange(width)):
            self._crop(width)
        else:
            self._gather(rows, columns, width)

    def _crop(self, width: int) -> None:
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[:, :, :width], layer.values[:, :, :width]
        self._real = self._real[:, :width]

    def _gather(self, rows: Sequence[int], columns: Sequence[Ints], width: int) -> None:
        import torch

        index = np.zeros((len(rows), width), np.int64)
        real = np.zeros((len(rows), width), np.bool_)
        for i, one in enumerate(columns):
            index[i, width - len(one) :] = one
            real[i, width - len(one) :] = True
        whole = list(rows) == list(range(len(self._real)))
        for layer in self._cache.layers:
            device = layer.keys.device
            at = torch.from_numpy(index).to(device)[:, None, :, None]
            some = None if whole else torch.tensor(list(rows), device=device)
            for name in ("keys", "values"):
                held = getattr(layer, name)
                held = held if some is None else held.index_select(0, some)
                setattr(layer, name, held.gather(2, at.expand(-1, held.shape[1], -1, held.shape[3])))
        self._real = real
