"""The texts of a request's body, and what is left alone."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.model import Endpoint
from elision.proxy.bodies import Body, deployment_of, endpoint_of, parse, splice
from elision.proxy.carry import NotCarriedError

CHAT, COMPLETIONS, RESPONSES = Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.RESPONSES

ODD = (
    b' \n{ "model" : "m\\u0061", "seed":1.50, "big":123456789012345678901234567890,\t"messages" : [ '
    b'{"role":"user" , "content" : "h\\u00e9llo \\ud83d\\ude00 \xe4\xbd\xa0" } ,'
    b'{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},'
    b'{"type":"image_url","image_url":{"url":"data:,text"}},{"type":"refusal","text":"r"}]},'
    b' {"role":"assistant","content":null,"tool_calls":[{"function":{"arguments":"{\\"a\\": 1}"}}]} ]'
    b' , "stream" : true}\r\n'
)


def found(value: object, endpoint: Endpoint) -> list[tuple[str, int, str, str]]:
    """Return place, message, role and text of each text."""
    body = parse(json.dumps(value).encode(), endpoint)
    return [(t.place, t.message, t.role, t.text) for t in body.texts]


def test_the_texts_of_a_chat_are_found_with_their_places() -> None:
    """Strings and text parts count, cache marks or not; images, refusals and tool calls do not."""
    body = parse(ODD, CHAT)
    assert (body.model, body.stream, body.endpoint) == ("ma", True, CHAT)
    assert [(t.place, t.message, t.role, t.text) for t in body.texts] == [
        ("/messages/0/content", 0, "user", "héllo 😀 你"),
        ("/messages/1/content/0/text", 1, "user", "a"),
    ]


def test_the_name_of_a_message_is_found() -> None:
    """It marks demonstrations; what is no text is no name."""
    messages = [{"role": "system", "name": name, "content": "x"} for name in ("example_user", 7, None)]
    body = parse(json.dumps({"messages": messages}).encode(), CHAT)
    assert [text.name for text in body.texts] == ["example_user", "", ""]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "t", "signature": "s"}]},
        {"role": "assistant", "content": "t", "extra_content": {"google": {"thought_signature": "s"}}},
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "assistant", "audio": {"id": "a"}},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "aa"}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "aa"}}]},
        {"role": "user", "content": ["a", 1, None, {"text": "untyped"}, {"type": "text", "text": None}]},
        {"role": "user", "content": {"type": "text", "text": "no array"}},
        {"content": "no role"},
    ],
)
def test_what_is_no_plain_text_is_left_alone(message: object) -> None:
    """Signed, spoken, drawn, refused, or of a shape that we do not know."""
    assert found({"messages": [message]}, CHAT) == []


def test_the_prompts_of_completions_are_found() -> None:
    """One string, or a list of them; token ids are left alone."""
    assert found({"prompt": "a", "suffix": "b"}, COMPLETIONS) == [("/prompt", 0, "user", "a")]
    assert found({"prompt": ["a", "b"]}, COMPLETIONS) == [
        ("/prompt/0", 0, "user", "a"),
        ("/prompt/1", 1, "user", "b"),
    ]
    for ids in ([1, 2], [[1], [2]], [], None):
        assert found({"prompt": ids}, COMPLETIONS) == []


def test_the_texts_of_responses_are_found_in_the_order_of_reading() -> None:
    """Instructions come first, wherever they stand; tools' outputs have the role `tool`."""
    items = [
        {"role": "user", "content": "q"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "p"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "e"},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "o"},
        {"type": "custom_tool_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "c"}]},
        {"type": "computer_call_output", "call_id": "3", "output": {"type": "computer_screenshot"}},
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_2", "type": "message", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "a", "annotations": []}, {"type": "refusal", "refusal": "r"}]},
    ]  # fmt: skip
    assert found({"input": items, "instructions": "i"}, RESPONSES) == [
        ("/instructions", 0, "system", "i"),
        ("/input/0/content", 1, "user", "q"),
        ("/input/1/content/0/text", 2, "user", "p"),
        ("/input/4/output", 5, "tool", "o"),
        ("/input/5/output/0/text", 6, "tool", "c"),
        ("/input/8/content/0/text", 9, "assistant", "a"),
    ]
    assert found({"input": "q"}, RESPONSES) == [("/input", 0, "user", "q")]


