"""A causal model that writes down how much of a text it holds at once."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elision.compressors.causal_lm import CausalLM

Ints = NDArray[np.int64]


class WatchedLM(CausalLM):
    """Reads as its base does.

    Attributes:
        sights: of each pass, the tokens that one of its rows can see: those remembered and those read.
        passes: of each pass, the tokens that are read in all rows, padding included.
        logits: of each time the head is asked, the rows that it makes.
    """

    def __init__(self, *args: Any) -> None:
        self.sights: list[int] = []
        self.passes: list[int] = []
        self.logits: list[int] = []
        super().__init__(*args)
        self._model.get_output_embeddings().register_forward_hook(self._asked)

    def run(self, ids: Ints, positions: Ints, real: NDArray[np.bool_] | None, cache: Any) -> torch.Tensor:
        held = cache.get_seq_length() if cache is not None else 0
        self.sights.append(held + ids.shape[1])
        self.passes.append(ids.size)
        assert positions.max() < self.positions
        return super().run(ids, positions, real, cache)

    def _asked(self, _module: object, _given: object, made: torch.Tensor) -> None:
        self.logits.append(made.shape[0])
