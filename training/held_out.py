"""How well a trained classifier labels texts that it did not learn from.

This module owns the figures. It asks the exported model through the method that users ask, so that
what is measured is what ships: its windows, its words, its int8 weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from elision.compressors.llmlingua2 import WINDOW, LLMLingua2, Options
from elision.compressors.token_classifier import load_classifier
from elision.compressors.units import Agg, unit_importance
from elision.evaluation.compression import Tick
from elision.training.records import LabelledText

_AT_ONCE = 8

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Decisions compared with labels, word by word; a label above a half means keep.

    Attributes:
        texts: how many.
        words: of all of them.
        labelled: share of the words whose label is keep.
        kept: share that the model keeps where a chance above a half decides.
        accuracy: share of the words on which model and label then agree.
        precision: of the words that the model keeps, the share labelled so.
        recall: of the words labelled keep, the share that the model keeps.
        ranked: F1 where of each text as many words are kept as labels keep, by rank: how the
            method is used. Of random words it would be about `labelled`.
    """

    texts: int
    words: int
    labelled: float
    kept: float
    accuracy: float
    precision: float
    recall: float
    ranked: float

    @property
    def f1(self) -> float:
        """Of the words kept, where a chance above a half decides."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def keep_all(self) -> float:
        """F1 of keeping every word."""
        return 2 * self.labelled / (1 + self.labelled)

    def lines(self) -> Iterator[str]:
        """Tell it."""
        yield (
            f"held out: {self.texts:,} texts, {self.words:,} words, {self.labelled:.3f} labelled keep, "
            f"{self.kept:.3f} kept"
        )
        yield (
            f"token F1 {self.f1:.3f} (keeping all {self.keep_all:.3f}), precision {self.precision:.3f}, "
            f"recall {self.recall:.3f}, accuracy {self.accuracy:.3f}"
        )
        yield f"F1 at the labels' own rate {self.ranked:.3f} (random words about {self.labelled:.3f})"


def measure(folder: Path, records: Sequence[LabelledText], tick: Tick, threads: int | None = None) -> HeldOut:
    """Ask a model about labelled texts.

    Args:
        folder: of an exported model, or a checkpoint.
        records: at least one.
        tick: told of texts that were read.
        threads: of the CPU; None for all.
    Raises: WeightsMissing if the model cannot be loaded.
    """
    classifier = load_classifier(folder, threads=threads)
    window = min(WINDOW, classifier.vocabulary.max_tokens)
    scorer = LLMLingua2(classifier, Options(window=window))
    labels: list[Flags] = []
    chosen: list[Flags] = []
    ranked: list[Flags] = []
    for start in range(0, len(records), _AT_ONCE):
        some = records[start : start + _AT_ONCE]
        units = scorer.score([one.text for one in some], [""] * len(some))
        for one, found in zip(some, units, strict=True):
            words = np.asarray(one.words, np.int64)
            scores = unit_importance(words, found.bounds, found.importance, Agg.MEAN)
            labels.append(np.asarray(one.labels) > 0.5)
            chosen.append(scores > 0.5)
            ranked.append(_best(scores, int(labels[-1].sum())))
        tick(len(some))
    return compare(labels, chosen, ranked)


def compare(labels: Sequence[Flags], chosen: Sequence[Flags], ranked: Sequence[Flags]) -> HeldOut:
    """Compare decisions with labels; each of the three has an array for each text."""
    truth, kept, best = (np.concatenate(one) for one in (labels, chosen, ranked))
    right = int((truth & kept).sum())
    return HeldOut(
        texts=len(labels),
        words=len(truth),
        labelled=float(truth.mean()),
        kept=float(kept.mean()),
        accuracy=float((truth == kept).mean()),
        precision=right / max(int(kept.sum()), 1),
        recall=right / max(int(truth.sum()), 1),
        # As many are kept as labelled: precision and recall are the same.
        ranked=int((truth & best).sum()) / max(int(truth.sum()), 1),
    )


def _best(scores: NDArray[np.float64], count: int) -> Flags:
    kept = np.zeros(len(scores), np.bool_)
    kept[np.argsort(-scores, kind="stable")[:count]] = True
    return kept
