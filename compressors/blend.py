"""From what a classifier says of tokens to how much each word matters: the embedded model's formula.

Pure numbers. Three things that a token's chance of being kept does not say: words are kept or dropped whole;
a word of many tokens costs what several others would; and an answer is of use only if all of it
stays, so a word beside one that surely stays is worth more than alone. The formula's two numbers
come with the weights (`blend.json`); this module owns what they mean and runs no model.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elision.compressors.errors import WeightsMissing

BLEND = "blend.json"
# A word that no token stands for cannot be judged: it goes last. Chances of 0 and 1 have no logarithm.
_LEAST = 1e-6

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Blend:
    """The formula's numbers.

    Attributes:
        cost: how much a word's number of tokens counts against it: 0 not at all, 1 as a rate of
            chance per token.
        neighbour: how far a word is lifted towards the better one of its two neighbours: 0 not at
            all, 1 to its height.
    """

    cost: float = 0.0
    neighbour: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> "Blend":
        """Read `blend.json` beside a model's weights; without it tokens speak for themselves.

        Raises: WeightsMissing if it does not hold these two numbers.
        """
        path = folder / BLEND
        if not path.is_file():
            return cls()
        try:
            told = json.loads(path.read_text("utf-8"))
            found = cls(float(told["cost"]), float(told["neighbour"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsMissing(f"{path}: must hold `cost` and `neighbour`, two numbers: {error}") from error
        if len(told) != 2 or not (0 <= found.cost <= 1 and 0 <= found.neighbour <= 1):
            raise WeightsMissing(f"{path}: `cost` and `neighbour`, and no others, must be from 0 to 1")
        return found

    @property
    def label(self) -> str:
        """For fingerprints."""
        return f"cost={self.cost:g} neighbour={self.neighbour:g}"

    def importance(self, bounds: Ints, offsets: Ints, chances: NDArray[np.floating]) -> Floats:
        """Return (N,) how much each word matters, 0 at most: logarithms of chances.

        A word's chance is the one whose log-odds are the mean of its tokens'. From its logarithm
        goes `cost` times that of the number of tokens; then words are lifted towards neighbours.

        Args:
            bounds: (N, 2) characters of words, ascending, disjoint, as `elision.compressors.units.words`
                finds them: with the marks that touch them, as the model was taught.
            offsets: (T, 2) characters of tokens, ascending; a token counts for the word that it begins in.
            chances: (T,) of tokens to be kept, in [0, 1].
        """
        if not len(bounds):
            return np.zeros(0)
        at = np.searchsorted(bounds[:, 0], offsets[:, 0], side="right") - 1
        inside = (at >= 0) & (offsets[:, 0] < bounds[at, 1])
        clipped = np.clip(np.asarray(chances, np.float64)[inside], _LEAST, 1 - _LEAST)
        odds = np.log(clipped) - np.log1p(-clipped)
        count = np.bincount(at[inside], minlength=len(bounds))
        mean = np.bincount(at[inside], weights=odds, minlength=len(bounds)) / np.maximum(count, 1)
        score = -np.logaddexp(0.0, -mean) - self.cost * np.log(np.maximum(count, 1))
        score[count == 0] = np.log(_LEAST)
        return self._lifted(score)

    def _lifted(self, score: Floats) -> Floats:
        beside = np.full(len(score), -np.inf)
        beside[1:] = score[:-1]
        beside[:-1] = np.maximum(beside[:-1], score[1:])
        better = beside > score
        lifted = score.copy()
        lifted[better] += self.neighbour * (beside[better] - score[better])
        return lifted
