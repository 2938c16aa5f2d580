"""The operator's headers in place of the client's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.headers import Headers
from elision.proxy.operator_headers import CREDENTIALS, OperatorHeaders

CLIENT = [
    ("Accept", "*/*"),
    ("AUTHORIZATION", "Bearer c"),
    ("api-key", "c"),
    ("X-Api-Key", "c"),
    ("X-A", "1"),
]


@pytest.mark.parametrize("name", ["Authorization", "API-Key", "x-api-key", "x-goog-api-key"])
def test_with_a_key_of_the_operators_none_of_the_clients_goes_along(name: str) -> None:
    """By whatever header it came."""
    assert OperatorHeaders({name: "o"}).over(CLIENT) == [("Accept", "*/*"), ("X-A", "1"), (name, "o")]


def test_other_headers_replace_those_of_their_name_only() -> None:
    """The client's key stays where the operator brings none."""
    assert OperatorHeaders({"x-a": "2", "X-B": "3"}).over([*CLIENT, ("x-A", "4")]) == [
        *CLIENT[:4],
        ("x-a", "2"),
        ("X-B", "3"),
    ]


@pytest.mark.parametrize(
    ("offered", "sent"),
    [
        (
            "realtime, openai-insecure-api-key.sk-c, openai-beta.realtime-v1",
            "realtime, openai-beta.realtime-v1",
        ),
        ("OpenAI-Insecure-API-Key.sk-c", None),
        ("realtime,graphql-ws", "realtime,graphql-ws"),
    ],
)
def test_a_key_among_a_websockets_protocols_is_one_too(offered: str, sent: str | None) -> None:
    """Browsers have no other way to bring theirs."""
    headers: Headers = [("Sec-WebSocket-Protocol", offered)]
    with_key = OperatorHeaders({"Authorization": "Bearer o"}).over(headers)
    assert with_key[:-1] == ([] if sent is None else [("Sec-WebSocket-Protocol", sent)])
    assert OperatorHeaders({"X-A": "1"}).over(headers)[0] == headers[0]


def test_nothing_shows_a_key() -> None:
    """Objects end in tracebacks."""
    assert "secret" not in repr(OperatorHeaders({"Authorization": "secret"}))


@given(st.lists(st.tuples(st.sampled_from(["A", "api-Key", "authorization", "x-b", "X-B"]), st.text())))
def test_what_is_not_replaced_keeps_its_order(headers: Headers) -> None:
    """And nothing that is replaced is left."""
    got = OperatorHeaders({"Authorization": "o", "X-b": "o"}).over(headers)
    assert got[-2:] == [("Authorization", "o"), ("X-b", "o")]
    assert got[:-2] == [pair for pair in headers if pair[0].lower() not in CREDENTIALS | {"x-b"}]
