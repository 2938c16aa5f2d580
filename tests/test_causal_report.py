"""Tables of `benchmarks.causal_methods`: which rows are compared, and what is said of those that died."""

from typing import Any

import pytest

from benchmarks.causal_methods import several
from benchmarks.causal_report import quality_lines, rate_table, speed_lines, speed_table
from elision.evaluation.forms import SHORT_ANSWER
from elision.evaluation.model import Item


def turn(name: str, cpu: float, run: str = "", **more: Any) -> dict[str, Any]:
    about = {"shape": "smollm2", "size": 100, "family": "llmlingua", "rate": 0.5, "name": name}
    told = {"tokens": [100, 49], "cpu": cpu, "seconds": 2 * cpu, "rest_mib": 10, "peak_mib": 30, "text": name}
    return {**about, **told, "run": run, **more}


def test_ours_are_compared_with_the_reference_of_the_same_run() -> None:
    """What was measured anew is told by its last run, and compared within it."""
    rows = [turn("reference", 8.0), turn("exact", 4.0), turn("reference", 6.0, "2"), turn("exact", 1.0, "2")]
    reference, exact = speed_lines(rows)
    assert reference["tokens_per_cpu_s"] == pytest.approx(100 / 6)
    assert (exact["times_cpu"], exact["same_run"]) == (6.0, True)


def test_a_reference_of_an_earlier_run_is_marked() -> None:
    """A star says that a ratio is of two runs."""
    lines = speed_lines([turn("reference", 8.0), turn("exact", 4.0), turn("exact", 1.0, "2")])
    assert (lines[1]["times_cpu"], lines[1]["same_run"]) == (8.0, False)
    assert [line.count("*") for line in speed_table(lines).splitlines()[2:]] == [0, 1]


def test_medians_are_of_one_run_and_memory_is_its_largest() -> None:
    """A slow turn among three changes no figure of speed; the largest memory is reported."""
    rows = [turn("reference", cpu, peak_mib=peak) for cpu, peak in ((1.0, 20), (2.0, 40), (50.0, 30))]
    [line] = speed_lines(rows)
    assert (line["tokens_per_cpu_s"], line["peak_mib"], line["above_rest_mib"]) == (50.0, 40, 30)


def test_what_died_is_told_in_both_tables() -> None:
    """A crash is a result."""
    lines = speed_lines([turn("reference", 1.0, crash="IndexError: out"), turn("exact", 1.0)])
    assert "died: IndexError: out" in speed_table(lines)
    assert "died" in rate_table(lines).splitlines()[2]
    assert "times_cpu" not in lines[1]


def test_rates_say_how_far_they_are_off_by_both_counts() -> None:
    """The reference aims by its own tokens; both its errors are told, ours by the target's count."""
    lines = speed_lines([turn("reference", 1.0, own=[200, 110]), turn("exact", 1.0)])
    reference, exact = rate_table(lines).splitlines()[2:]
    assert "0.490 (-0.010, +0.050 by own)" in reference
    assert "0.490 (-0.010)" in exact


def test_survival_is_paired_by_texts() -> None:
    """A text that only one side has shortened is compared with nothing."""
    items = {
        ("passages", name): Item(name, name, "Who? Ada Lovelace.", SHORT_ANSWER, "Who?", ("Ada Lovelace",))
        for name in "ab"
    }
    same = {"set": "passages", "family": "llmlingua", "rate": 0.5, "tokens": [4, 2]}
    rows = [
        {**same, "name": name, "item": item, "text": text}
        for name, item, text in (
            ("reference", "a", "Ada"),
            ("reference", "b", "Ada Lovelace"),
            ("exact", "a", "Ada Lovelace"),
        )
    ]
    [line] = quality_lines(rows, items, lambda _: None)
    assert (line["items"], line["survival_gain"]) == (1, 100.0)


def test_documents_of_a_text_are_its_paragraphs_joined() -> None:
    """No paragraph is lost or torn, and none has an empty line that would part it."""
    paragraphs = [f"Paragraph {n}\nhas two lines, {'many words ' * 20}." for n in range(40)]
    found = several("\n\n".join(paragraphs))
    assert " ".join(found) == " ".join(" ".join(part.split()) for part in paragraphs)
    assert len(found) >= 5
    assert max(map(len, found)) <= 1600
