"""Nothing that means anything is lost, and nothing is written anew."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Method, Target
from elision.compressors.lossless import Lossless, Rules, squeeze
from elision.compressors.lossless_repeats import restore
from elision.compressors.registry import Resources, make_compressor
from elision.compressors.tokens import Counters


def test_fenced_json_is_minified_and_other_code_is_not() -> None:
    """Only a fence that says json, or says nothing and holds it."""
    other = "but\n```py\n[1,   \n\n\n\n 2]\n```\n"
    text = 'See this:\n```json\n{\n  "a": 1\n}\n```\nand\n```\n[1,\n 2]\n```\n' + other
    expected = 'See this:\n```json\n{"a":1}\n```\nand\n```\n[1,2]\n```\n' + other
    assert squeeze(text) == expected


def test_fenced_json_lines_are_minified() -> None:
    """Where every line is JSON; one that is not leaves all as they are."""
    assert squeeze('```jsonl\n{"a": 1}\n{"a": 2}\n```') == '```jsonl\n{"a":1}\n{"a":2}\n```'
    mixed = '```jsonl\n{"a": 1}\nsum: 2\n```'
    assert squeeze(mixed) == mixed


def test_json_within_prose_is_minified_and_its_strings_stay() -> None:
    """The prose around it loses its own blanks; two spaces in a string are data."""
    text = 'Send  the body {"a": "x  y", "b": [1, 2.50]} now.\n{"c": 1}\n{"c": 2}  \n\nDone.'
    assert squeeze(text) == 'Send the body {"a":"x  y","b":[1,2.50]} now.\n{"c":1}\n{"c":2}\n\nDone.'


def test_json_in_code_stays() -> None:
    """Inline or in a fence of another language."""
    text = 'Write `{"a": 1}` so.\n```py\nx = {"a": 1}\n```'
    assert squeeze(text) == text


@pytest.mark.parametrize(
    "text", ["{a: 1}", "[1, 2", "[1] [2]", "12", '"x"', "", "[NaN]", "[" * 100_000 + "]"]
)
def test_near_json_is_somebodys_text(text: str) -> None:
    """What is not JSON is not touched."""
    assert squeeze(text) == text


def test_the_edges_of_a_text_stay() -> None:
    """What follows it in the message must not be joined to it."""
    assert squeeze("\n\n\n\n a \n b \n\n\n\n\n") == "\n\n\n\n a\n b \n\n\n\n\n"


@given(st.text(st.sampled_from('ab \n\t`~{}[]"1,:\r'), max_size=60))
def test_only_whitespace_is_ever_removed(text: str) -> None:
    """Every other character stays, in order, and a second pass finds nothing."""
    short = squeeze(text)
    assert short.split() == text.split() or "".join(short.split()) == "".join(text.split())
    assert squeeze(short) == short
    assert len(short) <= len(text)


def test_outcomes_count_tokens_and_say_why_not() -> None:
    """Fewer tokens, or the original with the reason."""
    lossless = Lossless(Counters())
    layout = json.dumps({"names": ["a", "b"], "size": 3}, indent=4)
    short, same = lossless.compress([layout, "plain"], [Target(model="gpt-4o")] * 2)
    assert short.text == '{"names":["a","b"],"size":3}'
    assert short.tokens_after < short.tokens_before
    assert short.reason == ""
    assert (same.text, same.reason, same.tokens_after) == ("plain", "not_shorter", same.tokens_before)


REPEATED = "\n".join(
    ["Traceback:", "  File a.py, line 3, in the one handler of requests", "  File b.py, line 9"] * 5
)


def test_repeats_become_references_where_the_policy_says_so() -> None:
    """And not by default; every line can be had back."""
    assert squeeze(REPEATED) == REPEATED
    short = squeeze(REPEATED, Rules(repeats=True))
    assert "[same as lines 1-3 above]" in short
    assert restore(short) == REPEATED


def test_the_registry_reads_the_options() -> None:
    """Both are in the fingerprint: another option, another cache entry."""
    text = json.dumps({"inner": json.dumps({"a": [1, 2, 3]}, indent=4)})
    default, off, repeats = (
        make_compressor(Method("lossless", options), Resources(Counters()))
        for options in ((), (("inner_json", False),), (("repeats", True),))
    )
    assert len({default.fingerprint, off.fingerprint, repeats.fingerprint}) == 3
    assert default.compress([text], [Target()])[0].text == '{"inner":"{\\"a\\":[1,2,3]}"}'
    assert off.compress([text], [Target()])[0].text == text.replace(": ", ":", 1)
    assert repeats.compress([REPEATED], [Target()])[0].reason == ""


@pytest.mark.parametrize("run", ["{", '{"a": 1}\n', " ", "\n", "a  b ", '"', "`", '{"a":', "[[", "x\n"])
def test_long_runs_take_linear_time(run: str) -> None:
    """A quadratic step would outlast the test's timeout."""
    text = run * (300_000 // len(run)) + "!"
    assert len(squeeze(text, Rules(repeats=True))) <= len(text)
