"""Which headers cross, and which stay."""

from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.headers import (
    decoded,
    for_client,
    for_upstream,
    named_by_connection,
    value_of,
)


def test_hop_by_hop_headers_and_those_named_by_connection_stay() -> None:
    """RFC 9110: what is of one connection is not forwarded, in whatever letter case."""
    headers = [
        ("CONNECTION", "close, X-Once"),
        ("x-once", "1"),
        ("Keep-Alive", "5"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("Authorization", "Bearer k"),
    ]
    assert for_upstream(headers, body_replaced=False) == [("Authorization", "Bearer k")]
    assert for_client(headers) == [("Authorization", "Bearer k")]


def test_repeats_order_and_letter_case_are_kept() -> None:
    """The list of pairs is the client's own, but for what is left out."""
    headers = [("X-A", "1"), ("x-b", "2"), ("X-A", "3")]
    assert for_upstream(headers, body_replaced=False) == headers
    assert for_client(headers) == headers


def test_host_expect_and_our_own_headers_never_reach_the_upstream() -> None:
    """What speaks to Elision stays with Elision."""
    headers = [
        ("Host", "us"),
        ("Expect", "100-continue"),
        ("X-Elision", "off"),
        ("x-elision-rate", ".5"),
    ]
    assert for_upstream(headers, body_replaced=False) == []


def test_length_is_dropped_only_when_the_body_is_ours() -> None:
    """A streamed body keeps the client's length; a replaced one gets its own."""
    headers = [("Content-Length", "9")]
    assert for_upstream(headers, body_replaced=False) == headers
    assert for_upstream(headers, body_replaced=True) == []


def test_a_value_is_found_in_any_letter_case() -> None:
    """The first of repeats; "" where there is none."""
    headers = [("Content-Type", "a"), ("content-type", "b")]
    assert value_of(headers, "content-type") == "a"
    assert value_of(headers, "etag") == ""


@given(st.lists(st.tuples(st.sampled_from([b"A", b"b-C"]), st.binary())))
def test_every_byte_of_a_value_survives_decoding(
    raw: list[tuple[bytes, bytes]],
) -> None:
    """Bytes beyond ASCII leave as they came."""
    back = [(n.encode("ascii"), v.encode("utf-8", "surrogateescape")) for n, v in decoded(raw)]
    assert back == raw


def test_connection_names_are_split_and_folded() -> None:
    """Several headers and several names in one."""
    assert named_by_connection([("connection", "a, B"), ("Connection", " c ")]) == {
        "a",
        "b",
        "c",
    }
