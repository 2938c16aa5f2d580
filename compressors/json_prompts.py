"""An object whose values are shortened: the strings among them; keys, numbers and structure stay.

Owns which values are texts and how far each goes; what shortens them is handed in. The result is
always JSON, because nothing but whole strings is exchanged. Source of names: llmlingua 0.2.2,
`compress_json`; there the object's JSON is shortened as one text, and mended afterwards.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypedDict

from elision.compressors.errors import BadOption, nearest
from elision.compressors.prompts import CompressedPrompt

_SETTINGS = ("rate", "compress", "value_type", "pair_remove")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "string": (str,),
    "int": (int,),
    "float": (int, float),
    "number": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}


class _Figures(TypedDict):
    origin_tokens: int
    compressed_tokens: int
    ratio: str
    rate: str


class CompressedJson(_Figures):
    """What `compress_json` returns: the object, and how long its JSON was and is."""

    compressed_prompt: dict[str, object]


class Compress(Protocol):
    """`PromptCompressor.compress_prompt`."""

    def __call__(self, context: str | Sequence[str], **arguments: object) -> CompressedPrompt:
        """Shorten contexts."""
        ...


def compress_pairs(
    data: Mapping[str, object],
    config: Mapping[str, Mapping[str, object]],
    arguments: Mapping[str, object],
    compress: Compress,
    count: Callable[[str], int],
) -> CompressedJson:
    """Shorten an object's strings, those in lists and objects within it too.

    Args:
        config: by key: `rate` (a share, or `default`), `compress` (False: the value stays),
            `value_type` (checked), `pair_remove` (must be False: nothing is left out whole).
        arguments: as `compress_prompt` takes them; `rate` is that of values without their own.
        compress: shortens one text.
        count: tokens of a text.
    Raises: BadOption for a key or a setting that is not there, or cannot be done.
    """
    for name in ("instruction", "target_token", "target_context", "force_context_number"):
        if name in arguments:
            raise BadOption(f"compress_json takes no {name}: rates say how far each value goes")
    for key, settings in config.items():
        _check(key, settings, data)
    overall = arguments.get("rate", 0.5)

    def shortened(text: str, rate: object) -> str:
        found = compress(text, **{**arguments, "context_segs": [[text]], "context_segs_rate": [[rate]]})
        return "".join(found["compressed_prompt_list"])

    made: dict[str, object] = {}
    for key, value in data.items():
        settings = config.get(key, {})
        rate = settings.get("rate", "default")
        chosen = overall if rate == "default" else rate
        stays = not settings.get("compress", True)
        made[key] = _exchanged(value, (lambda text: text) if stays else partial(shortened, rate=chosen))
    return CompressedJson(compressed_prompt=made, **_figures(data, made, count))


def _figures(data: object, made: object, count: Callable[[str], int]) -> "_Figures":
    """Return how long the object's JSON was and is."""
    before, after = (count(json.dumps(one, ensure_ascii=False)) for one in (data, made))
    return _Figures(
        origin_tokens=before,
        compressed_tokens=after,
        ratio=f"{before / max(after, 1):.1f}x",
        rate=f"{after / max(before, 1) * 100:.1f}%",
    )


def _check(key: str, settings: Mapping[str, object], data: Mapping[str, object]) -> None:
    if key not in data:
        raise BadOption(f"json_config names {key!r}, which the object does not have{nearest(key, data)}")
    for name in settings:
        if name not in _SETTINGS:
            raise BadOption(f"json_config of {key!r} has no setting {name!r}{nearest(name, _SETTINGS)}")
    if settings.get("pair_remove"):
        raise BadOption(f"pair_remove of {key!r}: no pair is left out whole here; leave it out of the object")
    told = settings.get("value_type")
    if told is not None and not isinstance(data[key], _TYPES.get(str(told), ())):
        kind = type(data[key]).__name__
        raise BadOption(f"value_type of {key!r} is {told!r}, and the value is of type {kind}")


def _exchanged(value: object, exchange: Callable[[str], str]) -> object:
    """Return a value with its strings exchanged; blank ones stay. Raises: BadOption if it is not JSON's."""
    if isinstance(value, str):
        return exchange(value) if value.strip() else value
    if isinstance(value, Mapping):
        return {key: _exchanged(own, exchange) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_exchanged(own, exchange) for own in value]
    if value is None or isinstance(value, int | float):
        return value
    raise BadOption(f"a value of type {type(value).__name__} is not JSON: {json.dumps(str(value))[:60]}")
