"""Every token of a text is read once, in windows that the model can take."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.compressors.errors import BadOption
from elision.compressors.readings import Reader, Windows
from fakes.fixed_classifier import FixedClassifier, chance
from fakes.tiny_classifier import save_tiny_bert

PIECES = st.sampled_from(
    ["The council said that. ", "the report\n\n", "[SEP] ", "好。 ", "\ud800 ", "42, ", "meeting "]
)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@settings(max_examples=40, deadline=None)
@given(parts=st.lists(PIECES, max_size=60), tokens=st.integers(16, 64), overlap=st.integers(0, 7))
def test_what_is_said_of_a_token_does_not_hang_on_windows(
    parts: list[str], tokens: int, overlap: int, bert: Path
) -> None:
    """Each token has its own chance, whichever window it fell into; windows are no larger than asked."""
    classifier = FixedClassifier(bert)
    (reading,) = Reader(classifier, Windows(tokens, overlap), "m").read(["".join(parts)])
    assert reading.chances.tolist() == pytest.approx([chance(int(i)) for i in reading.ids])
    assert len(reading.offsets) == len(reading.ids)
    assert max(map(len, classifier.windows), default=0) <= tokens


def test_texts_are_read_together_and_answered_apart(bert: Path) -> None:
    """As if each had come alone."""
    texts = ["The council said that. " * 30, "", "report"]
    together = Reader(FixedClassifier(bert), Windows(32), "m").read(texts)
    for text, reading in zip(texts, together, strict=True):
        (alone,) = Reader(FixedClassifier(bert), Windows(32), "m").read([text])
        assert reading.ids.tolist() == alone.ids.tolist()
        assert reading.chances.tolist() == alone.chances.tolist()


@pytest.mark.parametrize("windows", [Windows(15), Windows(513), Windows(64, 32), Windows(64, -1)])
def test_windows_that_cannot_be_are_refused_by_the_methods_name(windows: Windows, bert: Path) -> None:
    """Said once, when the method is made."""
    with pytest.raises(BadOption, match=r"^mine: (window|overlap) must be"):
        Reader(FixedClassifier(bert), windows, "mine")
