"""The command line as a user sees it who made a mistake; a policy and a document to make it with."""

from pathlib import Path

import pytest

from elision.proxy.cli import run

POLICY = "rules:\n  - name: documents\n    use: {method: lossless}\n"
DOCUMENT = "\n\n".join(["The mill stood by the river. " * 40] * 3)


def failed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[str]]:
    """Run a command that fails; return its exit code and the lines on standard error."""
    code = run([str(argument) for argument in arguments])
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "Traceback" not in streams.err
    return code, streams.err.splitlines()
