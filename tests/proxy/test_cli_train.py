"""Tests of elision.proxy.cli_train: flags, what is told where, exit codes, stopping and going on."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from elision.proxy.cli import run
from elision.proxy.commands import EXIT_CANNOT_START, EXIT_USAGE, EXIT_WRONG
from elision.training.distil import INSTRUCTION
from fakes.reader import reading
from fakes.teacher import FakeTeacher
from fakes.tiny_classifier import save_tiny_bert
from fakes.tiny_lm import save_tiny_lm

COUNT = 12


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELISION_SETTINGS", raising=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "texts.jsonl"
    rows = [
        {"id": f"a{at}", "text": f"The council of town {at} met and it was very long."} for at in range(COUNT)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def distil(url: str, data: Path, out: Path, *more: str) -> list[str]:
    flags = ("--teacher", url, "--model", "tiny", "--data", str(data), "--out", str(out))
    return ["train", "distil", *flags, *more]


def test_pairs_are_collected_with_a_key_from_the_environment(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report on standard output, where things are on standard error; key and texts in neither."""
    monkeypatch.setenv("TEACHER_KEY", "secret")
    out = tmp_path / "out"
    with reading(FakeTeacher()) as server:
        assert run(distil(server.url, data, out, "--key", "TEACHER_KEY", "--concurrency", "2")) == 0
        assert set(server.keys) == {"Bearer secret"}
    streams = capsys.readouterr()
    assert streams.out.startswith("12 texts in 12 pieces; asked 12; pairs: 12")
    assert "12 requests" in streams.err
    assert f"pairs are in {out / 'pairs.jsonl'}" in streams.err
    assert "council" not in streams.out + streams.err
    assert not any("secret" in file.read_text() for file in out.iterdir())


def test_a_teacher_elsewhere_needs_a_yes(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bill comes first."""
    code = run(distil("https://teacher.invalid/v1", data, tmp_path / "out", "--price", "2,10"))
    assert code == EXIT_USAGE
    note, error = capsys.readouterr().err.splitlines()
    assert "12 requests" in note
    assert "at the price given" in note
    assert error.startswith("error: --yes")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--teacher", "teacher.example"), "--teacher: must be a URL"),
        (("--model", ""), "--model: say which model is asked"),
        (("--key", "NOT_SET_ANYWHERE"), "NOT_SET_ANYWHERE is not set"),
        (("--price", "2"), "--price: must be two numbers"),
        (("--concurrency", "0"), "--concurrency"),
        (("--data", "no-such-file.jsonl"), "no-such-file.jsonl: cannot be read"),
    ],
)
def test_wrong_flags_are_refused(
    data: Path, tmp_path: Path, flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, before anything is asked; the later of two flags counts."""
    assert run(distil("http://127.0.0.1:1/v1", data, tmp_path / "out", *flags)) == EXIT_USAGE
    [line] = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_wrong_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the file, and what it lacks."""
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "fine"}\n{"txt": "?"}\n')
    assert run(distil("http://127.0.0.1:1/v1", file, tmp_path / "out")) == EXIT_USAGE
    assert f"{file}:2: `text` must be a string" in capsys.readouterr().err


def test_a_teacher_that_refuses_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what it said."""
    with reading(FakeTeacher(), [401] * COUNT) as server:
        assert run(distil(server.url, data, tmp_path / "out")) == EXIT_WRONG
    assert "status 401" in capsys.readouterr().err


def test_an_incomplete_run_says_so_and_is_completed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 while answers are missing; the same command asks for those only."""
    teacher = FakeTeacher(babbles=2)
    with reading(teacher, [429]) as server:
        assert run(distil(server.url, data, tmp_path / "out")) == EXIT_WRONG
        assert "no answer: " in capsys.readouterr().out
        heard = len(teacher.heard)
        assert run(distil(server.url, data, tmp_path / "out")) == 0
        assert len(teacher.heard) - heard < COUNT
    assert f"pairs: {COUNT}" in capsys.readouterr().out


INTERRUPTIBLE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from elision.proxy.cli import run; sys.exit(run({!r}))"
)
"""Runs a command; what a shell starts in the background, such as these tests perhaps, ignores SIGINT."""


def test_a_run_that_is_interrupted_goes_on(data: Path, tmp_path: Path) -> None:
    """What was answered before Ctrl-C is not asked again."""
    third, go_on = threading.Event(), threading.Event()
    teacher = FakeTeacher()

    def slow(prompt: str) -> str | None:
        if len(teacher.heard) >= 3:
            third.set()
            go_on.wait(30)
        return teacher(prompt)

    with reading(slow) as server:
        command = distil(server.url, data, tmp_path / "out", "--concurrency", "1")
        code = INTERRUPTIBLE.format(command)
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
            assert third.wait(60)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        go_on.set()
        assert process.returncode == EXIT_WRONG
        assert "error: stopped; the same command goes on" in told
        assert "Traceback" not in told
        assert len((tmp_path / "out" / "pairs.jsonl").read_text().splitlines()) == 3
        assert run(command) == 0
    prompts = [prompt.removeprefix(INSTRUCTION) for prompt in server.prompts]
    # The fourth was under way when the run was stopped.
    assert len(prompts) == COUNT + 1
    assert len(set(prompts)) == COUNT


def test_a_model_is_trained_and_how_to_use_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that can be copied, on standard output."""
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"original": f"the city council met {at}", "compressed": f"city council {at}"} for at in range(9)]
    pairs.write_text("\n".join(map(json.dumps, rows)))
    base, out = save_tiny_bert(tmp_path / "base", 0), tmp_path / "out"
    flags = ("--pairs", str(pairs), "--base", str(base), "--out", str(out), "--epochs", "1")
    assert run(["train", "llmlingua2", *flags]) == 0
    streams = capsys.readouterr()
    assert (
        streams.out.strip() == f"elision compress FILE --method llmlingua2 --option weights={out / 'model'}"
    )
    assert "held out: 2 texts" in streams.err
    (tmp_path / "text.txt").write_text("the city council met on the second")
    weights = f"weights={out / 'model'}"
    assert run(["compress", str(tmp_path / "text.txt"), "--method", "llmlingua2", "--option", weights]) == 0
    assert capsys.readouterr().out.strip()


