"""The scorer that comes with the package: a small English encoder, taught by what people ask about.

No download, no GPU, no PyTorch: int8 weights in `embedded/`, run by ONNX Runtime. Its card,
`embedded/MODEL_CARD.md`, says what taught it, how well it does and where it fails; `docs/training.md`
how it was made. This module owns where the weights lie and how texts are read for them; the formula
that turns chances of tokens into importance of words is `elision.compressors.blend`'s.
"""

from collections.abc import Sequence
from pathlib import Path

from elision.compressors.base import Units
from elision.compressors.blend import Blend
from elision.compressors.readings import Reader, Windows
from elision.compressors.token_classifier import TokenClassifier
from elision.compressors.units import words

NAME = "embedded"
FOLDER = Path(__file__).parent / "embedded"
"""Where the weights lie; a prepared model like any other (`elision.compressors.checkpoints`)."""
WINDOW = 256
"""Tokens of a window, marks included; it was taught with fewer, and longer ones are slower."""
_VERSION = "2"


class Embedded:
    """Scores words by the embedded model.

    Args:
        classifier: the weights.
        blend: the formula's numbers.
        window: tokens that the model reads at once, marks included.
    """

    reads_question = False

    def __init__(self, classifier: TokenClassifier, blend: Blend, window: int = WINDOW) -> None:
        """Take weights.

        Raises: BadOption if they do not read such windows.
        """
        self._reader = Reader(classifier, Windows(window), NAME)
        self._blend = blend
        told = f"window={window} {blend.label} weights={classifier.fingerprint}"
        self._fingerprint = f"{NAME}/{_VERSION} {told}"

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        """Score the words of each text, all texts' windows together; questions are not looked at."""
        readings = self._reader.read(texts)
        found: list[Units] = []
        for text, reading in zip(texts, readings, strict=True):
            bounds = words(text)
            importance = self._blend.importance(text, bounds, reading.offsets, reading.chances)
            found.append(Units(bounds, importance))
        return found
