"""One line of the log for each request."""

import logging

import pytest

from elision.accounts.log_line import LogSink
from elision.accounts.money import Basis, Money
from elision.accounts.records import Report, RequestRecord
from elision.accounts.usage import Answered, Usage

REPORT = Report(
    team="search",
    policy="rag@1a2b3c4d",
    mode="enforce",
    tokens_before=1000,
    tokens_after=400,
    cache="partial",
    bypass=("deadline",),
)


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


def test_the_log_says_model_and_money(caplog: pytest.LogCaptureFixture) -> None:
    """What a client made up as a model's name breaks no line, and is no longer than a name."""
    money = Money(1_500, -2_500, Basis.BILLED)
    report = Report("search", "rag@1", "enforce", model="gpt\n" + "4" * 500)
    record = RequestRecord(
        "id", "POST", "/v1/x", 200, report, money=money, tokens_saved=-3, basis=Basis.BILLED
    )
    with caplog.at_level(logging.INFO, logger="elision.requests"):
        LogSink().add(record)
    figures = caplog.records[0].__dict__["figures"]
    assert (figures["cost_usd"], figures["cost_saved_usd"]) == (1.5e-6, -2.5e-6)
    assert (figures["tokens_saved"], figures["basis"]) == (-3, "billed")
    assert figures["model"] == "gpt?" + "4" * 96
