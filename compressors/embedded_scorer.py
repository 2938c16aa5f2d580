"""The scorer that comes with the package: a small English encoder, taught by what people ask about.

No download, no GPU, no PyTorch: int8 weights in `embedded/`, run by ONNX Runtime. Its card,
`embedded/MODEL_CARD.md`, says what taught it, how well it does and where it fails; `docs/training.md`
how it was made. This module owns where the weights lie, how texts are read for them, and what
phrases and sentences are worth; the formula that turns chances of tokens into importance of words
is `elision.compressors.blend`'s.
"""

from collections.abc import Sequence
from pathlib import Path

from elision.compressors.base import Units
from elision.compressors.blend import Blend
from elision.compressors.readings import Reader, Reading, Windows
from elision.compressors.token_classifier import TokenClassifier
from elision.compressors.units import Agg, Level, split, unit_importance, words

NAME = "embedded"
FOLDER = Path(__file__).parent / "embedded"
"""Where the weights lie; a prepared model like any other (`elision.compressors.checkpoints`)."""
WINDOW = 256
"""Tokens of a window, marks included; it was taught with fewer, and longer ones are slower."""
_VERSION = "3"
# A phrase or a sentence is read for the best that is in it, whatever stands around that: on natural
# questions of the develop split the mean of its words lost more answers (docs/models.md).
_AGG = Agg.MAX


class Embedded:
    """Scores words, phrases or sentences by the embedded model.

    Args:
        classifier: the weights.
        blend: the formula's numbers.
        window: tokens that the model reads at once, marks included.
        level: what is kept or dropped whole; a phrase or a sentence is worth its best word.
    """

    reads_question = False

    def __init__(
        self, classifier: TokenClassifier, blend: Blend, window: int = WINDOW, level: Level = Level.WORD
    ) -> None:
        """Take weights.

        Raises: BadOption if they do not read such windows.
        """
        self._reader = Reader(classifier, Windows(window), NAME)
        self._blend, self._level = blend, level
        told = f"level={level} window={window} {blend.label} weights={classifier.fingerprint}"
        self._fingerprint = f"{NAME}/{_VERSION} {told}"

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        """Score the units of each text, all texts' windows together; questions are not looked at."""
        readings = self._reader.read(texts)
        return [self._units(text, reading) for text, reading in zip(texts, readings, strict=True)]

    def _units(self, text: str, reading: Reading) -> Units:
        found = words(text)
        importance = self._blend.importance(text, found, reading.offsets, reading.chances)
        if self._level is Level.WORD:
            return Units(found, importance)
        bounds = split(text, self._level)
        return Units(bounds, unit_importance(bounds, found, importance, _AGG))
