"""A picture of the filters: how many pairs had how many invented words, and how many without a place.

This module owns how it looks; matplotlib is imported when it is drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elision.evaluation.errors import PackageMissing
from elision.training.filters import Filtered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {
    "VR": "VR: share of the compression's words that the text does not have",
    "AG": "AG: share of the text's words that are known and found no place",
}


def draw(filters: Sequence[Filtered], file: Path) -> None:
    """Draw a histogram for each filter, with the limit from which pairs went.

    Raises: PackageMissing without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PackageMissing("histograms need matplotlib: pip install 'elision[eval]'") from error
    figure = Figure(figsize=(8.4, 3.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for at, one in enumerate(filters, 1):
        _draw_one(figure.add_subplot(1, len(filters), at), one)
    # No date, no version: equal figures are equal files.
    figure.savefig(file, metadata={"Software": None})


def _draw_one(axes: "Axes", one: Filtered) -> None:
    axes.hist(one.values, bins=40, color="C0")
    if one.limit != float("inf"):
        axes.axvline(one.limit, color="C3", linestyle="--", label=f"dropped from here on: {one.dropped:,}")
        axes.legend(fontsize="small")
    axes.set(xlabel=_NAMES[one.name], ylabel="pairs")
    axes.xaxis.label.set_fontsize("small")
