"""What is remembered is what was read and kept: rows of unlike length, cells taken out, rows that end."""

from pathlib import Path

import numpy as np
import pytest
import torch

from elision.compressors.causal_lm import CausalLM
from elision.compressors.causal_states import States
from elision.compressors.weights import resolve
from fakes.tiny_lm import FAMILIES, save_tiny_lm


@pytest.fixture(params=FAMILIES)
def lm(request: pytest.FixtureRequest, tmp_path: Path) -> CausalLM:
    return CausalLM.load(resolve(str(save_tiny_lm(tmp_path / "m", family=request.param)), tmp_path / "c"))


def plain(lm: CausalLM, ids: list[int]) -> torch.Tensor:
    at = np.arange(len(ids))[None]
    return lm.run(np.asarray([ids], np.int64), at, None, None)[0]


def test_reading_in_steps_is_reading_at_once(lm: CausalLM) -> None:
    """Rows of unlike length, one of them with nothing in a step, see their own past and nothing else."""
    rows = [[5, 9, 7, 11, 30, 8], [4, 4, 6], [20, 21, 22, 23]]
    states = States(lm, 3)
    first = states.read([rows[0][:1], rows[1][:2], rows[2][:4]], [0, 0, 0])
    second = states.read([rows[0][1:4], rows[1][2:], []], [1, 2, 4])
    third = states.read([rows[0][4:], [], []], [4, 3, 4])
    assert states.cells == [6, 3, 4]
    for row, *parts in zip(rows, first, second, third, strict=True):
        torch.testing.assert_close(torch.cat(parts), plain(lm, row), rtol=1e-4, atol=1e-4)


def test_what_is_forgotten_is_as_if_never_read(lm: CausalLM) -> None:
    """Rows cut back to what they had before go on as if nothing had been there; another row has ended."""
    states = States(lm, 3)
    states.read([[5, 9, 7], [4], [8, 8]], [0, 0, 0])
    states.read([[1, 2], [3, 3, 3], [6]], [3, 1, 2])
    states.keep([0, 1], [np.arange(3), np.arange(1)])
    assert states.cells == [3, 1]
    found = states.read([[12, 13], [14]], [3, 1])
    torch.testing.assert_close(found[0], plain(lm, [5, 9, 7, 12, 13])[3:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[1], plain(lm, [4, 14])[1:], rtol=1e-4, atol=1e-4)


def test_one_row_alone_is_the_same_as_among_others(lm: CausalLM) -> None:
    """Cells taken from the middle: what is left has its old positions, in company or not."""
    kept = np.array([0, 2, 3])
    alone, together = States(lm, 1), States(lm, 2)
    alone.read([[5, 9, 7, 11]], [0])
    together.read([[5, 9, 7, 11], [3]], [0, 0])
    alone.keep([0], [kept])
    together.keep([0, 1], [kept, np.arange(1)])
    [one] = alone.read([[8, 6]], [4])
    other = together.read([[8, 6], [2, 2, 2]], [4, 1])[0]
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    whole = plain(lm, [5, 9, 7, 11, 8, 6])[4:]
    assert not torch.allclose(one, whole, rtol=1e-4, atol=1e-4)
