"""From scores to lines of a table: means with intervals, and paired differences to one method.

Pure. Every interval says how many items and groups it is of.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from elision.evaluation import bootstrap
from elision.evaluation.bootstrap import Estimate
from elision.evaluation.forms import COLUMNS
from elision.evaluation.model import Cell, Score, Timing


@dataclass(frozen=True, slots=True)
class Line:
    """One cell of a run, summed up.

    Attributes:
        cell: data set, method, target.
        items: how many.
        left: how many of them the method left as they were.
        before: tokens of all texts.
        after: tokens of what was made of them.
        measures: by column; only those that apply.
        differences: this method less the baseline, on the items that both have, by column.
        kept_there: share of tokens that the baseline kept of these items; None without differences.
        timing: of the compressor.
    """

    cell: Cell
    items: int
    left: int
    before: int
    after: int
    measures: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]
    kept_there: float | None
    timing: Timing

    @property
    def kept(self) -> float:
        """The share of tokens that stayed, exact."""
        return _share(self.after, self.before)


def summarise(
    scores: Sequence[Score], timings: Mapping[Cell, Timing], baseline: str, seed: int
) -> list[Line]:
    """Sum up every cell, in the order in which cells first appear.

    Args:
        scores: of all cells.
        timings: of all cells.
        baseline: a method's label; at each target it is compared with itself at that target, or
            with its only line. Empty: no differences.
        seed: of the resampling.
    """
    cells: dict[Cell, list[Score]] = defaultdict(list)
    for score in scores:
        cells[score.cell].append(score)
    return [
        _line(cell, found, _others(cell, cells, baseline), timings[cell], seed)
        for cell, found in cells.items()
    ]


def _others(cell: Cell, cells: Mapping[Cell, list[Score]], baseline: str) -> list[Score]:
    if not baseline or cell.method == baseline:
        return []
    same = cells.get(Cell(cell.dataset, baseline, cell.target))
    return same or cells.get(Cell(cell.dataset, baseline, ""), [])


def _line(cell: Cell, scores: list[Score], others: list[Score], timing: Timing, seed: int) -> Line:
    measures: dict[str, Estimate] = {}
    differences: dict[str, Estimate] = {}
    against = {score.item: score for score in others}
    for column in COLUMNS:
        found = [score for score in scores if column in score.values]
        if found:
            values = [score.values[column] for score in found]
            measures[column] = bootstrap.mean(values, [score.group for score in found], seed)
        paired = [
            (score, against[score.item])
            for score in found
            if score.item in against and column in against[score.item].values
        ]
        if paired:
            gains = [one.values[column] - other.values[column] for one, other in paired]
            differences[column] = bootstrap.mean(gains, [one.group for one, _ in paired], seed)
    left = sum(bool(score.left) for score in scores)
    before, after = sum(score.before for score in scores), sum(score.after for score in scores)
    return Line(
        cell, len(scores), left, before, after, measures, differences, _there(scores, against), timing
    )


def _there(scores: Sequence[Score], against: Mapping[str, Score]) -> float | None:
    both = [against[score.item] for score in scores if score.item in against]
    return _share(sum(one.after for one in both), sum(one.before for one in both)) if both else None


def _share(after: int, before: int) -> float:
    return after / before if before else 1.0
