"""What requests are told apart by, and how one of them is told by itself. Pure.

The one place that reads labels off a record: the log, metrics, the archive and the dashboard call
things alike because they ask here. Names that clients and upstreams make up are cut and cleaned.
"""

from elision.accounts.archive import Recent
from elision.accounts.records import RequestRecord

DEFAULT_TEAM = "default"
NO_POLICY = "none"
NO_METHOD = "none"
UNKNOWN_MODEL = "unknown"
OTHER = "other"
"""What stands for names beyond the number that is told apart."""

NAME_LETTERS = 100
"""Longer names that others made up are cut here."""
PATH_LETTERS = 200

Labels = tuple[str, str, str, str, str]
"""Values of `archive.LABELS`, in their order."""


def labels_of(record: RequestRecord) -> Labels:
    """Return what a request is told apart by: team, policy, method, model, upstream."""
    report = record.report
    return (
        report.team or DEFAULT_TEAM,
        report.policy or NO_POLICY,
        "+".join(report.methods) or NO_METHOD,
        model_of(record),
        record.upstream,
    )


def model_of(record: RequestRecord) -> str:
    """Return the model as it was requested, or else as it answered, or else `unknown`."""
    return cleaned(record.report.model or record.answered.model, NAME_LETTERS) or UNKNOWN_MODEL


def cleaned(name: str, letters: int) -> str:
    """Return a name that somebody made up, no longer than so many letters, each of which can be shown."""
    name = name[:letters]
    if name.isprintable():
        return name
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def recent_of(record: RequestRecord) -> Recent:
    """Return a request as it is told by itself: numbers and short words."""
    report, usage, money = record.report, record.answered.usage, record.money
    team, policy, method, model, upstream = labels_of(record)
    return Recent(
        request_id=record.request_id,
        at=record.at,
        team=team,
        policy=policy,
        method=method,
        model=model,
        upstream=upstream,
        path=cleaned(record.path, PATH_LETTERS),
        status=record.status,
        tokens_before=report.tokens_before,
        tokens_after=report.tokens_after,
        tokens_saved=record.tokens_saved,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        cached_tokens=usage.cached_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        cost=money.cost if money else None,
        saved=money.saved if money else None,
        basis=str(record.basis),
        cache=report.cache,
        bypass=",".join(report.bypass),
        overhead_ms=round(record.overhead_ms, 3),
        total_ms=round(record.total_ms, 1),
        error=record.error,
    )
