"""Blocks that mean nothing when a part is missing; prose that looks like them is none."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.protect_blocks import (
    Range,
    find_fences,
    find_headings,
    find_json,
    find_list_markers,
    find_markup,
    find_tables,
    find_yaml,
)

Finder = Callable[[str], Iterator[Range]]
FINDERS: list[Finder] = [
    find_fences,
    find_headings,
    find_json,
    find_list_markers,
    find_markup,
    find_tables,
    find_yaml,
]

COMPOSE = """services:
  web:
    image: nginx:1.27
    ports:
      - "80:80"
  # a comment

  db:
    image: postgres"""
DIALOGUE = """Anna: Good morning.
Ben: Did you see the report?
Anna: Yes: it is late.
Ben: I know."""
ROWS = "<row><cell>1</cell><cell>2</cell></row>\n<row><cell>3</cell></row>"
DOCUMENT = "<document>\n" + "The harbour was quiet that morning and nobody came. " * 3 + "\n</document>"
TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"
TABS = "name\tage\tcity\nAnna\t3\tRome\nBen\t4\tOslo"


@pytest.mark.parametrize(
    ("finder", "text", "expected"),
    [
        (find_yaml, f"As in:\n{COMPOSE}\n\nThat is all.", [COMPOSE]),
        (find_yaml, "key:\n- one\n- two\nprose again", ["key:\n- one\n- two"]),
        (find_yaml, DIALOGUE, []),
        (find_yaml, "- buy milk\n- buy bread\n- go home", []),
        (find_yaml, "Note: this is prose.\nIt goes on.", []),
        (find_markup, f"See {ROWS} there", [ROWS]),
        (find_markup, DOCUMENT, []),
        (find_markup, "a <b>bold</b> word and 1 < 2", []),
        (find_tables, f"Thus:\n\n{TABLE}\n\nand so on", [TABLE]),
        (find_tables, f"{TABS}\nprose", [TABS]),
        (find_tables, "a | b\nnot | c | d\nprose", []),
        (find_tables, "one line | with | bars\nprose", []),
        (find_headings, "# Title\ntext\n## Part 2\n#hashtag", ["# Title", "## Part 2"]),
        (find_headings, "Title\n=====\ntext", ["Title\n====="]),
        (find_list_markers, "- a\n* b\n 1. c\n(iv) d\ne) f\n-g", ["-", "*", " 1.", "(iv)", "e)"]),
        (find_json, 'so\n{"a": [1]}\nend', ['{"a": [1]}']),
        (find_fences, "x\n```\na\n```\ny", ["```\na\n```"]),
    ],
)
def test_blocks_are_found_whole(finder: Finder, text: str, expected: list[str]) -> None:
    """And what may be prose is left to be compressed."""
    assert [text[start:end] for start, end in finder(text)] == expected


@given(text=st.text(alphabet='ab:-#|<>/{}[]"\n\t `=1.', max_size=200))
@pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.__name__)
def test_ranges_are_ascending_disjoint_and_filled(finder: Finder, text: str) -> None:
    """Whatever the text."""
    at = 0
    for start, end in finder(text):
        assert at <= start < end <= len(text)
        at = end


@pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.__name__)
@pytest.mark.parametrize(
    "piece", ["a:\n", "- ", "<a ", "<a>", "| a ", "|\n", "{", "[[", "#", "=\n", "\t", "```\n", "a: b\n"]
)
def test_hostile_repetition_ends(finder: Finder, piece: str) -> None:
    """Half a megabyte of it; a quadratic finder would not come back before the test's timeout."""
    text = piece * (500_000 // len(piece))
    assert all(0 <= start < end <= len(text) for start, end in finder(text))
