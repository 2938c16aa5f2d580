"""Tests of elision.proxy.commands: what all commands rely on."""

import io
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation.cost import Price
from elision.proxy.commands import (
    EXIT_WRONG,
    STDIN,
    counters_of,
    fail,
    key_of,
    price_of,
    read_file,
    settings_of,
    tell,
)


def test_what_is_told_is_a_line_each_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results; a message of several lines becomes one."""
    tell("warning", "one\n  and more", "two")
    assert fail(EXIT_WRONG, "three") == EXIT_WRONG
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.splitlines() == ["warning: one and more", "warning: two", "error: three"]


def test_files_and_standard_input_are_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As bytes, because nobody has said how they are to be read."""
    (tmp_path / "a").write_bytes(b"\xff\r\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\r\n")))
    assert read_file(tmp_path / "a") == read_file(STDIN) == b"\xff\r\n"
    with pytest.raises(ConfigError, match="none: cannot be read: No such file or directory"):
        read_file(tmp_path / "none")


def test_settings_come_from_file_environment_and_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags win; the operator's tokenizers reach the counters."""
    (tmp_path / "s.yaml").write_text("port: 1\n")
    monkeypatch.setenv("ELISION_PORT", "2")
    assert settings_of(tmp_path / "s.yaml", {}).port == 2
    settings = settings_of(tmp_path / "s.yaml", {"port": 3})
    assert settings.port == 3
    assert counters_of(settings).counter_for("gpt-4o").name == "o200k_base"


def test_keys_come_from_the_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag names the variable; one that is not set is refused by its name."""
    monkeypatch.setenv("KEY_OF_MINE", "secret")
    assert (key_of("--key", "KEY_OF_MINE"), key_of("--key", "")) == ("secret", "")
    with pytest.raises(ConfigError, match="--key: the variable NOT_SET_ANYWHERE is not set"):
        key_of("--key", "NOT_SET_ANYWHERE")


def test_a_price_is_two_numbers() -> None:
    """Of a million tokens, of prompts and of completions; none is made up."""
    assert price_of("0.15,0.60") == Price(0.15, 0.6)
    assert price_of("") is None
    with pytest.raises(ConfigError, match="--price: must be two numbers"):
        price_of("2")
