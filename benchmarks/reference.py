"""The reference implementation of LLMLingua-2 in an environment of its own, as a process to ask.

`llmlingua` 0.2.2 works with transformers 4.46.3 and no newer, so it cannot live beside ours.
`Reference.start` makes `.cache/reference/venv` by pip the first time, with the same torch.
"""

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".cache" / "reference"
PACKAGES = ("llmlingua==0.2.2", "transformers==4.46.3", "tokenizers==0.20.3")
# tiktoken looks for a rank file under the SHA-1 of where it would download it from.
_CL100K = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"


class Reference:
    """The reference with one model loaded; use as a context manager."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Name a checkpoint's folder, which must hold what the reference looks for in its path."""
        self._folder = folder
        self._threads = threads

    def __enter__(self) -> "Reference":
        python = environment()
        self._process = subprocess.Popen(  # noqa: S603  the commands are ours
            [python, Path(__file__).with_name("reference_llmlingua2.py"), self._folder, str(self._threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"TIKTOKEN_CACHE_DIR": str(_ranks()), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
            text=True,
        )
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)

    def ask(self, contexts: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the reference makes of some contexts; `crash` says what it died of."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps({"contexts": contexts, "options": options}) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the reference stopped: code {self._process.wait(60)}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def environment() -> Path:
    """Return the reference's interpreter; make its environment if there is none."""
    import torch

    python = HOME / "venv" / "bin" / "python"
    done = HOME / "venv" / ".installed"
    if not done.is_file():
        sys.stderr.write("installing the reference into .cache/reference (once)\n")
        subprocess.run([sys.executable, "-m", "venv", HOME / "venv"], check=True)  # noqa: S603  as above
        wanted = (*PACKAGES, f"torch=={torch.__version__.partition('+')[0]}")
        subprocess.run([python, "-m", "pip", "install", "-qq", "--no-input", *wanted], check=True)  # noqa: S603
        done.touch()
    return python


def _ranks() -> Path:
    """Lay OpenAI's rank file where tiktoken finds it without asking the network."""
    folder = HOME / "tiktoken"
    folder.mkdir(parents=True, exist_ok=True)
    packed = ROOT / "compressors" / "cl100k_base.tiktoken.gz"
    (folder / _CL100K).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder


def digest(folder: Path) -> str:
    """Return a short SHA-256 of a model's weights, to say which were measured."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
