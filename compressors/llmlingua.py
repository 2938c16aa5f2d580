"""LLMLingua: coarse to fine, by what a small causal model does not expect.

Where a text is several demonstrations or contexts, the most perplexing stay, as many as hold
`context_budget` times what is to be left; then tokens go, segment by segment, each after what stayed
before it (`elision.compressors.itpc`); or no tokens, where only contexts and sentences are to be
chosen (`Coarse`). Faithful to the paper, without the faults of its authors'
code (`elision.compressors.llmlingua_compat` has those). What is protected stays wherever it stands.
How much a text keeps depends on the target, so nothing found of it is kept for another.
Source: Jiang et al., arXiv:2310.05736, sections 3.1 and 3.2.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

import numpy as np

from elision.compressors.base import Demand, OptionValue, Outcome, Span, Target, Units
from elision.compressors.causal_lm import CausalLM, Surprisal
from elision.compressors.document_ranking import best_first, context_budget, read_context_budget, staying
from elision.compressors.documents import cut
from elision.compressors.errors import BadOption
from elision.compressors.extractive import Extractive
from elision.compressors.forced import Forced
from elision.compressors.itpc import Itpc, Kv, Reading
from elision.compressors.select import budget_tokens
from elision.compressors.sentence_filter import SentenceFilter, besides
from elision.compressors.token_units import Grain, cut_units
from elision.compressors.tokens import Counters
from elision.compressors.units import Agg, sentences, unit_importance, words

NAME = "llmlingua"
_VERSION = "2"


@dataclass(frozen=True, slots=True)
class Options:
    """What the method takes beside its weights, by the reference's names where it has them.

    Attributes:
        reading: `level`, `iterative_size`, `kv`.
        filters: `use_context_level_filter`.
        context_budget: tokens of the contexts that stay, by the target: `+100`, `-50`, `*2`, `/2`.
        sentences: `use_sentence_level_filter` and what goes with it; None: no sentence goes as such.
        words: `use_token_level_filter`.
    """

    reading: Reading
    filters: bool
    context_budget: str
    sentences: SentenceFilter | None = None
    words: bool = True

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "Options":
        """Take these out of a method's options, whose types have been checked. Raises: BadOption."""
        size = options["iterative_size"]
        if not isinstance(size, int) or size < 1:
            raise BadOption(f"{NAME}: iterative_size must be at least 1, not {size!r}")
        sign, number = read_context_budget(str(options["context_budget"]))
        return cls(
            Reading(Grain(str(options["level"])), size, Kv(str(options["kv"]))),
            bool(options["use_context_level_filter"]),
            sign + np.format_float_positional(number, trim="-"),
            SentenceFilter.read(options),
            bool(options["use_token_level_filter"]),
        )

    @property
    def label(self) -> str:
        """What a fingerprint says of them."""
        budget = self.context_budget if self.filters else "none"
        told = f" {self.sentences}" if self.sentences else ""
        reading = self.reading
        words = f"level={reading.level} size={reading.iterative_size} kv={reading.kv}"
        return f"{words if self.words else 'words=all'} contexts={budget}{told}"


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text in pieces, each with the share of its tokens to keep; 0: it goes.

    Attributes:
        spans: ascending and disjoint.
        rates: as many.
    """

    spans: list[Span]
    rates: list[float]


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
        coarse = self.pieces(texts, demands)
        return self._itpc.weigh(
            texts,
            [""] * len(texts),
            [one.rates for one in coarse],
            pieces=[one.spans for one in coarse],
            held=[demand.held for demand in demands],
        )

    def pieces(self, texts: Sequence[str], demands: Sequence[Demand]) -> list[Pieces]:
        """Choose contexts, and sentences of them where that is asked; say how much of each is to stay."""
        coarse = self._contexts(texts, demands)
        if self._options.sentences is not None:
            coarse = self._sentences(texts, demands, coarse, self._options.sentences)
        return coarse

    def _contexts(self, texts: Sequence[str], demands: Sequence[Demand]) -> list[Pieces]:
        """Return the contexts of each text and their rates."""
        found: list[Pieces] = []
        asked: dict[int, list[Span]] = {}
        for i, (text, demand) in enumerate(zip(texts, demands, strict=True)):
            found.append(Pieces([Span(0, len(text))], [demand.rate]))
            # What is within the budget anyway need not be read for it.
            if self._options.filters and self._exceeds(text, demand.rate):
                spans = _contexts_of(text, demand)
                if len(spans) > 1:
                    asked[i] = spans
        read = iter(self._read(texts, asked.items()))
        for i, spans in asked.items():
            nlls = [next(read).nll for _ in spans]
            found[i] = Pieces(spans, keep_contexts(nlls, demands[i].rate, self._options.context_budget))
        return found

    def _exceeds(self, text: str, rate: float) -> bool:
        total = self._lm.count(text)
        return context_budget(self._options.context_budget, rate * total) < total

    def _sentences(
        self, texts: Sequence[str], demands: Sequence[Demand], coarse: Sequence[Pieces], told: SentenceFilter
    ) -> list[Pieces]:
        """Return the sentences of what stays and their rates; what was to go goes."""
        asked = [_sentences_of(text, one) for text, one in zip(texts, coarse, strict=True)]
        spans = [[span for own in documents for span in own] for documents in asked]
        read = iter(self._read(texts, enumerate(spans)))
        found: list[Pieces] = []
        for text, demand, pieces, documents in zip(texts, demands, coarse, asked, strict=True):
            nlls = [[next(read).nll for _ in own] for own in documents]
            target = demand.rate * self._lm.count(text)
            stays = told.chosen([[_mean(one) for one in own] for own in nlls], _sizes(nlls), target)
            flags = [stay for own in stays for stay in own]
            sizes = [len(nll) for own in nlls for nll in own]
            tokens = sum(size for size, stay in zip(sizes, flags, strict=True) if stay)
            kept = min(1.0, target / max(tokens, 1))
            every = [span for own in documents for span in own]
            found.append(_joined(pieces, every, [kept if stay else 0.0 for stay in flags]))
        return found

    def _read(self, texts: Sequence[str], spans: Iterable[tuple[int, Sequence[Span]]]) -> list[Surprisal]:
        """Read stretches of texts, each by itself, all in shared batches."""
        return self._lm.surprisal([texts[i][s.start : s.end] for i, own in spans for s in own])


class Coarse:
    """The method without its second step: contexts and sentences go whole, words never.

    What stays is what `context_budget`, or of sentences `token_budget_ratio`, leaves of them, and the
    last may exceed that; what is protected or forced stays of what goes.

    Args:
        scorer: chooses.
        counters: count as the target's model does.
        forced: what is kept beside what is protected.
    """

    reads_question = False

    def __init__(self, scorer: LLMLingua, counters: Counters, forced: Forced | None = None) -> None:
        self._scorer = scorer
        self._counters = counters
        self._selector = Extractive(NAME, scorer, counters, forced)

    @property
    def fingerprint(self) -> str:
        return self._selector.fingerprint

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Leave contexts and sentences out of each text.

        Reasons for the original: "no_target", "within_target", and those of
        `elision.compressors.extractive`; "not_shorter" where nothing is to go.
        Raises: BadOption for an unknown protected class, ValueError for an impossible target.
        """
        counters = [self._counters.counter_for(target.model) for target in targets]
        totals = [counter.count(text) for counter, text in zip(counters, texts, strict=True)]
        budgets = [budget_tokens(target, total) for target, total in zip(targets, totals, strict=True)]
        todo = [i for i, total in enumerate(totals) if budgets[i] < total]
        held = [self._selector.protected(texts[i], targets[i]) for i in todo]
        demands = [Demand(budgets[i] / totals[i], spans) for i, spans in zip(todo, held, strict=True)]
        chosen = dict(zip(todo, self._scorer.pieces([texts[i] for i in todo], demands), strict=True))
        found: list[Outcome] = []
        for i, (text, total) in enumerate(zip(texts, totals, strict=True)):
            reason = "no_target" if budgets[i] == inf else "within_target"
            plain = Outcome(text, total, total, (), NAME, self.fingerprint, reason)
            found.append(self._shortened(text, chosen[i], targets[i]) if i in chosen else plain)
        return found

    def _shortened(self, text: str, pieces: Pieces, target: Target) -> Outcome:
        gone = [span for span, rate in zip(pieces.spans, pieces.rates, strict=True) if rate == 0]
        bounds = words(text)
        # One token is less than what is held, so that exactly that goes.
        least = replace(target, rate=None, tokens=1)
        return self._selector.shorten(text, Units(bounds, np.zeros(len(bounds))), least, besides(text, gone))