def test_a_splice_changes_the_named_strings_and_no_other_byte() -> None:
    """White space, number formats, escapes and key order are the client's own."""
    changed = splice(parse(ODD, CHAT), {1: 'x"\n'})
    assert changed == ODD.replace(b'"text":"a"', b'"text":"x\\"\\n"')
    assert splice(parse(ODD, CHAT), {}) == ODD
    body = b'{"input":"in","instructions":"first"}'
    assert splice(parse(body, RESPONSES), {0: "A", 1: "B"}) == b'{"input":"B","instructions":"A"}'


@pytest.mark.parametrize(
    ("fields", "endpoint", "limit"),
    [
        (b'"max_tokens":100', CHAT, 100),
        (b'"max_tokens":100,"max_completion_tokens":200', CHAT, 200),
        (b'"max_tokens":100,"max_completion_tokens":null', CHAT, 100),
        (b'"max_tokens":1e3', CHAT, None),
        (b'"max_tokens":-1', CHAT, None),
        (b'"max_tokens":"7"', CHAT, None),
        (b'"seed":1', CHAT, None),
        (b'"max_tokens":16', COMPLETIONS, 16),
        (b'"max_output_tokens":9', RESPONSES, 9),
    ],
)
def test_the_limit_of_the_reply_is_read(fields: bytes, endpoint: Endpoint, limit: int | None) -> None:
    """The newer name first; what is no count says nothing."""
    body = b'{"messages":[],"prompt":"","input":"",%b}' % fields
    assert parse(body, endpoint).reply_tokens == limit


def test_what_models_read_beside_texts_is_told() -> None:
    """Tools, schemas and tool calls, as the client wrote them."""
    call = {"role": "assistant", "tool_calls": [{"id": "c"}]}
    chat = {"messages": [call], "tools": [{"t": 1}], "response_format": {"r": 2}, "user": "u"}
    told = parse(json.dumps(chat).encode(), CHAT).read_beside_texts()
    assert sorted(told.splitlines()) == ['[{"id": "c"}]', '[{"t": 1}]', '{"r": 2}']
    response = {"input": [{"type": "function_call", "arguments": "x"}], "text": {"format": {}}}
    assert '"x"' in parse(json.dumps(response).encode(), RESPONSES).read_beside_texts()


@pytest.mark.parametrize(
    ("body", "endpoint", "reason"),
    [
        (b"", CHAT, "malformed_body"),
        (b"not json", CHAT, "malformed_body"),
        (b"\xef\xbb\xbf{}", CHAT, "malformed_body"),
        (b"[]", CHAT, "unexpected_shape"),
        (b"{}", CHAT, "no_messages"),
        (b"{}", COMPLETIONS, "no_prompt"),
        (b"{}", RESPONSES, "no_input"),
        (b'{"messages":7}', CHAT, "unexpected_shape"),
        (b'{"messages":["x"]}', CHAT, "unexpected_shape"),
        (b'{"input":["x"]}', RESPONSES, "unexpected_shape"),
        (b'{"messages":[{"role":1,"content":"x"}]}', CHAT, "unexpected_shape"),
        (b'{"messages":[],"messages":[]}', CHAT, "duplicate_keys"),
        (b'{"prompt":"a","prompt":"a"}', COMPLETIONS, "duplicate_keys"),
        (b'{"messages":[{"role":"user","content":"a","content":"b"}]}', CHAT, "duplicate_keys"),
        (b'{"messages":[{"role":"user","content":"\\ud800"}]}', CHAT, "malformed_body"),
        (b'{"messages":[{"role":"user","content":"a\xff"}]}', CHAT, "malformed_body"),
        (b'{"messages":[],"temperature":NaN}', CHAT, "malformed_body"),
        (b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", CHAT, "malformed_body"),
        (b'{"input":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, RESPONSES, "malformed_body"),
        (b'{"prompt":"a"} trailing', COMPLETIONS, "malformed_body"),
    ],
)
def test_what_cannot_be_carried_is_refused_with_a_reason(
    body: bytes, endpoint: Endpoint, reason: str
) -> None:
    """The caller forwards such a body untouched."""
    with pytest.raises(NotCarriedError, match=f"^{reason}$"):
        parse(body, endpoint)


@given(st.binary() | st.text().map(str.encode), st.sampled_from(Endpoint))
def test_no_bytes_whatever_raise_anything_else(body: bytes, endpoint: Endpoint) -> None:
    """Arbitrary input is parsed or refused, with a word for counters, never the body's text."""
    read: Body | None = None
    reason = "none"
    try:
        read = parse(body, endpoint)
    except NotCarriedError as error:
        reason = str(error)
    assert re.fullmatch("[a-z_]+", reason)
    assert read is None or splice(read, {}) == body


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/chat/completions", CHAT),
        ("/chat/completions", CHAT),
        ("/v1/chat/completions/", CHAT),
        ("/v1//chat/completions?api-version=2024-10-21", CHAT),
        ("/openai/deployments/gpt-4o/chat/completions?api-version=1", CHAT),
        ("/api/v1/chat/completions", CHAT),
        ("/inference/chat/completions", CHAT),
        ("/v1/completions", COMPLETIONS),
        ("/completions", COMPLETIONS),
        ("/openai/deployments/davinci/completions", COMPLETIONS),
        ("/engines/davinci/completions", COMPLETIONS),
        ("/v1/responses", RESPONSES),
        ("/openai/v1/responses?api-version=preview", RESPONSES),
        ("/openai/responses", RESPONSES),
        ("/v1beta/responses/", RESPONSES),
        ("/v1/responses/resp_1", None),
        ("/v1/responses/resp_1/cancel", None),
        ("/v1/responses/input_tokens", None),
        ("/v1/chat/completions/chatcmpl-1", None),
        ("/v1/fim/completions", None),
        ("/v1/completions2", None),
        ("/v1/mycompletions", None),
        ("/v1/chat", None),
        ("/v1/threads/t/responses", None),
        ("/v1/embeddings?x=/v1/completions", None),
        ("", None),
        ("/" * 100_000 + "chat/x", None),
    ],
)
def test_a_path_is_known_by_its_end(path: str, endpoint: Endpoint | None) -> None:
    """Whatever base it stands under; what has an id behind it is something else."""
    assert endpoint_of("POST", path) is endpoint
    assert endpoint_of("GET", path) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/openai/deployments/gpt-4o-eu/chat/completions?x=1", "gpt-4o-eu"),
        ("/v1/chat/completions", ""),
        ("/openai/deployments", ""),
    ],
)
def test_azures_deployments_are_found(path: str, name: str) -> None:
    """Bodies that go there need not name a model."""
    assert deployment_of(path) == name


