"""Rate-quality curves: for each data set and measure one picture, kept tokens against quality.

This module owns how curves look; matplotlib is imported when the first is drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elision.evaluation.errors import PackageMissing
from elision.evaluation.forms import COLUMNS
from elision.evaluation.summary import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {
    "survival": "share of gold answers that survive whole",
    "em": "exact match of the reader's answers",
    "f1": "F1 of the reader's answers",
    "rouge_l": "ROUGE-L of the reader's summaries",
    "unit_f1": "unit F1 against people's own shortenings",
}


def draw(lines: Sequence[Line], folder: Path) -> list[Path]:
    """Draw a picture for each data set and measure; return their files.

    Raises: PackageMissing without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PackageMissing("curves need matplotlib: pip install 'elision[eval]'") from error
    files: list[Path] = []
    for dataset in dict.fromkeys(line.cell.dataset for line in lines):
        for column in COLUMNS:
            own = [line for line in lines if line.cell.dataset == dataset and column in line.measures]
            if not own:
                continue
            figure = Figure(figsize=(8.4, 4.4), dpi=120, layout="constrained")
            FigureCanvasAgg(figure)
            _draw_one(figure.add_subplot(), own, column)
            file = folder / f"{dataset.replace(' ', '-')}-{column}.png"
            # No date, no version: equal figures are equal files.
            figure.savefig(file, metadata={"Software": None})
            files.append(file)
    return files


def _draw_one(axes: "Axes", lines: Sequence[Line], column: str) -> None:
    for at, method in enumerate(dict.fromkeys(line.cell.method for line in lines)):
        own = sorted((line for line in lines if line.cell.method == method), key=lambda line: line.kept)
        estimates = [line.measures[column] for line in own]
        values = [one.value for one in estimates]
        if not own[0].cell.target:
            axes.axhline(values[0], linestyle=":", color=f"C{at}", label=method)
            continue
        lows = [one.value - (one.value if one.low is None else one.low) for one in estimates]
        highs = [(one.value if one.high is None else one.high) - one.value for one in estimates]
        kept = [line.kept for line in own]
        # The mean of skewed values may lie outside its own percentile interval by a hair.
        errors = [[max(low, 0) for low in lows], [max(high, 0) for high in highs]]
        axes.errorbar(kept, values, yerr=errors, marker="o", capsize=3, color=f"C{at}", label=method)
    items = max(line.measures[column].items for line in lines)
    axes.set(
        xlabel="share of tokens kept",
        ylabel=_NAMES[column],
        title=f"{lines[0].cell.dataset}, {items} items, 95 % intervals",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0))
