"""`elision train align` as a process that is stopped: by Ctrl-C, by SIGTERM, by SIGKILL; nothing is lost."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from elision.compressors.weights import resolve
from elision.training.align import OUTPUTS, TRAINING, Output
from elision.training.align_trainer import MODEL, AlignOptions, Progress, align
from elision.training.state import STATE
from fakes.reader import FakeReader, reading
from fakes.tiny_lm import save_tiny_lm

pytestmark = pytest.mark.timeout(1200)

COUNT = 12
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CODE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from elision.proxy.cli import run; sys.exit(run(sys.argv[1:]))"
)
"""Runs a command that Ctrl-C stops, even where these tests run in the background of a shell."""
PATIENCE_S = 300.0
RATE = 0.5
ENDLESS = 1_000_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with instructions, a base and settings of one thread: other sums are other sums."""
    monkeypatch.delenv("ELISION_SETTINGS", raising=False)
    rows = [{"text": f"What did the council of town {at} decide?"} for at in range(COUNT)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "settings.yaml").write_text("compressor: {threads: 1}\n")
    # GPT-2 has dropout: its draws must be taken up again too.
    save_tiny_lm(tmp_path / "base", window=128, family="gpt2")
    return tmp_path


def command(url: str, folder: Path, epochs: int) -> list[str]:
    asked = ("--target", url, "--model", "tiny", "--data", str(folder / "data.jsonl"), "--concurrency", "1")
    taught = ("--base", str(folder / "base"), "--window", "64", "--epochs", str(epochs))
    own = ("--learning-rate", str(RATE), "--settings", str(folder / "settings.yaml"))
    return ["train", "align", *asked, *taught, *own, "--out", str(folder / "out")]


@contextmanager
def started(arguments: list[str]) -> Iterator["subprocess.Popen[str]"]:
    """Run the command until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def stop(process: "subprocess.Popen[str]", by: signal.Signals) -> None:
    """Send a signal; a process that is asked politely says how it goes on, and no more."""
    process.send_signal(by)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in told
    assert "council" not in told
    if by is signal.SIGINT:
        assert process.returncode == 1
        assert "error: stopped; the same command goes on where it stopped" in told
    else:
        assert process.returncode == -by


class Gate:
    """A target that answers some and then keeps one waiting."""

    def __init__(self) -> None:
        self.waits = threading.Event()
        self._permits = threading.Semaphore(0)

    def open(self, count: int) -> None:
        self.waits.clear()
        for _ in range(count):
            self._permits.release()

    def __call__(self, prompt: str) -> str:
        if not self._permits.acquire(blocking=False):
            self.waits.set()
            self._permits.acquire(timeout=PATIENCE_S)
        return f"It decided {prompt[-12:-1]}."


def outputs(folder: Path) -> list[Output]:
    rows = (folder / "out" / OUTPUTS).read_text(encoding="utf-8").splitlines()
    return [Output(**json.loads(row)) for row in rows]


def test_collecting_goes_on_however_it_was_stopped(folder: Path) -> None:
    """What was answered is not asked again; what was under way is; then it trains."""
    gate = Gate()
    with reading(gate) as target:
        for by in SIGNALS:
            gate.open(2)
            with started(command(target.url, folder, 1)) as process:
                assert gate.waits.wait(PATIENCE_S)
                stop(process, by)
            assert not (folder / "out" / TRAINING).exists()
            # The one that waited answers into the void.
            gate.open(1)
        gate.open(COUNT)
        with started(command(target.url, folder, 1)) as process:
            told, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        assert "asked 6; outputs: 12" in told
        check_asked(target)
    assert len(outputs(folder)) == COUNT
    assert (folder / "out" / TRAINING / MODEL / "model.safetensors").is_file()


def check_asked(target: FakeReader) -> None:
    """Each once, but those that were under way when it was stopped."""
    assert len(set(target.prompts)) == COUNT
    assert len(target.prompts) == COUNT + len(SIGNALS)


class Enough(Exception):
    """As far as the other training got."""


def test_training_goes_on_however_it_was_stopped(folder: Path) -> None:
    """After three stops it stands where one stands that was never stopped: weights, optimiser, draws."""
    state = folder / "out" / TRAINING / STATE
    with reading(lambda prompt: f"It decided {prompt[-12:-1]}.") as target:
        for by in SIGNALS:
            before = state.stat().st_ino if state.exists() else 0
            with started(command(target.url, folder, ENDLESS)) as process:
                wait_for_another(state, before, process)
                stop(process, by)
        assert len(target.prompts) == COUNT
    stopped = read_state(state)
    whole = read_state(trained(folder, int(stopped["epoch"])))
    assert stopped["epoch"] >= len(SIGNALS)
    assert (stopped["key"], stopped["history"]) == (whole["key"], whole["history"])
    assert all(torch.equal(stopped["model"][name], whole["model"][name]) for name in whole["model"])
    assert torch.equal(stopped["random"], whole["random"])
    base = torch.nn.utils.parameters_to_vector(list(whole["model"].values()))
    assert base.isfinite().all()


def wait_for_another(file: Path, before: int, process: "subprocess.Popen[str]") -> None:
    """Wait until a file is written anew; the old one's number is not given again while it is held open."""
    held = file.open("rb") if before else None
    try:
        ends = time.monotonic() + PATIENCE_S
        while not file.exists() or file.stat().st_ino == before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < ends
            time.sleep(0.01)
    finally:
        if held is not None:
            held.close()


def read_state(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(file, weights_only=True)
    return found


def trained(folder: Path, epochs: int) -> Path:
    """Train for so many epochs at one go, in this process; return where it stands then."""
    options = AlignOptions(
        folder / "whole", ENDLESS, RATE, window=64, batch_tokens=2048, save_every=100, threads=1
    )

    def tell(progress: Progress) -> None:
        if (folder / "whole" / STATE).exists() and progress.held_out is not None and progress.epoch == epochs:
            raise Enough

    before = torch.get_num_threads()
    try:
        with pytest.raises(Enough):
            align(outputs(folder), resolve(str(folder / "base"), folder / "cache"), options, tell)
    finally:
        torch.set_num_threads(before)
    return folder / "whole" / STATE
