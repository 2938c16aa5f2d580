"""Labelled texts come back as they were written, and what is wrong is named with file and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.config.errors import ConfigError
from elision.training.records import LabelledText, read_records, write_records

GOOD = LabelledText("Ada wrote it.", ((0, 3), (4, 9), (10, 13)), (1.0, 0.25, 0.0), "handmade")


@st.composite
def labelled(draw: st.DrawFn) -> LabelledText:
    text = draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), min_size=2)))
    words = tuple(zip(cuts[::2], cuts[1::2], strict=False))
    labels = draw(st.lists(st.floats(0, 1), min_size=len(words), max_size=len(words)))
    return LabelledText(text, words, tuple(labels), draw(st.sampled_from(("a", "b"))))


@given(records=st.lists(labelled(), max_size=4))
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[LabelledText]
) -> None:
    """Line ends and quotes within a text do not break its line."""
    file = tmp_path_factory.mktemp("records") / "labels.jsonl"
    assert write_records(file, records) == len(records)
    assert list(read_records(file)) == records


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"words": ()}, "empty"),
        ({"labels": (1.0,)}, "3 words, but 1 labels"),
        ({"labels": (1.0, 2.0, 0.0)}, "from 0 to 1"),
        ({"labels": (1.0, float("nan"), 0.0)}, "from 0 to 1"),
        ({"words": ((0, 3), (9, 9), (10, 13))}, "start < end"),
        ({"words": ((0, 3), (2, 9), (10, 13))}, "not overlap"),
        ({"words": ((0, 3), (4, 9), (10, 14))}, "13 characters"),
        ({"words": ((-1, 3), (4, 9), (10, 13))}, "13 characters"),
        ({"text": "Ada wrote it\ud800"}, "no Unicode"),
    ],
)
def test_wrong_values_are_refused(change: dict[str, object], said: str) -> None:
    """A range or a label that means nothing never reaches the trainer."""
    fields: dict[str, object] = {
        "text": GOOD.text,
        "words": GOOD.words,
        "labels": GOOD.labels,
        "source": GOOD.source,
    }
    with pytest.raises(ValueError, match=said):
        LabelledText(**(fields | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"text": "a", "words": [[0, 1]], "labels": [1]}',
        '{"text": "a", "words": [[0, 1]], "labels": [1], "source": "x", "rate": 1}',
        '{"text": "a", "words": [[0, 1]], "labels": ["1"], "source": "x"}',
        '{"text": "a", "words": [[0, 2]], "labels": [1], "source": "x"}',
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    """File and line are said; nothing is skipped silently."""
    file = tmp_path / "labels.jsonl"
    write_records(file, [GOOD])
    with file.open("a") as out:
        out.write(f"\n{line}\n")
    records = read_records(file)
    assert next(records) == GOOD
    with pytest.raises(ConfigError, match=rf"{file.name}:3: no labelled text"):
        next(records)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Reading and writing say which file it was."""
    with pytest.raises(ConfigError, match=r"nothing\.jsonl: cannot be read"):
        next(read_records(tmp_path / "nothing.jsonl"))
    with pytest.raises(ConfigError, match="cannot be written"):
        write_records(tmp_path / "no folder" / "labels.jsonl", [GOOD])
