"""The frames between the proxy and its compressor process: a length, then MessagePack.

Both ends are ours and of one version, so that the types are the contract.
"""

import asyncio
from enum import StrEnum

import msgspec

from elision.compressors.base import Identity, Job, Method, Outcome

_LENGTH_BYTES = 4


class Refusal(StrEnum):
    """Why the compressor has no outcome for a text; docs/reasons.md tells people what to do.

    Attributes:
        DEADLINE: time was over before it was done, or before it began.
        QUEUE_FULL: so much waits already that no more may.
        OVERLOADED: what waits before it would take until after its deadline.
        TOO_LONG: the text alone would take until after its deadline.
        OUT_OF_MEMORY: the text is more than the device has memory for.
        COMPRESSOR_ERROR: the method failed.
        COMPRESSOR_CRASHED: the process ended meanwhile, and another one starts.
        COMPRESSOR_STARTING: the process has not yet loaded the method.
        METHOD_UNAVAILABLE: the method cannot be made here; `/elision/ready` says why.
    """

    DEADLINE = "deadline"
    QUEUE_FULL = "queue_full"
    OVERLOADED = "overloaded"
    TOO_LONG = "too_long"
    OUT_OF_MEMORY = "out_of_memory"
    COMPRESSOR_ERROR = "compressor_error"
    COMPRESSOR_CRASHED = "compressor_crashed"
    COMPRESSOR_STARTING = "compressor_starting"
    METHOD_UNAVAILABLE = "method_unavailable"


class Prepare(msgspec.Struct, tag="prepare", frozen=True):
    """Load these methods' weights and tell their identities."""

    id: int
    methods: tuple[Method, ...]


class Compress(msgspec.Struct, tag="compress", frozen=True):
    """Compress this text within `deadline_s` seconds from receipt.

    Attributes:
        beside: tokens of other texts that the same request asks for at the same time, about.
        scores: the text's, packed as they came back once; b"": they are to be found.
        whose: equal jobs of one owner are one piece of work; of two owners they are two.
    """

    id: int
    job: Job
    deadline_s: float
    beside: int = 0
    scores: bytes = b""
    whose: bytes = b""


class Prolong(msgspec.Struct, tag="prolong", frozen=True):
    """Somebody waits for this request until `deadline_s` seconds from receipt, later than was said."""

    id: int
    deadline_s: float


class Cancel(msgspec.Struct, tag="cancel", frozen=True):
    """Nobody waits for this request any more."""

    id: int


class Ping(msgspec.Struct, tag="ping", frozen=True):
    """Are you there?"""

    id: int


class Prepared(msgspec.Struct, tag="prepared", frozen=True):
    """The identity of each method, in order; None where it failed, with its error's message."""

    id: int
    identities: tuple[Identity | None, ...]
    errors: tuple[str, ...]


class Compressed(msgspec.Struct, tag="compressed", frozen=True):
    """What became of the text; `scores` are worth keeping, b"" where none were found now."""

    id: int
    outcome: Outcome
    scores: bytes = b""


class Failed(msgspec.Struct, tag="failed", frozen=True):
    """The request was not carried out; `detail` is for the log."""

    id: int
    reason: Refusal
    detail: str


class Pong(msgspec.Struct, tag="pong", frozen=True):
    """I am."""

    id: int


Question = Prepare | Compress | Prolong | Cancel | Ping
Answer = Prepared | Compressed | Failed | Pong


class Codec:
    """Encodes and decodes frames; one per connection, not shared between threads."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._questions = msgspec.msgpack.Decoder(Question)
        self._answers = msgspec.msgpack.Decoder(Answer)

    def frame(self, message: Question | Answer) -> bytes:
        """Return a message as one frame."""
        content = self._encoder.encode(message)
        return len(content).to_bytes(_LENGTH_BYTES, "big") + content

    async def read_question(self, reader: asyncio.StreamReader) -> Question:
        """Return the next question. Raises `asyncio.IncompleteReadError` at the end."""
        question: Question = self._questions.decode(await _read_frame(reader))
        return question

    async def read_answer(self, reader: asyncio.StreamReader) -> Answer:
        """Return the next answer. Raises `asyncio.IncompleteReadError` at the end."""
        answer: Answer = self._answers.decode(await _read_frame(reader))
        return answer


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
    return await reader.readexactly(length)