def keep_contexts(nlls: Sequence[np.ndarray], rate: float, budget: str) -> list[float]:
    """Choose contexts: the most perplexing first, until their tokens are as many as the budget has.

    The last may exceed it; one stays in any case. Those that stay share what is to be left alike.

    Args:
        nlls: (T,) of each context's tokens.
        rate: share of all tokens that is to be left.
        budget: `context_budget`.
    Returns: the rate of each context, 0 for those that go.
    Source: LLMLingua, arXiv:2310.05736, section 3.1, algorithm 1.
    """
    sizes = [len(nll) for nll in nlls]
    target = rate * sum(sizes)
    ranked = best_first([_mean(nll) for nll in nlls])
    # Enough to fill the target by themselves there must be.
    stays = staying(ranked, sizes, max(context_budget(budget, target), target))
    kept = min(1.0, target / max(sum(sizes[at] for at in stays), 1))
    return [kept if at in stays else 0.0 for at in range(len(nlls))]


def _contexts_of(text: str, demand: Demand) -> list[Span]:
    """Cut a text into its contexts, each with what stands between it and the next."""
    documents = cut(text, demand.held).documents
    starts = [0, *(span.start for span in documents[1:]), len(text)]
    return [Span(a, b) for a, b in pairwise(starts)]


def _sentences_of(text: str, pieces: Pieces) -> list[list[Span]]:
    """Cut each piece that stays into its sentences."""
    return [
        [Span(piece.start + a, piece.start + b) for a, b in sentences(text[piece.start : piece.end]).tolist()]
        for piece, rate in zip(pieces.spans, pieces.rates, strict=True)
        if rate > 0
    ]


def _joined(pieces: Pieces, spans: Sequence[Span], rates: Sequence[float]) -> Pieces:
    """Return sentences with their rates in place of the pieces that stay, which are made of them."""
    gone = [span for span, rate in zip(pieces.spans, pieces.rates, strict=True) if rate == 0]
    every = sorted([*zip(spans, rates, strict=True), *((span, 0.0) for span in gone)])
    return Pieces([span for span, _ in every], [rate for _, rate in every])


def _sizes(nlls: Sequence[Sequence[np.ndarray]]) -> list[list[int]]:
    return [[len(nll) for nll in own] for own in nlls]


def _mean(nll: np.ndarray) -> float:
    return float(nll.mean()) if len(nll) else 0.0
