"""What LongLLMLingua is told, by the reference's names; read strictly. It does nothing of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from elision.compressors.base import OptionValue
from elision.compressors.document_ranking import Condition, Reorder, read_context_budget
from elision.compressors.errors import BadOption
from elision.compressors.itpc import Kv, Reading
from elision.compressors.sentence_filter import SentenceFilter
from elision.compressors.token_units import Grain

NAME = "longllmlingua"
BM25 = "bm25"


@dataclass(frozen=True, slots=True)
class Options:
    """What is done, by the reference's names.

    Attributes:
        rank_method: `longllmlingua`, `llmlingua`, or `bm25` (shared words; no model).
        condition_in_question: what a document's score is (`document_ranking.Condition`; none means
            `after` where `rank_method` is longllmlingua); with `_condition` words are read after the
            question.
        condition_compare: then a word's importance is its surprise without the question less that
            after it.
        reorder_context: in which order documents go.
        dynamic_context_compression_ratio: how much more the best document keeps than the mean.
        context_budget: what documents may have, of the target, before words are chosen.
        use_context_level_filter: whether whole documents may be left out.
        use_token_level_filter: whether words may.
        sentences: which sentences may be; None: none as such.
        reading: how words are read, and what is kept or dropped whole.
    """

    rank_method: str = NAME
    condition_in_question: str = "after_condition"
    condition_compare: bool = True
    reorder_context: Reorder = Reorder.ORIGINAL
    dynamic_context_compression_ratio: float = 0.3
    context_budget: str = "+100"
    use_context_level_filter: bool = True
    use_token_level_filter: bool = True
    sentences: SentenceFilter | None = None
    reading: Reading = field(default_factory=Reading)

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "Options":
        """Read a method's options.

        Raises: BadOption.
        """
        slope = options["dynamic_context_compression_ratio"]
        if not isinstance(slope, float) or not -1 <= slope <= 1:
            raise BadOption(f"dynamic_context_compression_ratio must be in [-1, 1], not {slope}")
        read_context_budget(str(options["context_budget"]))
        return cls(
            str(options["rank_method"]),
            str(options["condition_in_question"]),
            bool(options["condition_compare"]),
            Reorder(str(options["reorder_context"])),
            slope,
            str(options["context_budget"]),
            bool(options["use_context_level_filter"]),
            bool(options["use_token_level_filter"]),
            SentenceFilter.read(options),
            _reading(options),
        )

    @property
    def condition(self) -> Condition:
        """What a document's score is."""
        told = Condition(self.condition_in_question.removesuffix("_condition"))
        return Condition.AFTER if told is Condition.NONE and self.rank_method == NAME else told

    @property
    def is_conditioned(self) -> bool:
        """Whether words are read after the question."""
        return self.condition_in_question.endswith("_condition")

    def without_question(self) -> "Options":
        """Return what is left of this where nothing is asked."""
        return replace(
            self,
            rank_method="llmlingua",
            condition_in_question=Condition.NONE.value,
            condition_compare=False,
            reorder_context=Reorder.ORIGINAL,
        )

    @property
    def ranks(self) -> bool:
        """Whether the documents' order of worth makes a difference."""
        is_moving = self.reorder_context is not Reorder.ORIGINAL
        return self.use_context_level_filter or is_moving or bool(self.dynamic_context_compression_ratio)


def _reading(options: Mapping[str, OptionValue]) -> Reading:
    size = options["iterative_size"]
    if not isinstance(size, int) or size < 1:
        raise BadOption(f"iterative_size must be at least 1, not {size}")
    return Reading(Grain(str(options["level"])), size, Kv(str(options["kv"])))


def forced_options(options: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """Return a method's options with what `keep_split` forces: the empty lines between documents.

    Those between documents that stay stay in any case; with it those within do, too.
    """
    tokens = options["force_tokens"]
    split = ("\n\n",) if options["keep_split"] and isinstance(tokens, tuple) and "\n\n" not in tokens else ()
    return {**options, "force_tokens": (*tokens, *split)} if isinstance(tokens, tuple) else dict(options)
