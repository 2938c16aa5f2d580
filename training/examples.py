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

_KEEP, _DROP = 1.0, 0.0
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
    """Take labelled texts as they come, each a group of its own."""
    return [Example(str(at), one) for at, one in enumerate(records)]


def split(examples: Sequence[Example], share: float, seed: int) -> Split:
    """Hold out a share of what belongs together, at least one and never all; none where the share is 0.

    Examples of one group belong together, and so do groups that have a text in common. The same
    examples, share and seed give the same split, in whatever order they come.

    Raises: ConfigError if all belong together and some are to be held out.
    """
    families = _families(examples)
    names = sorted(set(families))
    if share and len(names) < 2:
        raise ConfigError(["--validate: there is one text only; nothing can be held out, say --validate 0"])
    random.Random(seed).shuffle(names)
    count = min(max(round(share * len(names)), 1), len(names) - 1) if share else 0
    held = frozenset(names[:count])
    sides = [(one.record, name in held) for one, name in zip(examples, families, strict=True)]
    return Split(
        tuple(record for record, out in sides if not out), tuple(record for record, out in sides if out)
    )


def _families(examples: Sequence[Example]) -> list[str]:
    """Return of each example a name for all that it belongs with: a digest of the least of their texts."""
    texts = [hashlib.sha256(one.record.text.encode()).hexdigest() for one in examples]
    least: dict[str, str] = {}

    def root(name: str) -> str:
        while least.setdefault(name, name) != name:
            least[name] = name = least[least[name]]
        return name

    for one, text in zip(examples, texts, strict=True):
        # Digests sort before groups, so that a family's name is a text's whatever the groups are called.
        low, high = sorted((root(text), root(f"group {one.group}")))
        least[high] = low
    return [root(text) for text in texts]


def _annotated(pair: Pair) -> Annotation:
    try:
        return annotate(pair.original, pair.compressed)
    except ValueError as error:
        raise ConfigError([f"pair {pair.id!r}: {error}; take it out"]) from error


def _labelled(pair: Pair, found: Annotation) -> LabelledText:
    # The same two numbers for every word: a label of its own would take as much memory as its word.
    labels = tuple(_KEEP if kept else _DROP for kept in found.kept)
    return LabelledText(pair.original, found.words, labels, pair.source)
