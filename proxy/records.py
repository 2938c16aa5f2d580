"""The figures of one request: what was saved, why not more, what it cost in time.

Numbers and short words only; text of users has no place here. Headers, log and (later) metrics and
dashboard all read these two values.
"""

import logging
from dataclasses import dataclass, replace
from typing import Protocol

from elision.proxy.headers import Headers
from elision.proxy.sse import Usage


@dataclass(frozen=True, slots=True)
class Report:
    """What rewriting made of a request.

    Attributes:
        team: whose policy was applied.
        policy: `name@version`, "" if none was.
        mode: enforce, audit or off.
        methods: names of the methods that shortened something, sorted, without repeats.
        tokens_before: tokens of all texts of the request, before.
        tokens_after: the same of what was (in audit: would have been) forwarded.
        encoding: what counted them; a leading `~` marks an estimate.
        segments: shortened and kept segments by kind, as `kind:before>after`.
        cache: hit, miss, partial, or "" when no segment was to be compressed.
        bypass: why something planned was not done, sorted, without repeats.
        tokens_audited: what rules in audit would have saved beyond that, in a policy that enforces.
        prefix: what became of the conversation's messages: how many were sent as before, how many were
            new, and what was decided for the provider's cache of them.
    """

    team: str = ""
    policy: str = ""
    mode: str = ""
    methods: tuple[str, ...] = ()
    tokens_before: int = 0
    tokens_after: int = 0
    encoding: str = ""
    segments: tuple[str, ...] = ()
    cache: str = ""
    bypass: tuple[str, ...] = ()
    tokens_audited: int = 0
    prefix: tuple[str, ...] = ()

    def withdrawn(self, reason: str) -> "Report":
        """Return the report of the same request after its original was sent instead."""
        bypass = tuple(sorted({*self.bypass, reason}))
        nothing = replace(self, methods=(), segments=(), prefix=())
        return replace(nothing, tokens_after=self.tokens_before, bypass=bypass)

    def headers(self) -> Headers:
        """Return the response headers that tell a client what was done; none without a policy."""
        if not self.policy:
            return [("x-elision-bypass", ",".join(self.bypass))] if self.bypass else []
        pairs = [("team", self.team), ("policy", self.policy), ("mode", self.mode)]
        if self.tokens_before:
            pairs += [
                ("tokens-before", str(self.tokens_before)),
                ("tokens-after", str(self.tokens_after)),
                ("tokens-saved", str(self.tokens_before - self.tokens_after)),
                ("ratio", f"{self.tokens_after / self.tokens_before:.3f}"),
            ]
        pairs += [("tokens-audited", str(self.tokens_audited))] if self.tokens_audited else []
        lists = [("method", self.methods), ("segments", self.segments), ("bypass", self.bypass)]
        pairs += [(name, ",".join(values)) for name, values in lists if values]
        pairs += [("cache", self.cache)] if self.cache else []
        pairs += [("prefix", ",".join(self.prefix))] if self.prefix else []
        return [(f"x-elision-{name}", value) for name, value in pairs]


NOTHING_TOLD = Report()
"""The report of a request that nobody looked into; one value for all of them."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One finished request, for those who keep accounts.

    Attributes:
        upstream: name of where it went; "" where there is but one, or none was found.
    """

    request_id: str
    method: str
    path: str
    status: int
    report: Report = NOTHING_TOLD
    usage: Usage | None = None
    overhead_ms: float = 0.0
    total_ms: float = 0.0
    sent_original_after_rejection: bool = False
    error: str = ""
    upstream: str = ""


class RecordSink(Protocol):
    """Takes finished requests; must neither block nor raise."""

    def add(self, record: RequestRecord) -> None:
        """Take one record."""
        ...


class LogSink:
    """Writes one line per request to the log `elision.requests`."""

    def __init__(self) -> None:
        self._log = logging.getLogger("elision.requests")

    def add(self, record: RequestRecord) -> None:
        """Log the record's figures as `extra` fields of one line."""
        if not self._log.isEnabledFor(logging.INFO):
            return
        report, usage = record.report, record.usage
        figures = {
            "request_id": record.request_id,
            "status": record.status,
            "upstream": record.upstream,
            "total_ms": round(record.total_ms, 1),
            "overhead_ms": round(record.overhead_ms, 2),
            "team": report.team,
            "policy": report.policy,
            "mode": report.mode,
            "tokens_before": report.tokens_before,
            "tokens_after": report.tokens_after,
            "cache": report.cache,
            "bypass": ",".join(report.bypass),
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "original_resent": record.sent_original_after_rejection or None,
            "error": record.error,
        }
        shown = {name: value for name, value in figures.items() if value not in (None, "", 0)}
        self._log.info("%s %s", record.method, record.path, extra={"figures": shown})
