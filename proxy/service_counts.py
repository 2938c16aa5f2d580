"""The service's state as counts: policies, readiness, the cache, what runs. For `elision.proxy.metrics`.

Each function reads what a part of the proxy knows of itself and names it by the catalogue.
"""

import asyncio
import platform
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from elision.accounts.archive import Archive, ArchiveTrouble
from elision.accounts.counts import Counts, Labels, Numbers
from elision.accounts.money import NANO
from elision.accounts.recorder import RecorderFigures
from elision.accounts.request_log import RequestLogSink
from elision.accounts.spending import Spent, month_query, spent_by_team
from elision.proxy.admin import Readiness
from elision.proxy.metrics import Metrics
from elision.proxy.store_tiers import Figures

if TYPE_CHECKING:
    from elision.proxy.assembly import PolicyParts
    from elision.proxy.handler import Handler
    from elision.proxy.reload import LivePolicies

_MEMORY = "memory"
_PATIENCE_S = 2.0


class PolicyState(Protocol):
    """How the policy files are."""

    loads: int
    refusals: int
    problems: tuple[str, ...]


def follow_service(
    metrics: Metrics, handler: "Handler", parts: "PolicyParts | None", archive: Archive | None
) -> None:
    """Have metrics tell the service's state.

    Args:
        metrics: of this process.
        handler: of its requests.
        parts: None where there are no policies.
        archive: knows what was spent; None where nothing is kept.
    """
    if archive is not None:
        metrics.ask(partial(spending_now, archive, parts.live if parts is not None else None))
    build = of_build()
    metrics.follow(lambda: build)
    metrics.follow(lambda: of_flight(handler.active))
    if parts is None:
        metrics.follow(lambda: of_readiness({"ready": True}))
        return
    metrics.follow(lambda: of_readiness(parts.readiness()))
    metrics.follow(lambda: of_policies(parts.live))
    metrics.follow(lambda: of_texts(parts.texts()))
    metrics.follow(lambda: of_store(parts.kept()))


def of_recorder(figures: RecorderFigures) -> Counts:
    """Return what became of figures that were to be kept."""
    return {
        "elision_accounts_waiting": {(): (figures.waiting,)},
        "elision_accounts_lost": {(): (figures.lost,)},
        "elision_accounts_failures": {(): (figures.failures,)},
        "elision_accounts_troubled": {(): (int(bool(figures.trouble)),)},
    }


def of_request_log(lines: RequestLogSink) -> Counts:
    """Return what became of lines for the log of requests."""
    results = {"written": lines.written, "lost": lines.lost, "without_text": lines.without_text}
    return {"elision_request_log_lines": _by_one(results)}


def of_telemetry(exported: int, lost: int) -> Counts:
    """Return what became of spans for a collector."""
    return {"elision_telemetry": _by_one({"exported": exported, "lost": lost})}


async def spending_now(archive: Archive, live: "LivePolicies | None") -> Counts:
    """Return what teams have spent and mean to, by the policies of this moment; {} in trouble.

    Args:
        archive: knows what was spent.
        live: None where there are no policies.
    """
    meant = {} if live is None else {team: p.spending for team, p in live.current.by_team.items()}
    try:
        async with asyncio.timeout(_PATIENCE_S):
            rows = await archive.rows(month_query(time.time()))
    except (ArchiveTrouble, TimeoutError):
        return {}
    return of_spending(spent_by_team(rows, meant))


def of_spending(spent: Sequence[Spent]) -> Counts:
    """Return what teams have spent this month, what they mean to, and whom to warn."""
    meant = [(one, one.meant) for one in spent if one.meant is not None]
    return {
        "elision_spent_dollars": {(one.team,): (one.cost,) for one in spent},
        "elision_budget_dollars": {(one.team,): (round(said.monthly_usd * NANO),) for one, said in meant},
        "elision_spending_alert": {(one.team,): (int(one.is_alert_due),) for one, _ in meant},
    }


def of_build() -> Counts:
    """Return what runs: a worker, of which version."""
    what = (version("elision"), platform.python_version())
    return {"elision_build_info": {what: (1,)}, "elision_workers": {(): (1,)}}


def of_flight(active: int) -> Counts:
    """Return how many requests are under way."""
    return {"elision_in_flight": {(): (active,)}}


def of_readiness(readiness: Readiness) -> Counts:
    """Return whether requests are served as configured, and which methods cannot be made."""
    troubled = readiness.get("methods", {})
    names = troubled if isinstance(troubled, Mapping) else {}
    return {
        "elision_ready": {(): (int(bool(readiness.get("ready"))),)},
        "elision_method_troubled": {(str(name),): (1,) for name in names},
    }


def of_policies(policies: PolicyState) -> Counts:
    """Return how often policy files were taken over and refused, and whether they are refused now."""
    return {
        "elision_policy_loads": {(): (policies.loads,)},
        "elision_policy_refusals": {(): (policies.refusals,)},
        "elision_policy_refused": {(): (int(bool(policies.problems)),)},
    }


def of_texts(texts: Mapping[str, int]) -> Counts:
    """Return how many texts came to be shortened in which way."""
    return {"elision_texts": _by_one(texts)}


def of_store(figures: Figures) -> Counts:
    """Return what a store has counted, by level and kind of value."""
    held = figures.held_bytes
    troubled = {level: int(bool(trouble)) for level, trouble in figures.trouble.items()}
    return {
        "elision_cache_hits": {labels: (count,) for labels, count in figures.hits.items()},
        "elision_cache_misses": _by_one(figures.misses),
        "elision_cache_failures": {labels: (count,) for labels, count in figures.failures.items()},
        "elision_cache_written": _by_one(figures.written),
        "elision_cache_evictions": _by_one(figures.evictions),
        "elision_cache_memory_bytes": {(): (held.get(_MEMORY, 0),)},
        "elision_cache_shared_bytes": _by_one({level: n for level, n in held.items() if level != _MEMORY}),
        "elision_cache_waiting_bytes": _by_one(figures.waiting_bytes),
        "elision_cache_troubled": _by_one(troubled),
    }


def _by_one(counts: Mapping[str, int]) -> dict[Labels, Numbers]:
    return {(name,): (count,) for name, count in counts.items()}