def roles(value: object, endpoint: Endpoint) -> list[tuple[str, str]]:
    body = parse(json.dumps(value).encode(), endpoint)
    return [(message.role, body.raw[message.start : message.end].decode()) for message in body.messages]


def test_every_message_is_found_with_its_bytes() -> None:
    """Those without texts too, so that texts' numbers are theirs."""
    said = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "signature": "s", "content": "b"},
        {"x": 1},
    ]
    assert roles({"messages": said}, Endpoint.CHAT) == [
        (role, json.dumps(message)) for role, message in zip(("user", "assistant", ""), said, strict=True)
    ]
    assert roles({"prompt": "a"}, Endpoint.COMPLETIONS) == [("user", '"a"')]
    assert roles({"prompt": ["a", "b"]}, Endpoint.COMPLETIONS) == [("user", '"a"'), ("user", '"b"')]
    assert roles({"prompt": [1, 2]}, Endpoint.COMPLETIONS) == []


def test_items_of_responses_are_whose_they_are() -> None:
    """What is neither a message nor from the client, the model made."""
    kinds = {
        "reasoning": "assistant",
        "function_call": "assistant",
        "item_reference": "assistant",
        "function_call_output": "tool",
        "mcp_approval_response": "user",
    }
    items: list[dict[str, str]] = [{"type": kind} for kind in kinds]
    items += [{"role": "user", "content": "b"}, {"type": "message", "role": "assistant", "content": "c"}]
    found = roles({"instructions": "a", "input": items}, Endpoint.RESPONSES)
    assert [role for role, _ in found] == ["system", *kinds.values(), "user", "assistant"]
    body = parse(json.dumps({"instructions": "a", "input": items}).encode(), Endpoint.RESPONSES)
    assert [(text.message, text.text) for text in body.texts] == [(0, "a"), (6, "b"), (7, "c")]


def test_what_a_response_goes_on_from_is_told() -> None:
    """By its JSON without layout; nothing for other endpoints."""
    told = {"input": "a", "previous_response_id": "r", "conversation": {"id": "c"}}
    assert parse(json.dumps(told).encode(), Endpoint.RESPONSES).thread == b'"r"{"id":"c"}'
    assert parse(b'{"input":"a","conversation":null}', Endpoint.RESPONSES).thread == b""
    assert parse(b'{"messages":[],"conversation":"c"}', Endpoint.CHAT).thread == b""
