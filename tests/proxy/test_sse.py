"""Events and usage, under any chunking."""

import gzip
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.accounts.usage import Answered, Usage
from elision.proxy.sse import EventReader, UsageObserver

CHUNKS = [
    {"choices": [{"delta": {"content": 'about "usage" — 你'}}]},
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}},
]
STREAM = b": hello\r\n\r\n" + b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in CHUNKS)
STREAM += b"data: [DONE]\n\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `data` at the given places."""
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    starts = [0, *ends]
    return [data[a:b] for a, b in zip(starts, ends, strict=False)]


@given(st.lists(st.integers(0, 1000)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_chunking_yields_the_same_events(cuts: list[int], newline: bytes) -> None:
    """Where the network splits a stream, even inside a character or a line end, is invisible."""
    stream = b"event: a\ndata: one\ndata: two\n\ndata:\xe4\xbd\xa0\n\n: c\n\ndata: x\n\n.".replace(
        b"\n", newline
    )
    reader = EventReader()
    events = [event for piece in pieces(stream, cuts) for event in reader.feed(piece)]
    assert events == [b"one\ntwo", "你".encode(), b"", b"x"]


@given(st.lists(st.integers(0, 1000)))
def test_usage_of_a_stream_is_seen_under_any_chunking(cuts: list[int]) -> None:
    """The last usage that the stream states, and none that its text merely mentions."""
    observer = UsageObserver("text/event-stream; charset=utf-8", "")
    for piece in pieces(STREAM, cuts):
        observer.feed(piece)
    observer.close()
    assert observer.answered().usage == Usage(prompt_tokens=7, completion_tokens=3)


@pytest.mark.parametrize("encoding", ["", "identity", "gzip"])
def test_usage_of_a_whole_answer_is_seen_in_every_encoding_that_we_read(
    encoding: str,
) -> None:
    """A copy is inflated; what passes by stays compressed."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    body = json.dumps({"id": "x", "usage": usage}).encode()
    observer = UsageObserver("application/json", encoding)
    for piece in pieces(gzip.compress(body) if encoding == "gzip" else body, [3, 11]):
        observer.feed(piece)
    observer.close()
    assert observer.answered().usage == Usage(9, 1, 4)


def test_usage_of_responses_events_is_seen() -> None:
    """The Responses API states it in other words, one level deeper."""
    event = {
        "type": "response.completed",
        "response": {"usage": {"input_tokens": 5, "output_tokens": 2}},
    }
    observer = UsageObserver("text/event-stream", "")
    observer.feed(b"event: response.completed\ndata: " + json.dumps(event).encode() + b"\n\n")
    assert observer.answered().usage == Usage(5, 2)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", ""])
@given(body=st.binary())
def test_unreadable_bytes_are_let_go(encoding: str, body: bytes) -> None:
    """No usage, no error."""
    observer = UsageObserver("application/json", encoding)
    observer.feed(body)
    observer.close()
    assert observer.answered().usage is None


def test_an_endless_event_is_not_kept_in_memory() -> None:
    """Beyond 4 MiB an event is passed over; those after it are read."""
    reader = EventReader()
    for _ in range(6):
        assert reader.feed(b"data: " + b"x" * (1 << 20)) == []
    reader.feed(b"\n\n")
    assert reader.feed(b"data: after\n\n") == [b"after"]


@pytest.mark.parametrize("depth", [500, 200_000])
def test_an_answer_nested_beyond_reading_has_no_usage_and_no_error(depth: int) -> None:
    """The client gets such an answer; only we do not look into it."""
    body = b'{"usage": {"prompt_tokens": 7}, "deep": ' + b"[" * depth + b"]" * depth + b"}"
    observer = UsageObserver("application/json", "")
    observer.feed(body)
    observer.close()
    assert observer.answered().usage == (Usage(7, 0) if depth == 500 else None)


def test_an_event_of_megabytes_is_put_together_from_small_pieces() -> None:
    """An image comes so; searching it from its beginning with every piece would take most of a minute."""
    event = b'{"b64_json": "' + b"A" * (4_000_000) + b'"}'
    stream = b"data: " + event + b"\r\n\r\n" + b"data: next\n\n"
    reader = EventReader()
    starts = range(0, len(stream), 1400)
    assert [data for start in starts for data in reader.feed(stream[start : start + 1400])] == [
        event,
        b"next",
    ]
    assert reader.idle


CHAT = [
    {
        "id": "c",
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "choices": [{"index": 0, "delta": {}}],
    },
    *(
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
        for _ in range(40)
    ),
    {"id": "c", "choices": [{"index": 1, "delta": {}, "finish_reason": "length"}], "usage": None},
    *(
        {"id": "c", "choices": [{"index": 0, "delta": {"content": "y"}, "finish_reason": None}]}
        for _ in range(40)
    ),
    {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"id": "c", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 80}},
]
MESSAGES = [
    {
        "type": "message_start",
        "message": {
            "model": "claude-sonnet-5",
            "stop_reason": None,
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 900, "output_tokens": 1},
        },
    },
    *(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}
        for _ in range(40)
    ),
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 41}},
    {"type": "message_stop"},
]
RESPONSES = [
    {"type": "response.created", "response": {"model": "gpt-5", "status": "in_progress", "usage": None}},
    *({"type": "response.output_text.delta", "delta": "x"} for _ in range(40)),
    {
        "type": "response.incomplete",
        "response": {
            "model": "gpt-5-2025-08-07",
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "usage": {
                "input_tokens": 5,
                "output_tokens": 40,
                "output_tokens_details": {"reasoning_tokens": 9},
            },
        },
    },
]
STREAMS = {
    "chat": (CHAT, Answered(Usage(7, 80), "gpt-4o-2024-08-06", ("length", "stop"), True, "default")),
    "messages": (MESSAGES, Answered(Usage(905, 41, 900), "claude-sonnet-5", ("end_turn",), True)),
    "responses": (
        RESPONSES,
        Answered(Usage(5, 40, 0, 0, 9), "gpt-5-2025-08-07", ("max_output_tokens",), True),
    ),
}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("said", list(STREAMS))
@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 20_000), max_size=60))
def test_model_ends_and_usage_are_seen_of_every_api_under_any_chunking(
    said: str, separators: tuple[str, str], cuts: list[int]
) -> None:
    """However its JSON is written, and wherever the network cuts it."""
    events, expected = STREAMS[said]
    told = [json.dumps(event, separators=separators).encode() for event in events]
    framed = [b"event: x\ndata: " + event + b"\n\n" for event in told]
    for chunks in (framed, pieces(b"".join(framed), cuts)):
        observer = UsageObserver("text/event-stream", "")
        for chunk in chunks:
            observer.feed(chunk)
        observer.close()
        assert observer.answered() == expected


def test_usage_that_every_event_states_is_the_last_one() -> None:
    """Also of a stream whose client left in the middle."""
    observer = UsageObserver("text/event-stream", "")
    for count in range(100):
        event = {"model": "m", "usage": {"prompt_tokens": 7, "completion_tokens": count}}
        observer.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert observer.answered().usage == Usage(7, 99)


def test_a_stream_whose_first_events_say_no_model_is_asked_again_at_its_end() -> None:
    """Azure begins with its filter's findings, gateways with comments."""
    observer = UsageObserver("text/event-stream", "")
    observer.feed(b": waiting\n\n")
    observer.feed(b'data: {"choices":[],"model":""}\n\n')
    for _ in range(50):
        observer.feed(b'data: {"choices":[{"finish_reason":null}],"model":"gpt-4o"}\n\n')
    assert observer.answered().model == "gpt-4o"


def test_little_is_kept_of_a_long_stream() -> None:
    """Of each of the last chunks some kilobytes at most, whatever their size."""
    observer = UsageObserver("text/event-stream", "")
    observer.feed(b'data: {"model":"m"}\n\n')
    tracemalloc.start()
    try:
        for number in range(50):
            observer.feed(b'data: {"b64":"' + b"A" * 100_000 + b'%d"}\n\n' % number)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 500_000
    observer.feed(b'data: {"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n')
    assert observer.answered().usage == Usage(3, 4)
