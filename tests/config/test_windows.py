"""Context windows by a model's name."""

from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.config.windows import load_windows

WINDOWS = load_windows()


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o-mini", 128_000),
        ("openai/gpt-4o", 128_000),
        ("ft:gpt-4o-mini-2024-07-18:acme::1", 128_000),
        ("gpt-4.1-nano", 1_047_576),
        ("gpt-4", 8_192),
        ("gpt-4-0613", 8_192),
        ("gpt-4-turbo", 128_000),
        ("gpt-5", 272_000),
        ("gpt-5-mini", 272_000),
        ("gpt-5-chat-latest", 128_000),
        ("gpt-5.2-chat-latest", 128_000),
        ("gpt-5.4-mini-2026-03-17", 272_000),
        ("gpt-5.4-pro", 922_000),
        ("gpt-3.5-turbo-0125", 16_385),
        ("o3-mini", 200_000),
        ("o1-mini", 128_000),
        ("claude-3-5-sonnet-20241022", 200_000),
        ("anthropic/claude-sonnet-4-5", 200_000),
        ("claude-opus-4-6", 1_000_000),
        ("gemini-1.5-pro-002", 2_097_152),
        ("google/gemini-2.5-flash", 1_048_576),
        ("meta-llama/Llama-3.1-8B-Instruct", 131_072),
        ("Qwen/Qwen2.5-7B-Instruct", 32_768),
        ("gpt-50", None),
        ("my-own", None),
        ("", None),
    ],
)
def test_a_window_is_known_by_the_models_name(model: str, tokens: int | None) -> None:
    """Vendors' prefixes and letter case make no difference; nothing is guessed."""
    assert WINDOWS.of(model) == tokens


def test_no_line_is_hidden_by_one_above() -> None:
    """Every glob of the table, read as a name, finds its own line, unless brackets stand in it."""
    names = [(glob, glob.replace("*", "x")) for glob, _ in WINDOWS.tokens if "[" not in glob]
    found = {glob: next(g for g, t in WINDOWS.tokens if t == WINDOWS.of(name)) for glob, name in names}
    assert {glob: dict(WINDOWS.tokens)[first] for glob, first in found.items()} == {
        glob: dict(WINDOWS.tokens)[glob] for glob, _ in names
    }


def test_an_operator_knows_better() -> None:
    """What is given beside the table is looked into first."""
    windows = load_windows({"gpt-4o*": 64_000, "my-own": 4_096})
    assert (windows.of("gpt-4o"), windows.of("my-own"), windows.of("gpt-4")) == (64_000, 4_096, 8_192)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("windows: {a: 0}", r"1:14: must be a whole number at least 1"),
        ("windows: {a: many}", r"1:14: must be a whole number"),
        ("windows: {a: 1}\nsize: 2", r'2:1: unknown key "size"'),
        ("", r'1:1: the key "windows" is missing'),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(content: str, message: str, tmp_path: Path) -> None:
    """As settings and policies are."""
    file = tmp_path / "windows.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_windows(file=file)
