"""Finding values in JSON and exchanging strings, byte by byte."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.proxy import carry
from elision.proxy.carry import NotCarriedError

ODD = b' \n{ "a\\u0062" : "h\\u00e9" ,"n":1.50,\t"list" : [ 1 , {"x":"y"},[ ] ] }\r\n'


def test_members_stand_where_they_say() -> None:
    """White space, escapes and number formats are found as they are."""
    found = carry.members(ODD, carry.whole(ODD))
    assert {name: ODD[value.start : value.end] for name, value in found.items()} == {
        "ab": b'"h\\u00e9"',
        "n": b"1.50",
        "list": b'[ 1 , {"x":"y"},[ ] ]',
    }


def test_items_stand_where_they_say() -> None:
    """Of any kind, in their order."""
    found = carry.items(ODD, carry.members(ODD, carry.whole(ODD))["list"])
    assert [ODD[value.start : value.end] for value in found] == [b"1", b'{"x":"y"}', b"[ ]"]
    assert carry.begins(ODD, found[1], b"{")


def test_objects_in_an_array_are_read_together() -> None:
    """As each of them would be by itself."""
    body = b'[ {"a":1 , "b":[{}]} ,{ },\n{"\\u0061":"}"}]'
    whole = carry.whole(body)
    read = carry.objects(body, whole)
    assert read == [(*item[:2], carry.members(body, item)) for item in carry.items(body, whole)]
    assert [{n: body[v.start : v.end] for n, v in each.members.items()} for each in read] == [
        {"a": b"1", "b": b"[{}]"},
        {},
        {"a": b'"}"'},
    ]
    with pytest.raises(NotCarriedError, match=r"^duplicate_keys$"):
        carry.objects(b'[{"a":1,"a":2}]', carry.whole(b'[{"a":1,"a":2}]'))
    with pytest.raises(NotCarriedError, match=r"^unexpected_shape$"):
        carry.objects(b"[1]", carry.whole(b"[1]"))


def test_a_value_of_another_kind_is_refused() -> None:
    """An array is no object, a number no text."""
    body = b'{"a":[1]}'
    value = carry.members(body, carry.whole(body))["a"]
    with pytest.raises(NotCarriedError, match=r"^unexpected_shape$"):
        carry.members(body, value)
    with pytest.raises(NotCarriedError, match=r"^unexpected_shape$"):
        carry.text(value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"x":1,"b":2},"b":3,"a":123456}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":"1,","a":"2,"}',
        b'{"a":[1,"b"],"b":2,"a":3}',
    ],
)
def test_a_key_that_stands_twice_is_refused(body: bytes) -> None:
    """Parsers differ about which one counts, so we do not choose."""
    with pytest.raises(NotCarriedError, match=r"^duplicate_keys$"):
        carry.members(body, carry.whole(body))


def test_a_text_is_read_where_there_is_one() -> None:
    """Escapes are resolved; anything else is no text, which is nobody's fault."""
    found = carry.members(ODD, carry.whole(ODD))
    assert (carry.text(found["ab"]), carry.text_or_none(ODD, found["ab"])) == ("hé", "hé")
    assert carry.text_or_none(ODD, found["n"]) is None
    assert carry.text_or_none(ODD, None) is None


def test_splicing_keeps_every_other_byte() -> None:
    """Ranges may come in any order, and what is exchanged may grow."""
    found = carry.members(ODD, carry.whole(ODD))
    inner = carry.members(ODD, carry.items(ODD, found["list"])[1])["x"]
    first = found["ab"]
    replaced = [((inner.start, inner.end), 'longer "\n'), ((first.start, first.end), "é")]
    expected = ODD.replace(b'"y"', b'"longer \\"\\n"').replace(b'"h\\u00e9"', '"é"'.encode())
    assert carry.splice(ODD, replaced) == expected
    assert carry.splice(ODD, []) == ODD


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=6), st.none() | st.integers(0, 3), st.booleans())
def test_every_member_is_found_whoever_wrote_the_object(
    value: dict[str, object], indent: int | None, is_ascii: bool
) -> None:
    """The bytes of each range, read by another parser, are the member's value."""
    body = json.dumps(value, indent=indent, ensure_ascii=is_ascii).encode(errors="surrogatepass")
    try:
        found = carry.members(body, carry.whole(body))
    except (NotCarriedError, msgspec.DecodeError, UnicodeDecodeError):
        return
    assert {name: json.loads(body[v.start : v.end]) for name, v in found.items()} == value
