"""Prompts of an instruction, contexts and a question, as LLMLingua's users know them.

This module owns what a shortened prompt is made of and how it is told; contexts are ranked by what
the method finds of their words, and shortened one by one. LLMLingua's own way with several documents
is `elision.compressors.document_prompts`. Source of names and results: llmlingua 0.2.2.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from elision.compressors.base import Job, Method, Outcome, Span, Target
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.extractive import Extractive
from elision.compressors.units import words
from elision.compressors.vocabulary import Segment, Wishes

BETWEEN = "\n\n"
MODEL = "gpt-3.5-turbo"
"""Whose tokens the reference counts."""
_GPT4_DOLLARS = 0.06 / 1000
"""What the reference reckons a saved token to be worth; its word, kept for its users."""


class CompressedPrompt(TypedDict, total=False):
    """What `PromptCompressor.compress_prompt` returns; the last only where it was asked for."""

    compressed_prompt: str
    compressed_prompt_list: list[str]
    origin_tokens: int
    compressed_tokens: int
    ratio: str
    rate: str
    saving: str
    fn_labeled_original_prompt: str


@dataclass(frozen=True, slots=True)
class Shortened:
    """What became of the contexts.

    Attributes:
        texts: of those that stayed, in the order in which they go.
        joined: them as one text.
        tokens: of them, counted one by one.
        kept: what stayed of each, by its number; None where a method rewrote it.
    """

    texts: list[str]
    joined: str
    tokens: int
    kept: Mapping[int, tuple[Span, ...] | None]


def count(engine: Engine, text: str) -> int:
    """Return the tokens of a text, as the reference counts them."""
    return engine.counters.counter_for(MODEL).count(text)


def result_of(
    engine: Engine, wishes: Wishes, contexts: Sequence[str], done: Shortened, *, alone: bool
) -> CompressedPrompt:
    """Return the result; `alone`: of the contexts, without instruction and question."""
    prompt = done.joined
    before, after = sum(count(engine, context) for context in contexts), done.tokens
    if not alone:
        asked = wishes.question if wishes.concate_question else ""
        prompt = BETWEEN.join(part for part in (wishes.instruction, prompt, asked) if part.strip())
        whole = BETWEEN.join((wishes.instruction, *contexts, wishes.question)).strip()
        before, after = count(engine, whole), count(engine, prompt)
    result = CompressedPrompt(
        compressed_prompt=prompt,
        compressed_prompt_list=done.texts,
        origin_tokens=before,
        compressed_tokens=after,
        ratio=f"{before / after if after else 1:.1f}x",
        rate=f"{after / before * 100 if before else 100:.1f}%",
        saving=f", Saving ${(before - after) * _GPT4_DOLLARS:.1f} in GPT-4.",
    )
    if wishes.return_word_label:
        result["fn_labeled_original_prompt"] = _labels(wishes, contexts, done)
    return result


def budget_of(engine: Engine, wishes: Wishes, total: int, *, alone: bool) -> int:
    """Return how many tokens all contexts together may keep, of so many that they have.

    Raises: BadOption where instruction and question alone have more.
    """
    if wishes.target_token > 0:
        return min(int(wishes.target_token), total)
    around = 0
    if not alone:
        around = count(engine, wishes.instruction)
        around += count(engine, wishes.question) if wishes.concate_question else 0
    budget = int(wishes.rate * (total + around) + 1e-9) - around
    if budget < 1 <= total:
        raise BadOption(
            f"rate={wishes.rate} leaves nothing for the contexts: instruction and question have "
            f"{around} of {total + around} tokens; give a higher rate or a target_token"
        )
    return min(budget, total)


def shortened_contexts(
    engine: Engine, method: Method, wishes: Wishes, contexts: Sequence[str], *, alone: bool
) -> Shortened:
    """Shorten contexts by a method that reads one text at a time."""
    return _Contexts(engine, method, wishes, contexts).shortened(alone=alone)


@dataclass(frozen=True, slots=True)
class _Contexts:
    """The contexts of one call."""

    engine: Engine
    method: Method
    wishes: Wishes
    contexts: Sequence[str]

    def shortened(self, *, alone: bool) -> Shortened:
        lengths = [count(self.engine, context) for context in self.contexts]
        total = sum(lengths)
        budget = total if self.wishes.segments else budget_of(self.engine, self.wishes, total, alone=alone)
        kept = self._kept(lengths, budget)
        left = sum(lengths[at] for at in kept)
        rate = min(budget / left, 1.0) if left and self.wishes.use_token_level_filter else 1.0
        outcomes = self._run(kept, rate)
        texts = ["".join(outcome.text for _, outcome in outcomes[at]) for at in kept]
        return Shortened(
            texts,
            BETWEEN.join(text for text in texts if text.strip()),
            sum(outcome.tokens_after for at in kept for _, outcome in outcomes[at]),
            {at: _spans(self._segments(at), outcomes[at]) for at in kept},
        )

    def _segments(self, at: int) -> tuple[Segment, ...]:
        return self.wishes.segments[at] if self.wishes.segments else (Segment(self.contexts[at]),)

    def _run(self, kept: Sequence[int], rate: float) -> dict[int, list[tuple[Segment, Outcome]]]:
        """Shorten what stays, each part at its own rate, or at that by which the whole keeps the budget."""
        common = self.wishes.rate if self.wishes.segments else rate
        parts: list[tuple[int, Segment, Job]] = []
        for at in kept:
            for part in self._segments(at):
                own = common if part.rate is None else part.rate
                target = Target(rate=own or 1.0, model=MODEL, question=self.wishes.question)
                method = self.method if own > 0 and (own < 1 or not self.wishes.segments) else Method("keep")
                # A part of which nothing is to stay is left out here.
                parts.append((at, part, Job(part.text if own > 0 else "", method, target)))
        found = self.engine.run([job for _, _, job in parts])
        outcomes: dict[int, list[tuple[Segment, Outcome]]] = {at: [] for at in kept}
        for (at, part, _), outcome in zip(parts, found, strict=True):
            outcomes[at].append((part, outcome))
        return outcomes

    def _kept(self, lengths: Sequence[int], budget: int) -> list[int]:
        """Return the contexts that stay: the best by the mean importance of their units, ties earlier first.

        How many: by the first that is given of `force_context_number`, `target_context`,
        `context_level_target_token`, `context_level_rate`; without any, tokens half way between all
        and the budget (of a rate), or twice the budget (of a target), as in the reference.
        """
        wishes, everything = self.wishes, list(range(len(self.contexts)))
        if len(everything) < 2 or not wishes.use_context_level_filter:
            return everything
        share = self._share(sum(lengths), budget, len(everything))
        if share >= 1:
            return everything
        scores = self._scores()
        if scores is None:
            return everything
        forced = {at for at in wishes.force_context_ids if 0 <= at < len(everything)}
        if wishes.strict_preserve_uncompressed and wishes.segments:
            forced |= {at for at in everything if any(part.rate == 1 for part in wishes.segments[at])}
        ranked = sorted(everything, key=lambda at: (at not in forced, -scores[at], at))
        return sorted(ranked[: max(math.ceil(share * len(everything) - 1e-9), len(forced), 1)])

    def _share(self, total: int, budget: int, number: int) -> float:
        wishes = self.wishes
        if wishes.force_context_number is not None:
            return wishes.force_context_number / number
        if wishes.target_context >= 0:
            return wishes.target_context / number
        if wishes.context_level_target_token >= 0:
            return wishes.context_level_target_token / max(total, 1)
        if wishes.context_level_rate < 1:
            return wishes.context_level_rate
        whole = wishes.use_token_level_filter
        if wishes.target_token > 0:
            return budget * (2 if whole else 1) / max(total, 1)
        return (wishes.rate + 1) / 2 if whole else wishes.rate

    def _scores(self) -> list[float] | None:
        """Return each context's mean importance, None where the method gives no scores."""
        compressor = self.engine.compressor(self.method)
        if not isinstance(compressor, Extractive):
            if self._is_filter_asked():
                raise BadOption(
                    f"{self.method.name} ranks no contexts: give none of the context-level arguments"
                )
            return None
        questions = [self.wishes.question] * len(self.contexts)
        scored = compressor.scorer.score(list(self.contexts), questions)
        return [float(units.importance.mean()) if len(units.importance) else -math.inf for units in scored]

    def _is_filter_asked(self) -> bool:
        names = (
            "force_context_number",
            "target_context",
            "context_level_target_token",
            "context_level_rate",
            "force_context_ids",
        )
        default = Wishes()
        return any(getattr(self.wishes, name) != getattr(default, name) for name in names)


def _spans(
    segments: Sequence[Segment], outcomes: Sequence[tuple[Segment, Outcome]]
) -> tuple[Span, ...] | None:
    """Return what stayed of a context, None where a part of it was rewritten."""
    found: list[Span] = []
    at = 0
    for part, (_, outcome) in zip(segments, outcomes, strict=True):
        if outcome.kept:
            found += [Span(at + span.start, at + span.end) for span in outcome.kept]
        elif outcome.text == part.text:
            found.append(Span(at, at + len(part.text)))
        elif outcome.text:
            return None
        at += len(part.text)
    return tuple(found)


def _labels(wishes: Wishes, contexts: Sequence[str], done: Shortened) -> str:
    """Return the words of all contexts, each with 1 where it was kept and 0 where not."""
    labelled: list[str] = []
    for at, context in enumerate(contexts):
        spans = done.kept.get(at, ())
        if spans is None:
            raise BadOption("the method rewrites a text rather than choosing words: no word labels")
        for start, end in words(context).tolist():
            keeps = any(span.start <= start and end <= span.end for span in spans)
            labelled.append(f"{context[start:end]}{wishes.label_sep}{int(keeps)}")
    return wishes.word_sep.join(labelled)
