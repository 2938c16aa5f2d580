"""Long texts are cut where sentences begin, and nothing is lost."""

from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.tokens import Counters
from elision.training.pieces import cut

COUNTER = Counters().counter_for("gpt-4o")
SENTENCES = [f"This is the sentence number {at}, and it says a little." for at in range(60)]


def test_pieces_end_where_sentences_do() -> None:
    """As few as fit, about equally long."""
    pieces = cut(" ".join(SENTENCES), 200, COUNTER)
    assert all(piece.startswith("This is") and piece.endswith("little.") for piece in pieces)
    assert " ".join(pieces) == " ".join(SENTENCES)
    sizes = [COUNTER.count(piece) for piece in pieces]
    assert len(pieces) == -(-COUNTER.count(" ".join(SENTENCES)) // 200)
    assert max(sizes) <= 200
    assert max(sizes) - min(sizes) < 40


def test_a_text_that_fits_is_one_piece() -> None:
    """Without the white space around it; a text of nothing else is none."""
    assert cut("  One, two.\n", 9, COUNTER) == ["One, two."]
    assert cut(" \n", 9, COUNTER) == cut("", 9, COUNTER) == []


@given(st.text(max_size=200), st.integers(4, 40))
def test_pieces_together_are_the_text(text: str, most: int) -> None:
    """Whatever the script; but for white space."""
    pieces = cut(text, most, COUNTER)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(piece.strip() == piece != "" for piece in pieces)


@given(st.lists(st.sampled_from(["one", "two,", "three.", "überlegen", "数据", "\n"]), max_size=80))
def test_pieces_are_as_short_as_asked(words: list[str]) -> None:
    """But for the first word, which may be two tokens more without the space before it."""
    for piece in cut(" ".join(words), 20, COUNTER):
        assert COUNTER.count(piece) <= 22
