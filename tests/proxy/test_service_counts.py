"""The service's state, as counts."""

from collections.abc import Sequence
from dataclasses import dataclass

from elision.accounts.archive import ArchiveTrouble, Order, Query, Recent, Row, Step, Sums
from elision.accounts.exposition import exposed
from elision.accounts.money import NANO
from elision.accounts.recorder import RecorderFigures
from elision.accounts.spending import spent_by_team
from elision.policies.telling import Spending as SpendingMeant
from elision.proxy.service_counts import (
    of_build,
    of_flight,
    of_policies,
    of_readiness,
    of_recorder,
    of_spending,
    of_store,
    of_texts,
    spending_now,
)
from elision.proxy.store_tiers import Figures
from fakes.exposed import samples_of


@dataclass
class Refusing:
    """Policies whose newest version is wrong."""

    loads: int = 3
    refusals: int = 2
    problems: tuple[str, ...] = ("default.yaml:1:1: no",)


def test_refused_policies_are_told() -> None:
    """Until they are mended."""
    told = samples_of(exposed(of_policies(Refusing())).body)
    assert told.value("elision_policy_loads_total") == 3
    assert told.value("elision_policy_refusals_total") == 2
    assert told.value("elision_policy_refused") == 1
    mended = samples_of(exposed(of_policies(Refusing(problems=()))).body)
    assert mended.value("elision_policy_refused") == 0


def test_what_is_kept_is_told_by_level_and_kind() -> None:
    """Hits, misses, failures with their reasons, sizes, and whether a shared level is in trouble."""
    kept = Figures(
        hits={("memory", "message"): 5, ("disk", "outcome"): 2},
        misses={"scores": 3},
        failures={("disk", "full"): 4},
        held_bytes={"memory": 100, "disk": 200},
        evictions={"memory": 6},
        written={"disk": 7},
        waiting_bytes={"disk": 8},
        trouble={"disk": "full", "redis": ""},
    )
    told = samples_of(exposed(of_store(kept)).body)
    assert told.value("elision_cache_hits_total", level="memory", kind="message") == 5
    assert told.value("elision_cache_hits_total", level="disk", kind="outcome") == 2
    assert told.value("elision_cache_misses_total", kind="scores") == 3
    assert told.value("elision_cache_failures_total", level="disk", reason="full") == 4
    assert told.value("elision_cache_memory_bytes") == 100
    assert told.value("elision_cache_shared_bytes", level="disk") == 200
    assert told.value("elision_cache_evictions_total", level="memory") == 6
    assert told.value("elision_cache_written_total", level="disk") == 7
    assert told.value("elision_cache_waiting_bytes", level="disk") == 8
    assert told.value("elision_cache_troubled", level="disk") == 1
    assert told.value("elision_cache_troubled", level="redis") == 0


def test_what_runs_and_how_it_is_is_told() -> None:
    """Version, requests under way, readiness, methods in trouble, texts by what was done."""
    told = samples_of(exposed({**of_build(), **of_flight(4), **of_texts({"score_hits": 9})}).body)
    assert told.total("elision_build_info") == 1
    assert told.value("elision_workers") == 1
    assert told.value("elision_in_flight") == 4
    assert told.value("elision_texts_total", what="score_hits") == 9
    troubled = samples_of(exposed(of_readiness({"ready": False, "methods": {"llmlingua2": "why"}})).body)
    assert troubled.value("elision_ready") == 0
    assert troubled.value("elision_method_troubled", method="llmlingua2") == 1


class Spending:
    """An archive that knows one team's month."""

    def __init__(self, *, well: bool = True) -> None:
        self._well = well

    async def rows(self, query: Query) -> list[Row]:
        assert (query.step, query.by) == (Step.ALL, ("team",))
        if not self._well:
            raise ArchiveTrouble("disk full")
        return [Row(query.since, ("search",), Sums(requests=9, priced=9, cost=90 * NANO))]

    async def recent(self, order: Order, count: int, only: Sequence[tuple[str, str]] = ()) -> list[Recent]:
        return []

    async def values(self, label: str) -> list[str]:
        return []


async def test_what_teams_have_spent_is_told_beside_what_they_mean_to() -> None:
    """With an alert from their threshold on; an archive in trouble costs these figures alone."""
    [spent] = spent_by_team([Row(0, ("search",), Sums(cost=90 * NANO))], {"search": SpendingMeant(100.0)})
    told = samples_of(exposed(of_spending([spent])).body)
    assert told.value("elision_spent_dollars", team="search") == 90
    assert told.value("elision_budget_dollars", team="search") == 100
    assert told.value("elision_spending_alert", team="search") == 1
    assert await spending_now(Spending(), None) == {
        "elision_spent_dollars": {("search",): (90 * NANO,)},
        "elision_budget_dollars": {},
        "elision_spending_alert": {},
    }
    assert await spending_now(Spending(well=False), None) == {}


def test_figures_that_wait_to_be_kept_are_told() -> None:
    """And those that are lost."""
    told = samples_of(exposed(of_recorder(RecorderFigures(3, 2, 1, "disk full"))).body)
    assert told.value("elision_accounts_waiting") == 3
    assert told.value("elision_accounts_lost_total") == 2
    assert told.value("elision_accounts_failures_total") == 1
    assert told.value("elision_accounts_troubled") == 1
