"""From a trained checkpoint to a folder that Elision runs: int8 ONNX, tokenizer, manifest.

What comes out is what `elision models add` would make of the checkpoint, at a place of the
caller's: `weights: FOLDER` of a policy reads it as it is. This module owns the order of things and
the manifest; the conversion is `elision.compressors.onnx_classifier`'s.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from elision.compressors.checkpoints import FORMAT, File, Prepared
from elision.compressors.onnx_classifier import export as export_onnx
from elision.compressors.token_classifier import MANIFEST, ONNX_FILE, read_vocabulary
from elision.config.errors import ConfigError

_READING = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_LABELS = 2


def export(
    checkpoint: Path,
    out: Path,
    *,
    licence: str = "",
    keep_weights: bool = False,
    finish: Callable[[Path], None] | None = None,
) -> Prepared:
    """Write a checkpoint as int8 ONNX, quantised per channel, with what reads texts for it.

    Args:
        checkpoint: a folder as `elision.training.trainer.train` returns it.
        out: a folder that does not exist yet; it appears whole or not at all.
        licence: for the manifest, as an SPDX identifier.
        keep_weights: put the safetensors beside it, for a GPU.
        finish: is given the folder before its sums are taken, to change the graph or put files there.
    Returns: the manifest, with size and SHA-256 of every file.
    Raises: ConfigError if `out` is there already or cannot be written, WeightsMissing if the
        checkpoint cannot be read or packages are absent.
    """
    if out.exists():
        raise ConfigError([f"{out}: is there already; export to a new folder"])
    vocabulary = read_vocabulary(checkpoint)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as room:
            draft = Path(room) / "draft"
            draft.mkdir()
            weights = sorted(checkpoint.glob("*.safetensors"))
            reading = [checkpoint / name for name in _READING if (checkpoint / name).is_file()]
            for path in (*reading, *weights):
                shutil.copyfile(path, draft / path.name)
            export_onnx(draft, draft / ONNX_FILE, _silent)
            if finish is not None:
                finish(draft)
            if not keep_weights:
                for path in weights:
                    (draft / path.name).unlink()
            manifest = Prepared(
                FORMAT,
                out.name,
                checkpoint.name,
                "",
                licence,
                vocabulary.family,
                _LABELS,
                vocabulary.max_tokens,
                ("onnx", "torch") if keep_weights else ("onnx",),
                {path.name: sha256(path) for path in (*reading, *weights)},
                {path.name: File(path.stat().st_size, sha256(path)) for path in sorted(draft.iterdir())},
            )
            (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
            draft.replace(out)
    except OSError as error:
        raise ConfigError([f"{out}: cannot be written: {error.strerror}"]) from error
    return manifest


def sha256(path: Path) -> str:
    """Return a file's SHA-256, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(_step: str) -> None:
    """Tell nobody."""
