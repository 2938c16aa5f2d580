"""Nothing that means anything is lost, and nothing is written anew."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Target
from elision.compressors.lossless import Lossless, minify_json, squeeze
from elision.compressors.tokens import Counters

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
CONTAINERS = st.lists(JSON) | st.dictionaries(st.text(), JSON)


@given(CONTAINERS, st.sampled_from([None, 1, 2, "\t"]), st.booleans())
def test_minified_json_means_the_same(value: object, indent: int | str | None, ascii_: bool) -> None:
    """Equal when parsed, no whitespace between tokens, and the compact form stays as it is."""
    short = minify_json(json.dumps(value, indent=indent, ensure_ascii=ascii_))
    assert short is not None
    assert json.loads(short) == value
    assert short == json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_)
    assert minify_json(short) == short


def test_values_and_order_stay_byte_for_byte() -> None:
    """Numbers are not normalised, escapes not resolved, duplicate keys not merged."""
    text = '{ "b" : 1.00e+5 ,\n "a" : "x \\u00e9  \\" y" , "b" : -0 , "n": 12345678901234567890.10 }'
    assert minify_json(text) == '{"b":1.00e+5,"a":"x \\u00e9  \\" y","b":-0,"n":12345678901234567890.10}'


@pytest.mark.parametrize(
    "text", ["{a: 1}", "[1, 2", "[1] [2]", "12", '"x"', "", "[NaN]", "[" * 100_000 + "]"]
)
def test_what_is_not_json_is_not_touched(text: str) -> None:
    """Near-JSON is somebody's text."""
    assert minify_json(text) is None
    assert squeeze(text) == text


def test_fenced_json_is_minified_and_other_code_is_not() -> None:
    """Only a fence that says json, or says nothing and holds it."""
    other = "but\n```py\n[1,   \n\n\n\n 2]\n```\n"
    text = 'See  this:\n```json\n{\n  "a": 1\n}\n```\nand\n```\n[1,\n 2]\n```\n' + other
    expected = 'See  this:\n```json\n{"a":1}\n```\nand\n```\n[1,2]\n```\n' + other
    assert squeeze(text) == expected


def test_whitespace_that_says_nothing_goes() -> None:
    """Trailing blanks and long runs of blank lines; single and double blank lines stay."""
    assert squeeze("a  \nb\t\n\n\nc\n\n \n\n\nd") == "a\nb\n\n\nc\n\nd"


def test_preformatted_text_stays() -> None:
    """Indented blocks, pre elements and the edges of the text keep their whitespace."""
    indented = "x\n\n    code  \n\n\n\n    more\n"
    assert squeeze(indented) == indented
    assert squeeze("<pre>\na  \n\n\n\n</pre>") == "<pre>\na  \n\n\n\n</pre>"
    assert squeeze("\n\n\n\n a  \n b \n\n\n\n\n") == "\n\n\n\n a\n b \n\n\n\n\n"


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
