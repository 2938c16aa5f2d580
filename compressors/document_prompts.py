"""Prompts whose contexts are documents: LLMLingua's and LongLLMLingua's way.

The contexts are one text to the method; so one budget holds for all. `longllmlingua` takes each for a
document, and what it leaves out, puts in order and gives rates is what the reference's arguments
say; `llmlingua` does with the text what it does in a policy.
Source of names and results: llmlingua 0.2.2, `compress_prompt`, `get_ppl`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from elision.compressors.base import Job, Method, Outcome, Span, Target
from elision.compressors.documents import Cut
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.longllmlingua import Asked, LongLLMLingua
from elision.compressors.prompts import BETWEEN, MODEL, Shortened, budget_of, count
from elision.compressors.shares import Part
from elision.compressors.vocabulary import Wishes

_OF_CONTEXTS = (
    "force_context_ids",
    "force_context_number",
    "segments",
    "add_instruction",
)


def shortened_documents(engine: Engine, method: Method, wishes: Wishes, contexts: Sequence[str]) -> Shortened:
    """Shorten contexts as the documents of one text; blank ones are left out."""
    numbers = [at for at, context in enumerate(contexts) if context.strip()]
    if not numbers:
        return Shortened([""] * len(contexts), "", 0, {})
    joined = _Joined.of([contexts[at] for at in numbers])
    compressor = _compressor(engine, method)
    [outcome] = compressor.shorten([_asked(engine, wishes, joined, contexts, numbers)])
    order, texts, kept = joined.told(outcome)
    return Shortened(
        [texts[at] for at in order],
        outcome.text,
        outcome.tokens_after,
        {numbers[at]: spans for at, spans in kept.items()},
    )


def shortened_text(engine: Engine, method: Method, wishes: Wishes, contexts: Sequence[str]) -> Shortened:
    """Shorten contexts as one text, in which the method itself sees what its contexts are.

    Raises: BadOption for what is said of single contexts.
    """
    default = Wishes()
    for name in _OF_CONTEXTS:
        if getattr(wishes, name) != getattr(default, name):
            raise BadOption(f"{method.name} has no {name}: make PromptCompressor(method='longllmlingua')")
    numbers = [at for at, context in enumerate(contexts) if context.strip()]
    joined = _Joined.of([contexts[at] for at in numbers])
    total = sum(count(engine, contexts[at]) for at in numbers)
    tokens = max(1, budget_of(engine, wishes, total, alone=False))
    target = Target(tokens=tokens, model=MODEL, question=wishes.question)
    [outcome] = engine.run([Job(joined.text, method, target)])
    if outcome.text and not outcome.kept and not outcome.reason:
        return Shortened([outcome.text], outcome.text, outcome.tokens_after, dict.fromkeys(numbers))
    order, texts, kept = joined.told(outcome)
    own = {numbers[at]: spans for at, spans in kept.items()}
    return Shortened([texts[at] for at in order], outcome.text, outcome.tokens_after, own)


def perplexity(engine: Engine, method: Method, text: str, how: tuple[str, str, int]) -> float | list[float]:
    """Return how surprising a text is, in nats: the mean, or of each token but the first.

    Args:
        how: granularity (`sentence` or `token`), condition mode (`none`, `before`, `after`), and the
            token at which the condition ends or begins.
    Raises: BadOption.
    """
    granularity, mode, at = how
    if granularity not in ("sentence", "token"):
        raise BadOption(f"granularity must be sentence or token, not {granularity!r}")
    ranges = {"none": slice(None), "before": slice(None, at), "after": slice(at, None)}
    if mode not in ranges:
        raise BadOption(f"condition_mode must be none, before or after, not {mode!r}")
    [told] = _compressor(engine, method).lm.surprisal([text])
    # As the reference has it: what a token is after no other is not asked.
    nll = told.nll[1:][ranges[mode]]
    if granularity == "token":
        return [float(one) for one in nll]
    return float(nll.mean()) if len(nll) else 0.0


def _compressor(engine: Engine, method: Method) -> LongLLMLingua:
    compressor = engine.compressor(method)
    if not isinstance(compressor, LongLLMLingua):
        raise BadOption(f"{method.name} reads no documents")
    return compressor


@dataclass(frozen=True, slots=True)
class _Joined:
    """Contexts as one text."""

    text: str
    cut: Cut

    @classmethod
    def of(cls, contexts: Sequence[str]) -> "_Joined":
        documents: list[Span] = []
        gaps: list[Span] = []
        at = 0
        for context in contexts:
            if documents:
                gaps.append(Span(at, at + len(BETWEEN)))
                at += len(BETWEEN)
            documents.append(Span(at, at + len(context)))
            at += len(context)
        end = Span(at, at)
        return cls(BETWEEN.join(contexts), Cut(tuple(documents), tuple(gaps), Span(0, 0), end))

    def told(self, outcome: Outcome) -> tuple[list[int], dict[int, str], dict[int, tuple[Span, ...]]]:
        """Return the documents in the order in which they go, their texts, and what stayed of each."""
        spans = outcome.kept or (Span(0, len(self.text)),)
        texts: dict[int, str] = {}
        kept: dict[int, tuple[Span, ...]] = {}
        for span in spans:
            for number, document in enumerate(self.cut.documents):
                left, right = max(span.start, document.start), min(span.end, document.end)
                if left < right:
                    texts[number] = texts.get(number, "") + self.text[left:right]
                    own = Span(left - document.start, right - document.start)
                    kept[number] = (*kept.get(number, ()), own)
        return list(texts), texts, kept


def _asked(
    engine: Engine, wishes: Wishes, joined: _Joined, contexts: Sequence[str], numbers: Sequence[int]
) -> Asked:
    """Return what the method is asked to do with the contexts of these numbers."""
    parts: list[Part] = []
    budget = 0.0
    forced = [numbers.index(at) for at in wishes.force_context_ids if at in numbers]
    for place, at in enumerate(numbers if wishes.segments else ()):
        start = joined.cut.documents[place].start
        for segment in wishes.segments[at]:
            rate = wishes.rate if segment.rate is None else segment.rate
            end = start + len(segment.text)
            parts.append(Part(Span(start, end), rate))
            budget += rate * count(engine, segment.text)
            start = end
            if rate == 1 and wishes.strict_preserve_uncompressed:
                forced.append(place)
    if not wishes.segments:
        total = sum(count(engine, contexts[at]) for at in numbers)
        budget = budget_of(engine, wishes, total, alone=False)
    target = Target(tokens=max(1, int(budget)), model=MODEL, question=wishes.question)
    return Asked(
        joined.text,
        target,
        joined.cut,
        wishes.instruction if wishes.add_instruction else "",
        tuple(dict.fromkeys(forced)),
        wishes.force_context_number,
        tuple(parts),
        arranges=True,
    )
