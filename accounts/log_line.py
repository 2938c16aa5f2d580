"""One line of the log for each request: its figures, for people who watch a proxy at work."""

import logging

from elision.accounts.labels import NAME_LETTERS, PATH_LETTERS, cleaned
from elision.accounts.money import NANO
from elision.accounts.records import RequestRecord


class LogSink:
    """Writes one line per request to the log `elision.requests`."""

    def __init__(self) -> None:
        self._log = logging.getLogger("elision.requests")

    def add(self, record: RequestRecord) -> None:
        """Log the record's figures as `extra` fields of one line."""
        if not self._log.isEnabledFor(logging.INFO):
            return
        report, usage, money = record.report, record.answered.usage, record.money
        figures = {
            "request_id": record.request_id,
            "status": record.status,
            "upstream": record.upstream,
            "total_ms": round(record.total_ms, 1),
            "overhead_ms": round(record.overhead_ms, 2),
            "team": report.team,
            "policy": report.policy,
            "mode": report.mode,
            "model": cleaned(report.model or record.answered.model, NAME_LETTERS),
            "tokens_before": report.tokens_before,
            "tokens_after": report.tokens_after,
            "tokens_saved": record.tokens_saved,
            "basis": record.basis.value if record.tokens_saved else "",
            "cost_usd": money.cost / NANO if money is not None else None,
            "cost_saved_usd": money.saved / NANO if money is not None else None,
            "cache": report.cache,
            "bypass": ",".join(report.bypass),
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "original_resent": record.sent_original_after_rejection or None,
            "error": record.error,
        }
        what = (record.method, cleaned(record.path, PATH_LETTERS))
        # Made here: `Logger.info` would look for the line of code that called it, for microseconds.
        line = logging.LogRecord(self._log.name, logging.INFO, "", 0, "%s %s", what, None)
        line.figures = {name: value for name, value in figures.items() if value}
        self._log.handle(line)
