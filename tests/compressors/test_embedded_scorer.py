"""The scorer in the package: there at once, without what others need, and true to its formula."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elision.compressors.api import compress
from elision.compressors.blend import Blend
from elision.compressors.embedded_scorer import FOLDER, Embedded
from elision.compressors.errors import BadOption
from elision.compressors.onnx_classifier import OnnxClassifier
from elision.compressors.token_classifier import ONNX_FILE
from elision.compressors.units import words
from fakes.fixed_classifier import FixedClassifier
from fakes.passages import PASSAGES

TEXT = " ".join(text for text, _ in PASSAGES[:4])
LOADED = """
import sys
from elision.compressors import compress
outcome = compress(sys.stdin.read(), rate=0.5)
heavy = {"torch", "transformers", "onnx", "scipy", "pandas"} & set(sys.modules)
print(outcome.method, outcome.reason or "shortened", *heavy)
"""


def test_it_needs_neither_pytorch_nor_a_download() -> None:
    """A fresh interpreter that is told no method shortens a text by it, and has loaded nothing heavy."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], input=TEXT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["embedded", "shortened"]


def test_every_word_is_scored_and_the_same_text_alike() -> None:
    """Whatever comes beside it."""
    scorer = Embedded(OnnxClassifier.load(FOLDER, 2), Blend.read(FOLDER))
    alone = scorer.score([TEXT], [""])[0]
    beside = scorer.score(["Something else.", TEXT, ""], ["", "a question", ""])[1]
    assert alone.bounds.tolist() == words(TEXT).tolist() == beside.bounds.tolist()
    assert np.isfinite(alone.importance).all()
    assert alone.importance.tolist() == beside.importance.tolist()


def test_the_fingerprint_says_what_scores_hang_on() -> None:
    """Weights, numbers of the formula, and the window."""
    classifier = FixedClassifier(FOLDER)
    told = {
        Embedded(classifier, blend, window).fingerprint
        for blend in (Blend(), Blend(neighbour=0.5))
        for window in (128, 256)
    }
    assert len(told) == 4
    assert all(classifier.fingerprint in one for one in told)


def test_a_window_that_the_model_does_not_read_is_refused() -> None:
    """Named as the option that a policy says."""
    with pytest.raises(BadOption, match="embedded: window"):
        Embedded(FixedClassifier(FOLDER), Blend(), 1024)


@pytest.mark.parametrize("window", [64, 512])
def test_the_window_is_an_option(window: int) -> None:
    """Smaller and larger ones shorten, too."""
    outcome = compress(TEXT * 3, method="embedded", rate=0.5, options={"window": window})
    assert not outcome.reason
    assert outcome.tokens_after <= outcome.tokens_before / 2


def test_weights_come_with_the_package() -> None:
    """Beside the code, not in a cache."""
    assert FOLDER.parent == Path(sys.modules[Embedded.__module__].__file__ or "").parent
    assert (FOLDER / ONNX_FILE).is_file()
