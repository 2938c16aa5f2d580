"""The arguments of `compress_prompt`, by the names that LLMLingua's users know; checked.

This module knows which of them say something of a whole prompt, which are options of a method, and
which belong to some methods only; it compresses nothing. Source: llmlingua 0.2.2.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from elision.compressors.base import OptionValue
from elision.compressors.errors import BadOption, nearest


@dataclass(frozen=True, slots=True)
class Wishes:
    """The arguments of `compress_prompt` about the prompt, with the reference's defaults.

    Attributes:
        segments: `context_segs` with what `context_segs_rate` and `context_segs_compress` say of
            them; () where they are not given.
    """

    instruction: str = ""
    question: str = ""
    rate: float = 0.5
    target_token: float = -1
    use_context_level_filter: bool = True
    use_token_level_filter: bool = True
    target_context: int = -1
    context_level_rate: float = 1.0
    context_level_target_token: int = -1
    force_context_ids: Sequence[int] = ()
    force_context_number: int | None = None
    concate_question: bool = True
    add_instruction: bool = False
    strict_preserve_uncompressed: bool = True
    return_word_label: bool = False
    word_sep: str = "\t\t|\t\t"
    label_sep: str = " "
    segments: "tuple[tuple[Segment, ...], ...]" = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a context; the parts of a context concatenate to it.

    Attributes:
        rate: share of tokens to keep; 1: it stays as it is. None: as the whole prompt's.
    """

    text: str
    rate: float | None = None


CAUSAL: Mapping[str, OptionValue] = {
    "iterative_size": 200,
    "use_sentence_level_filter": False,
    "keep_split": False,
    "keep_first_sentence": 0,
    "keep_last_sentence": 0,
    "keep_sentence_number": 0,
    "high_priority_bonus": 100.0,
    "context_budget": "+100",
    "token_budget_ratio": 1.4,
    "condition_in_question": "none",
    "reorder_context": "original",
    "dynamic_context_compression_ratio": 0.0,
    "condition_compare": False,
    "rank_method": "llmlingua",
}
"""Arguments of LLMLingua and LongLLMLingua, with the reference's defaults; options of `longllmlingua`."""

_OF_THE_METHOD: Mapping[str, OptionValue] = {
    "token_to_word": "mean",
    "force_tokens": (),
    "force_reserve_digit": False,
    "drop_consecutive": False,
    "chunk_end_tokens": (".", "\n"),
}
"""Arguments that are options of a method, with the reference's defaults."""

_OF_PYTHON = "belongs to PromptCompressor, in Python; "
_TAGS = 'in a prompt, tags such as <elision rate="0.4"> give parts rates of their own'
ELSEWHERE: Mapping[str, str] = {
    "rate": "a rule's `use` has `rate`, beside `options`",
    "ratio": "a rule's `use` has `rate`, which is 1 - ratio",
    "reduce_ratio": "a rule's `use` has `rate`, the share of tokens that stays",
    "target_token": "a rule's `use` has `tokens`, beside `options`",
    "context": "a policy's contexts are what is sent",
    "instruction": "a policy finds instructions in what is sent",
    "question": "a policy takes the question of the message's own turn",
    "concate_question": "a policy leaves the question where it stands",
    "add_instruction": _OF_PYTHON + "a policy's documents are read after the question alone",
    "force_context_ids": _OF_PYTHON + "in a prompt, tags such as <elision off> keep a document whole",
    "force_context_number": _OF_PYTHON + "say context_budget",
    "target_context": _OF_PYTHON + "say context_budget to llmlingua or longllmlingua",
    "context_level_rate": _OF_PYTHON + "say context_budget to llmlingua or longllmlingua",
    "context_level_target_token": _OF_PYTHON + "say context_budget to llmlingua or longllmlingua",
    "context_segs": _OF_PYTHON + _TAGS,
    "context_segs_rate": _OF_PYTHON + _TAGS,
    "context_segs_compress": _OF_PYTHON + _TAGS,
    "strict_preserve_uncompressed": _OF_PYTHON + "in a prompt, what tags keep is always kept",
    "return_word_label": _OF_PYTHON + "`elision compress` shows what goes",
    "word_sep": _OF_PYTHON + "it parts the labels of return_word_label",
    "label_sep": _OF_PYTHON + "it parts the labels of return_word_label",
    "model_name": "say `weights`",
    "model_type": "say `weights`",
    "device_map": "models run on the GPU if there is one",
    "lang": "say `level: word` for texts that are not English",
}
"""Names of the references that are no options of a method, and what says the same in a policy."""

