"""What the dashboard's page and `elision top` are told."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elision.accounts.archive import LABELS, MEASURES, Query, Row, Step, Sums
from elision.proxy.admin import Admin
from elision.proxy.dashboard_api import DashboardApi, Sources
from elision.proxy.policy_source import load_policies
from elision.proxy.reload import LivePolicies
from fakes.administered import administered
from fakes.archive import RECENT, RememberedRows
from fakes.running import untold

NOW = int(datetime(2026, 11, 21, 12, 30, tzinfo=UTC).timestamp())
SEARCH = ("search", "search@1", "embedded", "gpt-4o", "")
OTHERS = ("default", "none", "none", "=cmd", "")


def kept() -> RememberedRows:
    return RememberedRows(
        [
            Row(NOW - 7200, SEARCH, Sums(requests=3, tokens_saved=300, cost=5_000_000_000, priced=3)),
            Row(NOW - 60, SEARCH, Sums(requests=1, tokens_saved=-7, words={"bypass:deadline": 1})),
            Row(NOW - 60, OTHERS, Sums(requests=9, words={"status:200": 9})),
            Row(NOW - 40 * 86400, SEARCH, Sums(requests=100, cost=90_000_000_000, priced=100)),
        ],
        [RECENT, replace(RECENT, request_id="2", tokens_before=9, at=1.0)],
    )


def api(archive: RememberedRows | None, policies: LivePolicies | None = None) -> Admin:
    sources = Sources(archive, lambda: {"ready": True}, policies)
    return Admin(dict, untold, DashboardApi(sources, lambda: NOW).pages())


async def test_sums_are_told_by_time_and_labels() -> None:
    """In the shape that is promised: all measures by their names, words as an object."""
    archive = kept()
    async with administered(api(archive)) as running:
        told = await running.json("/elision/api/sums?step=hour&by=team")
    assert (told["step"], told["by"]) == ("hour", ["team"])
    assert [(row["at"] % 3600, row["labels"], row["sums"]["requests"]) for row in told["rows"]] == [
        (0, ["search"], 3),
        (0, ["default"], 9),
        (0, ["search"], 1),
    ]
    last = told["rows"][-1]["sums"]
    assert set(last) == set(MEASURES)
    assert (last["tokens_saved"], last["words"], len(last["overhead"])) == (-7, {"bypass:deadline": 1}, 14)
    assert archive.asked == [Query(NOW + 1 - 86400, NOW + 1, Step.HOUR, ("team",))]


async def test_sums_may_be_of_some_requests_and_some_measures() -> None:
    """Labels select; `fields` keeps answers small."""
    async with administered(api(kept())) as running:
        told = await running.json("/elision/api/sums?step=all&team=search&fields=requests,saved")
    [row] = told["rows"]
    assert (row["labels"], row["sums"]) == ([], {"requests": 4, "saved": 0})


async def test_tables_are_safe_to_open() -> None:
    """CSV has a column for each measure, bucket and word, and no formula in a model's name."""
    async with administered(api(kept())) as running:
        got = await running.get("/elision/api/sums?step=all&by=team,model&format=csv")
    assert got.value("content-type").startswith("text/csv")
    assert got.value("content-disposition") == 'attachment; filename="elision-sums.csv"'
    other, search = csv.DictReader(io.StringIO(got.body.decode()))
    assert (other["model"], other["status:200"], search["tokens_saved"]) == ("'=cmd", "9", "293")
    assert (search["at"], search["overhead_up_to_0.5_ms"]) == ("2026-11-20T12:30:01Z", "0")


async def test_an_answer_that_stayed_the_same_is_not_sent_again() -> None:
    """A page asks every two seconds."""
    async with administered(api(kept())) as running:
        path = f"/elision/api/sums?since={NOW - 86400}&step=all"
        first = await running.get(path)
        again = await running.get(path, ("If-None-Match", first.value("etag")))
    assert (first.status, again.status, again.body) == (200, 304, b"")


async def test_recent_requests_are_numbers_and_short_words() -> None:
    """In the order asked for, no more than asked for."""
    async with administered(api(kept())) as running:
        told = await running.json("/elision/api/recent?order=largest&count=1&team=search")
        table = await running.get("/elision/api/recent?format=csv")
    [one] = told["requests"]
    assert (one["request_id"], one["tokens_before"], one["saved"]) == ("5f3e", 1000, 1_475_000)
    assert [line["at"] for line in csv.DictReader(io.StringIO(table.body.decode()))] == [
        "2023-11-14T22:13:20Z",
        "1970-01-01T00:00:01Z",
    ]


async def test_values_are_told_for_filters() -> None:
    """Of one label or all."""
    async with administered(api(kept())) as running:
        assert await running.json("/elision/api/values?label=team") == {
            "values": {"team": ["default", "search"]}
        }
        assert set((await running.json("/elision/api/values"))["values"]) == set(LABELS)


async def test_spending_is_this_months(tmp_path: Path) -> None:
    """Against what each team means to spend; what has no known price is said, not guessed."""
    (tmp_path / "search.yaml").write_text("extends: lossless\nspending: {monthly_usd: 6, alert_at: 0.5}\n")
    (tmp_path / "quiet.yaml").write_text("extends: lossless\nspending: {monthly_usd: 1}\n")
    live = LivePolicies(load_policies(tmp_path))
    async with administered(api(kept(), live)) as running:
        told = await running.json("/elision/api/spending")
        table = await running.get("/elision/api/spending?format=csv")
    assert told["month"] == "2026-11"
    default, quiet, search = told["teams"]
    assert (default["team"], default["monthly_usd"], default["state"], default["unpriced"]) == (
        *("default", None, ""),
        9,
    )
    assert (quiet["team"], quiet["spent_usd"], quiet["state"]) == ("quiet", 0, "within")
    assert (search["spent_usd"], search["monthly_usd"], search["state"]) == (5.0, 6.0, "alert")
    assert search["used"] == pytest.approx(5 / 6)
    assert table.body.decode().startswith("month,team,spent_usd")


async def test_policies_and_what_the_page_needs_are_told() -> None:
    """Even where nothing is kept, and there are no policies."""
    async with administered(api(None)) as running:
        assert (await running.json("/elision/api/policies"))["health"] == {"ready": True}
        about = await running.json("/elision/api/about")
    assert about["labels"] == list(LABELS)
    assert (about["overhead_bounds_ms"][0], about["ratio_bounds"][-1]) == (0.5, 1.0)
    assert about["has_token"] is False


@pytest.mark.parametrize("path", ["sums", "recent", "values", "spending"])
async def test_an_archive_in_trouble_is_told_as_ours(path: str) -> None:
    """The page keeps what it has and asks again; the reason is for the log, not for clients."""
    async with administered(api(RememberedRows(trouble="/var/x.db is malformed"))) as running:
        got = await running.get(f"/elision/api/{path}")
    error = json.loads(got.body)["error"]
    assert (got.status, error["code"], error["type"]) == (503, "accounts_unreadable", "elision_error")
    assert "x.db" not in error["message"]


async def test_a_wrong_question_is_told_with_field_and_fix() -> None:
    """As all errors of requests."""
    async with administered(api(kept())) as running:
        got = await running.get("/elision/api/sums?by=teem")
    error = json.loads(got.body)["error"]
    assert (got.status, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith("by: must be names from team, policy")
