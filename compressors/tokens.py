"""Counting tokens as the model that will read them does, without any download.

This module owns token counters: exact ones for OpenAI's encodings, whose rank files lie beside it,
and for any `tokenizer.json` that the operator names; an estimate, marked by `~`, for every other
model. Special-token literals count as plain text. It refuses the network.

`o200k_base.tiktoken.gz` and `cl100k_base.tiktoken.gz` are OpenAI's rank files, and the splitting
patterns below are those of the same encodings, from tiktoken (MIT licence, Copyright (c) 2022
OpenAI, Shantanu Jain); see NOTICE.
"""

import gzip
import importlib.util
import json
import re
from array import array
from binascii import a2b_base64
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from elision.compressors.base import TokenCounter
from elision.compressors.errors import WeightsMissing
from elision.compressors.memory import trim
from elision.compressors.weights import converted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_DEFAULT_ENCODING = "o200k_base"
# First match wins; names are lower case, without a vendor's prefix.
_OPENAI = (
    (re.compile(r"gpt-?(4o|4\.1|4\.5|[5-9]|oss)|chatgpt|o[1-9]\b|omni-|computer-use|codex"), "o200k_base"),
    (re.compile(r"gpt-?(4|3\.?5)|text-embedding-(3|ada-002)"), "cl100k_base"),
)
_SMOLLM = re.compile(r"smollm-?2", re.IGNORECASE)
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_PATTERNS = {
    "o200k_base": "|".join(
        [
            rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
            rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    ),
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
}
# Small enough that what parsing takes and frees leaves no holes between what stays.
_RANKS_PART = 1 << 16
# tiktoken's engine panics on a run of about a million spaces; longer texts are counted in parts,
# each cut costing a token at most.
_PART = re.compile(r".{1,400000}", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Counters:
    """Token counters by model name. Each is loaded when first asked for, then kept.

    Args:
        tokenizers: glob of model names -> path of a `tokenizer.json`; the first that matches
            counts, before anything else is tried.
        cache_dir: where converted weights lie (`elision.compressors.weights`); the packaged
            model's tokenizer is taken from there.
        loaded: counters that are there already, by encoding; see `load_default`.
    """

    def __init__(
        self,
        tokenizers: Mapping[str, str] | None = None,
        cache_dir: Path | None = None,
        loaded: Mapping[str, TokenCounter] | None = None,
    ) -> None:
        self._tokenizers = dict(tokenizers or {})
        self._cache_dir = cache_dir
        self._made: dict[str, TokenCounter] = dict(loaded or {})

    def counter_for(self, model: str) -> TokenCounter:
        """Return the counter of a model's name; "" and unknown names get an estimate.

        Raises: WeightsMissing if the operator's `tokenizer.json` cannot be read.
        """
        for pattern, path in self._tokenizers.items():
            if fnmatchcase(model, pattern):
                return self._file(path)
        name = model.rsplit("/", 1)[-1].lower()
        name = name.removeprefix("ft:")
        for known, encoding in _OPENAI:
            if known.match(name):
                return self._openai(encoding)
        if _SMOLLM.search(name) and (folder := converted(self._cache_dir)):
            return self._file(str(folder / "tokenizer.json"))
        return self._once("~", lambda: Estimate(self._openai(_DEFAULT_ENCODING)))

    def _file(self, path: str) -> TokenCounter:
        return self._once(path, lambda: FileCounter(path))

    def _openai(self, encoding: str) -> TokenCounter:
        return self._once(encoding, lambda: OpenAICounter(encoding))

    def _once(self, key: str, make: Callable[[], TokenCounter]) -> TokenCounter:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def load_default() -> dict[str, TokenCounter]:
    """Return the counter of the default encoding, for every `Counters` that is to share it."""
    return {_DEFAULT_ENCODING: OpenAICounter(_DEFAULT_ENCODING)}


class OpenAICounter:
    """Counts with one of OpenAI's encodings, exactly."""

    def __init__(self, encoding: str) -> None:
        """Load an encoding, `o200k_base` or `cl100k_base`; takes about a third of a second."""
        # First what stays: among the ranks it would hold on to their memory when they are gone.
        import tiktoken

        ranks = _ranks(encoding)
        self._name = encoding
        self._encoding = tiktoken.Encoding(
            encoding, pat_str=_PATTERNS[encoding], mergeable_ranks=ranks, special_tokens={}
        )
        # No numpy here: the proxy, which only counts, does without its memory.
        self._bytes = array("H", bytes(2 * (max(ranks.values()) + 1)))
        for token, rank in ranks.items():
            self._bytes[rank] = len(token)
        # The engine has copied the ranks; its Python side keeps them, some 25 MB, for what we do not ask.
        ranks.clear()
        trim()

    @property
    def name(self) -> str:
        return self._name

    def count(self, text: str) -> int:
        return sum(len(self._encoding.encode_ordinary(part)) for part in _parts(text))

    def starts(self, text: str) -> "NDArray[np.int64]":
        import numpy as np

        text = _SURROGATE.sub("\ufffd", text)
        ids = [i for part in _parts(text) for i in self._encoding.encode_ordinary(part)]
        if not ids:
            return np.zeros(0, np.int64)
        ends = np.cumsum(np.frombuffer(self._bytes, np.uint16)[ids], dtype=np.int64)
        at = np.concatenate(([0], ends[:-1]))
        # Bytes 10xxxxxx continue a character: a token that begins at one starts in that character.
        leads = (np.frombuffer(text.encode(), np.uint8) & 0xC0) != 0x80
        return np.asarray((np.cumsum(leads) - 1)[at], np.int64)


class Estimate:
    """Counts for a model whose own tokenizer is not known, with another's; the name says so."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter

    @property
    def name(self) -> str:
        return f"~{self._counter.name}"

    def count(self, text: str) -> int:
        return self._counter.count(text)

    def starts(self, text: str) -> "NDArray[np.int64]":
        return self._counter.starts(text)


class FileCounter:
    """Counts with a `tokenizer.json`, exactly."""

    def __init__(self, path: str) -> None:
        """Read the file; the counter is named after it and its folder.

        Raises: WeightsMissing if it cannot be read, or `tokenizers` is not installed.
        """
        self._name = "/".join(Path(path).parts[-2:])
        self._tokenizer = _read_tokenizer(path)

    @property
    def name(self) -> str:
        return self._name

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(_SURROGATE.sub("\ufffd", text), add_special_tokens=False).ids)

    def starts(self, text: str) -> "NDArray[np.int64]":
        import numpy as np

        text = _SURROGATE.sub("\ufffd", text)
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        first = np.asarray([start for start, _ in offsets], np.int64)
        return np.maximum.accumulate(first) if len(first) else first


def read_ranks(encoding: str) -> Iterator[bytes]:
    """Yield a rank file as OpenAI publishes it, in parts of whole lines: base64 token, space, rank."""
    with gzip.open(Path(__file__).with_name(f"{encoding}.tiktoken.gz")) as file:
        while part := file.read(_RANKS_PART):
            yield part + file.readline()


def _ranks(encoding: str) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    for part in read_ranks(encoding):
        fields = part.split()
        ranks.update(zip(map(a2b_base64, fields[::2]), map(int, fields[1::2]), strict=True))
    return ranks


def _parts(text: str) -> Iterator[str]:
    yield from (match[0] for match in _PART.finditer(text))


def _read_tokenizer(path: str) -> "Tokenizer":
    if importlib.util.find_spec("tokenizers") is None:
        raise WeightsMissing(f'{path} needs the package tokenizers: pip install "elision[lm]"')
    from tokenizers import Tokenizer

    try:
        content = Path(path).read_text("utf-8")
        told = json.loads(content)
    except (OSError, ValueError) as error:
        raise WeightsMissing(f"cannot read tokenizer {path!r}: {error}") from error
    # Asked here because the library answers a wrong file with a bare Exception.
    if not (isinstance(told, dict) and isinstance(told.get("model"), dict)):
        raise WeightsMissing(f"{path!r} is not a tokenizer.json: it describes no model")
    tokenizer = Tokenizer.from_str(content)
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
