"""LongLLMLingua: of several documents keep what bears on the question.

Documents are ranked by how likely they make the question, the least are left out, each of the others
gets a rate by its rank, and of its words those stay that the question makes likelier than what stayed
before them does alone (`elision.compressors.itpc`). Documents may change places. What goes is made of
slices of the original, the shared selector keeps the budget, and what is protected stays in every
document that stays; a document that is left out takes what is protected in it along. Without a
question there is nothing to rank by: documents are taken by their own surprise, as LLMLingua takes
demonstrations, words by theirs, and none changes places.
Source: Jiang et al., arXiv:2310.06839, section 4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from elision.compressors import document_ranking as ranking
from elision.compressors.arrangement import Arrangement, arranged, placed, sources
from elision.compressors.base import Outcome, Span, Target, Units
from elision.compressors.causal_lm import CausalLM
from elision.compressors.document_ranking import Query
from elision.compressors.documents import Cut, cut
from elision.compressors.extractive import Extractive
from elision.compressors.forced import Forced
from elision.compressors.itpc import Itpc
from elision.compressors.longllmlingua_options import BM25, NAME, Options
from elision.compressors.select import budget_tokens
from elision.compressors.sentence_filter import besides
from elision.compressors.shares import Part, frames, shared, tokens_in
from elision.compressors.tokens import Counters
from elision.compressors.units import sentences, words

_VERSION = "2"
_MIN_TOKENS = 16

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """One text to shorten.

    Attributes:
        cut: its documents; None: as they are found.
        instruction: is read with the question, by words that are read after it.
        force_context_ids: documents that stay.
        force_context_number: so many stay; None: the budget says.
        parts: stretches with rates of their own; ascending and disjoint.
        arranges: documents are put in order and left out even where the text is short enough.
    """

    text: str
    target: Target
    cut: Cut | None = None
    instruction: str = ""
    force_context_ids: tuple[int, ...] = ()
    force_context_number: int | None = None
    parts: tuple[Part, ...] = ()
    arranges: bool = False


@dataclass(slots=True)
class _Work:
    """One text on its way.

    Attributes:
        tokens: of the whole text.
        sizes: each document's, those of the gap behind it included.
        ranked: the documents that stay, the best first.
        drops: stretches of the arranged text that are sentences to be left out.
    """

    asked: Asked
    options: Options
    cut: Cut
    tokens: int
    sizes: list[int]
    ranked: tuple[int, ...]
    arranged: Arrangement
    drops: list[Span] = field(default_factory=list)

    @property
    def budget(self) -> float:
        return min(budget_tokens(self.asked.target, self.tokens), float(self.tokens))

    @property
    def question(self) -> str:
        return self.asked.target.question

    @property
    def prefix(self) -> str:
        """What words are read after, where they are read after the question."""
        told = (self.question, self.asked.instruction) if self.options.is_conditioned else ()
        return "".join(f"{text.strip()}\n\n" for text in told if text.strip())

    def documents(self) -> list[str]:
        return [self.asked.text[span.start : span.end] for span in self.cut.documents]


class _Unread:
    """The scorer of the selector, which is given units instead."""

    reads_question = True

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        raise NotImplementedError(f"{NAME} reads several documents at once")


class LongLLMLingua:
    """The compressor.

    Args:
        lm: ranks documents and reads words.
        options: what is done.
        counters: count as the target's model does.
        forced: what is kept whatever its score, beside what is protected.
    """

    reads_question = True

    def __init__(
        self, lm: CausalLM, options: Options, counters: Counters, forced: Forced | None = None
    ) -> None:
        self._lm, self._options, self._counters = lm, options, counters
        self._itpc = Itpc(lm, options.reading)
        told = f"{NAME}/{_VERSION} {options} weights={lm.fingerprint}"
        self._selector = Extractive(NAME, _Unread(told), counters, forced)

    @property
    def fingerprint(self) -> str:
        return self._selector.fingerprint

    @property
    def lm(self) -> CausalLM:
        """What ranks documents and reads words."""
        return self._lm

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Shorten each text, whose documents `elision.compressors.documents` finds."""
        return self.shorten([Asked(text, target) for text, target in zip(texts, targets, strict=True)])

    def shorten(self, asked: Sequence[Asked]) -> list[Outcome]:
        """Shorten each text; all are read in shared batches.

        What goes is the choice whose tokens, counted anew, are at most the target and at most one
        unit fewer; where what is protected or forced has more by itself, exactly that goes.
        `Outcome.kept` is in the order in which the slices go. Reasons for the original are those of
        `elision.compressors.extractive`.

        Raises: BadOption for an unknown protected class, ValueError for an impossible target.
        """
        begun = [self._begun(one) for one in asked]
        works = [work for work in begun if isinstance(work, _Work)]
        self._rank(works)
        self._filter_sentences(works)
        done = iter(self._finished(works))
        return [next(done) if isinstance(work, _Work) else work for work in begun]

    def _begun(self, asked: Asked) -> _Work | Outcome:
        """Return a text with all its documents, or the original where nothing is to be done."""
        starts = self._starts(asked.text, asked.target)
        total = len(starts)
        budget = budget_tokens(asked.target, total)
        if not asked.arranges:
            if budget == float("inf"):
                return self._original(asked, total, "no_target")
            if total < _MIN_TOKENS:
                return self._original(asked, total, "too_short")
            if budget >= total:
                return self._original(asked, total, "within_target")
        protected = self._selector.protected(asked.text, asked.target)
        found = asked.cut if asked.cut is not None else cut(asked.text, protected)
        every = tuple(range(len(found.documents)))
        edges = [span.start for span in found.documents]
        sizes = [int(size) for size in np.diff(np.searchsorted(starts, [*edges, found.tail.start]))]
        options = self._options if asked.target.question.strip() else self._options.without_question()
        return _Work(asked, options, found, total, sizes, every, arranged(asked.text, found, every))

    def _rank(self, works: Sequence[_Work]) -> None:
        """Rank the documents of each text, leave out the least, put the others in order."""
        todo = [
            work for work in works if len(work.ranked) > 1 and (work.options.ranks or _chooses(work.asked))
        ]
        read = [work for work in todo if work.options.rank_method != BM25]
        queries = [Query(work.documents(), work.question, work.options.condition) for work in read]
        by_model = iter(ranking.model_scores(self._lm, queries) if queries else ())
        for work in todo:
            by_words = work.options.rank_method == BM25
            scores = ranking.bm25_scores(work.question, work.documents()) if by_words else next(by_model)
            ranked = _staying(work, ranking.best_first(scores))
            work.ranked = ranked
            order = ranking.reordered(ranked, work.options.reorder_context)
            work.arranged = arranged(work.asked.text, work.cut, order)

    def _filter_sentences(self, works: Sequence[_Work]) -> None:
        """Find out which sentences of what stays are left out before words are chosen."""
        for work in works:
            keeping = work.options.sentences
            if keeping is None:
                continue
            text = work.arranged.text
            spans = [
                [
                    Span(span.start + a, span.start + b)
                    for a, b in sentences(text[span.start : span.end]).tolist()
                ]
                for span in work.arranged.documents
            ]
            queries = [
                Query([text[a.start : a.end] for a in own], work.question, work.options.condition)
                for own in spans
            ]
            starts = self._starts(text, work.asked.target)
            sizes = [[tokens_in(starts, span) for span in own] for own in spans]
            stays = keeping.chosen(ranking.model_scores(self._lm, queries), sizes, work.budget)
            work.drops = [
                span
                for own, flags in zip(spans, stays, strict=True)
                for span, stay in zip(own, flags, strict=True)
                if not stay
            ]

    def _finished(self, works: Sequence[_Work]) -> list[Outcome]:
        """Choose the words of each text that is still too long."""
        counts = [len(self._starts(work.arranged.text, work.asked.target)) for work in works]
        todo = [work for work, count in zip(works, counts, strict=True) if _is_long(work, count)]
        chosen = iter(self._chosen(todo))
        return [
            next(chosen) if _is_long(work, count) else self._whole(work, count)
            for work, count in zip(works, counts, strict=True)
        ]

    def _chosen(self, works: Sequence[_Work]) -> list[Outcome]:
        held = [self._held(work) for work in works]
        shares = [self._shares(work) for work in works]
        units: dict[bool, list[Units]] = {}
        reading = [i for i, work in enumerate(works) if work.options.use_token_level_filter]
        for compares in (False, True):
            group = [i for i in reading if works[i].options.condition_compare is compares]
            units[compares] = self._itpc.weigh(
                [works[i].arranged.text for i in group],
                [works[i].prefix for i in group],
                [[part.rate for part in shares[i]] for i in group],
                pieces=[[part.span for part in shares[i]] for i in group],
                held=[held[i] for i in group],
                contrast=compares,
            )
        weighed = {compares: iter(own) for compares, own in units.items()}
        return [
            self._sliced(work, next(weighed[work.options.condition_compare]), spans, max(1, int(work.budget)))
            if work.options.use_token_level_filter
            else self._without(work, spans)
            for work, spans in zip(works, held, strict=True)
        ]

    def _held(self, work: _Work) -> tuple[Span, ...]:
        """Return what of an arranged text stays in any case, ascending."""
        own = self._selector.protected(work.asked.text, work.asked.target)
        whole = [part.span for part in work.asked.parts if part.rate >= 1]
        spans = [
            *placed(work.arranged, own),
            *placed(work.arranged, whole),
            *placed(work.arranged, work.cut.marks),
        ]
        spans += frames(work.arranged, self._starts(work.arranged.text, work.asked.target))
        return self._selector.protected(work.arranged.text, work.asked.target, spans)

    def _shares(self, work: _Work) -> list[Part]:
        """Return the arranged text in pieces, each with its rate: by rank, by the caller, or none."""
        starts = self._starts(work.arranged.text, work.asked.target)
        delta = work.options.dynamic_context_compression_ratio
        above = dict(zip(work.ranked, ranking.slopes(len(work.ranked), delta), strict=True))
        fixed = [Part(span, 0.0) for span in work.drops]
        for part in work.asked.parts:
            fixed += [Part(span, part.rate) for span in placed(work.arranged, [part.span])]
        return shared(work.arranged, starts, work.budget, above, fixed)

    def _without(self, work: _Work, held: Sequence[Span]) -> Outcome:
        """Leave out sentences and nothing else: one token is less than what stays, so exactly that goes."""
        text = work.arranged.text
        bounds = words(text)
        units = Units(bounds, np.zeros(len(bounds)))
        return self._sliced(work, units, [*held, *besides(text, work.drops)], 1)

    def _sliced(self, work: _Work, units: Units, held: Sequence[Span], tokens: int) -> Outcome:
        target = replace(work.asked.target, rate=None, tokens=tokens)
        found = self._selector.shorten(work.arranged.text, units, target, held)
        if found.reason:
            return self._original(work.asked, work.tokens, found.reason)
        if found.tokens_after >= work.tokens:
            return self._original(work.asked, work.tokens, "not_shorter")
        return replace(found, tokens_before=work.tokens, kept=sources(work.arranged, found.kept))

    def _whole(self, work: _Work, tokens: int) -> Outcome:
        """Return an arranged text of which nothing more is to go."""
        text = work.arranged.text
        if tokens >= work.tokens and not (work.asked.arranges and text != work.asked.text):
            return self._original(work.asked, work.tokens, "not_shorter")
        kept = sources(work.arranged, [Span(0, len(text))])
        return Outcome(text, work.tokens, tokens, kept, NAME, self.fingerprint)

    def _starts(self, text: str, target: Target) -> Ints:
        return self._counters.counter_for(target.model).starts(text)

    def _original(self, asked: Asked, tokens: int, reason: str) -> Outcome:
        return Outcome(asked.text, tokens, tokens, (), NAME, self.fingerprint, reason)


def _chooses(asked: Asked) -> bool:
    return asked.force_context_number is not None


def _staying(work: _Work, ranked: Sequence[int]) -> tuple[int, ...]:
    """Return which documents stay, the best first."""
    forced = {at for at in work.asked.force_context_ids if 0 <= at < len(ranked)}
    if work.asked.force_context_number is not None:
        first = [*(at for at in ranked if at in forced), *(at for at in ranked if at not in forced)]
        staying = set(first[: max(1, work.asked.force_context_number, len(forced))])
        return tuple(at for at in ranked if at in staying)
    if not work.options.use_context_level_filter:
        return tuple(ranked)
    allowed = ranking.context_budget(work.options.context_budget, work.budget)
    return ranking.staying(ranked, work.sizes, allowed, forced)


def _is_long(work: _Work, tokens: int) -> bool:
    """Whether something more is to go of an arranged text of so many tokens."""
    if not work.options.use_token_level_filter:
        return bool(work.drops)
    return tokens > work.budget or bool(work.asked.parts)
