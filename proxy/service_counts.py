"""The service's state as counts: policies, readiness, the cache, what runs. For `elision.proxy.metrics`.

Each function reads what a part of the proxy knows of itself and names it by the catalogue.
"""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from elision.accounts.counts import Counts, Labels, Numbers
from elision.proxy.admin import Readiness
from elision.proxy.metrics import Metrics
from elision.proxy.store_tiers import Figures

if TYPE_CHECKING:
    from elision.proxy.assembly import PolicyParts
    from elision.proxy.handler import Handler

_MEMORY = "memory"


class PolicyState(Protocol):
    """How the policy files are."""

    loads: int
    refusals: int
    problems: tuple[str, ...]


def follow_service(metrics: Metrics, handler: "Handler", parts: "PolicyParts | None") -> None:
    """Have metrics tell the service's state.

    Args:
        metrics: of this process.
        handler: of its requests.
        parts: None where there are no policies.
    """
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
