"""A picture for each data set and measure."""

from pathlib import Path

from elision.evaluation.model import Cell, Score, Timing
from elision.evaluation.plots import draw
from elision.evaluation.summary import Line, summarise


def lines() -> list[Line]:
    scores = [
        Score(
            Cell("a b", method, target),
            str(at),
            str(at),
            10,
            after,
            "",
            {"survival": at % 2 * 0.5, "em": 1.0},
        )
        for method, target, after in (("full", "", 10), ("new", "0.3", 3), ("new", "0.5", 5))
        for at in range(4)
    ]
    return summarise(scores, {one.cell: Timing(1.0, 1) for one in scores}, "", 0)


def test_curves_are_drawn(tmp_path: Path) -> None:
    """PNG files, named after the set and the measure; equal lines make equal files."""
    files = draw(lines(), tmp_path)
    assert [file.name for file in files] == ["a-b-survival.png", "a-b-em.png"]
    contents = [file.read_bytes() for file in files]
    assert all(content.startswith(b"\x89PNG") for content in contents)
    assert [file.read_bytes() for file in draw(lines(), tmp_path)] == contents


def test_without_measures_nothing_is_drawn(tmp_path: Path) -> None:
    """One's own texts without answers."""
    scores = [Score(Cell("d", "m", "0.5"), "1", "g", 10, 5, "", {})]
    assert draw(summarise(scores, {scores[0].cell: Timing(1.0, 1)}, "", 0), tmp_path) == []
