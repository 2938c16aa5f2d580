"""LLMLingua by its authors' package, as a baseline: a process in an environment of its own.

`llmlingua` 0.2.2 runs with transformers 4.46.3 and no newer, so it cannot live beside ours; it is
started with the first text and ended with the data set. It gets SmolLM2-135M, the weights that our
own methods read, where the paper had models of 7 billion. It protects nothing and is told no
question; it cuts at tokens of its own and keeps about the share that it was asked for, not exactly.
Source: Jiang et al., arXiv:2310.05736.
"""

import gzip
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import elision.compressors
from elision.compressors.base import OptionValue, Outcome, Target
from elision.compressors.errors import BadOption, CompressionError, WeightsMissing
from elision.compressors.weights import Weights, resolve

NAME = "llmlingua_reference"
_PYTHON = ".cache/reference/venv/bin/python"
_PACKAGES = "llmlingua==0.2.2 transformers==4.46.3 tokenizers==0.20.3"
_DRIVER = Path(__file__).with_name("llmlingua_driver.py")
# tiktoken looks for its ranks under the SHA-1 of where it would download them from.
_RANKS = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
_TOLD = 500


@dataclass(frozen=True, slots=True)
class Options:
    """What `llmlingua_reference` takes.

    Attributes:
        python: the interpreter of the environment that has `llmlingua`.
        weights: a causal model, as `selective_context` names it.
    """

    python: Path = Path(_PYTHON)
    weights: str = "smollm2"

    @classmethod
    def read(cls, told: Mapping[str, OptionValue]) -> "Options":
        """Read options of the command line. Raises: BadOption."""
        for name, value in told.items():
            if name not in ("python", "weights") or not isinstance(value, str):
                raise BadOption(f"{NAME} takes python=PATH and weights=MODEL, not {name}={value!r}")
        python = Path(str(told.get("python", _PYTHON))).expanduser()
        return cls(python, str(told.get("weights", "smollm2")))


class Reference:
    """The reference package as a compressor. A context manager.

    Args:
        options: where it is, and what it reads.
        cache_dir: where converted weights are kept; None for the user's cache folder.
    Raises: WeightsMissing, naming what to install, if the package or the weights are not there.
    """

    def __init__(self, options: Options, cache_dir: Path | None = None) -> None:
        self._python = options.python
        self._version = _installed(options.python)
        self._weights = resolve(options.weights, cache_dir)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None

    @property
    def fingerprint(self) -> str:
        return f"{NAME}/1 llmlingua={self._version} weights={self._weights.checksum[:16]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            # It stops where its input ends, if it is not in the middle of something.
            self._process.kill() if error else self._process.communicate()
            with self._process:
                self._process = None
        if self._folder is not None:
            self._folder.cleanup()

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Shorten texts to shares of their tokens.

        Raises: BadOption for a target in tokens or with protected classes, CompressionError if the
            package dies.
        """
        return [self._compress(text, target) for text, target in zip(texts, targets, strict=True)]

    def _compress(self, text: str, target: Target) -> Outcome:
        if target.rate is None:
            raise BadOption(f"{NAME}: say how far by --rate; it counts tokens of its own")
        if target.protect is None or target.protect:
            raise BadOption(f"{NAME} protects nothing: compare it with --protect none")
        told = self._ask({"text": text, "rate": target.rate})
        return Outcome(told, 1, 1, (), NAME, self.fingerprint)

    def _ask(self, request: Mapping[str, object]) -> str:
        process = self._started()
        if process.stdin is None or process.stdout is None:
            raise CompressionError(f"{NAME}: started without pipes")
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            process.wait()
            raise CompressionError(f"{NAME} died: {self._last_words()}")
        return str(json.loads(line)["text"])

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._folder = tempfile.TemporaryDirectory(prefix="elision-reference-")
            folder = Path(self._folder.name)
            lay_out(self._weights, folder)
            with (folder / "stderr").open("wb") as errors:
                self._process = subprocess.Popen(  # noqa: S603  the command is ours
                    # Without the driver's own folder on the path: ours has modules of common names.
                    [self._python, "-P", _DRIVER, folder],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env={**os.environ, "TIKTOKEN_CACHE_DIR": str(folder), "HF_HUB_OFFLINE": "1"},
                    text=True,
                )
        return self._process

    def _last_words(self) -> str:
        if self._folder is None:
            return ""
        return (Path(self._folder.name) / "stderr").read_text("utf-8", "replace")[-_TOLD:].strip()


def _installed(python: Path) -> str:
    """Return the package's version. Raises: WeightsMissing."""
    found = sorted(python.parent.parent.glob("lib/python*/site-packages/llmlingua-*.dist-info"))
    if not python.is_file() or not found:
        environment = python.parent.parent
        raise WeightsMissing(
            f"{NAME} needs LLMLingua in an environment of its own, and {environment} has none: "
            f"python3 -m venv {environment} && {environment}/bin/pip install {_PACKAGES} torch, "
            f"or say {NAME}:python=PATH"
        )
    return found[-1].name.removeprefix("llmlingua-").removesuffix(".dist-info")


def lay_out(weights: Weights, folder: Path) -> None:
    """Lay a model out in an empty folder as transformers 4.46 reads it; what it reads as it is, by links.

    Beside it tiktoken's ranks, for which it is told the folder.
    """
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).symlink_to((weights.directory / name).resolve())
    config = json.loads((weights.directory / "config.json").read_text("utf-8"))
    # Otherwise it would take its default, and be another model.
    rope = config.pop("rope_parameters", None) or {}
    config |= {"torch_dtype": config.pop("dtype", "float32")}
    config |= {"rope_theta": rope["rope_theta"]} if "rope_theta" in rope else {}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    told = json.loads((weights.directory / "tokenizer_config.json").read_text("utf-8"))
    told["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(told), "utf-8")
    packed = Path(elision.compressors.__file__).with_name("cl100k_base.tiktoken.gz")
    (folder / _RANKS).write_bytes(gzip.decompress(packed.read_bytes()))
