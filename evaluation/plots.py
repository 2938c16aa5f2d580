"""Rate-quality curves: for each data set and measure one picture, kept tokens against quality.

On white, whatever the page around it, so that a dark page shows the same picture. This module owns
how curves look; matplotlib is imported when the first is drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elision.evaluation.errors import PackageMissing
from elision.evaluation.forms import COLUMNS
from elision.evaluation.summary import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Dark enough for white paper, apart for those who see no red or green (Okabe and Ito, 2008).
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#8B4513")
_MARKS = "oDs^vPX*<"
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
        colour, mark = _COLOURS[at % len(_COLOURS)], _MARKS[at % len(_MARKS)]
        if not own[0].cell.target:
            axes.axhline(values[0], linestyle=":", color=colour, label=method)
            continue
        kept = [line.kept for line in own]
        lows = [one.value if one.low is None else one.low for one in estimates]
        highs = [one.value if one.high is None else one.high for one in estimates]
        axes.plot(kept, values, marker=mark, color=colour, label=method)
        # A single point has no area to shade.
        axes.vlines(kept, lows, highs, color=colour, alpha=0.35, linewidth=1)
        axes.fill_between(kept, lows, highs, color=colour, alpha=0.1, linewidth=0)
    items = max(line.measures[column].items for line in lines)
    axes.set(
        xlabel="share of tokens kept",
        ylabel=_NAMES[column],
        title=f"{lines[0].cell.dataset}, {items} items, 95 % intervals shaded",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1.0))
