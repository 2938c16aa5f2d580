"""Requests without prices."""

from elision.accounts.money import Unpriced
from elision.accounts.records import Report, RequestRecord


def test_without_prices_there_are_tokens_only() -> None:
    """Nothing is claimed before the answer, nothing added after it."""
    record = RequestRecord("id", "POST", "/v1/x", 200, Report(tokens_before=10, tokens_after=5))
    assert Unpriced().estimate(record.report, "") is None
    assert Unpriced().settle(record) is record
