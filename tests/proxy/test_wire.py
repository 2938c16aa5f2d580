"""Frames between the proxy and its compressor process."""

import asyncio
import re
from pathlib import Path

import pytest

from elision.compressors.base import Identity, Job, Method, Outcome, Span, Target
from elision.proxy.wire import (
    Answer,
    Cancel,
    Codec,
    Compress,
    Compressed,
    Failed,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Prolong,
    Question,
    Refusal,
)

METHOD = Method(
    "selective_context", (("agg", "mean"), ("level", "phrase"), ("n", 3), ("x", 0.5), ("y", True))
)
JOB = Job("text 你 \x00", METHOD, Target(rate=0.5, model="m", question="q", protect=("urls",)))
OUTCOME = Outcome("text", 3, 1, (Span(0, 4),), "m", "f", "why")


def reader_of(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize(
    "question",
    [Prepare(1, (METHOD,)), Compress(2, JOB, 1.5, 7, b"\xff\0"), Prolong(2, 0.5), Cancel(3), Ping(4)],
)
async def test_questions_come_back_equal(question: Question) -> None:
    """Encoded and decoded, types and all."""
    codec = Codec()
    reader = reader_of(codec.frame(question) * 2)
    assert await codec.read_question(reader) == question
    assert await codec.read_question(reader) == question


@pytest.mark.parametrize(
    "answer",
    [
        Prepared(1, (Identity("f", "s", reads_question=False), None), ("", "e")),
        Compressed(2, OUTCOME, b"\xff\0"),
        Failed(3, Refusal.DEADLINE, "d"),
        Pong(4),
    ],
)
async def test_answers_come_back_equal(answer: Answer) -> None:
    """Encoded and decoded, types and all."""
    codec = Codec()
    assert await codec.read_answer(reader_of(codec.frame(answer))) == answer


async def test_a_cut_frame_is_an_end_not_an_answer() -> None:
    """The peer died in the middle of it."""
    codec = Codec()
    with pytest.raises(asyncio.IncompleteReadError):
        await codec.read_answer(reader_of(codec.frame(Pong(1))[:-1]))


def test_every_reason_is_explained_to_people() -> None:
    """In one table, with what to do about it."""
    page = (Path(__file__).parent.parent.parent / "docs/reasons.md").read_text(encoding="utf-8")
    table = page.split("## The compressor could not be had", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {reason.value for reason in Refusal}
