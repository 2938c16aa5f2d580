"""Events and usage, under any chunking."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.accounts.usage import Usage
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
    assert observer.usage == Usage(prompt_tokens=7, completion_tokens=3)


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
    assert observer.usage == Usage(9, 1, 4)


def test_usage_of_responses_events_is_seen() -> None:
    """The Responses API states it in other words, one level deeper."""
    event = {
        "type": "response.completed",
        "response": {"usage": {"input_tokens": 5, "output_tokens": 2}},
    }
    observer = UsageObserver("text/event-stream", "")
    observer.feed(b"event: response.completed\ndata: " + json.dumps(event).encode() + b"\n\n")
    assert observer.usage == Usage(5, 2)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", ""])
@given(body=st.binary())
def test_unreadable_bytes_are_let_go(encoding: str, body: bytes) -> None:
    """No usage, no error."""
    observer = UsageObserver("application/json", encoding)
    observer.feed(body)
    observer.close()
    assert observer.usage is None


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
    assert observer.usage == (Usage(7, 0) if depth == 500 else None)


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
