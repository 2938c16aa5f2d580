"""What Prometheus is told."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from elision.accounts.records import Report, RequestRecord
from elision.proxy.metrics import Metrics
from elision.proxy.store_tiers import Figures

SEARCH = Report("search", "rag@1", "enforce", tokens_before=100, tokens_after=40, bypass=("deadline",))


@dataclass
class Refusing:
    """Policies whose newest version is wrong."""

    loads: int = 3
    refusals: int = 2
    problems: tuple[str, ...] = ("default.yaml:1:1: no",)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """Return one sample as Prometheus parses it."""
    families = text_string_to_metric_families(metrics.text().decode())
    samples = [sample for family in families for sample in family.samples]
    [found] = [sample.value for sample in samples if (sample.name, sample.labels) == (name, labels)]
    return float(found)


def test_requests_tokens_and_bypasses_are_counted_by_team() -> None:
    """To the token."""
    metrics = Metrics()
    for status in (200, 200, 502):
        metrics.add(RequestRecord("id", "POST", "/v1/x", status, SEARCH, overhead_ms=2.0))
    whose = {"team": "search", "policy": "rag@1"}
    assert value(metrics, "elision_requests_total", **whose, status="200") == 2
    assert value(metrics, "elision_requests_total", **whose, status="502") == 1
    assert value(metrics, "elision_prompt_tokens_total", **whose, when="before") == 300
    assert value(metrics, "elision_prompt_tokens_total", **whose, when="after") == 120
    assert value(metrics, "elision_bypasses_total", team="search", reason="deadline") == 3
    assert value(metrics, "elision_overhead_seconds_count") == 3
    assert value(metrics, "elision_overhead_seconds_sum") == 0.006


def test_a_request_without_a_policy_is_counted_too() -> None:
    """As the default team's."""
    metrics = Metrics()
    metrics.add(RequestRecord("id", "GET", "/v1/models", 200))
    assert value(metrics, "elision_requests_total", team="default", policy="none", status="200") == 1


def test_refused_policies_are_told() -> None:
    """Until they are mended."""
    metrics = Metrics(Refusing())
    assert value(metrics, "elision_policy_loads_total") == 3
    assert value(metrics, "elision_policy_refusals_total") == 2
    assert value(metrics, "elision_policy_refused") == 1
    assert value(Metrics(Refusing(problems=())), "elision_policy_refused") == 0


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
    metrics = Metrics(kept=lambda: kept, texts=lambda: {"score_hits": 9})
    assert value(metrics, "elision_texts_total", what="score_hits") == 9
    assert value(metrics, "elision_cache_hits_total", level="memory", kind="message") == 5
    assert value(metrics, "elision_cache_hits_total", level="disk", kind="outcome") == 2
    assert value(metrics, "elision_cache_misses_total", kind="scores") == 3
    assert value(metrics, "elision_cache_failures_total", level="disk", reason="full") == 4
    assert value(metrics, "elision_cache_held_bytes", level="disk") == 200
    assert value(metrics, "elision_cache_evictions_total", level="memory") == 6
    assert value(metrics, "elision_cache_written_total", level="disk") == 7
    assert value(metrics, "elision_cache_waiting_bytes", level="disk") == 8
    assert value(metrics, "elision_cache_troubled", level="disk") == 1
    assert value(metrics, "elision_cache_troubled", level="redis") == 0
