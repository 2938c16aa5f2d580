"""How the log looks: one line per event, for people or for machines. Never text of users, never keys."""

import logging
import sys
import time

import msgspec


class ConsoleFormatter(logging.Formatter):
    """`12:00:01 info elision.requests POST /v1/chat/completions status=200 ...`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        figures: dict[str, object] = getattr(record, "figures", {})
        told = " ".join(f"{name}={value}" for name, value in figures.items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower()} {record.name} {record.getMessage()}"
        return f"{line} {told}" if told else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the event's figures."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        event: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return msgspec.json.encode(event | getattr(record, "figures", {})).decode()


def configure(style: str, level: str) -> None:
    """Send the log to standard error.

    Args:
        style: `console` or `json`.
        level: `debug`, `info`, `warning` or `error`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("elision").setLevel(level.upper())
