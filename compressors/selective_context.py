"""Selective Context: keep what a small language model did not expect.

A unit's importance is the self-information of its tokens, each sentence read by itself after BOS:
scored in the context of the whole document, later units would all look predictable. Differs from
the authors' code where that is at fault: sentences are scored together in batches, tokens are
aligned with units by character offsets (so that no script drifts), and the budget counts tokens,
not units. The selector is everyone's. Source: Li et al., arXiv:2310.06201, sections 2 and 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from elision.compressors.base import OptionValue, Units
from elision.compressors.causal_lm import CausalLM, Surprisal
from elision.compressors.errors import BadOption
from elision.compressors.noun_phrases import Phraser, phraser
from elision.compressors.token_units import Grain, cut_units
from elision.compressors.units import Agg, Bounds, Level, phrases, sentences, split, unit_importance

NAME = "selective_context"
_VERSION = "2"


@dataclass(frozen=True, slots=True)
class Options:
    """What the method takes beside its weights.

    Attributes:
        level: what is kept or dropped whole; `Grain.TOKEN`: a token of the model.
        agg: mean or sum of the tokens' self-information; the authors' code takes the mean,
            equation 6 of the paper the sum.
        phrases: who finds phrases: `rules`, or a model of spaCy.
    """

    level: Level | Grain = Level.SENTENCE
    agg: Agg = Agg.MEAN
    phrases: str = "rules"

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "Options":
        """Take these out of a method's options, whose words have been checked.

        Raises: BadOption where `reduce_level`, the reference's name, contradicts `level`.
        """
        level, named = str(options["level"]), spelled(str(options["reduce_level"]))
        if named and level not in (Level.SENTENCE, named):
            raise BadOption(f"{NAME}: reduce_level and level are one option; give one of them")
        chosen = named or level
        grain: Level | Grain = Grain.TOKEN if chosen == Grain.TOKEN else Level(chosen)
        return cls(grain, Agg(str(options["agg"])), str(options["phrases"]))


def spelled(level: str) -> str:
    """Return a level by our name; the authors' code says `sent` for sentences."""
    return Level.SENTENCE.value if level == "sent" else level


class SelectiveContext:
    """The scorer.

    Args:
        lm: the model whose surprise counts.
        options: what a unit is, and what its tokens make of it.
    Raises: WeightsMissing if spaCy, or its model, is wanted and not installed.
    """

    def __init__(self, lm: CausalLM, options: Options | None = None) -> None:
        self._lm = lm
        self._options = options or Options()
        is_spacy = self._options.level is Level.PHRASE and self._options.phrases != "rules"
        self._phraser: Phraser = phraser(self._options.phrases) if is_spacy else phrases

    @property
    def fingerprint(self) -> str:
        told = self._options
        by = f" phrases={told.phrases}" if told.level is Level.PHRASE else ""
        return f"{NAME}/{_VERSION} level={told.level} agg={told.agg}{by} weights={self._lm.fingerprint}"

    @property
    def reads_question(self) -> bool:
        return False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        """Score the units of each text; questions are not looked at."""
        found = [sentences(text).tolist() for text in texts]
        pieces = [text[a:b] for text, spans in zip(texts, found, strict=True) for a, b in spans]
        # Equal sentences, common in logs and tables, are read once.
        different = list(dict.fromkeys(pieces))
        scored = dict(zip(different, self._lm.surprisal(different), strict=True))
        return [self._units(text, spans, scored) for text, spans in zip(texts, found, strict=True)]

    def _units(self, text: str, spans: list[tuple[int, int]], scored: dict[str, Surprisal]) -> Units:
        tokens = [scored[text[a:b]] for a, b in spans]
        offsets = [one.offsets + a for one, (a, _) in zip(tokens, spans, strict=True)]
        places = np.concatenate([np.zeros((0, 2), np.int64), *offsets])
        nll = np.concatenate([np.zeros(0), *(one.nll for one in tokens)])
        bounds = self._bounds(text, places)
        return Units(bounds, unit_importance(bounds, places, nll, self._options.agg))

    def _bounds(self, text: str, places: Bounds) -> Bounds:
        level = self._options.level
        if isinstance(level, Grain):
            return cut_units(text, places, level).bounds
        return self._phraser(text) if level is Level.PHRASE else split(text, level)
