"""Selective Context: keep what a small language model did not expect.

A unit's importance is the self-information of its tokens, each sentence read by itself after BOS:
scored in the context of the whole document, later units would all look predictable. Differs from
the authors' code where that is at fault: sentences are scored together in batches, tokens are
aligned with units by character offsets (so that no script drifts), and the budget counts tokens,
not units. The selector is everyone's. Source: Li et al., arXiv:2310.06201, sections 2 and 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import Units
from elision.compressors.causal_lm import CausalLM, Surprisal
from elision.compressors.units import Agg, Level, sentences, split

NAME = "selective_context"
_VERSION = "1"


@dataclass(frozen=True, slots=True)
class SelectiveContext:
    """The scorer.

    Attributes:
        lm: the model whose surprise counts.
        level: what is kept or dropped whole.
        agg: mean or sum of the tokens' self-information; the authors' code takes the mean,
            equation 6 of the paper the sum.
    """

    lm: CausalLM
    level: Level = Level.SENTENCE
    agg: Agg = Agg.MEAN

    @property
    def fingerprint(self) -> str:
        return f"{NAME}/{_VERSION} level={self.level} agg={self.agg} weights={self.lm.checksum[:16]}"

    @property
    def reads_question(self) -> bool:
        return False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        """Score the units of each text; questions are not looked at."""
        found = [sentences(text).tolist() for text in texts]
        pieces = [text[a:b] for text, spans in zip(texts, found, strict=True) for a, b in spans]
        # Equal sentences, common in logs and tables, are read once.
        different = list(dict.fromkeys(pieces))
        scored = dict(zip(different, self.lm.surprisal(different), strict=True))
        return [self._units(text, spans, scored) for text, spans in zip(texts, found, strict=True)]

    def _units(self, text: str, spans: list[tuple[int, int]], scored: dict[str, Surprisal]) -> Units:
        bounds = split(text, self.level)
        tokens = [scored[text[a:b]] for a, b in spans]
        offsets = [one.offsets + a for one, (a, _) in zip(tokens, spans, strict=True)]
        empty = np.zeros((0, 2), np.int64)
        places = np.concatenate([empty, *offsets])
        nll = np.concatenate([np.zeros(0), *(one.nll for one in tokens)])
        return Units(bounds, unit_importance(bounds, places, nll, self.agg))


def unit_importance(
    bounds: NDArray[np.int64], offsets: NDArray[np.int64], nll: NDArray[np.float64], agg: Agg
) -> NDArray[np.float64]:
    """Give each unit the self-information of its tokens.

    A token that spans k units gives each of them an equal share of its self-information; for the
    mean it counts as that share of a token too.

    Args:
        bounds: (N, 2) ascending, disjoint units.
        offsets: (T, 2) ascending character ranges of tokens.
        nll: (T,) nats.
        agg: mean or sum.
    Returns: (N,) nats; 0 for a unit without tokens.
    """
    first = np.searchsorted(bounds[:, 1], offsets[:, 0], side="right")
    last = np.searchsorted(bounds[:, 0], offsets[:, 1], side="left")
    # A token of nothing but the whitespace between two units belongs to neither.
    shared = np.maximum(last - first, 0)
    token = np.repeat(np.arange(len(nll)), shared)
    ahead = np.arange(len(token)) - np.repeat(np.cumsum(shared) - shared, shared)
    unit = first[token] + ahead
    share = 1.0 / shared[token]
    total = np.bincount(unit, weights=nll[token] * share, minlength=len(bounds))
    if agg is Agg.SUM:
        return np.asarray(total, np.float64)
    weight = np.bincount(unit, weights=share, minlength=len(bounds))
    return np.asarray(total / np.maximum(weight, np.finfo(np.float64).tiny), np.float64)
