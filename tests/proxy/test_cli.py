"""Tests of elision.proxy.cli: what other tools rely on is exit codes, streams and one-line errors."""

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from elision.proxy.cli import run
from elision.proxy.commands import EXIT_CANNOT_START, EXIT_USAGE
from fakes.commands import failed

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")

PRETTY = json.dumps({"rivers": [{"name": "Aare", "km": n} for n in range(60)]}, indent=4)


def test_the_version_is_told_without_loading_what_serves() -> None:
    """A shell prompt may call it: no HTTP stack, no models, no validation are imported."""
    script = (
        "import sys; from elision.proxy.cli import run; code = run(['--version']);"
        "heavy = {'aiohttp', 'torch', 'pydantic', 'numpy', 'yaml', 'rich', 'tiktoken', 'transformers'};"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].startswith("elision ")
    assert done.stdout.splitlines()[1] == "0 []"


def test_the_package_runs_as_a_module() -> None:
    """`python -m elision.proxy` is the same command."""
    command = [sys.executable, "-m", "elision.proxy", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (EXIT_USAGE, "")
    assert done.stderr == "error: Missing argument 'DIR'; see elision --help\n"


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts are written from it."""
    assert run(["--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "0 done; 1 what was looked at is wrong; 2 what was asked is wrong; 3 cannot start" in told


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["serv"],
        ["serve", "--prot", "1"],
        ["serve", "--port", "many"],
        ["compress"],
        ["compress", "-", "--rate", "1.5"],
        ["compress", "-", "--rate", "0.5", "--tokens", "9"],
        ["compress", "-", "--method", "lossless", "--rate", "0.5"],
        ["compress", "-", "--show", "--json"],
        ["compress", "/nowhere/at/all"],
        ["explain", "-", "--settings", "/nowhere.yaml"],
        ["upstream", "--port", "70000"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """No usage text, no box, no traceback: what is wrong, and where to look."""
    code, lines = failed(capsys, *arguments)
    assert code == EXIT_USAGE
    assert len(lines) == 1
    assert lines[0].startswith("error: ")


def test_serving_needs_an_upstream(capsys: pytest.CaptureFixture[str]) -> None:
    """Clients' keys go nowhere that nobody named."""
    code, [line] = failed(capsys, "serve")
    assert code == EXIT_USAGE
    assert "--upstream https://api.openai.com" in line
    assert "ELISION_UPSTREAM" in line


def test_serving_tells_every_wrong_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File and flags in one run."""
    file = tmp_path / "s.yaml"
    file.write_text("prot: 1\n")
    code, lines = failed(capsys, "serve", "--settings", file, "--upstream", "nonsense", "--workers", "0")
    assert code == EXIT_USAGE
    assert lines == [
        f'error: {file}:1:1: unknown key "prot"; did you mean "port"?',
        "error: --upstream: must be a URL such as https://api.openai.com",
        "error: --workers: must be a whole number at least 1 and at most 256",
    ]


def test_a_taken_port_is_exit_code_3() -> None:
    """The remedy is in the line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "elision.proxy", "serve"]
        flags = ["--upstream", "http://127.0.0.1:9", "--port", port]
        done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == EXIT_CANNOT_START
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line


def test_missing_weights_are_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model that was named is in the line."""
    folder = tmp_path / "no-model"
    folder.mkdir()
    code, lines = failed(capsys, "upstream", "--port", "0", "--weights", folder)
    assert code == EXIT_CANNOT_START
    assert str(folder) in lines[-1]


def test_compress_writes_the_shortened_text_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output can be piped on; what it says is the same data."""
    file = tmp_path / "rivers.json"
    file.write_text(PRETTY)
    assert run(["compress", str(file), "--method", "lossless"]) == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out) == json.loads(PRETTY)
    assert len(streams.out) < len(PRETTY)
    assert streams.err == ""


def test_compress_loads_nothing_of_the_proxys(tmp_path: Path) -> None:
    """Who shortens one text by the default method waits for its weights, not for policies or HTTP."""
    file = tmp_path / "text.txt"
    file.write_text(
        "The committee met in the old town hall and talked about roads, bridges and schools. " * 4
    )
    script = (
        "import sys; from elision.proxy.cli import run; code = run(['compress', sys.argv[1]]);"
        "others = {'elision.policies', 'elision.proxy.planner', 'asyncio', 'urllib.request', 'torch'};"
        "print(); print(code, sorted(others & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("0 []", "")


def test_compress_as_json_is_the_whole_outcome(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text, tokens before and after, kept spans, method, fingerprint and reason."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PRETTY.encode())))
    assert run(["compress", "-", "--method", "lossless", "--model", "gpt-4o", "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["tokens_after"] < outcome["tokens_before"]
    assert (outcome["method"], outcome["reason"], outcome["kept"]) == ("lossless", "", [])
    assert outcome["fingerprint"]


def test_compress_tells_why_a_text_was_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Leaving it is no failure: the original comes out, byte for byte, and a note says why."""
    file = tmp_path / "short.txt"
    file.write_bytes(b"one\r\nword\n")
    assert run(["compress", str(file), "--method", "lossless"]) == 0
    streams = capsys.readouterr()
    assert streams.err.startswith("note: left as it was: ")
    assert streams.out == "one\r\nword\n"


def test_compress_takes_lists_as_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In YAML's flow style, as a policy file may have them."""
    file = tmp_path / "a.txt"
    file.write_text("The house was old and the man was old and nobody had seen the garden for a year. " * 2)
    force = ["--option", "force_tokens=['was', 'for']"]
    assert run(["compress", str(file), "--method", "frequency", "--rate", "0.5", *force]) == 0
    shortened = capsys.readouterr().out
    assert (shortened.count("was"), shortened.count("for")) == (4, 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "loseless", "--rate", "0.5"], "lossless"),
        (["--method", "lossless", "--option", "nonsense=1"], "nonsense"),
        (["--method", "lossless", "--option", "nonsense"], "--option: must be NAME=VALUE"),
    ],
)
def test_compress_knows_wrong_methods_and_options(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest is named, as in a policy."""
    file = tmp_path / "a.txt"
    file.write_text("text")
    code, [line] = failed(capsys, "compress", file, *arguments)
    assert code == EXIT_USAGE
    assert says in line


def test_compress_reads_utf_8_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guessing an encoding would change characters."""
    file = tmp_path / "latin.txt"
    file.write_bytes(b"caf\xe9")
    code, lines = failed(capsys, "compress", file)
    assert (code, lines) == (EXIT_USAGE, [f"error: {file}: not UTF-8 at byte 3; convert it first"])
