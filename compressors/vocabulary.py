"""The arguments of `compress_prompt`, by the names that LLMLingua's users know; checked.

This module knows which of them do something here, which are options of a method, and which belong
to methods that Elision does not have; it compresses nothing. Source: llmlingua 0.2.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from elision.compressors.base import OptionValue
from elision.compressors.errors import BadOption, nearest


@dataclass(frozen=True, slots=True)
class Wishes:
    """The arguments of `compress_prompt` that do something, with the reference's defaults."""

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
    return_word_label: bool = False
    word_sep: str = "\t\t|\t\t"
    label_sep: str = " "


_OF_THE_METHOD = (
    "token_to_word",
    "force_tokens",
    "force_reserve_digit",
    "drop_consecutive",
    "chunk_end_tokens",
)
"""Arguments that are options of a method."""

_WITHOUT_EFFECT = ("add_instruction",)
"""Counts in the reference only together with `condition_in_question`."""

_LATER: Mapping[str, object] = {
    "iterative_size": 200,
    "use_sentence_level_filter": False,
    "keep_split": False,
    "keep_first_sentence": 0,
    "keep_last_sentence": 0,
    "keep_sentence_number": 0,
    "high_priority_bonus": 100,
    "context_budget": "+100",
    "token_budget_ratio": 1.4,
    "condition_in_question": "none",
    "reorder_context": "original",
    "dynamic_context_compression_ratio": 0,
    "condition_compare": False,
    "rank_method": "llmlingua",
    "context_segs": None,
    "context_segs_rate": None,
    "context_segs_compress": None,
    "strict_preserve_uncompressed": True,
}
"""Arguments of LLMLingua and LongLLMLingua, which do not exist here yet, with what asks for nothing."""


def read_arguments(arguments: Mapping[str, object]) -> tuple[Wishes, dict[str, OptionValue]]:
    """Sort arguments into what is done here and options of the method.

    Raises: BadOption for what is unknown, of a wrong type, or asks for a method that is not there.
    """
    given = dict(arguments)
    if "ratio" in given:
        old = given.pop("ratio")
        given["rate"] = 1 - old if isinstance(old, int | float) else old
    known = {field.name for field in fields(Wishes)}
    wishes = {name: value for name, value in given.items() if name in known}
    options: dict[str, OptionValue] = {}
    for name, value in given.items():
        if name in _OF_THE_METHOD:
            options[name] = _option(name, value)
        elif name in _LATER:
            if value != _LATER[name]:
                raise BadOption(
                    f"{name}={value!r} belongs to LLMLingua or LongLLMLingua, which Elision does not have "
                    f"yet; leave it out, or give {name}={_LATER[name]!r}"
                )
        elif name not in known and name not in _WITHOUT_EFFECT:
            every = (*known, *_OF_THE_METHOD, *_LATER, *_WITHOUT_EFFECT)
            raise BadOption(f"compress_prompt has no argument {name!r}{nearest(name, every)}")
    return _checked(wishes), options


def _option(name: str, value: object) -> OptionValue:
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise BadOption(f"{name} must be a word, a number or a list of words, not {value!r}")


def _checked(given: Mapping[str, object]) -> Wishes:
    """Return wishes whose values are of the types that they should be."""
    defaults = Wishes()
    for name, value in given.items():
        default = getattr(defaults, name)
        if name == "force_context_ids":
            is_right = value is None or (
                isinstance(value, Sequence) and all(isinstance(item, int) for item in value)
            )
        elif name == "force_context_number":
            is_right = value is None or (isinstance(value, int) and value >= 0)
        elif isinstance(default, bool | str):
            is_right = isinstance(value, type(default))
        else:
            is_right = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_right:
            raise BadOption(f"{name} cannot be {value!r}")
    wishes = Wishes(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    if not 0 < wishes.rate <= 1:
        raise BadOption(f"rate must be in (0, 1], not {wishes.rate}")
    if not 0 < wishes.context_level_rate <= 1:
        raise BadOption(f"context_level_rate must be in (0, 1], not {wishes.context_level_rate}")
    return wishes
