"""What reads a window of tokens and says of each how likely it is worth keeping.

This module owns the protocol behind which ONNX Runtime and PyTorch stand, what a checkpoint's
files say of its vocabulary, and the choice of an engine. A checkpoint is a folder with
`config.json`, `tokenizer.json` and weights, as Hugging Face's libraries write them; its family is
read from `model_type`, never guessed from its name. Class 1 of two means keep. No code that comes
with a checkpoint is run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from elision.compressors.errors import WeightsMissing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

ONNX_FILE = "model.onnx"
MANIFEST = "manifest.json"
_POSITIONS = 512
_LABELS = 2


class Family(StrEnum):
    """How a vocabulary marks its words, and which marks open and close a text."""

    BERT = "bert"
    """`##` continues a word: BERT, TinyBERT, MobileBERT."""
    XLM_R = "xlm-roberta"
    """`▁` begins a word."""
    MODERNBERT = "modernbert"
    """Byte-level pieces; a word brings the space before it along."""


_FAMILIES = {
    "bert": Family.BERT,
    "mobilebert": Family.BERT,
    "xlm-roberta": Family.XLM_R,
    "modernbert": Family.MODERNBERT,
}
# Keys as tokenizer_config.json has them, and what the families' own classes mean where it is silent.
_SPECIALS = {
    Family.BERT: {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"},
    Family.XLM_R: {
        "cls": "<s>",
        "sep": "</s>",
        "pad": "<pad>",
        "unk": "<unk>",
        "mask": "<mask>",
        "bos": "<s>",
        "eos": "</s>",
    },
    Family.MODERNBERT: {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "unk": "[UNK]", "mask": "[MASK]"},
}


class Engine(StrEnum):
    """What runs the weights."""

    AUTO = "auto"
    """PyTorch on a GPU where there is one and the weights are at hand, else ONNX Runtime if the
    model has been converted, else PyTorch."""
    ONNX = "onnx"
    TORCH = "torch"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What must be known of a checkpoint's words; read from its files.

    Attributes:
        folder: holds `tokenizer.json`.
        family: how words are marked.
        specials: marks by their role: `cls`, `sep`, `pad`, `unk`, `mask`, and what else it names.
        ids: the marks' ids, by role.
        size: rows of the embedding; LLMLingua-2's own checkpoints have 100 more than the
            tokenizer knows.
        max_tokens: tokens that the model reads at once, marks included.
    """

    folder: Path
    family: Family
    specials: Mapping[str, str]
    ids: Mapping[str, int]
    size: int
    max_tokens: int

    def tokenizer(self) -> "Tokenizer":
        """Load the tokenizer anew; it neither truncates nor pads."""
        return _tokenizer(self.folder)


class TokenClassifier(Protocol):
    """Says of each token how likely it is worth keeping. Same window: same answer, in whatever
    company it comes, on a CPU; on a GPU within the tolerance that `docs/models.md` states.
    """

    @property
    def fingerprint(self) -> str:
        """Engine, precision and checksum of the weights; part of every cache key."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Whose tokens these are."""
        ...

    def probabilities(self, windows: Sequence["NDArray[np.int64]"]) -> list["NDArray[np.float32]"]:
        """Return (T,) in [0, 1] for each (T,) window of token ids, opening and closing marks included.

        Raises: WeightsMissing if a window has more tokens than the model reads.
        """
        ...


def read_vocabulary(folder: Path) -> Vocabulary:
    """Read a checkpoint's `config.json`, `tokenizer_config.json` and `tokenizer.json`.

    Raises: WeightsMissing if a file is absent or wrong, or the architecture is not known.
    """
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    family = _FAMILIES.get(str(kind))
    if family is None:
        raise WeightsMissing(
            f"{folder / 'config.json'}: model_type {kind!r} is not supported; known: {', '.join(_FAMILIES)}"
        )
    labels = len(config.get("id2label") or ()) or int(config.get("num_labels", _LABELS))
    if labels != _LABELS:
        raise WeightsMissing(
            f"{folder / 'config.json'}: {labels} labels; a keep-or-drop classifier has 2, the second is keep"
        )
    specials = dict(_SPECIALS[family])
    specials.update(_named_specials(folder / "tokenizer_config.json"))
    tokenizer = _tokenizer(folder)
    ids = {role: tokenizer.token_to_id(mark) for role, mark in specials.items()}
    absent = [role for role in ("cls", "sep", "pad", "unk") if ids[role] is None]
    if absent:
        raise WeightsMissing(f"{folder / 'tokenizer.json'} has no {', '.join(absent)} token")
    known = {role: number for role, number in ids.items() if number is not None}
    return Vocabulary(
        folder, family, specials, known, int(config.get("vocab_size", 0)), _max_tokens(config, family)
    )


def load_classifier(
    folder: Path, engine: Engine = Engine.AUTO, threads: int | None = None
) -> TokenClassifier:
    """Load a checkpoint, or a model that `elision models add` has prepared.

    Args:
        folder: what `elision.compressors.checkpoints.locate` returned.
        engine: what runs the weights.
        threads: CPU threads; None leaves it to the engine, all cores.
    Raises: WeightsMissing, saying what to install or prepare.
    """
    if _chosen(folder, engine) is Engine.ONNX:
        from elision.compressors.onnx_classifier import OnnxClassifier

        return OnnxClassifier.load(folder, threads)
    from elision.compressors.torch_classifier import TorchClassifier

    return TorchClassifier.load(folder, threads)


def _chosen(folder: Path, engine: Engine) -> Engine:
    if engine is not Engine.AUTO:
        return engine
    from elision.compressors.torch_classifier import gpu_at_hand, has_weights

    if not (folder / ONNX_FILE).is_file():
        return Engine.TORCH
    return Engine.TORCH if has_weights(folder) and gpu_at_hand() else Engine.ONNX


def _max_tokens(config: Mapping[str, Any], family: Family) -> int:
    positions = int(config.get("max_position_embeddings", _POSITIONS))
    # RoBERTa's positions begin after that of padding.
    return positions - 2 if family is Family.XLM_R else positions


def _named_specials(path: Path) -> dict[str, str]:
    told = _json(path) if path.is_file() else {}
    named: dict[str, str] = {}
    for role in ("cls", "sep", "pad", "unk", "mask", "bos", "eos"):
        mark = told.get(f"{role}_token")
        mark = mark.get("content") if isinstance(mark, dict) else mark
        if isinstance(mark, str):
            named[role] = mark
    return named


def _tokenizer(folder: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    # Asked here because the library answers a wrong file with a bare Exception.
    if not isinstance(_json(path).get("model"), dict):
        raise WeightsMissing(f"{path} is not a tokenizer.json: it describes no model")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsMissing(f"cannot read {path}: {error}") from error
    if not isinstance(told, dict):
        raise WeightsMissing(f"{path} must hold a JSON object")
    return told
