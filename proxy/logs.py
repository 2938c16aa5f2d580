"""How the log looks: one line per event, for people or for machines. Never text of users, never keys."""

import asyncio
import logging
import sys
import time
from typing import TextIO

import msgspec

from elision.proxy.errors import where

_FLUSH_AFTER_S = 0.2


class ConsoleFormatter(logging.Formatter):
    """`12:00:01 info elision.requests POST /v1/chat/completions status=200 ...`."""

    def __init__(self) -> None:
        super().__init__()
        self._second = -1
        self._clock = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        figures: dict[str, object] = getattr(record, "figures", {})
        told = " ".join(f"{name}={value}" for name, value in figures.items())
        if int(record.created) != self._second:
            self._second = int(record.created)
            self._clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{self._clock} {record.levelname.lower()} {record.name} {_message(record)}"
        return f"{line} {told}" if told else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the event's figures."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        event: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        return msgspec.json.encode(event | getattr(record, "figures", {})).decode()


def _message(record: logging.LogRecord) -> str:
    """Return what a record says, with the type and place of an error; its own words could be a user's."""
    error = record.exc_info[1] if record.exc_info else None
    return record.getMessage() if error is None else f"{record.getMessage()} ({where(error)})"


class GatheringHandler(logging.StreamHandler[TextIO]):
    """Writes lines together, at most 0.2 s late: a write per line is a good part of a request's cost.

    Warnings and worse, and lines outside an event loop, are written at once.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        self._lines.append(self.format(record))
        if record.levelno >= logging.WARNING:
            self.flush()
        elif len(self._lines) == 1:
            try:
                asyncio.get_running_loop().call_later(_FLUSH_AFTER_S, self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Write what was gathered; the end of the process calls this too."""
        if self._lines and not self.stream.closed:
            lines, self._lines = self._lines, []
            self.stream.write("\n".join(lines) + "\n")
            self.stream.flush()


def configure(style: str, level: str) -> None:
    """Send the log to standard error.

    Args:
        style: `console` or `json`.
        level: `debug`, `info`, `warning` or `error`.
    """
    handler = GatheringHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else ConsoleFormatter())
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # of no use to our formats
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("elision").setLevel(level.upper())
