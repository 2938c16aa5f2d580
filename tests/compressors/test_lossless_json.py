"""JSON means what it meant, and every byte that is not layout is where it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.lossless_json import layout, minify_blocks, minify_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["[ 1 ]", ' {"a": "b  c"} ', '{"x": "[ \\"y\\" ]"}', "[1, 2", "é\n[ ]"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
CONTAINERS = st.lists(JSON) | st.dictionaries(st.text(), JSON)
INDENTS = st.sampled_from([None, 1, 2, "\t"])


def meaning(text: str) -> object:
    """Read JSON, numbers by their spelling, pairs in their order, duplicate keys kept."""
    return json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=list)


def without_layout(value: object) -> object:
    """Return a value whose strings that hold JSON are compact, all the way down."""
    if isinstance(value, str):
        bare = value.strip(" \t\n\r")
        short = minify_json(bare, inner=True)
        return value if short is None else value.replace(bare, short, 1)
    if isinstance(value, (list, tuple)):
        return [without_layout(item) for item in value]
    return value


@given(CONTAINERS, INDENTS, st.booleans())
def test_minified_json_means_the_same(value: object, indent: int | str | None, ascii_: bool) -> None:
    """Equal when parsed, no whitespace between tokens, and the compact form stays as it is."""
    short = minify_json(json.dumps(value, indent=indent, ensure_ascii=ascii_))
    assert short is not None
    assert json.loads(short) == value
    assert short == json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_)
    assert minify_json(short) == short


@given(CONTAINERS, INDENTS, st.booleans(), st.booleans())
def test_json_in_strings_means_the_same(
    value: object, indent: int | str | None, ascii_: bool, twice: bool
) -> None:
    """The outer value is equal but for the layout of what strings hold; a second pass finds nothing."""
    inner = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    inner = json.dumps({"deep": inner}, indent=1) if twice else inner
    text = json.dumps({"held": inner, "plain": [1]}, indent=2, ensure_ascii=ascii_)
    short = minify_json(text, inner=True)
    assert short is not None
    held = json.loads(short)["held"]
    assert held == minify_json(inner, inner=True)
    assert meaning(short) == without_meaning(meaning(text))
    assert minify_json(short, inner=True) == short


def without_meaning(value: object) -> object:
    """As `without_layout`, for pairs as `meaning` reads them: keys are never touched."""
    if isinstance(value, list):
        return [
            (item[0], without_meaning(item[1])) if isinstance(item, tuple) else without_meaning(item)
            for item in value
        ]
    return without_layout(value)


def test_values_and_order_stay_byte_for_byte() -> None:
    """Numbers are not normalised, escapes not resolved, duplicate keys not merged."""
    text = '{ "b" : 1.00e+5 ,\n "a" : "x \\u00e9  \\" y" , "b" : -0 , "n": 12345678901234567890.10 }'
    assert minify_json(text) == '{"b":1.00e+5,"a":"x \\u00e9  \\" y","b":-0,"n":12345678901234567890.10}'


def test_numbers_keep_their_spelling_within_strings_too() -> None:
    """Escapes of the outer string stay, whichever way they are written."""
    text = '{"a": "{\\n  \\u0022k\\u0022 :\\t[1.0, 1E5, -0,  \\"caf\\\\u00e9 \\\\\\" q\\"]\\r\\n}"}'
    assert (
        minify_json(text, inner=True) == '{"a":"{\\u0022k\\u0022:[1.0,1E5,-0,\\"caf\\\\u00e9 \\\\\\" q\\"]}"}'
    )


@pytest.mark.parametrize(
    "text", ["{a: 1}", "[1, 2", "[1] [2]", "12", '"x"', "", "[NaN]", "[-Infinity]", "[" * 100_000 + "]"]
)
def test_what_is_not_json_is_not_touched(text: str) -> None:
    """Near-JSON is somebody's text."""
    assert minify_json(text) is None
    assert layout(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('as {"a": 1} so', 'as {"a":1} so'),
        ('{"a": 1}\n[1, 2]\n', '{"a":1}\n[1,2]\n'),
        ("see [1, 2] and { x }", "see [1, 2] and { x }"),
        ('x = {"a": 1}', 'x = {"a": 1}'),
        ('load(f, data={"a": 1}, n=2)', 'load(f, data={"a": 1}, n=2)'),
        ("[[1, 2],\n [3, 4]])", "[[1, 2],\n [3, 4]])"),
        ("[1, 2],\n[3, 4],", "[1, 2],\n[3, 4],"),
        ('x\n{\n "a": [\n  1\n ]\n}\ny', 'x\n{"a":[1]}\ny'),
    ],
)
def test_blocks_within_a_text_are_minified(text: str, expected: str) -> None:
    """Those that can be nothing else."""
    assert minify_blocks(text) == expected


def test_blocks_in_ranges_of_code_stay() -> None:
    """What comes before and after them does not."""
    text = '{"a": 1} `{"a": 1}` {"a": 1}'
    assert minify_blocks(text, untouched=((9, 19),)) == '{"a":1} `{"a": 1}` {"a":1}'


@given(st.lists(st.sampled_from(['{"a": 1}', "x", " ", "\n", "[ {", "`", '"']), max_size=20).map("".join))
def test_blocks_lose_whitespace_only(text: str) -> None:
    """Every other character stays, in order."""
    short = minify_blocks(text, inner=True)
    assert "".join(short.split()) == "".join(text.split())
    assert minify_blocks(short, inner=True) == short


def test_deep_strings_take_linear_time() -> None:
    """Strings in strings, and many strings."""
    text = '{"a": [ 1 ]}'
    for _ in range(5):
        text = json.dumps({"s": text})
    many = json.dumps([text] * 2000)
    short = minify_json(many, inner=True)
    assert short is not None
    assert len(short) < len(many)
