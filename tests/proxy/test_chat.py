"""Finding texts in a body and exchanging them, byte by byte."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.chat import NotCarriedError, parse, splice

ODD = (
    b' \n{ "model" : "m\\u0061", "seed":1.50, "big":123456789012345678901234567890,\t"messages" : [ '
    b'{"role":"user" , "content" : "h\\u00e9llo \\ud83d\\ude00 \xe4\xbd\xa0" } ,'
    b'{"role":"user","content":[{"type":"text","text":"a"},'
    b'{"type":"image_url","image_url":{"url":"data:,text"}},{"type":"refusal","text":"r"}]},'
    b' {"role":"assistant","content":null,"tool_calls":[{"function":{"arguments":"{\\"a\\": 1}"}}]} ]'
    b' , "stream" : true}\r\n'
)


def test_texts_are_found_with_their_places() -> None:
    """Strings and text parts count; images, refusals and tool calls are not texts."""
    body = parse(ODD)
    assert (body.model, body.stream) == ("ma", True)
    assert [(t.place, t.message, t.role, t.text) for t in body.texts] == [
        ("/messages/0/content", 0, "user", "héllo 😀 你"),
        ("/messages/1/content/0/text", 1, "user", "a"),
    ]


def test_a_splice_changes_the_named_string_and_no_other_byte() -> None:
    """White space, number formats, escapes and key order are the client's own."""
    changed = splice(parse(ODD), {1: 'x"\n'})
    assert changed == ODD.replace(b'"text":"a"', b'"text":"x\\"\\n"')
    assert splice(parse(ODD), {}) == ODD


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "malformed_body"),
        (b"not json", "malformed_body"),
        (b"\xef\xbb\xbf{}", "malformed_body"),
        (b"[]", "unexpected_shape"),
        (b"{}", "no_messages"),
        (b'{"messages":7}', "unexpected_shape"),
        (b'{"messages":["x"]}', "unexpected_shape"),
        (b'{"messages":[{"role":1,"content":"x"}]}', "unexpected_shape"),
        (b'{"messages":[],"messages":[]}', "duplicate_keys"),
        (b'{"a":{"x":1,"b":2},"b":3,"a":123456,"messages":[]}', "duplicate_keys"),
        (
            b'{"messages":[{"role":"user","content":"a","content":"b"}]}',
            "duplicate_keys",
        ),
        (b'{"messages":[{"role":"user","content":"\\ud800"}]}', "malformed_body"),
        (b'{"messages":[{"role":"user","content":"a\xff"}]}', "malformed_body"),
        (b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "malformed_body"),
        (b'{"messages":[{"role":"user","content":"a"}]} trailing', "malformed_body"),
    ],
)
def test_what_cannot_be_carried_is_refused_with_a_reason(body: bytes, reason: str) -> None:
    """The caller forwards such a body untouched."""
    with pytest.raises(NotCarriedError, match=f"^{reason}$"):
        parse(body)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
parts = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "x"]), "text": st.text()}),
    max_size=3,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.text(), "content": st.text() | st.none() | parts},
        optional={"x": values},
    ),
    max_size=4,
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Chat bodies as various writers of JSON would write them."""
    extra = draw(st.dictionaries(st.text(), values, max_size=3))
    value = {**extra, "messages": draw(messages)}
    pairs = draw(st.permutations(list(value.items())))
    indent = draw(st.none() | st.integers(0, 3))
    text = json.dumps(dict(pairs), indent=indent, ensure_ascii=draw(st.booleans()))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(dict(pairs), indent=indent).encode()


@given(bodies(), st.data())
def test_any_replacement_changes_exactly_the_texts_that_it_names(body: bytes, data: st.DataObject) -> None:
    """Read back by another parser, the body differs at the named places only."""
    try:
        found = parse(body)
    except NotCarriedError:
        return
    indices = st.sets(st.integers(0, len(found.texts) - 1)) if found.texts else st.just(set())
    replaced = {index: data.draw(st.text(st.characters(codec="utf-8"))) for index in data.draw(indices)}
    expected = json.loads(body)
    for index, text in replaced.items():
        _set(expected, found.texts[index].place, text)
    result = splice(found, replaced)
    assert json.loads(result) == expected
    if not replaced:
        assert result == body


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_whatever_raise_anything_else(body: bytes) -> None:
    """Arbitrary input is parsed or refused."""
    try:
        found = parse(body)
    except NotCarriedError as error:
        assert_short(str(error))
    else:
        assert splice(found, {}) == body


def assert_short(reason: str) -> None:
    """A reason is a word for counters, never the body's text."""
    assert re.fullmatch("[a-z_]+", reason)


def _set(value: Any, place: str, text: str) -> None:
    *path, last = place.strip("/").split("/")
    for step in path:
        value = value[int(step)] if isinstance(value, list) else value[step]
    value[int(last) if isinstance(value, list) else last] = text
