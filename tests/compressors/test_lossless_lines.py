"""Whitespace goes where it says nothing, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.lossless_lines import squeeze_lines

TEXTS = st.lists(
    st.sampled_from(
        ["word", "two.", " ", "  ", "   ", "\n", "\n\n\n\n", "\t", "|", "x = 1", "- ", "`a  b`", "漢"]
    ),
    max_size=30,
).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One.  Two  words here.", "One. Two words here."),
        ("a b\t\n\n\n\n\nc", "a b\n\nc"),
        ("a\n\n\nb", "a\n\n\nb"),
        ("ends   \n\nnext", "ends\n\nnext"),
        ("Это  так.  Да", "Это так. Да"),
    ],
)
def test_whitespace_that_says_nothing_goes(text: str, expected: str) -> None:
    """Runs between words, blanks at line ends, runs of blank lines."""
    assert squeeze_lines(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a line that breaks  \nhere",
        "x\n\n    code  \n\n\n\n    more  here",
        "<pre>\na  \n\n\n\nb  c</pre>",
        "use `a  b` here",
        "| a  b | c |\n|---|---|\n| 1  2 | 3 |",
        "name   age   town\nAnna   31    Rome",
        "key  value\nab   value",
        "total  = 3  # sum",
        "x = 1  # why",
        "  indented line",
        "a\tb  c",
        "the $x  y$ formula",
        "print(\"a  b\") and grep 'c  d' file",
    ],
)
def test_whitespace_that_says_something_stays(text: str) -> None:
    """Markdown's line break, code, tables, columns, indentation."""
    assert squeeze_lines(text) == text


@given(TEXTS)
def test_only_whitespace_goes_and_once(text: str) -> None:
    """Words stay words, lines' beginnings stay, a second pass finds nothing."""
    short = squeeze_lines(text)
    assert short.split() == text.split()
    assert len(short) <= len(text)
    assert squeeze_lines(short) == short
    starts = [line[: len(line) - len(line.lstrip())] for line in text.split("\n") if line.strip()]
    kept = [line[: len(line) - len(line.lstrip())] for line in short.split("\n") if line.strip()]
    assert kept == starts
