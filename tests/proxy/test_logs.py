"""One line per event."""

import json
import logging
import subprocess
import sys

from elision.proxy.logs import ConsoleFormatter, JsonFormatter

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
