"""Tables say their conditions and sizes, and hold no text."""

import json
from pathlib import Path

from elision.evaluation.model import Cell, Score, Timing
from elision.evaluation.report import Conditions, markdown, write
from elision.evaluation.summary import Line, summarise

CONDITIONS = Conditions({"seed": "7", "reader": "none"}, "random", {"gsm8k test": "gsm8k"})


def scores() -> list[Score]:
    found: list[Score] = []
    for method, gain in (("random", 0.0), ("new", 0.5)):
        cell = Cell("gsm8k test", method, "0.5")
        found += [
            Score(cell, str(at), f"g{at % 2}", 100, 49, "too_short" * (at == 0), {"em": at % 2 * 0.5 + gain})
            for at in range(4)
        ]
    return found


def lines() -> list[Line]:
    return summarise(scores(), {one.cell: Timing(0.5, 400) for one in scores()}, "random", 7)


def test_a_line_says_all_that_was_measured() -> None:
    """Kept tokens exactly, the mean with interval and sizes, seconds and speed."""
    told = markdown(lines(), CONDITIONS)
    [row] = [line for line in told.splitlines() if line.startswith("| `new` | 0.5 | 0.4900 (")]
    assert "0.4900 (196 of 400) | 4 | 1 | 0.750 (" in row
    assert "n 4, 2 groups)" in row
    assert row.endswith("| 0.50 | 800 |")
    assert "- seed: 7" in told
    assert "2,000 resamples" in told


def test_differences_have_a_sign_and_a_name() -> None:
    """Whoever reads one knows from what, and whether as many tokens were kept there."""
    told = markdown(lines(), CONDITIONS)
    assert "Difference to `random` on the same items:" in told
    assert "| `new` | 0.5 | 0.4900 | 0.4900 | +0.500 (+0.500 to +0.500; n 4, 2 groups) |" in told


def test_papers_figures_are_marked() -> None:
    """They stand below ours and say that we did not measure them."""
    told = markdown(lines(), CONDITIONS)
    head = told.index("Published, by their authors with their readers and prompts; not measured here:")
    assert told.index("| LLMLingua-2 | EM GPT-3.5 | 457 tokens | 79.08 |") > head
    assert "Published" not in markdown(lines(), Conditions({}, "", {}))


def test_files_hold_the_same(tmp_path: Path) -> None:
    """The table as JSON; a line for every score."""
    told = write(tmp_path, lines(), scores(), CONDITIONS)
    assert (tmp_path / "table.md").read_text() == told
    data = json.loads((tmp_path / "table.json").read_text())
    assert data["conditions"]["seed"] == "7"
    assert [line["cell"]["method"] for line in data["lines"]] == ["random", "new"]
    assert data["lines"][1]["kept"] == 0.49
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    assert rows[0] == {
        "dataset": "gsm8k test",
        "method": "random",
        "target": "0.5",
        "item": "0",
        "group": "g0",
        "before": 100,
        "after": 49,
        "left": "too_short",
        "values": {"em": 0.0},
    }


def test_one_group_is_said_to_be_one() -> None:
    """No interval is shown where none can be had."""
    one = [Score(Cell("d", "m", "0.5"), "1", "g", 10, 5, "", {"f1": 0.5})]
    told = markdown(summarise(one, {one[0].cell: Timing(0.0, 0)}, "", 0), CONDITIONS)
    assert "0.500 (n 1, one group)" in told
