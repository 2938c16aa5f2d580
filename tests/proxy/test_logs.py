"""One line per event."""

import asyncio
import io
import json
import logging
import subprocess
import sys

import pytest

from elision.proxy.logs import ConsoleFormatter, GatheringHandler, JsonFormatter

RECORD = logging.LogRecord("elision.x", logging.INFO, "f", 1, "hello %s", ("there",), None)
RECORD.figures = {"status": 200, "team": "a"}


def test_a_console_line_ends_with_the_figures() -> None:
    """For people."""
    line = ConsoleFormatter().format(RECORD)
    assert line.endswith("info elision.x hello there status=200 team=a")


def test_a_json_line_is_one_object() -> None:
    """For machines."""
    event = json.loads(JsonFormatter().format(RECORD))
    del event["time"]
    assert event == {
        "level": "info",
        "logger": "elision.x",
        "message": "hello there",
        "status": 200,
        "team": "a",
    }


def test_configuring_sends_our_lines_and_only_others_warnings_to_stderr() -> None:
    """In a process of its own: logging is global."""
    code = (
        "import logging; from elision.proxy import logs; logs.configure('console', 'info');"
        "logging.getLogger('elision.x').info('ours'); logging.getLogger('other').info('theirs')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ours" in done.stderr
    assert "theirs" not in done.stderr + done.stdout


async def test_lines_are_gathered_and_written_soon() -> None:
    """One write for many; a warning does not wait, nor does the end of the process."""
    stream = io.StringIO()
    handler = GatheringHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.emit(RECORD)
    handler.emit(RECORD)
    assert stream.getvalue() == ""
    await asyncio.sleep(0.3)
    assert stream.getvalue() == "hello there\n" * 2
    handler.emit(RECORD)
    warning = logging.LogRecord("elision.x", logging.WARNING, "f", 1, "mind", (), None)
    handler.emit(warning)
    assert stream.getvalue() == "hello there\n" * 3 + "mind\n"
    handler.emit(RECORD)
    handler.close()
    handler.flush()
    assert stream.getvalue().endswith("mind\nhello there\n")


def test_without_a_loop_a_line_is_written_at_once() -> None:
    """The command line logs too."""
    stream = io.StringIO()
    handler = GatheringHandler(stream)
    handler.emit(RECORD)
    assert stream.getvalue() == "hello there\n"


@pytest.mark.parametrize("formatter", [ConsoleFormatter(), JsonFormatter()])
def test_an_error_is_told_by_its_type_and_place(formatter: logging.Formatter) -> None:
    """A line without a reason helps nobody; the error's own words may be somebody's text."""
    try:
        raise ValueError("secret text")
    except ValueError as error:
        told = (type(error), error, error.__traceback__)
    line = formatter.format(logging.LogRecord("asyncio", logging.ERROR, "f", 1, "It ended", (), told))
    assert "It ended (ValueError at " in line
    assert "test_logs.py:" in line
    assert "secret" not in line
