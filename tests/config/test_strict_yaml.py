"""Tests of elision.config.strict_yaml."""

import json
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from elision.config.errors import ConfigError
from elision.config.problems import Problem
from elision.config.strict_yaml import Document, read_document, refusal, validate
from elision.config.strict_yaml import parse_document as parse_bytes


class Rule(BaseModel):
    """A nested model."""

    model_config = ConfigDict(extra="forbid")

    method: str
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0


class Rules(BaseModel):
    """A model with a list."""

    model_config = ConfigDict(extra="forbid")

    rules: tuple[Rule, ...] = ()
    port: int = 0


def parse_document(text: str, file: str) -> Document:
    """Parse a text."""
    return parse_bytes(text.encode(), file)


def problems(text: str) -> tuple[str, ...]:
    """Return the lines of the error that `text` causes."""
    with pytest.raises(ConfigError) as caught:
        validate(parse_document(text, "f.yaml"), Rules)
    return caught.value.problems


def test_every_error_has_its_line_and_column() -> None:
    """All problems of a file are told at once, in its order."""
    text = "rules:\n  - method: keep\n    raet: 1\n  - rate: 2\nport: '80'\n"
    assert problems(text) == (
        'f.yaml:3:5: unknown key "raet"; did you mean "rate"?',
        'f.yaml:4:5: the key "method" is missing',
        "f.yaml:4:11: must be a number above 0 and at most 1, not 2",
        "f.yaml:5:7: must be a whole number",
    )


def test_a_key_that_is_written_twice_is_an_error() -> None:
    """The second would silently win otherwise."""
    assert problems("port: 1\nrules: []\nport: 2\n") == (
        'f.yaml:3:1: the key "port" is already set in line 1; remove one',
    )


def test_a_syntax_error_has_its_place() -> None:
    """What the parser says is passed on in one line."""
    [line] = problems("rules: [1,\nport: }")
    assert line.startswith("f.yaml:2:7: not YAML: ")


@pytest.mark.parametrize("text", ["a: *nobody", "a: 1\n---\nb: 2", "a: \x07", "a:\n\t- b", "a: !!int x"])
def test_what_is_not_one_plain_document_is_refused(text: str) -> None:
    """Undefined aliases, second documents, control characters, tabs and tags are named."""
    assert all(line.startswith("f.yaml") for line in problems(text))


def test_an_alias_may_not_contain_itself() -> None:
    """Endless data is an error, not a hang."""
    assert problems("rules: &a [*a]") == ("f.yaml:1:8: an alias must not contain itself",)
    assert problems("&a {<<: *a}") == ("f.yaml: nested too deeply",)


def test_nesting_without_end_is_an_error() -> None:
    """A thousand brackets are nobody's policy."""
    assert problems("[" * 5000) == ("f.yaml: nested too deeply",)


def test_anchors_and_merges_work() -> None:
    """A rule may be written once and varied; its own keys win over merged ones."""
    text = "rules:\n  - &a {method: x, rate: 0.5}\n  - {<<: *a, rate: 0.25}\n  - *a\n"
    rules = validate(parse_document(text, "f"), Rules).rules
    assert [rule.rate for rule in rules] == [0.5, 0.25, 0.5]


def test_an_error_in_a_merged_value_is_placed_where_it_is_written() -> None:
    """The anchor is what has to be mended."""
    text = "rules:\n  - &a {method: x, rate: 5}\n  - {<<: *a, method: y}\n"
    assert [line.split(": ")[0] for line in problems(text)] == ["f.yaml:2:26", "f.yaml:2:26"]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("off", "off"),
        ("no", "no"),
        ("true", True),
        ("012", 12),
        ("0x1f", 31),
        ("1e3", 1000.0),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("-.5", -0.5),
        ("-.inf", float("-inf")),
        ("1_000", "1_000"),
    ],
)
def test_words_are_read_as_yaml_1_2_does(word: str, value: object) -> None:
    """`mode: off` is a word; YAML 1.1 would make it false."""
    assert parse_document(f"a: {word}", "f").data == {"a": value}


def test_an_empty_file_is_an_empty_mapping() -> None:
    """Nothing written, nothing changed."""
    assert validate(parse_document("# nothing\n", "f"), Rules) == Rules()


def test_a_key_must_be_a_text() -> None:
    """Lists and mappings are no names; numbers are read as names."""
    assert problems("? [a]\n: 1\n") == ("f.yaml:1:3: a key must be a text",)
    assert parse_document("1: 2", "f").data == {"1": 2}


def test_a_merge_needs_a_mapping() -> None:
    """Merging a number into a mapping means nothing."""
    assert problems("<<: 3\n") == ("f.yaml:1:1: << must be followed by an alias of a mapping",)


def test_files_that_cannot_be_read_are_the_operators_errors(tmp_path: Path) -> None:
    """A missing file and a file in another encoding are told apart."""
    missing, latin = tmp_path / "none.yaml", tmp_path / "latin.yaml"
    latin.write_bytes(b"name: caf\xe9")
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_document(missing)
    with pytest.raises(ConfigError, match=r"latin\.yaml: not UTF-8 at byte 9; save it as UTF-8"):
        read_document(latin)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfport: 1\r\n")
    assert read_document(file).data == {"port": 1}


def test_a_callers_own_problems_are_placed_too() -> None:
    """Checks that pydantic cannot make are shown like those that it can."""
    document = parse_document("rules:\n  - method: x\n  - method: y\n", "f")
    error = refusal(document, [Problem(("rules", 1, "method"), "no"), Problem(("rules", 0, "rate"), "gone")])
    assert error.problems == ("f:2:5: gone", "f:3:13: no")


TEXTS = st.text("ab01.-~:#'\"\n é", max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXTS
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(TREES)
def test_json_is_read_as_it_is(tree: object) -> None:
    """JSON is YAML: whatever is quoted stays what it was."""
    text = json.dumps({"tree": tree}, ensure_ascii=False)
    assert parse_document(text, "f").data == {"tree": tree}
