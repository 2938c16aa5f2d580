"""A token classifier in PyTorch: fp32 on a CPU, half precision on a GPU.

This module owns tensors and batches. On a CPU each window is a batch of its own, which costs
nothing there and keeps scores independent of company; on a GPU windows of like length share a
batch under a token budget. Attention is PyTorch's own (scaled dot product). Code that comes with
a checkpoint is never run, pickled weights are read as tensors only.
"""

import hashlib
import importlib.util
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from elision.compressors.breaks import give_way
from elision.compressors.errors import WeightsMissing
from elision.compressors.token_classifier import Vocabulary, read_vocabulary
from elision.compressors.weights import checksum, default_cache_dir, quiet

if TYPE_CHECKING:
    import torch

KOMPRESS_FILE = "merged.pt"
_BATCH_TOKENS = 65_536
_PACKAGES = ("torch", "transformers", "safetensors")
_KOMPRESS_PARTS = ("encoder_state_dict", "token_head_state_dict", "span_conv_state_dict")


class TorchClassifier:
    """Runs a checkpoint's own weights; make one with `TorchClassifier.load`.

    Usable from several threads: one batch runs at a time.
    """

    def __init__(self, model: "torch.nn.Module", vocabulary: Vocabulary, digest: str) -> None:
        """Take what `read_model` returned, on the device where it is to run."""
        tensor = next(model.parameters())
        self._model = model
        self._vocabulary = vocabulary
        self._device = tensor.device
        self._fingerprint = f"torch-{str(tensor.dtype).removeprefix('torch.')}:{digest[:16]}"
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path, threads: int | None = None) -> "TorchClassifier":
        """Load a checkpoint, to the GPU if there is one.

        Args:
            folder: holds `config.json`, `tokenizer.json` and `*.safetensors` (Kompress: `merged.pt`).
            threads: CPU threads; torch keeps one such number per process. None leaves it alone.
        Raises: WeightsMissing.
        """
        require_torch()
        import torch

        if threads:
            torch.set_num_threads(threads)
        vocabulary = read_vocabulary(folder)
        if torch.cuda.is_available():
            half = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
            model = read_model(folder, half, "sdpa").to("cuda")
        else:
            model = read_model(folder, torch.float32, "sdpa")
        return cls(model, vocabulary, weights_checksum(folder))

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    @property
    def vocabulary(self) -> Vocabulary:
        return self._vocabulary

    def probabilities(self, windows: Sequence[NDArray[np.int64]]) -> list[NDArray[np.float32]]:
        longest = max(map(len, windows), default=0)
        if longest > self._vocabulary.max_tokens:
            raise WeightsMissing(
                f"a window of {longest} tokens; the model reads {self._vocabulary.max_tokens}"
            )
        found: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(windows)
        budget = 0 if self._device.type == "cpu" else _BATCH_TOKENS
        for turn, batch in enumerate(batches([len(window) for window in windows], budget)):
            if turn:
                give_way()
            rows = self._run([windows[i] for i in batch])
            for i, row in zip(batch, rows, strict=True):
                found[i] = row[: len(windows[i])]
        return found

    def _run(self, windows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        import torch

        lengths = np.asarray([len(window) for window in windows])
        padded = np.full((len(windows), lengths.max()), self._vocabulary.ids["pad"], np.int64)
        for row, window in zip(padded, windows, strict=True):
            row[: len(window)] = window
        ids = torch.from_numpy(padded).to(self._device)
        mask = None
        # Without a mask attention takes its fast path.
        if lengths.min() < lengths.max():
            mask = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None]).to(self._device)
        with self._lock, torch.inference_mode():
            keep = self._model(ids, mask)
        return np.asarray(keep.cpu().numpy(), np.float32)


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Group windows of like length, longest first, under a budget of padded tokens.

    Args:
        lengths: of the windows.
        budget: tokens of a batch, padding included; a batch has at least one window.
    Returns: indices of windows, each once.
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and lengths[batch[0]] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def require_torch(more: Sequence[str] = ()) -> None:
    """Raise WeightsMissing unless PyTorch, what it needs, and `more` can be imported; import nothing."""
    absent = [name for name in (*_PACKAGES, *more) if importlib.util.find_spec(name) is None]
    if absent:
        raise WeightsMissing(f'PyTorch weights need {", ".join(absent)}: pip install "elision[torch]"')


def gpu_at_hand() -> bool:
    """Whether PyTorch is installed and sees a GPU."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights that PyTorch can load."""
    return (folder / KOMPRESS_FILE).is_file() or any(folder.glob("*.safetensors"))


