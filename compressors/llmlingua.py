"""LLMLingua: coarse to fine, by what a small causal model does not expect.

Where a text is several demonstrations or contexts, the most perplexing stay, as many as hold
`context_budget` times what is to be left; then tokens go, segment by segment, each after what stayed
before it (`elision.compressors.itpc`). Faithful to the paper, without the faults of its authors'
code (`elision.compressors.llmlingua_compat` has those). What is protected stays wherever it stands.
How much a text keeps depends on the target, so nothing found of it is kept for another.
Source: Jiang et al., arXiv:2310.05736, sections 3.1 and 3.2.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from elision.compressors.base import Demand, OptionValue, Span, Units
from elision.compressors.causal_lm import CausalLM
from elision.compressors.documents import cut
from elision.compressors.errors import BadOption
from elision.compressors.itpc import Itpc, Kv, Reading
from elision.compressors.token_units import Grain, cut_units
from elision.compressors.units import Agg, unit_importance

NAME = "llmlingua"
_VERSION = "1"
_BUDGET = re.compile(r"(?P<sign>[+*-])\s*(?P<number>\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class ContextBudget:
    """How many tokens whole contexts may have, by how many are to be left: so many more, fewer or times."""

    sign: str
    number: float

    @classmethod
    def read(cls, told: str) -> "ContextBudget":
        """Read `+100`, `-50` or `*2`. Raises: BadOption."""
        found = _BUDGET.fullmatch(told.strip())
        if not found:
            raise BadOption(f"context_budget cannot be {told!r}: give +100, -50 or *2")
        return cls(found["sign"], float(found["number"]))

    def of(self, target: float) -> float:
        """Return the tokens of contexts for a target in tokens."""
        if self.sign == "*":
            return target * self.number
        return target + self.number if self.sign == "+" else target - self.number


@dataclass(frozen=True, slots=True)
class Options:
    """What the method takes beside its weights, by the reference's names where it has them.

    Attributes:
        reading: `level`, `iterative_size`, `kv`.
        filters: `use_context_level_filter`.
        context_budget: tokens of the contexts that stay, by the target.
    """

    reading: Reading
    filters: bool
    context_budget: ContextBudget

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "Options":
        """Take these out of a method's options, whose types have been checked. Raises: BadOption."""
        size = options["iterative_size"]
        if not isinstance(size, int) or size < 1:
            raise BadOption(f"{NAME}: iterative_size must be at least 1, not {size!r}")
        return cls(
            Reading(Grain(str(options["level"])), size, Kv(str(options["kv"]))),
            bool(options["use_context_level_filter"]),
            ContextBudget.read(str(options["context_budget"])),
        )

    @property
    def label(self) -> str:
        """What a fingerprint says of them."""
        budget = f"{self.context_budget.sign}{self.context_budget.number:g}" if self.filters else "none"
        reading = self.reading
        return f"level={reading.level} size={reading.iterative_size} kv={reading.kv} contexts={budget}"


class LLMLingua:
    """The scorer; its scores are for a target."""

    def __init__(self, lm: CausalLM, options: Options) -> None:
        self._lm = lm
        self._options = options
        self._itpc = Itpc(lm, options.reading)

    @property
    def fingerprint(self) -> str:
        return f"{NAME}/{_VERSION} {self._options.label} weights={self._lm.fingerprint}"

    @property
    def reads_question(self) -> bool:
        return False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        """Score the units of each text as it stands, nothing left out; questions are not looked at."""
        found = self._lm.surprisal(texts)
        units = []
        for text, one in zip(texts, found, strict=True):
            bounds = cut_units(text, one.offsets, self._options.reading.level).bounds
            units.append(Units(bounds, unit_importance(bounds, one.offsets, one.nll, Agg.MEAN)))
        return units

    def score_for(
        self, texts: Sequence[str], questions: Sequence[str], demands: Sequence[Demand]
    ) -> list[Units]:
        """Rank the units of each text for its demand; questions are not looked at."""
        coarse = self._contexts(texts, demands)
        return self._itpc.weigh(
            texts,
            [""] * len(texts),
            [rates for _, rates in coarse],
            pieces=[pieces for pieces, _ in coarse],
            held=[demand.held for demand in demands],
        )

    def _contexts(
        self, texts: Sequence[str], demands: Sequence[Demand]
    ) -> list[tuple[list[Span], list[float]]]:
        """Return the contexts of each text and their rates, 0 for those that go."""
        found: list[tuple[list[Span], list[float]]] = []
        asked: dict[int, list[Span]] = {}
        for i, (text, demand) in enumerate(zip(texts, demands, strict=True)):
            found.append(([Span(0, len(text))], [demand.rate]))
            # What is within the budget anyway need not be read for it.
            if self._options.filters and self._options.context_budget.of(demand.rate) < 1:
                spans = _contexts_of(text, demand)
                if len(spans) > 1:
                    asked[i] = spans
        read = iter(
            self._lm.surprisal([texts[i][s.start : s.end] for i, spans in asked.items() for s in spans])
        )
        for i, spans in asked.items():
            nlls = [next(read).nll for _ in spans]
            rates = keep_contexts(nlls, demands[i].rate, self._options.context_budget)
            found[i] = (spans, rates)
        return found


def keep_contexts(nlls: Sequence[np.ndarray], rate: float, budget: ContextBudget) -> list[float]:
    """Choose contexts: the most perplexing first, until their tokens are as many as the budget has.

    The last may exceed it; one stays in any case. Those that stay share what is to be left alike.

    Args:
        nlls: (T,) of each context's tokens.
        rate: share of all tokens that is to be left.
    Returns: the rate of each context, 0 for those that go.
    Source: LLMLingua, arXiv:2310.05736, section 3.1, algorithm 1.
    """
    sizes = [len(nll) for nll in nlls]
    target = rate * sum(sizes)
    means = [float(nll.mean()) if len(nll) else 0.0 for nll in nlls]
    staying: set[int] = set()
    tokens = 0
    for i in sorted(range(len(nlls)), key=lambda i: (-means[i], i)):
        # Enough to fill the target by themselves there must be.
        if staying and tokens >= max(budget.of(target), target):
            break
        staying.add(i)
        tokens += sizes[i]
    kept = min(1.0, target / max(tokens, 1))
    return [kept if i in staying else 0.0 for i in range(len(nlls))]


def _contexts_of(text: str, demand: Demand) -> list[Span]:
    """Cut a text into its contexts, each with what stands between it and the next."""
    documents = cut(text, demand.held).documents
    starts = [0, *(span.start for span in documents[1:]), len(text)]
    return [Span(a, b) for a, b in pairwise(starts)]