_SEGMENTS = ("context_segs", "context_segs_rate", "context_segs_compress")
_OF_LLMLINGUA2 = ("target_context", "context_level_rate", "context_level_target_token")
_CONFIG = ("max_batch_size", "max_force_token")
_RANKS = ("llmlingua", "longllmlingua", "bm25")


@dataclass(frozen=True, slots=True)
class Arguments:
    """Arguments, sorted.

    Attributes:
        wishes: about the prompt.
        options: of any method.
        causal: those of LLMLingua and LongLLMLingua, as they were given.

    """

    wishes: Wishes
    options: dict[str, OptionValue]
    causal: dict[str, OptionValue]

    @property
    def asks_causal(self) -> bool:
        """Whether something is asked for that only LLMLingua and LongLLMLingua do."""
        return any(value != CAUSAL[name] for name, value in self.causal.items())

    def options_for(self, known: Collection[str]) -> dict[str, OptionValue]:
        """Return the options of a method that has these, without defaults of those that it has not."""
        return {
            name: value
            for name, value in self.options.items()
            if name in known or value != _OF_THE_METHOD[name]
        }

    def check_causal(self) -> None:
        """Refuse what only LLMLingua-2 does. Raises: BadOption."""
        default = Wishes()
        for name in _OF_LLMLINGUA2:
            if getattr(self.wishes, name) != getattr(default, name):
                raise BadOption(
                    f"{name} belongs to LLMLingua-2; with LLMLingua and LongLLMLingua say "
                    "context_budget, or force_context_number"
                )

    def check_others(self, method: str, known: Collection[str] = ()) -> None:
        """Refuse what only LLMLingua and LongLLMLingua do, but for options that the method has too.

        Raises: BadOption.
        """
        for name, value in self.causal.items():
            if name not in known and value != CAUSAL[name]:
                raise BadOption(
                    f"{name}={value!r} is not for {method}: make "
                    f"PromptCompressor(method='longllmlingua'), or give {name}={CAUSAL[name]!r}"
                )


def check_config(config: Mapping[str, int], *, use_slingua: bool) -> None:
    """Check what a `PromptCompressor` of the reference's is made with.

    Raises: BadOption.
    """
    if use_slingua:
        raise BadOption(
            "use_slingua: SecurityLingua is not here; use_llmlingua2=True, with model_name for its "
            "weights, shortens by LLMLingua-2's thresholds"
        )
    for name, value in config.items():
        if name not in _CONFIG:
            raise BadOption(f"llmlingua2_config has no {name!r}{nearest(name, _CONFIG)}")
        if type(value) is not int or value < 1:
            raise BadOption(f"llmlingua2_config: {name} must be at least 1, not {value!r}")


def read_arguments(arguments: Mapping[str, object]) -> Arguments:
    """Sort arguments into what is said of the prompt and options of methods.

    Raises: BadOption for what is unknown or of a wrong type.
    """
    given = dict(arguments)
    if "ratio" in given:
        old = given.pop("ratio")
        given["rate"] = 1 - old if isinstance(old, int | float) else old
    told = [given.pop(name, None) for name in _SEGMENTS]
    known = {field.name for field in fields(Wishes)} - {"segments"}
    wishes: dict[str, object] = {name: value for name, value in given.items() if name in known}
    options: dict[str, OptionValue] = {}
    causal: dict[str, OptionValue] = {}
    for name, value in given.items():
        if name in _OF_THE_METHOD:
            options[name] = _option(name, value)
        elif name in CAUSAL:
            causal[name] = _causal(name, value)
        elif name not in known:
            every = (*known, *_OF_THE_METHOD, *CAUSAL, *_SEGMENTS, "ratio")
            raise BadOption(f"compress_prompt has no argument {name!r}{nearest(name, every)}")
    if any(one is not None for one in told):
        wishes["segments"] = _segments(*told)
    return Arguments(_checked(wishes), options, causal)


