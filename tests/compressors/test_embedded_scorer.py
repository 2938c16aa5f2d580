"""The scorer in the package: there at once, without what others need, and true to its formula."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.api import compress
from elision.compressors.base import Outcome, Target
from elision.compressors.blend import Blend
from elision.compressors.embedded_scorer import FOLDER, Embedded
from elision.compressors.errors import BadOption
from elision.compressors.extractive import Extractive
from elision.compressors.onnx_classifier import OnnxClassifier
from elision.compressors.protect import find_spans
from elision.compressors.token_classifier import ONNX_FILE
from elision.compressors.tokens import Counters
from elision.compressors.units import Level, split, words
from fakes.fixed_classifier import FixedClassifier
from fakes.passages import PASSAGES

TEXT = " ".join(text for text, _ in PASSAGES[:4])
SENTENCES = (
    "The council met in the old hall and talked about roads.",
    "It did not agree.",
    "The bridge costs 3.5 million crowns, see https://a.bc/d for more.",
    "Nobody had asked the ferryman, who lives below the weir with two goats!",
    "Why should they?",
    "The next session is on the second Tuesday of the month\n\n",
    "水车是用榆木做的。",
    "Мельница стоит у реки.",
)
TEXTS = st.text() | st.lists(st.sampled_from(SENTENCES)).map(" ".join)
COUNTERS = Counters()
LOADED = """
import sys
from elision.compressors import compress
outcome = compress(sys.stdin.read(), rate=0.5)
heavy = {"torch", "transformers", "onnx", "scipy", "pandas"} & set(sys.modules)
print(outcome.method, outcome.reason or "shortened", *heavy)
"""


@cache
def by_known_chances(level: Level) -> Embedded:
    """Return the scorer with tokens' chances that do not hang on the weights in the package."""
    return Embedded(FixedClassifier(FOLDER), Blend(), level=level)


def whole_units(text: str, outcome: Outcome, level: Level) -> list[bool]:
    """Return which units of a text stand whole in what became of it; none stands in part."""
    units = split(text, level).tolist()
    stays = [any(k.start <= a and b <= k.end for k in outcome.kept) for a, b in units]
    goes = [all(k.end <= a or b <= k.start for k in outcome.kept) for a, b in units]
    assert all(whole != gone for whole, gone in zip(stays, goes, strict=True))
    return stays


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
    """Weights, numbers of the formula, the window, and what a unit is."""
    classifier = FixedClassifier(FOLDER)
    told = {
        Embedded(classifier, blend, window, level).fingerprint
        for blend in (Blend(), Blend(neighbour=0.5))
        for window in (128, 256)
        for level in Level
    }
    assert len(told) == 4 * len(Level)
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


def test_phrases_and_sentences_are_worth_their_best_word() -> None:
    """Whatever else stands in them, long or short."""
    found = {level: by_known_chances(level).score([TEXT], [""])[0] for level in Level}
    by_word = found[Level.WORD]
    for level, units in found.items():
        assert units.bounds.tolist() == split(TEXT, level).tolist()
        inside = [(by_word.bounds[:, 0] >= a) & (by_word.bounds[:, 1] <= b) for a, b in units.bounds]
        assert units.importance.tolist() == [by_word.importance[one].max() for one in inside]
    assert len(found[Level.SENTENCE].bounds) < len(found[Level.PHRASE].bounds) < len(by_word.bounds)


@given(TEXTS, st.sampled_from(list(Level)))
def test_any_text_has_its_units_scored(text: str, level: Level) -> None:
    """Empty, of one sign, in any script: one finite number for each unit, and numbers only."""
    [units] = by_known_chances(level).score([text], [""])
    assert units.bounds.tolist() == split(text, level).tolist()
    assert units.importance.shape == (len(units.bounds),)
    assert np.isfinite(units.importance).all()


@given(
    st.lists(st.sampled_from(SENTENCES), min_size=4, max_size=24).map(" ".join),
    st.floats(0.05, 0.95),
    st.sampled_from([Level.PHRASE, Level.SENTENCE]),
)
def test_whole_units_stay_within_the_budget(text: str, rate: float, level: Level) -> None:
    """Each unit is there whole or gone; what is protected is there, at any rate; slices of the text."""
    scorer = by_known_chances(level)
    [outcome] = Extractive("embedded", scorer, COUNTERS).compress([text], [Target(rate=rate, model="gpt-4o")])
    if outcome.reason:
        assert outcome.text == text
        return
    assert outcome.text == "".join(text[span.start : span.end] for span in outcome.kept)
    stays = whole_units(text, outcome, level)
    spans, units = find_spans(text), split(text, level).tolist()
    held = [any(a < span.end and span.start < b for span in spans) for a, b in units]
    assert all(whole for whole, forced in zip(stays, held, strict=True) if forced)
    counter = COUNTERS.counter_for("gpt-4o")
    assert outcome.tokens_after == counter.count(outcome.text) < outcome.tokens_before
    more_than_forced = sum(stays) > sum(held)
    assert not more_than_forced or outcome.tokens_after <= rate * outcome.tokens_before


def test_a_level_is_an_option_of_the_method() -> None:
    """By the weights in the package: sentences are whole; what else is asked is refused by name."""
    outcome = compress(TEXT * 2, method="embedded", rate=0.6, options={"level": "sentence"})
    assert not outcome.reason
    stays = whole_units(TEXT * 2, outcome, Level.SENTENCE)
    assert 0 < sum(stays) < len(stays)
    with pytest.raises(BadOption, match=r"'level' cannot be 'sentense'.*did you mean 'sentence'"):
        compress(TEXT, method="embedded", rate=0.5, options={"level": "sentense"})


def test_weights_come_with_the_package() -> None:
    """Beside the code, not in a cache."""
    assert FOLDER.parent == Path(sys.modules[Embedded.__module__].__file__ or "").parent
    assert (FOLDER / ONNX_FILE).is_file()
