"""What is folded is unfolded exactly, whatever the text."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elision.compressors.lossless_repeats import fold, restore

LINE = "a line of some thirty characters"
LONG = "one long line, " * 10
LINES = st.lists(
    st.sampled_from(
        [
            "",
            "x",
            LINE,
            LINE + "!",
            LONG,
            LONG + ".",
            "[same as line 1 above]",
            "[same as lines 1-2 above]",
            "\r",
        ]
    ),
    max_size=60,
)
PARTS = st.lists(st.sampled_from([LINE, LONG, "b", "c" * 40, ""]), max_size=8)


@given(LINES.map("\n".join))
@example("")
@example("\n" * 50)
def test_folding_has_an_exact_inverse(text: str) -> None:
    """Even of texts that hold what looks like a reference."""
    short = fold(text)
    assert len(short) <= len(text)
    if "[same as" in text:
        assert short == text
    else:
        assert restore(short) == text
        assert fold(short) == short


@given(PARTS, PARTS, st.integers(2, 5))
def test_blocks_that_come_back_are_folded_and_restored(
    block: list[str], between: list[str], times: int
) -> None:
    """Overlapping, touching, or with other lines between."""
    text = "\n".join((block + between) * times)
    assert restore(fold(text)) == text


def test_a_block_becomes_a_reference_to_lines_as_sent() -> None:
    """Line numbers count the lines of the folded text, from 1."""
    block = [f"{LINE} {i}" for i in range(4)]
    text = "\n".join(["first", *block, "then", *block, "and", *block[1:], "end"])
    folded = ["first", *block, "then", "[same as lines 2-5 above]", "and", "[same as lines 3-5 above]", "end"]
    assert fold(text) == "\n".join(folded)


def test_one_long_line_is_worth_a_reference_and_short_ones_are_not() -> None:
    """Two short lines that come back stay."""
    assert fold(f"{LONG}\nx\n{LONG}") == f"{LONG}\nx\n[same as line 1 above]"
    short = f"{LINE}\n{LINE}\nx\n{LINE}\n{LINE}"
    assert fold(short) == short


@pytest.mark.parametrize(
    "text", ["[same as line 1 above]", "a\n[same as lines 1-2 above]", "a\n[same as line 0 above]"]
)
def test_a_reference_to_nothing_is_refused(text: str) -> None:
    """Which line, and what it refers to."""
    with pytest.raises(ValueError, match="refers to lines"):
        restore(text)


@pytest.mark.parametrize("unit", ["x\n", f"{LINE}\n", f"{LONG}\n", f"{LINE}\n{LINE}\nx\n", "\n", "a\nb\nc\n"])
def test_long_texts_take_linear_time(unit: str) -> None:
    """A quadratic step would outlast the test's timeout."""
    text = unit * (600_000 // len(unit))
    short = fold(text)
    assert restore(short) == text
