"""From pairs to labelled texts, and from those to what teaches and what is held out.

Pure. This module owns which examples belong together: pieces of one text, and texts that are the
same, never stand on both sides of a split.
"""

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from elision.config.errors import ConfigError
from elision.evaluation.compression import Tick
from elision.training.annotate import Annotation, annotate
from elision.training.filters import Filtered, good
from elision.training.pairs import Pair
from elision.training.records import LabelledText

_NOTHING_LEFT = (
    "no pair is left after the filters: take a better teacher, or more pairs, or say "
    "--vr-percentile 100 --ag-percentile 100 to learn from them all"
)


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text, and the text that it is a piece of."""

    group: str
    record: LabelledText


@dataclass(frozen=True, slots=True)
class Split:
    """Examples that teach, and examples that nothing is learned from; as many as were asked."""

    taught: tuple[LabelledText, ...]
    held_out: tuple[LabelledText, ...]


def examples_of(
    pairs: Sequence[Pair], percentiles: tuple[float, float], tick: Tick
) -> tuple[list[Example], tuple[Filtered, Filtered]]:
    """Annotate pairs and leave out the bad ones.

    Args:
        pairs: all.
        percentiles: from which VR, and AG, a pair goes; 100 for no filter.
        tick: told of each pair that is annotated.
    Returns: examples in the pairs' order, and what the filters did.
    Raises: ConfigError if no pair is left.
    """
    found: list[Annotation] = []
    for pair in pairs:
        found.append(_annotated(pair))
        tick(1)
    stay, told = good(found, *percentiles)
    if not stay:
        raise ConfigError([_NOTHING_LEFT])
    return [Example(pairs[at].group, _labelled(pairs[at], found[at])) for at in stay], told


def examples_of_records(records: Iterable[LabelledText]) -> list[Example]:
    """Group labelled texts: the same text is one group."""
    return [Example(hashlib.sha256(one.text.encode()).hexdigest(), one) for one in records]


def split(examples: Sequence[Example], share: float, seed: int) -> Split:
    """Hold out a share of the groups, at least one and never all; none where the share is 0.

    The same groups, share and seed give the same split, in whatever order examples come.

    Raises: ConfigError if there is one group only and some are to be held out.
    """
    groups = sorted({one.group for one in examples})
    if share and len(groups) < 2:
        raise ConfigError(["--validate: there is one text only; nothing can be held out, say --validate 0"])
    random.Random(seed).shuffle(groups)
    count = min(max(round(share * len(groups)), 1), len(groups) - 1) if share else 0
    held = frozenset(groups[:count])
    return Split(
        tuple(one.record for one in examples if one.group not in held),
        tuple(one.record for one in examples if one.group in held),
    )


def _annotated(pair: Pair) -> Annotation:
    try:
        return annotate(pair.original, pair.compressed)
    except ValueError as error:
        raise ConfigError([f"pair {pair.id!r}: {error}; take it out"]) from error


def _labelled(pair: Pair, found: Annotation) -> LabelledText:
    return LabelledText(pair.original, found.words, tuple(map(float, found.kept)), pair.source)
