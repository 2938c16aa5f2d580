"""From what a classifier says of tokens to how much each word matters: the embedded model's formula.

Pure but for reading its numbers. What a token's chance of being kept does not say: words are kept or
dropped whole; a name or number that a text has for the tenth time was there nine times before;
and an answer is of use only if all of it stays, so a word beside one that surely stays is worth
more than alone. And a sentence by itself has little that could be asked for: what counts there is that
it can still be read, so the shorter the text, the more counts how firmly a word belongs to its sentence's
frame, which the classifier's second head says. The formula's numbers come with the weights
(`blend.json`); this module owns what they mean and runs no model.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elision.compressors.errors import WeightsMissing
from elision.compressors.units import sentences

BLEND = "blend.json"
# A word that no token stands for cannot be judged: it goes last. Chances of 0 and 1 have no logarithm.
_LEAST = 1e-6
_MOST_MENTIONS = 4
_MARKS = ".,;:!?()[]{}\"'“”‘’«»…"
_LIMITS = {"neighbour": 1, "repeat": 1, "frame": 100, "frame_short": 100, "short": 10_000, "pieces": 1}
_NUMBERS = ", ".join(f"`{name}` from 0 to {most}" for name, most in _LIMITS.items()) + ", and nothing else"
# How fast the frame's weight falls with a sentence's length: twice as long, a sixteenth.
_FALL = 4

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Blend:
    """The formula's numbers.

    Attributes:
        neighbour: how far a word is lifted towards the better one of its two neighbours: 0 not at
            all, 1 to its height.
        repeat: how much it counts against a word with a capital or a digit first that the same
            word stood before it: 0 not at all; 1: its second mention has half of its chance, its
            fourth and all later ones a quarter.
        frame: how much the frame counts beside the chance of being asked for, in a long text.
        frame_short: the same in one sentence of at most `short` words; in longer ones it falls with
            the fourth power of the length, in several with the square of their number, down to `frame`.
        short: words.
        pieces: how much of a word's length in tokens counts against it where the frame counts: 0
            nothing; 1: a word of two tokens must belong to the frame twice as firmly.
    """

    neighbour: float = 0.0
    repeat: float = 0.0
    frame: float = 0.0
    frame_short: float = 0.0
    short: float = 0.0
    pieces: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> "Blend":
        """Read `blend.json` beside a model's weights; without it tokens speak for themselves.

        Raises: WeightsMissing if it does not hold these numbers.
        """
        path = folder / BLEND
        if not path.is_file():
            return cls()
        try:
            told = json.loads(path.read_text("utf-8"))
            found = cls(**{name: float(value) for name, value in told.items()})
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise WeightsMissing(f"{path}: must hold {_NUMBERS}: {error}") from error
        within = all(0 <= value <= _LIMITS[name] for name, value in asdict(found).items())
        if len(told) != len(fields(cls)) or not within:
            raise WeightsMissing(f"{path}: must hold {_NUMBERS}")
        return found

    @property
    def label(self) -> str:
        """For fingerprints."""
        return " ".join(f"{name}={value:g}" for name, value in asdict(self).items())

    def importance(self, text: str, bounds: Ints, offsets: Ints, chances: NDArray[np.floating]) -> Floats:
        """Return (N,) how much each word matters, 0 at most: logarithms of chances.

        A word's chance is the one whose log-odds are the mean of its tokens'. From its logarithm
        goes `repeat` times that of how often the word, a name or number, has stood so far, up to
        four; then words are lifted towards neighbours. To that comes, times `frame` or more, the
        logarithm of the second chance, less `pieces` times that of the word's tokens.

        Args:
            text: that all of it is of.
            bounds: (N, 2) characters of words, ascending, disjoint, as `elision.compressors.units.words`
                finds them: with the marks that touch them, as the model was taught.
            offsets: (T, 2) characters of tokens, ascending; a token counts for the word that it begins in.
            chances: (T,) of tokens to be kept, in [0, 1]; or (T, 2): to be asked for, of the frame.
        """
        if not len(bounds):
            return np.zeros(0)
        at = np.searchsorted(bounds[:, 0], offsets[:, 0], side="right") - 1
        inside = (at >= 0) & (offsets[:, 0] < bounds[at, 1])
        count = np.bincount(at[inside], minlength=len(bounds))
        said = np.asarray(chances, np.float64)[inside]
        columns = said.T if said.ndim > 1 else said[None]
        asked, *frames = (_logarithms(column, at[inside], count) for column in columns)
        score = asked - self.repeat * np.log(np.minimum(_mentions(text, bounds), _MOST_MENTIONS))
        score[count == 0] = np.log(_LEAST)
        score = self._lifted(score)
        for frame in frames:
            score += self._weight(text, len(bounds)) * (frame - self.pieces * np.log(np.maximum(count, 1)))
        return score

    def _weight(self, text: str, words: int) -> float:
        """Return how much the frame counts in a text of so many words."""
        most = self.frame_short * min(1.0, self.short / words) ** _FALL
        return self.frame if most <= self.frame else max(self.frame, most / len(sentences(text)) ** 2)

    def _lifted(self, score: Floats) -> Floats:
        beside = np.full(len(score), -np.inf)
        beside[1:] = score[:-1]
        beside[:-1] = np.maximum(beside[:-1], score[1:])
        better = beside > score
        lifted = score.copy()
        lifted[better] += self.neighbour * (beside[better] - score[better])
        return lifted


def _logarithms(chances: Floats, at: Ints, count: Ints) -> Floats:
    """Return (N,) logarithms of words' chances: of the chance with the mean of the tokens' log-odds."""
    clipped = np.clip(chances, _LEAST, 1 - _LEAST)
    odds = np.log(clipped) - np.log1p(-clipped)
    mean = np.bincount(at, weights=odds, minlength=len(count)) / np.maximum(count, 1)
    return np.asarray(-np.logaddexp(0.0, -mean), np.float64)


def _mentions(text: str, bounds: Ints) -> Ints:
    """Return (N,) how often each name or number has stood so far, itself counted; 1 for other words.

    Marks around a word and its case do not make it another.
    """
    seen: Counter[str] = Counter()
    found = np.ones(len(bounds), np.int64)
    for at, (start, end) in enumerate(bounds.tolist()):
        word = text[start:end].strip(_MARKS)
        if word[:1].isupper() or word[:1].isdigit():
            name = word.lower()
            seen[name] += 1
            found[at] = seen[name]
    return found