def weights_checksum(folder: Path) -> str:
    """Return a SHA-256, hexadecimal, of a checkpoint: config, tokenizer and weights."""
    merged = folder / KOMPRESS_FILE
    weights = [merged] if merged.is_file() else sorted(folder.glob("*.safetensors"))
    digest = hashlib.sha256()
    for file in (folder / "config.json", folder / "tokenizer.json", *weights):
        digest.update(f"{file.name}\0{checksum(file, default_cache_dir(os.environ))}\0".encode())
    return digest.hexdigest()


def read_model(folder: Path, dtype: "torch.dtype", attention: str) -> "torch.nn.Module":
    """Read weights to CPU memory.

    Returns: a module in eval mode that takes (B, T) int64 ids, and (B, T) bool of which are no
        padding or None, and gives (B, T) fp32 chances of being kept.
    Raises: WeightsMissing.
    """
    if not has_weights(folder):
        raise WeightsMissing(
            f"{folder} has no *.safetensors: download the weights, or save them with save_pretrained; "
            "pickled .bin files are not read"
        )
    from pickle import UnpicklingError

    from safetensors import SafetensorError

    try:
        if (folder / KOMPRESS_FILE).is_file():
            return _kompress(folder, dtype, attention).eval()
        return _classifier(folder, dtype, attention).eval()
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
        raise WeightsMissing(f"cannot load the weights in {folder}: {error}") from error


def _classifier(folder: Path, dtype: "torch.dtype", attention: str) -> "torch.nn.Module":
    import torch
    from transformers import AutoModelForTokenClassification

    class Keep(torch.nn.Module):
        """A token classifier whose second class is keep."""

        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            logits = self.inner(input_ids=ids, attention_mask=mask).logits
            return torch.softmax(logits.float(), -1)[..., 1]

    with quiet():
        inner, loading = AutoModelForTokenClassification.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    absent = sorted(loading["missing_keys"])
    if absent:
        raise WeightsMissing(f"{folder} is no token classifier: its weights have no {', '.join(absent[:3])}")
    return Keep(inner)


def _kompress(folder: Path, dtype: "torch.dtype", attention: str) -> "torch.nn.Module":
    """Load Kompress v2's encoder and both of its heads. Source: `docs/models.md`."""
    import torch
    from transformers import AutoConfig, AutoModel

    parts = torch.load(folder / KOMPRESS_FILE, map_location="cpu", weights_only=True)
    absent = [name for name in _KOMPRESS_PARTS if not isinstance(parts, dict) or name not in parts]
    if absent:
        raise WeightsMissing(f"{folder / KOMPRESS_FILE} has no {', '.join(absent)}")
    config = AutoConfig.for_model(**json.loads((folder / "config.json").read_text("utf-8")))
    config._attn_implementation = attention  # noqa: SLF001  what from_config's argument sets, for mypy too
    model = _two_heads(
        AutoModel.from_config(config), int(config.hidden_size), len(parts["span_conv_state_dict"]["0.bias"])
    )
    try:
        for part, name in zip(("encoder", "token_head", "span_conv"), _KOMPRESS_PARTS, strict=True):
            model.get_submodule(part).load_state_dict(parts[name])
    except RuntimeError as error:
        raise WeightsMissing(f"{folder / KOMPRESS_FILE} does not fit its config.json: {error}") from error
    return model.to(dtype)


def _two_heads(encoder: "torch.nn.Module", width: int, channels: int) -> "torch.nn.Module":
    """Return a module that scores each token by itself, and by its surroundings.

    A token's score is its chance of being kept, times a half to one by how important its span is.
    """
    import torch

    class TwoHeads(torch.nn.Module):
        """The encoder and both heads."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.token_head = torch.nn.Linear(width, 2)
            self.span_conv = torch.nn.Sequential(
                torch.nn.Conv1d(width, channels, 5, padding=2),
                torch.nn.GELU(),
                torch.nn.Conv1d(channels, 1, 3, padding=1),
                torch.nn.Sigmoid(),
            )

        def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            keep = torch.softmax(self.token_head(hidden).float(), -1)[..., 1]
            # As if the text ended where it does: each convolution pads with zeros.
            real = 1 if mask is None else mask[:, None]
            wide, gelu, narrow, sigmoid = self.span_conv
            inner = gelu(wide(hidden.transpose(1, 2) * real)) * real
            span = sigmoid(narrow(inner)).squeeze(1).float()
            scored: torch.Tensor = keep * (0.5 + 0.5 * span)
            return scored

    return TwoHeads()