def _option(name: str, value: object) -> OptionValue:
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise BadOption(f"{name} must be a word, a number or a list of words, not {value!r}")


def _causal(name: str, value: object) -> OptionValue:
    """Return an argument of LLMLingua's as an option of the method's."""
    default = CAUSAL[name]
    if type(value) is int and isinstance(default, float):
        value = float(value)
    if name == "context_budget" and value is None:
        value = default
    if type(value) is not type(default):
        raise BadOption(f"{name} must be {type(default).__name__}, not {value!r}")
    if name == "rank_method" and value not in _RANKS:
        raise BadOption(f"rank_method cannot be {value!r} here; known: {', '.join(_RANKS)}")
    return value


def _segments(texts: object, rates: object, compress: object) -> tuple[tuple[Segment, ...], ...]:
    """Read the three lists of lists that name segments."""
    told = _nested("context_segs", texts, str)
    if told is None:
        raise BadOption("context_segs must be a list of lists of strings, one list for each context")
    shares = _nested("context_segs_rate", rates, float, told)
    flags = _nested("context_segs_compress", compress, bool, told)
    found: list[tuple[Segment, ...]] = []
    for at, own in enumerate(told):
        segments = []
        for number, text in enumerate(own):
            rate = None if shares is None else float(shares[at][number])
            if rate is not None and not 0 <= rate <= 1:
                raise BadOption(f"context_segs_rate must be in [0, 1], not {rate}")
            stays = flags is not None and not flags[at][number]
            segments.append(Segment(str(text), 1.0 if stays else rate))
        found.append(tuple(segments))
    return tuple(found)


def _nested(
    name: str, value: object, kind: type, like: Sequence[Sequence[Any]] | None = None
) -> Sequence[Sequence[Any]] | None:
    """Return lists of lists of a type, of the same lengths as others; None where nothing is given."""
    if value is None:
        return None
    kinds = (int, float) if kind is float else (kind,)
    right = isinstance(value, Sequence) and not isinstance(value, str)
    lists: Sequence[Any] = value if isinstance(value, Sequence) else ()
    right = right and all(isinstance(own, Sequence) and not isinstance(own, str) for own in lists)
    right = right and all(isinstance(item, kinds) for own in lists for item in own)
    if right and (like is None or [len(own) for own in lists] == [len(own) for own in like]):
        return lists
    wanted = "a list of lists" if like is None else "lists as long as those of context_segs,"
    raise BadOption(f"{name} must be {wanted} of {kind.__name__}")


def _checked(given: Mapping[str, object]) -> Wishes:
    """Return wishes whose values are of the types that they should be."""
    defaults = Wishes()
    for name, value in given.items():
        if not _is_right(name, value, getattr(defaults, name)):
            raise BadOption(f"{name} cannot be {value!r}")
    wishes = Wishes(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    if not 0 < wishes.rate <= 1:
        raise BadOption(f"rate must be in (0, 1], not {wishes.rate}")
    if not 0 < wishes.context_level_rate <= 1:
        raise BadOption(f"context_level_rate must be in (0, 1], not {wishes.context_level_rate}")
    if wishes.segments and wishes.target_token > 0:
        raise BadOption("target_token and context_segs say how much stays, each otherwise; give one of them")
    return wishes


def _is_right(name: str, value: object, default: object) -> bool:
    if name == "force_context_ids":
        return value is None or (isinstance(value, Sequence) and all(isinstance(item, int) for item in value))
    if name == "force_context_number":
        return value is None or (isinstance(value, int) and value >= 0)
    if name == "segments":
        return True
    if isinstance(default, bool | str):
        return isinstance(value, type(default))
    return isinstance(value, int | float) and not isinstance(value, bool)
