"""The log of requests: a file with one JSON object for each, written by a thread of its own.

Figures only; the texts before and after only of requests whose policy says `log_text`, and never a
header or a key. Taking a record costs next to nothing. What waits is bounded; a disk that is full or
slow costs lines, which are counted and told, and never a request.
"""

import asyncio
import logging
import threading
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from elision.accounts.labels import NAME_LETTERS, PATH_LETTERS, cleaned
from elision.accounts.money import NANO
from elision.accounts.records import RequestRecord
from elision.accounts.repeating import Repeating
from elision.accounts.rotating_file import RotatingFile
from elision.config.accounts import RequestLog
from elision.config.errors import ConfigError

RECORDS = 20_000
"""Lines that may wait to be written."""
TEXT_BYTES = 64 * 1024 * 1024
"""Bytes of texts that may wait with them."""
EVERY_S = 0.25
_MIB = 1024 * 1024

Texts = tuple[bytes, bytes]
"""A body as the client sent it, and as it was forwarded."""


class RequestLogSink:
    """Takes records, and before them the texts of some; writes a line for each.

    Attributes:
        written, lost, without_text: lines; the last lack texts because too many waited.

    Args:
        settings: where to; `path` is set.
        records, text_bytes: how much may wait.
    """

    def __init__(self, settings: RequestLog, *, records: int = RECORDS, text_bytes: int = TEXT_BYTES) -> None:
        if settings.path is None:
            raise ValueError("there is no file to write to")
        self.written = 0
        self.lost = 0
        self.without_text = 0
        self._file = RotatingFile(settings.path, settings.max_mib * _MIB, settings.files)
        self._waiting: deque[tuple[RequestRecord, Texts | None]] = deque()
        self._texts: dict[str, Texts] = {}
        self._text_bytes = 0
        self._most, self._most_bytes = records, text_bytes
        self._trouble = ""
        self._lock = threading.Lock()
        self._writing = Repeating("elision-request-log", EVERY_S, self._flush)
        self._log = logging.getLogger("elision.accounts")

    def start(self) -> None:
        """Begin to write what is taken."""
        self._writing.start()

    def keep(self, request_id: str, sent: bytes, forwarded: bytes) -> None:
        """Take a request's texts; its record comes next."""
        size = len(sent) + len(forwarded)
        if self._text_bytes + size > self._most_bytes:
            self.without_text += 1
            return
        with self._lock:
            self._text_bytes += size
        self._texts[request_id] = (sent, forwarded)

    def add(self, record: RequestRecord) -> None:
        """Take one finished request; nothing is written here."""
        texts = self._texts.pop(record.request_id, None) if self._texts else None
        if len(self._waiting) < self._most:
            self._waiting.append((record, texts))
            return
        with self._lock:
            self.lost += 1
        self._release(_size(texts) if texts is not None else 0)

    async def close(self) -> None:
        """Have everything written that was taken, and end."""
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._writing.end()
        self._file.close()

    def _flush(self) -> None:
        """Write all that waits."""
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), 200))]
            lines = [line_of(record, texts) for record, texts in taken]
            self._release(sum(_size(texts) for _, texts in taken if texts is not None))
            before, trouble = self._file.lines, ""
            try:
                self._file.append(lines)
            except OSError as error:
                trouble = error.strerror or str(error)
            written = self._file.lines - before
            self.written += written
            with self._lock:
                self.lost += len(lines) - written
            self._tell(trouble)

    def _release(self, text_bytes: int) -> None:
        if text_bytes:
            with self._lock:
                self._text_bytes -= text_bytes

    def _tell(self, trouble: str) -> None:
        """Tell the operator of trouble once, and of its end."""
        if trouble and not self._trouble:
            self._log.error("Lines of the log of requests are lost: %s (%s)", trouble, self._file.path)
        elif self._trouble and not trouble:
            self._log.info("The log of requests is written again; %d lines are lost so far.", self.lost)
        self._trouble = trouble


def line_of(record: RequestRecord, texts: Texts | None = None) -> bytes:
    """Return a record as one line of JSON, its end included; always with the same keys, but for `texts`."""
    line = {**_whose(record), **_tokens(record), **_answer(record)}
    if texts is not None:
        sent, forwarded = texts
        told = None if forwarded == sent else _json(forwarded)
        line["texts"] = {"sent": _json(sent), "forwarded": told}
    return msgspec.json.encode(line) + b"\n"


def _whose(record: RequestRecord) -> dict[str, object]:
    report = record.report
    at = datetime.fromtimestamp(record.at, UTC)
    return {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request_id": record.request_id,
        "team": report.team,
        "policy": report.policy,
        "mode": report.mode,
        "http_method": record.method,
        "path": cleaned(record.path, PATH_LETTERS),
        "upstream": record.upstream,
        "model": cleaned(report.model or record.answered.model, NAME_LETTERS),
        "status": record.status,
        "error": record.error,
        "overhead_ms": round(record.overhead_ms, 3),
        "total_ms": round(record.total_ms, 1),
    }


def _tokens(record: RequestRecord) -> dict[str, object]:
    report, money = record.report, record.money
    return {
        "methods": report.methods,
        "tokens_before": report.tokens_before,
        "tokens_after": report.tokens_after,
        "tokens_saved": record.tokens_saved,
        "tokens_audited": report.tokens_only_audited,
        "basis": str(record.basis),
        "encoding": report.encoding,
        "segments": report.segments,
        "cache": report.cache,
        "prefix": report.prefix,
        "bypass": report.bypass,
        "original_resent": record.sent_original_after_rejection,
        "cost_usd": money.cost / NANO if money is not None else None,
        "cost_saved_usd": money.saved / NANO if money is not None else None,
        "cost_basis": str(money.basis) if money is not None else None,
    }


def _answer(record: RequestRecord) -> dict[str, object]:
    answered, usage = record.answered, record.answered.usage
    return {
        "answered_model": cleaned(answered.model, NAME_LETTERS),
        "streamed": answered.streamed,
        "finish_reasons": answered.finish_reasons,
        "body_bytes": record.body_bytes,
        "usage": None
        if usage is None
        else {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        },
    }


def _json(body: bytes) -> object:
    """Return a body as JSON without line ends, as it is written; what is none, as a string."""
    try:
        return msgspec.Raw(msgspec.json.format(body.decode().encode(), indent=-1))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return body.decode(errors="replace")


def _size(texts: Texts) -> int:
    return sum(map(len, texts))


def of_worker(settings: RequestLog, place: int) -> RequestLog:
    """Return the settings of one of several workers, which writes a file of its own: `requests-0.jsonl`."""
    path = settings.path
    if path is None:
        return settings
    return replace(settings, path=path.with_name(f"{path.stem}-{place}{path.suffix}"))


def check_request_log(settings: RequestLog) -> None:
    """Refuse to begin with a path that cannot be written to.

    Raises: ConfigError.
    """
    path = settings.path
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(
            [f"request_log.path: {path} is a folder; name a file in it, requests.jsonl for instance"]
        )
    if not path.parent.is_dir():
        raise ConfigError([f"request_log.path: there is no folder {path.parent}; make it, or name another"])
