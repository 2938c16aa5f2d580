"""Compressing from Python: one text, or prompts as LLMLingua's users know it.

`compress` shortens one text. `PromptCompressor` takes what `llmlingua.PromptCompressor` takes and
returns what it returns, so that code written for that, LangChain's and LlamaIndex's among it, runs
with Elision's methods. What the methods of today cannot do is refused with a word about it, never
passed over. Source of names and results: llmlingua 0.2.2, `compress_prompt`.
"""

import threading
from collections.abc import Mapping, Sequence
from functools import cache, partial

from elision.compressors.base import Job, Method, OptionValue, Outcome, Target
from elision.compressors.document_prompts import perplexity, shortened_documents, shortened_text
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.json_prompts import CompressedJson, compress_pairs
from elision.compressors.prompts import CompressedPrompt, count, result_of, shortened_contexts
from elision.compressors.recovery import Recovery
from elision.compressors.registry import DEFAULT_METHOD, option_defaults
from elision.compressors.structured import read_segments
from elision.compressors.vocabulary import CAUSAL, Arguments, check_config, read_arguments

_LLMLINGUA, _LONG = "llmlingua", "longllmlingua"
_FILTERS = ("use_context_level_filter", "use_token_level_filter")


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


class PromptCompressor:
    """Shortens contexts between an instruction and a question.

    Args:
        model_name: weights of the method: a Hugging Face id or a folder; "": the method's own.
        device_map: accepted for the reference's sake; where a model runs is its engine's choice.
        use_llmlingua2: the method is `llmlingua2`, and, as in the reference, what comes back are
            the contexts without instruction and question.
        use_slingua: refused; SecurityLingua is not here.
        llmlingua2_config: `max_batch_size`, `max_force_token`; accepted for the reference's sake: what
            is read together is its engine's choice, and forced tokens may be any number.
        method: another method; "": LongLLMLingua with the reference's defaults where an argument
            asks for what only that and LLMLingua do, else the default method.
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
        use_slingua: bool = False,
        llmlingua2_config: Mapping[str, int] | None = None,
        method: str = "",
        options: Mapping[str, OptionValue] | None = None,
        engine: Engine | None = None,
    ) -> None:
        check_config(llmlingua2_config or {}, use_slingua=use_slingua)
        if model_config or open_api_config:
            raise BadOption("model_config and open_api_config mean nothing here; give the method `options`")
        if use_llmlingua2 and method:
            raise BadOption("use_llmlingua2 says the method already; leave out `method`")
        self.device_map = device_map
        self._is_bare = use_llmlingua2
        self._method = "llmlingua2" if use_llmlingua2 else method
        self._options = {**({"weights": model_name} if model_name else {}), **(options or {})}
        self._engine = engine or Engine()

    def compress_prompt(self, context: str | Sequence[str], **arguments: object) -> CompressedPrompt:
        """Shorten contexts, and leave out the least of several.

        Args:
            context: one, or several that are ranked against one another.
            arguments: `instruction`, `question`, `rate` (share of tokens to keep), `target_token`
                (tokens of the contexts to keep, in its place), `use_context_level_filter`,
                `use_token_level_filter`, `force_context_ids`, `force_context_number`,
                `concate_question`, `return_word_label`, `word_sep`, `label_sep`; `context_segs`,
                `context_segs_rate`, `context_segs_compress`, `strict_preserve_uncompressed`;
                LLMLingua-2's `context_level_rate`, `context_level_target_token`, `target_context`;
                LongLLMLingua's (`elision.compressors.vocabulary.CAUSAL`) and `add_instruction`;
                options of the method (`force_tokens`, `force_reserve_digit`, `drop_consecutive`, ...);
                and `ratio`, the old name of 1 - `rate`.
        Raises: BadOption for an argument that is unknown or not possible here, WeightsMissing.
        """
        contexts = [context] if isinstance(context, str) else list(context)
        told = read_arguments(arguments)
        segments = told.wishes.segments
        if segments and ["".join(part.text for part in own) for own in segments] != contexts:
            raise BadOption("context_segs must be the contexts' parts: joined they are not what context is")
        if self._method == _LONG or (not self._method and told.asks_causal):
            told.check_causal()
            shortened = shortened_documents(self._engine, self._documents_method(told), told.wishes, contexts)
        elif self._method == _LLMLINGUA:
            told.check_causal()
            shortened = shortened_text(self._engine, self._text_method(told), told.wishes, contexts)
        else:
            told.check_others(self._method or DEFAULT_METHOD)
            name = self._method or DEFAULT_METHOD
            chosen = method_of(name, {**self._options, **told.options_for(option_defaults(name))})
            shortened = shortened_contexts(self._engine, chosen, told.wishes, contexts, alone=self._is_bare)
        return result_of(self._engine, told.wishes, contexts, shortened, alone=self._is_bare)

    def structured_compress_prompt(
        self, context: str | Sequence[str], **arguments: object
    ) -> CompressedPrompt:
        """Shorten contexts whose parts say by tags how far they go.

        `<llmlingua, rate=0.4>...</llmlingua>`, `<llmlingua, compress=False>...</llmlingua>`; what has
        no rate of its own has that of the prompt.

        Args:
            arguments: as `compress_prompt` takes them, but for segments.
        Raises: BadOption for a tag that is wrong, and as `compress_prompt`.
        """
        tagged = [context] if isinstance(context, str) else list(context)
        segments = [read_segments(text) for text in tagged]
        texts = ["".join(part.text for part in own) for own in segments]
        rate = read_arguments(arguments).wishes.rate
        rates = [[rate if part.rate is None else part.rate for part in own] for own in segments]
        parts = [[part.text for part in own] for own in segments]
        return self.compress_prompt(texts, **arguments, context_segs=parts, context_segs_rate=rates)

    def compress_json(
        self,
        json_data: Mapping[str, object],
        json_config: Mapping[str, Mapping[str, object]] | None = None,
        **arguments: object,
    ) -> CompressedJson:
        """Shorten the strings among an object's values; keys, numbers and structure stay.

        Args:
            json_data: an object.
            json_config: by key `rate`, `compress`, `value_type`, `pair_remove`
                (`elision.compressors.json_prompts`); keys that are not named are compressed.
            arguments: as `compress_prompt` takes them.
        Raises: BadOption, WeightsMissing.
        """
        tokens = partial(count, self._engine)
        return compress_pairs(json_data, json_config or {}, arguments, self.compress_prompt, tokens)

    def recover(self, original_prompt: str, compressed_prompt: str, response: str) -> str:
        """Return an answer with what it quotes of a shortened prompt in the words of the original."""
        return Recovery(original_prompt, compressed_prompt).recover(response).text

    def get_ppl(
        self,
        text: str,
        granularity: str = "sentence",
        condition_mode: str = "none",
        condition_pos_id: int = 0,
    ) -> float | list[float]:
        """Return how surprising a text is to LLMLingua's model, in nats a token.

        Args:
            granularity: `sentence`: the mean; `token`: of each token but the first.
            condition_mode: `none`; `after`, `before`: of the tokens from `condition_pos_id` on, or up to it.
        Raises: BadOption, WeightsMissing.
        """
        weights = {name: value for name, value in self._options.items() if name == "weights"}
        method = method_of(_LONG, weights)
        return perplexity(self._engine, method, text, (granularity, condition_mode, condition_pos_id))

    def _documents_method(self, told: Arguments) -> Method:
        """Return LongLLMLingua as it is asked for: by the reference's defaults where no method was named."""
        wishes = {name: getattr(told.wishes, name) for name in _FILTERS}
        options = told.options_for(option_defaults(_LONG))
        defaults = {} if self._method else dict(CAUSAL)
        return method_of(_LONG, {**defaults, **self._options, **wishes, **options, **told.causal})

    def _text_method(self, told: Arguments) -> Method:
        """Return LLMLingua as it is asked for, by its own defaults.

        Raises: BadOption for what only LongLLMLingua does.
        """
        known = option_defaults(_LLMLINGUA)
        told.check_others(_LLMLINGUA, known)
        causal = {name: value for name, value in told.causal.items() if name in known}
        filters = {name: getattr(told.wishes, name) for name in _FILTERS}
        return method_of(_LLMLINGUA, {**self._options, **filters, **told.options_for(known), **causal})
