"""Prices of a repeated prefix by a model's name."""

from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.config.prefix_terms import PrefixEntry, PrefixRow, load_prefix_terms

TABLE = load_prefix_terms()


def figures(row: PrefixRow) -> tuple[float, float, int, int]:
    return row.read, row.write, row.minimum, row.granule


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("gpt-4o-mini", (0.5, 1, 1024, 128)),
        ("openai/gpt-4o", (0.5, 1, 1024, 128)),
        ("ft:gpt-4o-mini-2024-07-18:acme::1", (0.5, 1, 1024, 128)),
        ("gpt-4.1-nano", (0.25, 1, 1024, 128)),
        ("o3-2025-04-16", (0.25, 1, 1024, 128)),
        ("gpt-5", (0.1, 1, 1024, 128)),
        ("gpt-5-mini", (0.1, 1, 1024, 128)),
        ("gpt-5.5", (0.1, 1, 1024, 128)),
        ("gpt-5.6", (0.1, 1.25, 1024, 1)),
        ("gpt-6.1-mini", (0.1, 1.25, 1024, 1)),
        ("gpt-4-turbo", (1, 1, 0, 1)),
        ("gpt-3.5-turbo", (1, 1, 0, 1)),
        ("claude-opus-5", (0.1, 1.25, 512, 1)),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", (0.1, 1.25, 4096, 1)),
        ("anthropic/claude-haiku-4.5", (0.1, 1.25, 4096, 1)),
        ("claude-sonnet-5", (0.1, 1.25, 1024, 1)),
        ("deepseek-v4-pro", (0.033, 1, 0, 1)),
        ("DeepSeek-Chat", (0.02, 1, 0, 1)),
        ("google/gemini-2.5-flash", (0.1, 1, 2048, 1)),
        ("gemini-3-pro", (0.1, 1, 4096, 1)),
        ("gemini-2.0-flash", (1, 1, 0, 1)),
        ("o9", (0.02, 1.25, 1024, 1)),
        ("", (0.02, 1.25, 1024, 1)),
    ],
)
def test_terms_are_known_by_the_models_name(model: str, told: tuple[float, float, int, int]) -> None:
    """As peers.md 4 has them; vendors' prefixes and letter case make no difference."""
    assert figures(TABLE.of(model)) == told


def test_every_row_says_where_it_was_read() -> None:
    """And when, but for the guess about what nobody knows."""
    undated = [row.models for row in TABLE.rows if "2026-1" not in row.source]
    assert undated == [("*",)]


def test_what_nobody_knows_is_billed_by_the_careful_guess() -> None:
    """No known model reads for less, writes for more or keeps a prefix longer: so none is broken sooner."""
    guess = TABLE.of("my-own")
    assert guess.read == min(row.read for row in TABLE.rows)
    assert guess.write == max(row.write for row in TABLE.rows)
    assert guess.ttl_s == max(row.ttl_s for row in TABLE.rows)


@pytest.mark.parametrize(("model", "whole"), [("gpt-5", False), ("gpt-5.6", True), ("claude-sonnet-5", True)])
def test_it_is_known_who_keeps_whole_messages_only(model: str, whole: bool) -> None:
    """What nobody knows may keep anything; an operator may say otherwise."""
    assert TABLE.of(model).whole_messages is whole
    assert not TABLE.of("my-own").whole_messages
    table = load_prefix_terms((PrefixEntry(("*",), whole_messages=not whole),))
    assert table.of(model).whole_messages is not whole


def test_an_operator_knows_better() -> None:
    """By model and upstream; what is not said stays as it was, and the source tells of both."""
    table = load_prefix_terms(
        (
            PrefixEntry(("GPT-4o*",), ("azure",), read=0.0),
            PrefixEntry(("my-*",), read=1, write=1, minimum=0, granule=16, ttl_s=60),
        )
    )
    assert figures(table.of("gpt-4o", "Azure")) == (0, 1, 1024, 128)
    assert table.of("gpt-4o", "azure").source.startswith("the operator's prefix_terms; else peers.md 4")
    assert figures(table.of("gpt-4o", "openai")) == (0.5, 1, 1024, 128)
    assert (figures(table.of("my-own", "x")), table.of("my-own").ttl_s) == ((1, 1, 0, 16), 60)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('terms: [{models: ["*"], read: -1, source: a}]', "must be a number at least 0"),
        ('terms: [{models: ["*"], reed: 1, source: a}]', 'unknown key "reed"; did you mean "read"?'),
        ('terms: [{models: ["*"], read: 1}]', '1:9: the key "source" is missing'),
        ('terms: [{models: ["a*"], read: 1, source: a}]', "1:18: the last row must be for every model"),
        ("", '1:1: the key "terms" is missing'),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(content: str, message: str, tmp_path: Path) -> None:
    """As settings and policies are."""
    file = tmp_path / "terms.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        load_prefix_terms(file=file)
    assert message in "\n".join(caught.value.problems)
