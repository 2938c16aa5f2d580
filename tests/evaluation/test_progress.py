"""Progress is for people: where nobody looks, nothing is written."""

import pytest

from elision.evaluation.progress import bar


def test_a_pipe_hears_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs of unattended runs are not filled with bars."""
    with bar("reading", 3) as tick:
        tick(2)
        tick(1)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_is_told_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is done, and of how much."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with bar("reading", 3) as tick:
        tick(3)
    streams = capsys.readouterr()
    assert "reading" in streams.err
    assert "3/3" in streams.err
    assert streams.out == ""
