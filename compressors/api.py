"""Compressing from Python: one text, or prompts as LLMLingua's users know it.

`compress` shortens one text. `PromptCompressor` takes what `llmlingua.PromptCompressor` takes and
returns what it returns, so that code written for that, LangChain's and LlamaIndex's among it, runs
with Elision's methods. What the methods of today cannot do is refused with a word about it, never
passed over. Source of names and results: llmlingua 0.2.2, `compress_prompt`.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypedDict

from elision.compressors.base import Job, Method, OptionValue, Outcome, Target
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.extractive import Extractive
from elision.compressors.registry import DEFAULT_METHOD
from elision.compressors.units import words
from elision.compressors.vocabulary import Wishes, read_arguments

_BETWEEN = "\n\n"
_GPT4_DOLLARS = 0.06 / 1000
"""What the reference reckons a saved token to be worth; its word, kept for its users."""


def compress(  # noqa: PLR0913  the front door: every argument after the text is optional
    text: str,
    *,
    rate: float | None = None,
    tokens: int | None = None,
    method: str = DEFAULT_METHOD,
    question: str = "",
    model: str = "",
    options: Mapping[str, OptionValue] | None = None,
    protect: Sequence[str] | None = None,
) -> Outcome:
    """Shorten one text; weights are loaded by the first call and stay. Threads take turns.

    Args:
        text: what to shorten.
        rate: share of tokens to keep, in (0, 1].
        tokens: tokens to keep, instead of a rate.
        method: a name from `elision.compressors.registry.method_names`, or `keep`.
        question: what the text will be asked, for methods that look.
        model: who will read the text; chooses the tokenizer that counts.
        options: the method's own, `{"level": "phrase"}` for instance.
        protect: names of protected classes; None for all.
    Raises: CompressionError (unknown method or option, missing weights), ValueError for an
        impossible target.
    """
    target = Target(rate, tokens, model, question, None if protect is None else tuple(protect))
    [outcome] = _shared().run([Job(text, method_of(method, options or {}), target)])
    return outcome


def method_of(name: str, options: Mapping[str, OptionValue]) -> Method:
    """Return a method with its options in order."""
    return Method(name, tuple(sorted(options.items())))


class _TurnTaking:
    """An engine that several threads may use."""

    def __init__(self) -> None:
        self.engine = Engine()
        self._turn = threading.Lock()

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        with self._turn:
            return self.engine.run(jobs)


@cache
def _shared() -> _TurnTaking:
    """Return the engine of this process: loading weights for every call would take seconds each."""
    return _TurnTaking()


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


class PromptCompressor:
    """Shortens contexts between an instruction and a question.

    Args:
        model_name: weights of the method: a Hugging Face id or a folder; "": the method's own.
        device_map: accepted for the reference's sake; where a model runs is its engine's choice.
        use_llmlingua2: the method is `llmlingua2`, and, as in the reference, what comes back are
            the contexts without instruction and question.
        method: another method; "": the default one.
        options: of the method, beside those that `compress_prompt` takes.
        engine: to share weights with; None: an own one.
    Raises: BadOption for what cannot be configured here.
    """

    def __init__(  # noqa: PLR0913  the reference's names, by which its users call it
        self,
        model_name: str = "",
        device_map: str = "auto",
        model_config: Mapping[str, object] | None = None,
        open_api_config: Mapping[str, object] | None = None,
        use_llmlingua2: bool = False,
        *,
        method: str = "",
        options: Mapping[str, OptionValue] | None = None,
        engine: Engine | None = None,
    ) -> None:
        if model_config or open_api_config:
            raise BadOption("model_config and open_api_config mean nothing here; give the method `options`")
        if use_llmlingua2 and method:
            raise BadOption("use_llmlingua2 says the method already; leave out `method`")
        self.device_map = device_map
        self._is_bare = use_llmlingua2
        self._method = "llmlingua2" if use_llmlingua2 else method or DEFAULT_METHOD
        self._options = {**({"weights": model_name} if model_name else {}), **(options or {})}
        self._engine = engine or Engine()

    def compress_prompt(self, context: str | Sequence[str], **arguments: object) -> CompressedPrompt:
        """Shorten contexts, and leave out the least of several.

        Args:
            context: one, or several that are ranked against one another.
            arguments: `instruction`, `question`, `rate` (share of tokens to keep), `target_token`
                (tokens of the contexts to keep, in its place), `use_context_level_filter`,
                `context_level_rate`, `context_level_target_token`, `target_context`,
                `force_context_ids`, `force_context_number`, `use_token_level_filter`,
                `concate_question`, `return_word_label`, `word_sep`, `label_sep`; options of the
                method (`force_tokens`, `force_reserve_digit`, `drop_consecutive`, ...); and `ratio`,
                the old name of 1 - `rate`.
        Raises: BadOption for an argument that is unknown or not possible here, WeightsMissing.
        """
        contexts = [context] if isinstance(context, str) else list(context)
        wishes, options = read_arguments(arguments)
        prompt = _Prompt(self._engine, method_of(self._method, {**self._options, **options}), wishes)
        return prompt.compressed(contexts, alone=self._is_bare)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """One call of `compress_prompt`."""

    engine: Engine
    method: Method
    wishes: Wishes

    def compressed(self, contexts: Sequence[str], *, alone: bool) -> CompressedPrompt:
        """Return the result; `alone`: of the contexts, without instruction and question."""
        wishes = self.wishes
        lengths = [self._count(context) for context in contexts]
        around = 0 if alone else self._count(wishes.instruction) + self._asked()
        budget = self._budget(sum(lengths), around)
        kept = self._kept(contexts, lengths, budget)
        outcomes = self._shortened(contexts, lengths, kept, budget)
        texts = [outcomes[at].text for at in kept]
        parts = [part for part in texts if part.strip()]
        before = sum(lengths)
        after = sum(outcomes[at].tokens_after for at in kept)
        prompt = _BETWEEN.join(parts)
        if not alone:
            asked = wishes.question if wishes.concate_question else ""
            prompt = _BETWEEN.join(part for part in (wishes.instruction, prompt, asked) if part.strip())
            whole = _BETWEEN.join((wishes.instruction, *contexts, wishes.question)).strip()
            before, after = self._count(whole), self._count(prompt)
        result = CompressedPrompt(
            compressed_prompt=prompt,
            compressed_prompt_list=texts,
            origin_tokens=before,
            compressed_tokens=after,
            ratio=f"{before / after if after else 1:.1f}x",
            rate=f"{after / before * 100 if before else 100:.1f}%",
            saving=f", Saving ${(before - after) * _GPT4_DOLLARS:.1f} in GPT-4.",
        )
        if wishes.return_word_label:
            result["fn_labeled_original_prompt"] = self._labels(contexts, outcomes)
        return result

    def _asked(self) -> int:
        return self._count(self.wishes.question) if self.wishes.concate_question else 0

    def _count(self, text: str) -> int:
        return self.engine.counters.counter_for("gpt-3.5-turbo").count(text)

    def _budget(self, total: int, around: int) -> int:
        """Return how many tokens all contexts together may keep."""
        if self.wishes.target_token > 0:
            return min(int(self.wishes.target_token), total)
        budget = int(self.wishes.rate * (total + around) + 1e-9) - around
        if budget < 1 <= total:
            raise BadOption(
                f"rate={self.wishes.rate} leaves nothing for the contexts: instruction and question have "
                f"{around} of {total + around} tokens; give a higher rate or a target_token"
            )
        return min(budget, total)

    def _kept(self, contexts: Sequence[str], lengths: Sequence[int], budget: int) -> list[int]:
        """Return the contexts that stay: the best by the mean importance of their units, ties earlier first.

        How many: by the first that is given of `force_context_number`, `target_context`,
        `context_level_target_token`, `context_level_rate`; without any, tokens half way between all
        and the budget (of a rate), or twice the budget (of a target), as in the reference.
        """
        wishes, everything = self.wishes, list(range(len(contexts)))
        if len(contexts) < 2 or not wishes.use_context_level_filter:
            return everything
        share = self._share(sum(lengths), budget, len(contexts))
        if share >= 1:
            return everything
        scores = self._scores(contexts)
        if scores is None:
            return everything
        forced = {at for at in wishes.force_context_ids if 0 <= at < len(contexts)}
        ranked = sorted(everything, key=lambda at: (at not in forced, -scores[at], at))
        return sorted(ranked[: max(math.ceil(share * len(contexts) - 1e-9), len(forced), 1)])

    def _share(self, total: int, budget: int, count: int) -> float:
        wishes = self.wishes
        if wishes.force_context_number is not None:
            return wishes.force_context_number / count
        if wishes.target_context >= 0:
            return wishes.target_context / count
        if wishes.context_level_target_token >= 0:
            return wishes.context_level_target_token / max(total, 1)
        if wishes.context_level_rate < 1:
            return wishes.context_level_rate
        whole = wishes.use_token_level_filter
        if wishes.target_token > 0:
            return budget * (2 if whole else 1) / max(total, 1)
        return (wishes.rate + 1) / 2 if whole else wishes.rate

    def _scores(self, contexts: Sequence[str]) -> list[float] | None:
        """Return each context's mean importance, None where the method gives no scores."""
        compressor = self.engine.compressor(self.method)
        if not isinstance(compressor, Extractive):
            if self._is_filter_asked():
                raise BadOption(
                    f"{self.method.name} ranks no contexts: give none of the context-level arguments"
                )
            return None
        scored = compressor.scorer.score(list(contexts), [self.wishes.question] * len(contexts))
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

    def _shortened(
        self, contexts: Sequence[str], lengths: Sequence[int], kept: Sequence[int], budget: int
    ) -> dict[int, Outcome]:
        """Shorten what stays, all of it at the rate that makes the whole keep the budget."""
        total = sum(lengths[at] for at in kept)
        rate = min(budget / total, 1.0) if total and self.wishes.use_token_level_filter else 1.0
        target = Target(rate=rate, model="gpt-3.5-turbo", question=self.wishes.question)
        jobs = [Job(contexts[at], self.method, target) for at in kept]
        return dict(zip(kept, self.engine.run(jobs), strict=True))

    def _labels(self, contexts: Sequence[str], outcomes: Mapping[int, Outcome]) -> str:
        """Return the words of all contexts, each with 1 where it was kept and 0 where not."""
        wishes = self.wishes
        labelled: list[str] = []
        for at, context in enumerate(contexts):
            outcome = outcomes.get(at)
            if outcome is not None and not outcome.kept and outcome.text != context:
                raise BadOption(
                    f"{outcome.method} rewrites a text rather than choosing words: no word labels"
                )
            whole = outcome is not None and not outcome.kept
            spans = outcome.kept if outcome is not None else ()
            for start, end in words(context).tolist():
                keeps = whole or any(span.start <= start and end <= span.end for span in spans)
                labelled.append(f"{context[start:end]}{wishes.label_sep}{int(keeps)}")
        return wishes.word_sep.join(labelled)
