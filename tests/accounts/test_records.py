"""What is told of a request."""

import logging

import pytest

from elision.accounts.records import LogSink, Report, RequestRecord
from elision.accounts.usage import Answered, Usage

REPORT = Report(
    team="search",
    policy="rag@1a2b3c4d",
    mode="enforce",
    methods=("lossless", "selective_context"),
    tokens_before=1000,
    tokens_after=400,
    segments=("context:900>300", "question:100>100"),
    cache="partial",
    bypass=("deadline",),
)


def test_headers_say_what_was_saved() -> None:
    """Plain decimals, lower case."""
    assert REPORT.headers() == [
        ("x-elision-team", "search"),
        ("x-elision-policy", "rag@1a2b3c4d"),
        ("x-elision-mode", "enforce"),
        ("x-elision-tokens-before", "1000"),
        ("x-elision-tokens-after", "400"),
        ("x-elision-tokens-saved", "600"),
        ("x-elision-ratio", "0.400"),
        ("x-elision-method", "lossless,selective_context"),
        ("x-elision-segments", "context:900>300,question:100>100"),
        ("x-elision-bypass", "deadline"),
        ("x-elision-cache", "partial"),
    ]


def test_what_rules_in_audit_would_have_saved_is_told_apart() -> None:
    """It is not saved."""
    assert ("x-elision-tokens-audited", "25") in Report(policy="p@1", tokens_audited=25).headers()


def test_a_request_that_nobody_looked_into_says_nothing() -> None:
    """Unless there is a reason to tell."""
    assert Report().headers() == []
    assert Report(bypass=("malformed_body",)).headers() == [("x-elision-bypass", "malformed_body")]


def test_a_withdrawn_rewrite_claims_no_saving() -> None:
    """After the original was sent instead."""
    headers = dict(REPORT.withdrawn("upstream_400").headers())
    assert headers["x-elision-tokens-saved"] == "0"
    assert headers["x-elision-bypass"] == "deadline,upstream_400"
    assert "x-elision-method" not in headers


def test_the_log_line_holds_figures_and_the_path_only(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing empty, nothing of the prompt."""
    record = RequestRecord("id", "POST", "/v1/x", 200, REPORT, Answered(Usage(410, 7)), 1.234, 99.96)
    with caplog.at_level(logging.INFO, logger="elision.requests"):
        LogSink().add(record)
    [line] = caplog.records
    assert line.getMessage() == "POST /v1/x"
    assert line.__dict__["figures"] == {
        "request_id": "id",
        "status": 200,
        "total_ms": 100.0,
        "overhead_ms": 1.23,
        "team": "search",
        "policy": "rag@1a2b3c4d",
        "mode": "enforce",
        "tokens_before": 1000,
        "tokens_after": 400,
        "cache": "partial",
        "bypass": "deadline",
        "prompt_tokens": 410,
        "completion_tokens": 7,
    }


def test_the_log_names_the_upstream_where_there_are_several(caplog: pytest.LogCaptureFixture) -> None:
    """One alone has no name, and goes without saying."""
    with caplog.at_level(logging.INFO, logger="elision.requests"):
        for name in ("azure", ""):
            LogSink().add(RequestRecord("id", "GET", "/v1/models", 200, upstream=name))
    figures = [line.__dict__["figures"] for line in caplog.records]
    assert [figure.get("upstream") for figure in figures] == ["azure", None]