def test_a_training_that_is_interrupted_says_how_it_goes_on(tmp_path: Path) -> None:
    """One line and no traceback; the state is there."""
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"original": f"the city council met {at}", "compressed": f"city council {at}"} for at in range(9)]
    pairs.write_text("\n".join(map(json.dumps, rows)))
    base, out = save_tiny_bert(tmp_path / "base", 0), tmp_path / "out"
    command = ["train", "llmlingua2", "--pairs", str(pairs), "--base", str(base), "--out", str(out)]
    command += ["--epochs", "1000000"]
    code = INTERRUPTIBLE.format(command)
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = next(line for line in process.stderr if "epoch 2 of" in line)
        process.send_signal(signal.SIGINT)
        told += process.stderr.read()
    assert process.returncode == EXIT_WRONG
    assert "error: stopped; the same command goes on" in told
    assert "Traceback" not in told
    assert (out / "training" / "state.pt").is_file()


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--pairs", "a", "--labels", "b"), EXIT_USAGE, "--pairs: give it or --labels"),
        ((), EXIT_USAGE, "--pairs: give it or --labels"),
        (("--pairs", "no-such-file"), EXIT_USAGE, "no-such-file: cannot be read"),
        (("--labels", "no-such-file"), EXIT_USAGE, "no-such-file: cannot be read"),
        (("--pairs", "a", "--epochs", "0"), EXIT_USAGE, "epochs: must be at least 1"),
        (("--pairs", "a", "--validate", "1"), EXIT_USAGE, "--validate: must be from 0"),
        (("--pairs", "a", "--window", "1024"), EXIT_USAGE, "reads 512 tokens at once"),
        (("--pairs", "a", "--base", "no-such-folder"), EXIT_CANNOT_START, "no encoder at no-such-folder"),
    ],
)
def test_wrong_wishes_are_refused(
    tmp_path: Path, flags: tuple[str, ...], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line; nothing is made."""
    base, out = save_tiny_bert(tmp_path / "base", 0), tmp_path / "out"
    assert run(["train", "llmlingua2", "--base", str(base), "--out", str(out), *flags]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not out.exists()


def test_other_commands_do_not_load_it() -> None:
    """Nobody who serves or compresses waits for what trains."""
    code = (
        "import sys, elision.proxy.cli; "
        "print([m for m in sys.modules if 'training' in m or m in ('httpx', 'torch', 'numpy')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_causal_model_is_aligned_and_how_to_use_it_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Collected, trained, and told; the folder is one that `weights` takes."""
    base, out = save_tiny_lm(tmp_path / "base", window=128), tmp_path / "out"
    with reading(lambda prompt: "It was the best of times.") as server:
        flags = ["--target", server.url, "--model", "tiny", "--data", str(data), "--out", str(out)]
        small = ["--base", str(base), "--epochs", "1", "--window", "64"]
        assert run(["train", "align", *flags, *small]) == 0
        assert len(server.prompts) == COUNT
    streams = capsys.readouterr()
    assert streams.out.startswith("12 instructions; asked 12; outputs: 12")
    folder = out / "training" / "model"
    assert f"weights={folder}" in streams.out
    assert (folder / "model.safetensors").is_file()
    assert "council" not in streams.out + streams.err


def test_a_target_that_refuses_ends_the_alignment(data: Path, tmp_path: Path) -> None:
    """Before anything is trained."""
    base, out = save_tiny_lm(tmp_path / "base", window=128), tmp_path / "out"
    with reading(lambda prompt: "No.", statuses=[401] * COUNT) as server:
        flags = ["--target", server.url, "--model", "tiny", "--data", str(data), "--out", str(out)]
        assert run(["train", "align", *flags, "--base", str(base)]) == EXIT_WRONG
    assert not (out / "training").exists()


def aligning(url: str, data: Path, folder: Path, *more: str) -> list[str]:
    """Return the command that aligns a tiny model, which is made if it is not there yet."""
    base = folder / "base"
    if not base.exists():
        save_tiny_lm(base, window=128)
    flags = ["--target", url, "--model", "tiny", "--data", str(data), "--out", str(folder / "out")]
    return ["train", "align", *flags, "--base", str(base), "--epochs", "1", "--window", "64", *more]


def test_a_wrong_key_ends_the_alignment_and_is_told_by_nobody(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process: one line with what the target said, without the key that it repeats."""
    monkeypatch.setenv("TARGET_KEY", "sk-wrong-7431")
    refusal = "Incorrect API key provided: sk-wrong-7431"
    with reading(lambda prompt: "No.", [401] * COUNT, refusal) as server:
        command = aligning(server.url, data, tmp_path, "--key", "TARGET_KEY")
        done = subprocess.run(
            [sys.executable, "-m", "elision.proxy", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert set(server.keys) == {"Bearer sk-wrong-7431"}
    assert done.returncode == EXIT_WRONG
    assert "status 401" in done.stderr
    assert "Traceback" not in done.stderr
    assert "7431" not in done.stdout + done.stderr
    kept = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert not any(b"7431" in file.read_bytes() for file in kept)
    assert not (tmp_path / "out" / "training").exists()


def test_nothing_is_trained_before_every_instruction_is_answered(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another run would be refused for its other outputs; what is empty is an answer, and of no use."""
    heard: set[str] = set()

    def answer(prompt: str) -> str | None:
        again = prompt in heard
        heard.add(prompt)
        return "" if "town 3" in prompt else None if "town 4" in prompt and not again else "It met late."

    with reading(answer) as server:
        command = aligning(server.url, data, tmp_path)
        assert run(command) == EXIT_WRONG
        streams = capsys.readouterr()
        assert "no answer: 1 (no chat completion); the same command asks them again" in streams.out
        assert "nothing was trained: a training is on all answers" in streams.err
        assert not (tmp_path / "out" / "training").exists()
        assert run(command) == 0
        assert len(server.prompts) == COUNT + 1
    streams = capsys.readouterr()
    assert "asked 1; outputs: 11" in streams.out
    assert "no output: 1 (the answer is empty)" in streams.out
    assert "council" not in streams.out + streams.err


def test_a_target_that_says_nothing_teaches_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty answers are answers; there is nothing to learn from."""
    with reading(lambda prompt: " ") as server:
        assert run(aligning(server.url, data, tmp_path)) == EXIT_USAGE
    streams = capsys.readouterr()
    assert "no output: 12 (the answer is empty)" in streams.out
    assert "too few outputs" in streams.err


def test_a_target_that_fails_again_and_again_ends_the_alignment(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After eight in a row, with what to do; what was answered before is kept."""
    with reading(lambda prompt: "It met.", [200, 200, *[400] * COUNT]) as server:
        assert run(aligning(server.url, data, tmp_path, "--concurrency", "1")) == EXIT_WRONG
        assert len(server.prompts) == 10
    assert "status 400" in capsys.readouterr().err
    assert len((tmp_path / "out" / "answers.jsonl").read_text().splitlines()) == 2
    assert not (tmp_path / "out" / "training").exists()


def test_a_target_elsewhere_needs_a_yes_and_a_bill(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it costs is told before anything is asked."""
    command = aligning("https://target.invalid/v1", data, tmp_path, "--price", "2,10")
    capsys.readouterr()
    assert run(command) == EXIT_USAGE
    note, error = capsys.readouterr().err.splitlines()
    assert "12 requests" in note
    assert "at the price given" in note
    assert error.startswith("error: --yes")


def test_a_folder_with_another_training_is_refused_before_anything_is_asked(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other instructions or another model would be paid for, and be of no use."""
    with reading(lambda prompt: "It met late.") as server:
        assert run(aligning(server.url, data, tmp_path)) == 0
        others = tmp_path / "others.jsonl"
        others.write_text('{"text": "Who?"}\n{"text": "When?"}\n')
        for command in (
            aligning(server.url, others, tmp_path),
            aligning(server.url, data, tmp_path, "--model", "other"),
        ):
            assert run(command) == EXIT_USAGE
            assert "use another --out" in capsys.readouterr().err
        assert run(aligning(server.url, data, tmp_path, "--epochs", "2")) == EXIT_USAGE
        assert "another training stands here" in capsys.readouterr().err
        assert run(aligning(server.url, data, tmp_path)) == 0
        assert len(server.prompts) == COUNT
    (tmp_path / "out" / "training" / "state.pt").write_bytes(b"?")
    with reading(lambda prompt: "It met late.") as server:
        assert run(aligning(server.url, data, tmp_path)) == EXIT_USAGE
    assert "cannot be read as a training's state; remove it" in capsys.readouterr().err


def test_a_learning_rate_beyond_all_measure_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No model is written whose weights are no numbers."""
    with reading(lambda prompt: "It met late.") as server:
        command = aligning(server.url, data, tmp_path, "--learning-rate", "1e30", "--epochs", "3")
        assert run(command) == EXIT_USAGE
    assert "learning_rate: 1e+30 is too high" in capsys.readouterr().err
    assert not (tmp_path / "out" / "training" / "model" / "model.safetensors").exists()
