"""The store of prepared models: what `elision models` lists, adds and verifies.

A prepared model is a folder under `<cache>/models/` with an int8 ONNX graph, the tokenizer, and a
manifest that says where it came from and the SHA-256 of every file; with PyTorch's weights beside
them where a GPU is to run them. This module owns those folders: they appear whole or not at all,
and adding the same files again changes nothing. The network is asked only by `Store.add`, never
while a request waits, and what it sent is compared with the sums that the hub states.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from elision.compressors.errors import WeightsMissing, nearest
from elision.compressors.token_classifier import MANIFEST, ONNX_FILE, Family, read_vocabulary
from elision.compressors.weights import default_cache_dir

FORMAT = 1
"""Of the manifest of a prepared model."""
_DRAFT = ".draft-"
_SUMS = "SHA256SUMS"
_LABELS = 2
_HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")
_READING = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "merged.pt")
# From these transformers makes a tokenizer.json where a checkpoint has none.
_TOKENIZER_SOURCES = ("vocab.txt", "sentencepiece.bpe.model")
_FETCHED = [*_READING, *_WEIGHTS, *_TOKENIZER_SOURCES, "README.md"]
_LICENCE = re.compile(r"\A---\n(?:.*\n)*?license:\s*[\"']?([\w.+-]+)")
_SUM_LINE = re.compile(r"(?P<sum>[0-9a-f]{64}) [ *](?P<name>.+)")

Tell = Callable[[str], None]
STEPS = ("fetch", "check", "convert", "quantise", "write")
"""What `Store.add` tells it is doing, in order."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a prepared model: its size in bytes, and its SHA-256, hexadecimal."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared model's manifest.

    Attributes:
        format: of the manifest.
        name: what a policy's `weights` calls it.
        source: the Hugging Face id or folder that it was made from.
        revision: the commit that the hub gave; empty for a folder.
        licence: as the model card states it; empty where it does not.
        family: of the vocabulary.
        labels: classes of the head; the second is keep.
        max_tokens: that the model reads at once.
        engines: what can run it: `onnx`, `torch`.
        origin: SHA-256 of the files it was made from, by name.
        files: what the folder holds, the manifest apart, by name.
    """

    format: int
    name: str
    source: str
    revision: str
    licence: str
    family: Family
    labels: int
    max_tokens: int
    engines: tuple[str, ...]
    origin: dict[str, str]
    files: dict[str, File]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class Fetched:
    """A checkpoint on this machine.

    Attributes:
        folder: where it lies.
        revision: the commit that was fetched; empty for a folder of the user's.
        sums: SHA-256 that its publisher states, by file name; files without one are not compared.
    """

    folder: Path
    revision: str
    sums: Mapping[str, str]


Fetch = Callable[[str, str | None], Fetched]


class Store:
    """Prepared models below a cache folder; None for the user's."""

    def __init__(self, cache_dir: Path | None = None) -> None:
        self._root = (cache_dir or default_cache_dir(os.environ)) / "models"

    @property
    def root(self) -> Path:
        return self._root

    def prepared(self) -> list[Prepared]:
        """Return all models, by name.

        Raises: WeightsMissing if a manifest cannot be read.
        """
        return [_read_manifest(path.parent) for path in sorted(self._root.glob(f"[!.]*/{MANIFEST}"))]

    def locate(self, weights: str) -> Path:
        """Return the folder of a prepared model's name, or of a path; load and fetch nothing.

        Raises: WeightsMissing, with the command that prepares it.
        """
        folder = self._folder(_name(weights))
        if (folder / MANIFEST).is_file():
            return folder
        path = Path(weights).expanduser()
        if (path / "config.json").is_file():
            return path
        hint = nearest(weights, [model.name for model in self.prepared()])
        raise WeightsMissing(
            f"no model {weights!r} here{hint}; prepare it ahead of time: elision models add {weights}"
        )

    def verify(self, model: Prepared) -> list[str]:
        """Return what is wrong with a model's files; nothing if all are as they were written."""
        folder = self._folder(model.name)
        problems = []
        for name, file in sorted(model.files.items()):
            path = folder / name
            if not path.is_file():
                problems.append(f"{model.name}: {name} is missing")
            elif path.stat().st_size != file.size or _sha256(path) != file.sha256:
                problems.append(f"{model.name}: {name} has changed since it was prepared")
        return problems

    def add(
        self, source: str, *, torch: bool = False, tell: Tell | None = None, fetch: Fetch | None = None
    ) -> tuple[Prepared, bool]:
        """Prepare a checkpoint for use, once.

        Args:
            source: a folder, or a Hugging Face id (`owner/name`, `owner/name@revision`).
            torch: keep the original weights too, for PyTorch on a GPU.
            tell: called with the name of each step, from `STEPS`, as it begins.
            fetch: gets an id's files; None asks the Hugging Face hub.
        Returns: the model, and whether there was anything to do.
        Raises: WeightsMissing: it cannot be found, its sums are wrong, it is of no known family,
            or the packages that convert it are absent.
        """
        say = tell or _silent
        say("fetch")
        found = _fetched(source, fetch or fetch_from_hub)
        say("check")
        origin = _checked(found)
        name = _name(source)
        try:
            with self._locked(name):
                known = self._known(name)
                if known and known.origin == origin and (not torch or "torch" in known.engines):
                    return known, False
                return self._prepare(name, source, (found, origin), torch=torch, tell=say), True
        except OSError as error:
            raise WeightsMissing(
                f"cannot write to {self._root}: {error}; set a cache folder that has room"
            ) from error

    def _folder(self, name: str) -> Path:
        return self._root / name.replace("/", "--")

    def _known(self, name: str) -> Prepared | None:
        folder = self._folder(name)
        if not (folder / MANIFEST).is_file():
            return None
        known = _read_manifest(folder)
        return None if self.verify(known) else known

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        from filelock import FileLock

        self._root.mkdir(parents=True, exist_ok=True)
        # The kernel drops this lock with its holder, so a killed conversion blocks nobody.
        with FileLock(self._root / f".{name.replace('/', '--')}.lock"):
            yield

    def _prepare(
        self, name: str, source: str, found: tuple[Fetched, dict[str, str]], *, torch: bool, tell: Tell
    ) -> Prepared:
        from elision.compressors.onnx_classifier import export

        fetched, origin = found
        folder = self._folder(name)
        prefix = f"{_DRAFT}{folder.name}."
        # What a killed conversion left behind.
        for left in self._root.glob(f"{prefix}*"):
            shutil.rmtree(left)
        draft = Path(tempfile.mkdtemp(prefix=prefix, dir=self._root))
        try:
            _copy(fetched.folder, draft, (*_READING, *_WEIGHTS))
            _need_tokenizer(fetched.folder, draft)
            vocabulary = read_vocabulary(draft)
            export(draft, draft / ONNX_FILE, tell)
            tell("write")
            if not torch:
                for path in [path for pattern in _WEIGHTS for path in draft.glob(pattern)]:
                    path.unlink()
            model = Prepared(
                FORMAT,
                name,
                source,
                fetched.revision,
                _licence(fetched.folder),
                vocabulary.family,
                _LABELS,
                vocabulary.max_tokens,
                ("onnx", "torch") if torch else ("onnx",),
                origin,
                {path.name: File(path.stat().st_size, _sha256(path)) for path in sorted(draft.iterdir())},
            )
            (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(model), indent=2))
            _swap(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return model


def fetch_from_hub(repo: str, revision: str | None) -> Fetched:
    """Fetch a checkpoint's files from the Hugging Face hub into its own cache.

    Raises: WeightsMissing if that fails.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    # Its bases, too: which HTTP library the hub's client uses, and so what it raises when there is
    # no network, changes between its versions.
    faults: tuple[Any, ...] = (OSError, ValueError, HfHubHTTPError, *HfHubHTTPError.__bases__)
    try:
        told = HfApi().model_info(repo, revision=revision, files_metadata=True)
        folder = snapshot_download(repo, revision=told.sha, allow_patterns=_FETCHED)
    except faults as error:
        raise WeightsMissing(
            f"cannot fetch {repo!r} ({type(error).__name__}: {error}): check the id and the network, or "
            "download it elsewhere and give its folder instead"
        ) from error
    sums = {file.rfilename: file.lfs.sha256 for file in told.siblings or () if file.lfs}
    return Fetched(Path(folder), told.sha or "", sums)


def _fetched(source: str, fetch: Fetch) -> Fetched:
    path = Path(source).expanduser()
    if path.is_dir():
        return Fetched(path, "", _stated_sums(path))
    hub = _HUB_ID.fullmatch(source)
    if hub is None or path.exists():
        raise WeightsMissing(
            f"no checkpoint at {source!r}: give a folder with config.json, tokenizer.json and "
            "safetensors, or a Hugging Face id (owner/name)"
        )
    return fetch(hub["repo"], hub["revision"])


def _checked(found: Fetched) -> dict[str, str]:
    """Return the sums of what a checkpoint is made of, all as stated.

    Raises: WeightsMissing.
    """
    patterns = (*_READING, *_WEIGHTS, *_TOKENIZER_SOURCES)
    paths = sorted({path for pattern in patterns for path in found.folder.glob(pattern)})
    origin = {path.name: _sha256(path) for path in paths}
    for name, stated in found.sums.items():
        if name in origin and origin[name] != stated:
            raise WeightsMissing(
                f"{found.folder / name} is not what its publisher states (SHA-256 {origin[name][:12]}..., "
                f"stated {stated[:12]}...): delete it and fetch it again"
            )
    if "config.json" not in origin:
        raise WeightsMissing(f"{found.folder} has no config.json: it is no checkpoint")
    return origin


def _stated_sums(folder: Path) -> dict[str, str]:
    path = folder / _SUMS
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return {found["name"]: found["sum"] for line in lines if (found := _SUM_LINE.fullmatch(line.strip()))}


def _name(source: str) -> str:
    hub = _HUB_ID.fullmatch(source)
    path = Path(source).expanduser()
    if hub and not path.is_dir():
        return hub["repo"]
    return path.resolve().name if path.is_dir() else source


def _copy(folder: Path, draft: Path, patterns: tuple[str, ...]) -> None:
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        shutil.copyfile(path, draft / path.name)


def _need_tokenizer(folder: Path, draft: Path) -> None:
    """Make `tokenizer.json` from a vocabulary of the older kind, if that is all there is."""
    if (draft / "tokenizer.json").is_file():
        return
    if not any((folder / name).is_file() for name in _TOKENIZER_SOURCES):
        raise WeightsMissing(f"{folder} has no tokenizer.json: save its tokenizer with save_pretrained")
    from elision.compressors.torch_classifier import require_torch

    require_torch()
    from transformers import AutoTokenizer

    made: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    made.backend_tokenizer.save(str(draft / "tokenizer.json"))


def _licence(folder: Path) -> str:
    card = folder / "README.md"
    found = _LICENCE.match(card.read_text("utf-8", "replace")) if card.is_file() else None
    return found[1] if found else ""


def _swap(draft: Path, folder: Path) -> None:
    """Put a finished draft in its place; a model of that name that was there gives way."""
    draft.chmod(0o755)
    if not folder.exists():
        draft.replace(folder)
        return
    with tempfile.TemporaryDirectory(prefix=f"{_DRAFT}{folder.name}.", dir=folder.parent) as old:
        folder.replace(Path(old) / "old")
        draft.replace(folder)


def _read_manifest(folder: Path) -> Prepared:
    path = folder / MANIFEST
    try:
        model = msgspec.json.decode(path.read_bytes(), type=Prepared)
    except (OSError, msgspec.MsgspecError) as error:
        raise WeightsMissing(f"{path}: {error}; delete {folder} and add the model again") from error
    if model.format != FORMAT:
        raise WeightsMissing(f"{path}: format {model.format} is not known; add the model again")
    return model


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(_step: str) -> None:
    """Tell nobody."""
